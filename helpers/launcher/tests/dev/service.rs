//! `cellblock up`.

use crate::instance::{Ground, can_run, eventually};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn the_service_runs_where_its_configuration_says_as_the_user_it_names() {
    if !can_run("the_service_runs_where_its_configuration_says_as_the_user_it_names") {
        return;
    }
    let ground = Ground::new("service");
    let socket = ground.path.join("api.sock");
    // Every system has this user and this group.
    let config = ground.config(&format!(
        "state_dir = \"{}\"\nsocket = \"{}\"\nsocket_group = \"daemon\"\nuser = \"nobody\"\npf_anchor = \"mine\"\n",
        ground.base().display(),
        socket.display()
    ));
    let mut instance = ground.start_service(&config);
    eventually("it is ready", || instance.log().contains("cellblockd is ready"));
    let uid_of = |path| fs::metadata(path).unwrap().uid();
    assert_eq!(
        uid_of(format!("/proc/{}", instance.process("cellblockd"))),
        uid_of_nobody()
    );
    let daemon = cellblock_launcher::accounts::group(Some("daemon")).unwrap();
    let status = fs::metadata(&socket).unwrap();
    assert_eq!(
        (status.mode() & 0o7777, status.uid(), status.gid()),
        (0o660, 0, daemon)
    );
    assert!(ground.audit("net")[0].contains("anchor: Label(\"mine\"), enable_forwarding: false"));
    assert!(ground.audit("jail")[0].contains("prefix: Label(\"cellblock-\")"));
    assert!(ground.audit("mount")[0].contains("bind_roots: Bounded([])"));
    instance.signal(Signal::TERM);
    assert_eq!(instance.wait().code(), Some(0));
    // Standard output is for the one line of `dev`.
    assert_eq!(instance.lines.iter().count(), 0);
    assert_eq!(ground.count("stop"), 1);
    assert!(!socket.exists());
}

fn uid_of_nobody() -> u32 {
    cellblock_launcher::accounts::daemon(Some("nobody")).unwrap().uid
}

#[test]
fn a_user_that_is_not_there_is_named() {
    if !can_run("a_user_that_is_not_there_is_named") {
        return;
    }
    let ground = Ground::new("nouser");
    let config = ground.config("user = \"cb-nobody\"\n");
    let mut instance = ground.start_service(&config);
    assert_eq!(instance.wait().code(), Some(1));
    let expected = "cellblock: there is no user cb-nobody on this host; see `cellblock doctor`\n";
    assert_eq!(instance.log(), expected);
}
