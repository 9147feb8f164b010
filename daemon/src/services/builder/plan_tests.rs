//! Instructions, what they change, and how dockerd 28.5 wrote them into the history.

use super::super::dockerfile::{Action, parse};
use super::*;

fn begin() -> Plan {
    Plan::begin(ImageConfig::default(), Arguments::default(), '\\').0
}

/// Runs lines of a stage; gives the history.
fn history(plan: &mut Plan, lines: &str) -> Result<Vec<String>, String> {
    let file = parse(&format!("FROM scratch\n{lines}\n"), "", &BTreeMap::new()).map_err(|e| e.to_string())?;
    let mut told = Vec::new();
    for step in &file.stages[0].steps {
        let created_by = match &step.action {
            Action::Change(instruction) => plan.change(instruction).map(|comment| comment.created_by()),
            Action::Label { name, value } => Ok(plan.label(name, value).created_by()),
            Action::Arg(words) => plan.argument(words).map(|comment| comment.created_by()),
            Action::Maintainer(name) => Ok(plan.maintainer(name).created_by()),
            Action::Shell(shell) => Ok(plan.shell(shell).created_by()),
            Action::Run(command) => plan.run(command).map(|run| run.created_by),
            Action::Transfer(_) => panic!("not planned here"),
        };
        told.push(created_by.map_err(|error| error.to_string())?);
    }
    Ok(told)
}

#[test]
fn the_history_is_dockerds() {
    for (lines, created_by) in [
        (
            "EXPOSE 90 80/TCP 443/udp",
            "/bin/sh -c #(nop)  EXPOSE 443/udp 80/TCP 90",
        ),
        ("WORKDIR /a/b\nWORKDIR c", "/bin/sh -c #(nop) WORKDIR /a/b/c"),
        ("USER a b", "/bin/sh -c #(nop)  USER a b"),
        ("MAINTAINER joe", "/bin/sh -c #(nop)  MAINTAINER joe"),
        ("CMD", "/bin/sh -c #(nop)  CMD [\"/bin/sh\" \"-c\"]"),
        ("CMD [\"b\"]", "/bin/sh -c #(nop)  CMD [\"b\"]"),
        ("ENTRYPOINT []", "/bin/sh -c #(nop)  ENTRYPOINT []"),
        (
            "ENTRYPOINT [\"a\\n\\t\\u00e9\\u0001\\\"x\"]",
            "/bin/sh -c #(nop)  ENTRYPOINT [\"a\\n\\té\\x01\\\"x\"]",
        ),
        (
            "HEALTHCHECK CMD x",
            "/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL x] 0s 0s 0s 0s 0}",
        ),
        (
            "HEALTHCHECK --interval=90s --timeout=1m1.5s --start-period=10ms --start-interval=1500us --retries=3 CMD [\"a\",\"$X\"]",
            "/bin/sh -c #(nop)  HEALTHCHECK &{[CMD a $X] 1m30s 1m1.5s 10ms 1.5ms 3}",
        ),
        (
            "ENV A=1 A=2 B=\"x y\" C=",
            "/bin/sh -c #(nop)  ENV A=1 A=2 B=x y C=",
        ),
        ("ENV A old  way", "/bin/sh -c #(nop)  ENV A=old  way"),
        (
            "LABEL a=b a=c d=\"e f\"",
            "/bin/sh -c #(nop)  LABEL a=b a=c d=e f",
        ),
        ("ARG X Y=1 Z=", "/bin/sh -c #(nop)  ARG X Y=1 Z="),
        ("VOLUME /x /y z", "/bin/sh -c #(nop)  VOLUME [/x /y z]"),
        ("STOPSIGNAL SIGTERM", "/bin/sh -c #(nop)  STOPSIGNAL SIGTERM"),
        ("ONBUILD RUN echo hi", "/bin/sh -c #(nop)  ONBUILD RUN echo hi"),
        (
            "SHELL [\"/bin/sh\",\"-ec\"]",
            "/bin/sh -ec #(nop)  SHELL [/bin/sh -ec]",
        ),
        ("RUN exit 0", "/bin/sh -c exit 0"),
        ("ARG X\nARG Y=1 Z=\nRUN exit 0", "|2 Y=1 Z= /bin/sh -c exit 0"),
        ("ARG Y=1 Z=\nRUN [\"true\"]", "|2 Y=1 Z= true"),
        ("ENV V=2\nARG V=1\nRUN x", "/bin/sh -c x"),
        (
            "SHELL [\"/bin/sh\",\"-ec\"]\nCMD echo hi",
            "/bin/sh -ec #(nop)  CMD [\"/bin/sh\" \"-ec\" \"echo hi\"]",
        ),
    ] {
        assert_eq!(
            history(&mut begin(), lines).unwrap().last().unwrap(),
            created_by,
            "{lines}"
        );
    }
}

