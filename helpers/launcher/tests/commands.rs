//! `cellblock doctor`, `setup` and `audit`.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test, as it should"
)]

use helper_runtime::audit::{Entry, Log};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

fn cellblock(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cellblock"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

struct Base(PathBuf);

impl Base {
    fn new(test: &str) -> Self {
        let base = std::env::temp_dir().join(format!("cb-{}-{test}", std::process::id()));
        fs::create_dir_all(base.join("audit")).unwrap();
        Base(base)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn log(&self, helper: &str, operations: &[&str]) -> PathBuf {
        let path = self.0.join("audit").join(format!("{helper}.log"));
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .unwrap();
        let mut log = Log::open(file).unwrap();
        for operation in operations {
            let entry = Entry {
                by: None,
                operation,
                object: "c1",
                result: Ok(()),
                took: Duration::ZERO,
            };
            log.append(&entry).unwrap();
        }
        path
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn audit_verify_proves_untouched_logs_and_names_a_changed_one() {
    let base = Base::new("verify");
    base.log("jail", &["Create", "Launch", "Remove"]);
    let zfs = base.log("zfs", &["Clone", "Destroy", "List"]);
    let output = cellblock(&["audit", "verify", "--dir", base.path()]);
    assert_eq!(stdout(&output), "jail: ok, 3 lines\nzfs: ok, 3 lines\n");
    assert_eq!(output.status.code(), Some(0));
    let changed = fs::read_to_string(&zfs).unwrap().replace("Destroy", "List");
    fs::write(&zfs, changed).unwrap();
    let output = cellblock(&["audit", "verify", "--dir", base.path()]);
    let expected = "jail: ok, 3 lines\nzfs: BROKEN, line 3 does not follow the one before it\n";
    assert_eq!(stdout(&output), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn audit_show_prints_the_helpers_lines_by_time() {
    let base = Base::new("show");
    base.log("zfs", &["Clone"]);
    base.log("jail", &["Create"]);
    base.log("zfs", &["Destroy"]);
    let output = cellblock(&["audit", "show", "--dir", base.path()]);
    let text = stdout(&output);
    let shown: Vec<(&str, &str)> = text
        .lines()
        .map(|line| {
            let operation = line.split(' ').find_map(|word| word.strip_prefix("op=")).unwrap();
            (line.split(' ').next().unwrap(), operation)
        })
        .collect();
    assert_eq!(shown, [("zfs", "Clone"), ("jail", "Create"), ("zfs", "Destroy")]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn audit_without_logs_is_an_error_in_one_line() {
    let base = Base::new("none");
    let output = cellblock(&["audit", "verify", "--dir", base.path()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        format!("cellblock: {}/audit: there is no audit log\n", base.path())
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn doctor_prints_one_line_for_each_check_and_fails_only_if_something_is_missing() {
    let output = cellblock(&["doctor"]);
    let text = stdout(&output);
    let is_missing = text.lines().any(|line| line.starts_with("MISSING "));
    assert_eq!(output.status.code(), Some(i32::from(is_missing)), "{text}");
    for line in text.lines() {
        let (verdict, what) = line.split_at(8);
        assert!(
            ["ok      ", "MISSING ", "note    ", "unknown "].contains(&verdict),
            "{line}"
        );
        assert_eq!(
            what.contains("; mend: "),
            ["MISSING ", "note    "].contains(&verdict),
            "{line}"
        );
    }
    for what in [
        "root",
        "overlayfs",
        "namespaces",
        "bridges",
        "pairs of interfaces",
        "nftables",
        "docker command",
    ] {
        assert!(
            text.lines().any(|line| line[8..].starts_with(what)),
            "{what}\n{text}"
        );
    }
}

#[test]
fn doctor_names_a_missing_configuration_and_its_line() {
    let output = cellblock(&["doctor", "--config", "/nonexistent/cellblock.toml"]);
    let text = stdout(&output);
    let line = text.lines().find(|line| line.contains("configuration")).unwrap();
    assert!(
        line.starts_with("MISSING configuration /nonexistent/cellblock.toml: "),
        "{line}"
    );
    assert!(line.contains("mend: install -m 600 "), "{line}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn setup_has_nothing_to_do_on_linux() {
    let output = cellblock(&["setup", "--yes"]);
    assert!(stdout(&output).starts_with("there is nothing to set up on this host"));
    assert_eq!(output.status.code(), Some(0));
    assert!(!Path::new("/usr/local/etc/cellblock").exists());
}

#[test]
fn the_rc_script_is_good_shell() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../packaging/port/files/cellblockd.in"
    );
    assert!(
        Command::new("/bin/sh")
            .args(["-n", script])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_port_installs_every_program() {
    let list = include_str!("../../../packaging/port/pkg-plist");
    for program in ["", "d", "-zfs", "-jail", "-net", "-mount", "-archive"] {
        let line = format!("libexec/cellblock/cellblock{program}");
        assert!(list.lines().any(|listed| listed == line), "{line}");
    }
}
