//! What does not start, and what is said then.

use crate::instance::{Ground, can_run};
use cellblock_launcher::accounts;
use cellblock_launcher::layout::Layout;
use protocol::handshake::HelperKind;
use protocol::names::HostPath;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

fn one_line(said: &str) -> &str {
    let mut lines = said.lines();
    let line = lines.next().unwrap();
    assert_eq!(lines.next(), None, "{said}");
    line
}

#[test]
fn a_second_instance_in_the_same_directory_is_refused_with_the_first_ones_process() {
    if !can_run("a_second_instance_in_the_same_directory_is_refused_with_the_first_ones_process") {
        return;
    }
    let ground = Ground::new("lock");
    let instance = ground.start();
    let output = ground.command(&[]).output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(1), &b""[..])
    );
    let said = String::from_utf8(output.stderr).unwrap();
    let base = ground.base().canonicalize().unwrap();
    let expected = format!(
        "cellblock: {}: another cellblock (process {}) is running here",
        base.display(),
        instance.pid()
    );
    assert_eq!(one_line(&said), expected);
    // The first one is not disturbed.
    instance.expect("kept", "");
}

#[test]
fn a_lock_file_that_was_left_behind_locks_nothing() {
    if !can_run("a_lock_file_that_was_left_behind_locks_nothing") {
        return;
    }
    let ground = Ground::new("stale");
    fs::create_dir(ground.base()).unwrap();
    fs::write(ground.base().join("lock"), "1\n").unwrap();
    ground.start();
}

#[test]
fn another_user_than_root_is_told_to_use_sudo() {
    if !can_run("another_user_than_root_is_told_to_use_sudo") {
        return;
    }
    let ground = Ground::new("sudo");
    // The checkout may be closed to that user.
    let program = ground.path.join("cellblock");
    fs::copy(env!("CARGO_BIN_EXE_cellblock"), &program).unwrap();
    for command in ["dev", "up"] {
        let mut call = Command::new(&program);
        call.arg(command)
            .args((command == "dev").then_some("/tmp/x"))
            .uid(65534)
            .gid(65534);
        let output = call.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            one_line(&said),
            format!("cellblock: `cellblock {command}` needs root: run it with sudo")
        );
    }
}

#[test]
fn a_configuration_that_others_can_write_is_refused_with_the_line_that_mends_it() {
    if !can_run("a_configuration_that_others_can_write_is_refused_with_the_line_that_mends_it") {
        return;
    }
    let ground = Ground::new("writable");
    let config = ground.config("");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    let said = ground.refused(&["--config", &config]);
    let expected =
        format!("cellblock: {config}: mode 0666 lets others write it; mend it with: chmod go-w {config}");
    assert_eq!(one_line(&said), expected);
}

#[test]
fn tenants_that_this_host_cannot_have_are_refused_in_one_line() {
    if !can_run("tenants_that_this_host_cannot_have_are_refused_in_one_line") {
        return;
    }
    let table = |name: &str, rest: &str| format!("[[tenant]]\nname = \"{name}\"\n{rest}\n");
    for (text, expected) in [
        (
            table("red", "users = [\"cb-no-such-user\"]"),
            "cellblock: there is no user cb-no-such-user on this host; see `cellblock doctor`",
        ),
        (
            table("red", "users = [\"root\"]") + &table("blue", "users = [0]"),
            "cellblock: configuration key tenant: user 0 is in two tenants, red and blue",
        ),
        (
            table("red", ""),
            "cellblock: configuration key tenant: red: users: names nobody, and neither does groups",
        ),
    ] {
        let ground = Ground::new("tenants");
        let said = ground.refused(&["--config", &ground.config(&text)]);
        assert_eq!(one_line(&said), expected);
    }
}

#[test]
fn an_unknown_configuration_key_is_refused_with_its_line() {
    if !can_run("an_unknown_configuration_key_is_refused_with_its_line") {
        return;
    }
    let ground = Ground::new("unknown");
    let config = ground.config("\nallow_everything = true\n");
    let said = ground.refused(&["--config", &config]);
    assert!(
        one_line(&said).starts_with(&format!(
            "cellblock: {config}:2: unknown field `allow_everything`"
        )),
        "{said}"
    );
}

#[test]
fn a_directory_with_other_things_in_it_is_left_alone() {
    if !can_run("a_directory_with_other_things_in_it_is_left_alone") {
        return;
    }
    let ground = Ground::new("foreign");
    fs::create_dir(ground.base()).unwrap();
    fs::write(ground.base().join("thesis.tex"), "").unwrap();
    let said = ground.refused(&[]);
    assert!(
        one_line(&said).contains("holds thesis.tex, which is not ours"),
        "{said}"
    );
    assert_eq!(fs::read_dir(ground.base()).unwrap().count(), 1);
}

#[test]
fn a_directory_of_another_user_is_refused() {
    if !can_run("a_directory_of_another_user_is_refused") {
        return;
    }
    let ground = Ground::new("owner");
    fs::create_dir(ground.base()).unwrap();
    chown(ground.base(), Some(1000), Some(1000)).unwrap();
    let said = ground.refused(&[]);
    assert!(
        one_line(&said).contains("belongs to uid 1000 and must belong to 0; mend it with: chown"),
        "{said}"
    );
}

#[test]
fn a_directory_that_the_daemons_user_cannot_reach_is_refused() {
    if !can_run("a_directory_that_the_daemons_user_cannot_reach_is_refused") {
        return;
    }
    let ground = Ground::new("closed");
    fs::set_permissions(&ground.path, fs::Permissions::from_mode(0o700)).unwrap();
    let said = ground.refused(&[]);
    let expected = format!(
        "cellblock: {}: the daemon's user (uid ",
        ground.path.canonicalize().unwrap().display()
    );
    assert!(one_line(&said).starts_with(&expected), "{said}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    if !can_run("a_program_that_is_not_there_is_named") {
        return;
    }
    let ground = Ground::new("program");
    let program = ground.path.join("libexec/cellblock-net");
    fs::remove_file(&program).unwrap();
    let said = ground.refused(&[]);
    let program = program
        .parent()
        .unwrap()
        .canonicalize()
        .unwrap()
        .join("cellblock-net");
    let expected = format!(
        "cellblock: {}: is not there; build or install all programs",
        program.display()
    );
    assert_eq!(one_line(&said), expected);
    assert!(!ground.base().join("docker.sock").exists());
}

#[test]
fn an_audit_log_has_one_writer_at_a_time() {
    if !can_run("an_audit_log_has_one_writer_at_a_time") {
        return;
    }
    let ground = Ground::new("writer");
    fs::create_dir(ground.base()).unwrap();
    let base = HostPath::new(ground.base().to_str().unwrap()).unwrap();
    let layout = Layout::open(&base, accounts::daemon(None).unwrap()).unwrap();
    let first = layout.audit_log(HelperKind::Jail).unwrap();
    // Whoever inherited it still holds it when the launcher's own descriptor is closed.
    let inherited = first.try_clone().unwrap();
    drop(first);
    assert_eq!(
        layout.audit_log(HelperKind::Jail).unwrap_err().kind(),
        ErrorKind::ResourceBusy
    );
    layout.audit_log(HelperKind::Mount).unwrap();
    drop(inherited);
    layout.audit_log(HelperKind::Jail).unwrap();
}