#[test]
fn variables_have_the_values_of_before_the_instruction() {
    let mut plan = begin();
    let told = history(
        &mut plan,
        "ENV A=1\nENV A=2 B=$A\nARG C=$A D=$C\nLABEL l=$B-$C-$D-${Z:-z}",
    )
    .unwrap();
    assert_eq!(told[1], "/bin/sh -c #(nop)  ENV A=2 B=1");
    assert_eq!(told[2], "/bin/sh -c #(nop)  ARG C=2 D=");
    assert_eq!(told[3], "/bin/sh -c #(nop)  LABEL l=1-2--z");
    assert_eq!(plan.config().labels.as_ref().unwrap()["l"], "1-2--z");
    assert_eq!(plan.config().env.as_ref().unwrap()[1..], ["A=2", "B=1"]);
}

#[test]
fn a_health_check_takes_the_times_that_it_leaves_open_from_the_one_before() {
    let mut plan = begin();
    history(
        &mut plan,
        "HEALTHCHECK --interval=90s --retries=3 CMD a\nHEALTHCHECK --retries=4 CMD b",
    )
    .unwrap();
    let health = plan.config().healthcheck.clone().unwrap();
    assert_eq!((health.interval, health.retries), (90_000_000_000, 4));
    assert_eq!(health.test.unwrap()[1], "b");
}

#[test]
fn a_stage_gets_a_path_and_gives_its_triggers_back() {
    let config = ImageConfig {
        on_build: Some(vec!["RUN x".to_owned()]),
        ..ImageConfig::default()
    };
    let (plan, triggers) = Plan::begin(config, Arguments::default(), '\\');
    assert_eq!(triggers, ["RUN x"]);
    assert_eq!(plan.config().on_build, None);
    assert_eq!(plan.config().env.as_deref(), Some(&[DEFAULT_PATH.to_owned()][..]));
    let own = ImageConfig {
        env: Some(vec!["PATH=/x".to_owned()]),
        ..ImageConfig::default()
    };
    assert_eq!(
        Plan::begin(own, Arguments::default(), '\\')
            .0
            .config()
            .env
            .as_ref()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_run_sees_arguments_that_the_environment_does_not_hide() {
    let given = [("P", "1"), ("HTTP_PROXY", "p")].map(|(n, v)| (n.to_owned(), Some(v.to_owned())));
    let mut plan = Plan::begin(ImageConfig::default(), Arguments::new(given.into()), '\\').0;
    history(&mut plan, "ARG P\nARG Q=2\nENV Q=3").unwrap();
    let run = plan.run(&Command::Exec(vec!["x".to_owned()])).unwrap();
    assert_eq!(run.env[1..], ["Q=3", "HTTP_PROXY=p", "P=1"]);
    // The proxy is no part of the history, and so of the cache's key.
    assert_eq!(run.created_by, "|1 P=1 x");
}

#[test]
fn what_cannot_be_done_says_so_in_dockerds_words() {
    for (lines, words) in [
        ("EXPOSE abc", "Invalid containerPort: abc"),
        ("EXPOSE 80/xx", "Invalid proto: xx"),
        ("STOPSIGNAL foo", "invalid signal: foo"),
        ("VOLUME \"\"", "VOLUME specified can not be an empty string"),
        ("WORKDIR \"\"", "cannot normalize nothing"),
        ("RUN []", "no command specified"),
        (
            "RUN --mount=type=cache,target=/x true",
            "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled",
        ),
        ("ENV A=${", "failed to process \"${\": syntax error: missing '}'"),
        (
            "ENV A=${}",
            "failed to process \"${}\": syntax error: bad substitution",
        ),
        ("ENV A=${B:?msg}", "failed to process \"${B:?msg}\": B: msg"),
        (
            "VOLUME /data \"/x y\"",
            "failed to process \"\\\"/x\": unexpected end of statement while looking for matching double-quote",
        ),
    ] {
        assert_eq!(history(&mut begin(), lines).unwrap_err(), words, "{lines}");
    }
}

#[test]
fn durations_are_printed_as_go_prints_them() {
    for (ns, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (1_500_000, "1.5ms"),
        (10_000_000, "10ms"),
        (5_000_000_000, "5s"),
        (61_500_000_000, "1m1.5s"),
        (3_600_000_000_000, "1h0m0s"),
    ] {
        assert_eq!(go_duration(ns), text);
    }
}
