//! Dockerfiles and what they are, or what dockerd 28.5 answered to them.

use super::*;

fn parsed(text: &str) -> Result<Dockerfile, String> {
    parse(text, "", &BTreeMap::new()).map_err(|error| error.to_string())
}

fn action(line: &str) -> Action {
    let mut file = parsed(&format!("FROM scratch\n{line}\n")).unwrap();
    file.stages.remove(0).steps.remove(0).action
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn stages_and_arguments_before_them_are_told_apart() {
    let text = "ARG T=a\nFROM --platform=linux/amd64 $T AS One\nARG x\nfrom two\nRUN x\n";
    let file = parsed(text).unwrap();
    assert_eq!(file.arguments[0].action, Action::Arg(own(&["T=a"])));
    let told: Vec<_> = file
        .stages
        .iter()
        .map(|s| (s.base.as_str(), s.name.as_str(), s.steps.len()))
        .collect();
    assert_eq!(told, [("$T", "one", 1), ("two", "", 1)]);
    assert_eq!(file.stages[0].platform, "linux/amd64");
    assert_eq!(file.stages[0].text, "FROM --platform=linux/amd64 $T AS One");
}

#[test]
fn a_target_ends_the_file_and_labels_go_to_the_last_stage() {
    let labels = BTreeMap::from([
        ("z".to_owned(), "1".to_owned()),
        ("a".to_owned(), "b \"c".to_owned()),
    ]);
    let file = parse("FROM a AS one\nFROM b AS two\nFROM c", "TWO", &labels).unwrap();
    assert_eq!(file.stages.len(), 2);
    let texts: Vec<&str> = file.stages[1]
        .steps
        .iter()
        .map(|step| step.text.as_str())
        .collect();
    assert_eq!(texts, ["LABEL a=b \"c", "LABEL z=1"]);
    let told = parse("FROM a AS one", "1", &labels).unwrap_err().to_string();
    assert_eq!(told, "target stage \"1\" could not be found");
}

#[test]
fn commands_are_for_the_shell_unless_they_are_json() {
    assert_eq!(
        action("RUN [\"a\", \"b c\"]"),
        Action::Run(Command::Exec(own(&["a", "b c"])))
    );
    assert_eq!(
        action("RUN [\"a\","),
        Action::Run(Command::Shell("[\"a\",".to_owned()))
    );
    assert_eq!(
        action("run echo  $X"),
        Action::Run(Command::Shell("echo  $X".to_owned()))
    );
    for option in ["mount=type=cache,target=/x", "network=none"] {
        let name = option.split('=').next().unwrap().to_owned();
        assert_eq!(
            action(&format!("RUN --{option} true")),
            Action::Run(Command::NeedsBuildKit(name))
        );
    }
}

#[test]
fn transfers_know_their_options() {
    let Action::Transfer(copy) = action("COPY --from=0 --chown=a:b --chmod=644 x y z/") else {
        panic!()
    };
    assert_eq!(
        (copy.sources, copy.destination.as_str()),
        (own(&["x", "y"]), "z/")
    );
    assert_eq!(
        (copy.from.as_str(), copy.owner.as_str(), copy.mode.as_str()),
        ("0", "a:b", "644")
    );
    let Action::Transfer(add) = action("ADD --checksum=x [\"sp ace\", \"/d\"]") else {
        panic!()
    };
    assert_eq!(
        (add.sources, add.needs_buildkit.as_deref()),
        (own(&["sp ace"]), Some("checksum"))
    );
    let Action::Transfer(copy) = action("COPY --link a b") else {
        panic!()
    };
    assert_eq!(copy.needs_buildkit.as_deref(), Some("link"));
}

#[test]
fn wrong_files_are_refused_in_dockerds_words() {
    for (text, words) in [
        (
            "FROM",
            "dockerfile parse error on line 1: FROM requires either one or three arguments",
        ),
        (
            "FROM a b",
            "dockerfile parse error on line 1: FROM requires either one or three arguments",
        ),
        (
            "FROM a AS",
            "dockerfile parse error on line 1: FROM requires either one or three arguments",
        ),
        (
            "FROM a AS 1x",
            "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
        ),
        (
            "FROM --foo=1 a",
            "dockerfile parse error on line 1: unknown flag: --foo",
        ),
        (
            "FROM a\nZZZ x",
            "dockerfile parse error on line 2: unknown instruction: ZZZ",
        ),
        (
            "FROM a\nzzz x",
            "dockerfile parse error on line 2: unknown instruction: zzz",
        ),
        ("RUN x", "no build stage in current context"),
        ("ARG X=1", "no build stage in current context"),
        (
            "ARG",
            "dockerfile parse error on line 1: ARG requires at least one argument",
        ),
        (
            "ARG =1\nFROM a",
            "dockerfile parse error on line 1: ARG names can not be blank",
        ),
        (
            "FROM a\nENV",
            "dockerfile parse error on line 2: ENV requires at least one argument",
        ),
        (
            "FROM a\nENV a=b =c",
            "dockerfile parse error on line 2: ENV names can not be blank",
        ),
        (
            "FROM a\nLABEL =x",
            "dockerfile parse error on line 2: LABEL names can not be blank",
        ),
        (
            "FROM a\nCOPY a",
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM a\nCOPY []",
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM a\nCOPY --zz=1 a b",
            "dockerfile parse error on line 2: unknown flag: --zz",
        ),
        (
            "FROM a\nCOPY --chown a b",
            "dockerfile parse error on line 2: missing a value on flag: --chown",
        ),
        (
            "FROM a\nADD --from=x a b",
            "dockerfile parse error on line 2: unknown flag: --from",
        ),
        (
            "FROM a\nRUN --zz true",
            "dockerfile parse error on line 2: unknown flag: --zz",
        ),
        (
            "FROM a\nEXPOSE",
            "dockerfile parse error on line 2: EXPOSE requires at least one argument",
        ),
        (
            "FROM a\nUSER",
            "dockerfile parse error on line 2: USER requires exactly one argument",
        ),
        (
            "FROM a\nWORKDIR",
            "dockerfile parse error on line 2: WORKDIR requires exactly one argument",
        ),
        (
            "FROM a\nVOLUME",
            "dockerfile parse error on line 2: VOLUME requires at least one argument",
        ),
        (
            "FROM a\nVOLUME []",
            "dockerfile parse error on line 2: VOLUME requires at least one argument",
        ),
        (
            "FROM a\nVOLUME [\"\"]",
            "dockerfile parse error on line 2: VOLUME specified can not be an empty string",
        ),
        (
            "FROM a\nSTOPSIGNAL",
            "dockerfile parse error on line 2: STOPSIGNAL requires exactly one argument",
        ),
        (
            "FROM a\nSHELL",
            "dockerfile parse error on line 2: SHELL requires at least one argument",
        ),
        (
            "FROM a\nSHELL []",
            "dockerfile parse error on line 2: SHELL requires at least one argument",
        ),
        (
            "FROM a\nSHELL a",
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form",
        ),
        (
            "FROM a\nONBUILD",
            "dockerfile parse error on line 2: ONBUILD requires at least one argument",
        ),
        (
            "FROM a\nONBUILD FROM x",
            "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger",
        ),
        (
            "FROM a\nONBUILD ONBUILD RUN x",
            "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        (
            "FROM a\nONBUILD MAINTAINER x",
            "dockerfile parse error on line 2: MAINTAINER isn't allowed as an ONBUILD trigger",
        ),
        (
            "FROM a\nMAINTAINER",
            "dockerfile parse error on line 2: MAINTAINER requires exactly one argument",
        ),
        (
            "FROM a\nHEALTHCHECK",
            "dockerfile parse error on line 2: HEALTHCHECK requires at least one argument",
        ),
        (
            "FROM a\nHEALTHCHECK NONE x",
            "dockerfile parse error on line 2: HEALTHCHECK NONE takes no arguments",
        ),
        (
            "FROM a\nHEALTHCHECK FOO x",
            "dockerfile parse error on line 2: Unknown type \"FOO\" in HEALTHCHECK (try CMD)",
        ),
        (
            "FROM a\nHEALTHCHECK CMD",
            "dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD",
        ),
        (
            "FROM a\nHEALTHCHECK CMD []",
            "dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD",
        ),
        (
            "FROM a\nHEALTHCHECK --interval=5 CMD x",
            "dockerfile parse error on line 2: time: missing unit in duration \"5\"",
        ),
        (
            "FROM a\nHEALTHCHECK --interval=1us CMD x",
            "dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms",
        ),
        (
            "FROM a\nHEALTHCHECK --retries=-1 CMD x",
            "dockerfile parse error on line 2: --retries cannot be negative (-1)",
        ),
    ] {
        assert_eq!(parsed(text).unwrap_err(), words, "{text}");
    }
}

#[test]
fn the_first_pass_fails_before_the_second() {
    let told = parsed("FROM a\nZZZ\nENV x").unwrap_err();
    assert_eq!(told, "failed to parse Dockerfile: ENV must have two arguments");
}

#[test]
fn what_depends_on_variables_is_not_refused_early() {
    for line in [
        "VOLUME $X",
        "EXPOSE $X",
        "USER $X",
        "STOPSIGNAL $X",
        "WORKDIR $X",
        "VOLUME \"\"",
        "LABEL a=$X",
    ] {
        assert!(matches!(action(line), Action::Change(_)), "{line}");
    }
}
