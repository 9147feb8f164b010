//! How much code runs as root. Prints the table always, and fails when a helper outgrows what can be read in a day.
//! To see only the table: `cargo test -p system-tests --test counts`.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a count that cannot be taken fails the test, as it should"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use system_tests::repository::{File, cargo, files};
use system_tests::source::{code_lines, unsafe_blocks};

/// The host that counts: the product runs there, Linux is for development.
const PRODUCT: &str = "x86_64-unknown-freebsd";

/// Our own lines in one helper on FreeBSD, without the runtime and the protocol all helpers share.
const HELPER_LINES_MAX: usize = 2000;

/// Crates linked into one helper on FreeBSD, itself, the runtime and the protocol included.
const HELPER_CRATES_MAX: usize = 25;

/// Package and folder of each helper.
const HELPERS: [(&str, &str); 5] = [
    ("cellblock-zfs", "helpers/zfs/"),
    ("cellblock-jail", "helpers/jail/"),
    ("cellblock-net", "helpers/net/"),
    ("cellblock-mount", "helpers/mount/"),
    ("cellblock-archive", "helpers/archive/"),
];

/// Also root, but no request reaches it.
const LAUNCHER: (&str, &str) = ("cellblock", "helpers/launcher/");

/// In every helper.
const SHARED: [(&str, &str); 2] = [("helper-runtime", "helpers/runtime/"), ("protocol", "protocol/")];

/// Which hosts a file is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Both,
    FreeBsd,
    Linux,
}

fn host_of(path: &str) -> Host {
    let is = |host: &str| path.split('/').any(|part| part.trim_end_matches(".rs") == host);
    match (is("freebsd"), is("linux")) {
        (true, false) => Host::FreeBsd,
        (false, true) => Host::Linux,
        _ => Host::Both,
    }
}

/// Lines and blocks of one crate, by host.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    lines_both: usize,
    lines_freebsd: usize,
    lines_linux: usize,
    unsafe_freebsd: usize,
    unsafe_linux: usize,
}

impl Count {
    fn of(files: &[File], folder: &str) -> Count {
        let mut count = Count::default();
        let source = format!("{folder}src/");
        let is_counted =
            |file: &&File| file.path.starts_with(&source) && file.is_rust() && !file.is_for_tests();
        for file in files.iter().filter(is_counted) {
            let (lines, blocks) = (code_lines(&file.text), unsafe_blocks(&file.text));
            let host = host_of(&file.path);
            match host {
                Host::Both => count.lines_both += lines,
                Host::FreeBsd => count.lines_freebsd += lines,
                Host::Linux => count.lines_linux += lines,
            }
            count.unsafe_freebsd += if host == Host::Linux { 0 } else { blocks };
            count.unsafe_linux += if host == Host::FreeBsd { 0 } else { blocks };
        }
        count
    }

    fn freebsd_lines(&self) -> usize {
        self.lines_both + self.lines_freebsd
    }

    fn linux_lines(&self) -> usize {
        self.lines_both + self.lines_linux
    }
}

/// The crates in a package's program on the product's host. Macro crates run in the compiler and are in no program.
fn linked_crates(package: &str) -> usize {
    let edges = "normal,no-proc-macro";
    let tree = cargo(&[
        "tree", "-p", package, "--target", PRODUCT, "-e", edges, "--prefix", "none", "-f", "{p}",
    ]);
    let tree = tree.unwrap();
    // A crate that occurs again is listed again, with a mark behind it.
    let name = |line: &str| line.trim_end_matches(" (*)").to_owned();
    tree.lines()
        .filter(|line| !line.is_empty())
        .map(name)
        .collect::<BTreeSet<_>>()
        .len()
}

#[test]
fn every_helper_stays_small_enough_to_read() {
    let files = files().unwrap();
    let mut table = String::from(
        "\n\
         Code that runs as root. Lines: ours, without blanks, comments and tests. Crates: linked on FreeBSD.\n\
         | crate             | FreeBSD: lines | of them freebsd/ | unsafe blocks | crates | Linux: lines | unsafe blocks |\n\
         |-------------------|----------------|------------------|---------------|--------|--------------|---------------|\n",
    );
    let mut too_big = Vec::new();
    for (package, folder) in HELPERS.into_iter().chain([LAUNCHER]).chain(SHARED) {
        let count = Count::of(&files, folder);
        let crates = linked_crates(package);
        let (lines, own, blocks) = (count.freebsd_lines(), count.lines_freebsd, count.unsafe_freebsd);
        let (linux, blocks_linux) = (count.linux_lines(), count.unsafe_linux);
        writeln!(
            table,
            "| {package:<17} | {lines:>14} | {own:>16} | {blocks:>13} | {crates:>6} | {linux:>12} | {blocks_linux:>13} |"
        )
        .unwrap();
        let is_helper = HELPERS.iter().any(|(helper, _)| *helper == package);
        if is_helper && (lines == 0 || lines >= HELPER_LINES_MAX || crates >= HELPER_CRATES_MAX) {
            too_big.push(format!(
                "{package}: {lines} lines of {HELPER_LINES_MAX}, {crates} crates of {HELPER_CRATES_MAX}"
            ));
        }
    }
    let shared: usize = SHARED
        .iter()
        .map(|(_, folder)| Count::of(&files, folder).freebsd_lines())
        .sum();
    writeln!(
        table,
        "Each helper also holds helper-runtime and protocol: {shared} lines on FreeBSD, once read."
    )
    .unwrap();
    // The runner hides what print macros write in a test that passes; this table is for reading.
    std::io::stdout().write_all(table.as_bytes()).unwrap();
    assert!(too_big.is_empty(), "{too_big:#?}");
}

#[test]
fn lines_are_counted_for_the_host_their_folder_names() {
    let text = "// why\nfn f() {\n    unsafe { g() }\n}\n\n#[cfg(test)]\nmod tests {\n}\n";
    let files = [
        "main.rs",
        "freebsd/mod.rs",
        "freebsd/sys.rs",
        "linux.rs",
        "linux/tests.rs",
    ]
    .map(|path| File::sample(&format!("helpers/zfs/src/{path}"), text));
    let expected = Count {
        lines_both: 3,
        lines_freebsd: 6,
        lines_linux: 3,
        unsafe_freebsd: 3,
        unsafe_linux: 2,
    };
    assert_eq!(Count::of(&files, "helpers/zfs/"), expected);
    assert_eq!(Count::of(&files, "helpers/jail/"), Count::default());
}
