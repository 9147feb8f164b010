//! What dockerd 28.5 made of each change, captured.

use super::*;

fn changed(change: &str) -> Result<String, String> {
    match apply_changes(ImageConfig::default(), &[change.to_owned()]) {
        Ok(config) => Ok(serde_json::to_string(&config).unwrap()),
        Err(Failure::Invalid(text)) => Err(text),
        Err(other) => panic!("{change}: {other:?}"),
    }
}

#[test]
fn changes_give_what_dockerd_gives() {
    for (change, expected) in [
        ("CMD", r#"{"Cmd":["/bin/sh","-c"]}"#),
        ("CMD []", r#"{"Cmd":[]}"#),
        ("CMD a b", r#"{"Cmd":["/bin/sh","-c","a b"]}"#),
        (r#"CMD ["a" , "b"]"#, r#"{"Cmd":["a","b"]}"#),
        ("CMD ['a']", r#"{"Cmd":["/bin/sh","-c","['a']"]}"#),
        ("CMD [a", r#"{"Cmd":["/bin/sh","-c","[a"]}"#),
        ("cmd x", r#"{"Cmd":["/bin/sh","-c","x"]}"#),
        ("CMD a \\\n# c\n b", r#"{"Cmd":["/bin/sh","-c","a  b"]}"#),
        ("ENTRYPOINT x y", r#"{"Entrypoint":["/bin/sh","-c","x y"]}"#),
        ("ENTRYPOINT []", "{}"),
        ("ENTRYPOINT", "{}"),
        (
            "CMD b\nENTRYPOINT [\"a\"]",
            r#"{"Entrypoint":["a"],"Cmd":["/bin/sh","-c","b"]}"#,
        ),
        ("ENV A 1 2", r#"{"Env":["A=1 2"]}"#),
        (
            r#"ENV A=1 B="2 3" C='4 $A' D=a\ b"#,
            r#"{"Env":["A=1","B=2 3","C=4 $A","D=a b"]}"#,
        ),
        (
            "ENV A=1\nENV B=$A-${A}-${Z:-def}-${A:+yes}-\\$A",
            r#"{"Env":["A=1","B=1-1-def-yes-$A"]}"#,
        ),
        ("ENV A=1 B=$A", r#"{"Env":["A=1","B="]}"#),
        ("ENV A= ", r#"{"Env":["A="]}"#),
        ("ENV a=1\nENV A=2\nENV a=3", r#"{"Env":["a=3","A=2"]}"#),
        ("ENV A=1 \\\n B=2", r#"{"Env":["A=1","B=2"]}"#),
        (
            "EXPOSE 80 81/udp 90-91",
            r#"{"ExposedPorts":{"80/tcp":{},"81/udp":{},"90/tcp":{},"91/tcp":{}}}"#,
        ),
        ("EXPOSE 1:2", r#"{"ExposedPorts":{"2/tcp":{}}}"#),
        ("EXPOSE 80/TCP", r#"{"ExposedPorts":{"80/tcp":{}}}"#),
        ("EXPOSE $P", "{}"),
        (
            "ENV P=7\nEXPOSE $P/udp",
            r#"{"ExposedPorts":{"7/udp":{}},"Env":["P=7"]}"#,
        ),
        (r#"LABEL a=b c="d e""#, r#"{"Labels":{"a":"b","c":"d e"}}"#),
        ("LABEL a b c", r#"{"Labels":{"a":"b c"}}"#),
        (r#"LABEL "a b"=c"#, r#"{"Labels":{"a b":"c"}}"#),
        (r#"LABEL a="b\nc""#, r#"{"Labels":{"a":"b\\nc"}}"#),
        ("USER a b", r#"{"User":"a b"}"#),
        ("USER $U", "{}"),
        (r#"VOLUME ["/a","/b c"]"#, r#"{"Volumes":{"/a":{},"/b c":{}}}"#),
        ("VOLUME /a /b", r#"{"Volumes":{"/a":{},"/b":{}}}"#),
        ("WORKDIR /a\nWORKDIR b\nWORKDIR ../c", r#"{"WorkingDir":"/a/c"}"#),
        ("WORKDIR b", r#"{"WorkingDir":"/b"}"#),
        ("WORKDIR a b", r#"{"WorkingDir":"/a b"}"#),
        ("onbuild run x", r#"{"OnBuild":["run x"]}"#),
        (
            "ONBUILD COPY --chown=1 a b",
            r#"{"OnBuild":["COPY --chown=1 a b"]}"#,
        ),
        ("STOPSIGNAL SIGTERM", r#"{"StopSignal":"SIGTERM"}"#),
        ("STOPSIGNAL 9", r#"{"StopSignal":"9"}"#),
        ("HEALTHCHECK NONE", r#"{"Healthcheck":{"Test":["NONE"]}}"#),
        (
            "HEALTHCHECK CMD true",
            r#"{"Healthcheck":{"Test":["CMD-SHELL","true"]}}"#,
        ),
        (
            r#"HEALTHCHECK --interval=5s --timeout=3s --retries=2 --start-period=1m --start-interval=2s CMD ["a","b"]"#,
            r#"{"Healthcheck":{"Test":["CMD","a","b"],"Interval":5000000000,"Timeout":3000000000,"StartPeriod":60000000000,"StartInterval":2000000000,"Retries":2}}"#,
        ),
        (
            "HEALTHCHECK --retries=0 CMD x",
            r#"{"Healthcheck":{"Test":["CMD-SHELL","x"]}}"#,
        ),
    ] {
        assert_eq!(changed(change).as_deref(), Ok(expected), "{change}");
    }
}

#[test]
fn changes_are_refused_in_dockerds_words() {
    for (change, words) in [
        ("", "file with no instructions"),
        ("ZZ x", "ZZ is not a valid change command"),
        ("zz x", "zz is not a valid change command"),
        ("FROM x", "FROM is not a valid change command"),
        ("SHELL [\"a\"]", "SHELL is not a valid change command"),
        (
            "CMD [\"a\",1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("CMD --x y", "unknown flag: --x"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV =1", "ENV names can not be blank"),
        (
            "ENV A=1 B",
            "Syntax error - can't find = in \"B\". Must be of the form: name=value",
        ),
        ("ENV --x=1", "unknown flag: --x"),
        (
            "ENV A=\"unterminated",
            "failed to process \"\\\"unterminated\": unexpected end of statement while looking for matching double-quote",
        ),
        ("ENV A=${B:?err}", "failed to process \"${B:?err}\": B: err"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("EXPOSE x", "Invalid containerPort: x"),
        ("EXPOSE 99999", "Invalid containerPort: 99999"),
        ("EXPOSE 80-78", "Invalid containerPort: 80-78"),
        ("EXPOSE 80/zz", "Invalid proto: zz"),
        ("LABEL a", "LABEL must have two arguments"),
        ("LABEL =x", "LABEL names can not be blank"),
        ("USER", "USER requires exactly one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME []", "VOLUME requires at least one argument"),
        ("VOLUME \"\"", "VOLUME specified can not be an empty string"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("WORKDIR $W", "cannot normalize nothing"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        (
            "ONBUILD ONBUILD RUN x",
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("STOPSIGNAL ZZ", "invalid signal: ZZ"),
        ("STOPSIGNAL 9 10", "invalid signal: 9 10"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK ZZ", "Unknown type \"ZZ\" in HEALTHCHECK (try CMD)"),
        (
            "HEALTHCHECK --interval=5 CMD true",
            "time: missing unit in duration \"5\"",
        ),
        (
            "HEALTHCHECK --interval=1us CMD true",
            "Interval \"interval\" cannot be less than 1ms",
        ),
        ("HEALTHCHECK --zz=1 CMD true", "unknown flag: --zz"),
        (
            "HEALTHCHECK --retries=-1 CMD x",
            "--retries cannot be negative (-1)",
        ),
    ] {
        assert_eq!(
            changed(change).as_deref().map_err(String::as_str),
            Err(words),
            "{change}"
        );
    }
}

#[test]
fn an_entrypoint_drops_only_the_command_of_the_image_below() {
    let below = ImageConfig {
        cmd: Some(vec!["old".to_owned()]),
        ..ImageConfig::default()
    };
    let entry = apply_changes(below.clone(), &["ENTRYPOINT [\"e\"]".to_owned()]).unwrap();
    assert_eq!((entry.cmd, entry.entrypoint), (None, Some(vec!["e".to_owned()])));
    let changes = ["CMD [\"c\"]".to_owned(), "ENTRYPOINT [\"e\"]".to_owned()];
    assert_eq!(
        apply_changes(below, &changes).unwrap().cmd,
        Some(vec!["c".to_owned()])
    );
}

#[test]
fn build_arguments_come_after_the_environment() {
    let mut draft = Draft::new(ImageConfig {
        env: Some(vec!["A=env".to_owned()]),
        ..ImageConfig::default()
    });
    let arguments = BTreeMap::from([
        ("A".to_owned(), "arg".to_owned()),
        ("B".to_owned(), "arg".to_owned()),
    ]);
    for instruction in instructions::parse("USER $A:$B") {
        draft.apply(&instruction, &arguments).unwrap();
    }
    assert_eq!(draft.config.user, "env:arg");
}
