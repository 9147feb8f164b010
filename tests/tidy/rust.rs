//! Rules about Rust source.

use system_tests::repository::File;
use system_tests::source::{code_only, functions, without_tests, words};

/// A function longer than this no longer fits a screen, or a reader's head.
const FUNCTION_LINES_MAX: usize = 70;

/// How far above a call its proof may begin.
const PROOF_LINES_MAX: usize = 4;

/// The code of a file that ships; nothing for other files.
fn shipped_code(file: &File) -> String {
    if file.is_rust() && !file.is_for_tests() {
        without_tests(&code_only(&file.text))
    } else {
        String::new()
    }
}

/// One offence for each word of `code` that `is_bad`, given the word and what follows it on its line.
fn bad_words(file: &File, code: &str, rule: &str, is_bad: impl Fn(&str, &str) -> bool) -> Vec<String> {
    words(code)
        .filter(|(_, word, after)| is_bad(word, after))
        .map(|(line, word, _)| format!("{}:{line}: `{word}`: {rule}", file.path))
        .collect()
}

fn is_sys(path: &str) -> bool {
    path.split('/').any(|part| part == "sys" || part == "sys.rs")
}

pub(crate) fn unsafe_outside_sys(file: &File) -> Vec<String> {
    if !file.is_rust() || is_sys(&file.path) {
        return Vec::new();
    }
    bad_words(
        file,
        &code_only(&file.text),
        "belongs in a file `sys.rs` or a folder `sys/`",
        |word, _| word == "unsafe",
    )
}

/// Where the compiler can be asked to refuse `unsafe` for a whole crate, it is.
pub(crate) fn crates_that_do_not_forbid_unsafe(files: &[File]) -> Vec<String> {
    let folder_of = |file: &File| {
        file.path
            .strip_suffix("Cargo.toml")
            .map(|folder| format!("{folder}src/"))
    };
    let has_sys = |folder: &str| {
        files
            .iter()
            .any(|file| file.path.starts_with(folder) && is_sys(&file.path))
    };
    let folders: Vec<String> = files
        .iter()
        .filter_map(folder_of)
        .filter(|folder| !has_sys(folder))
        .collect();
    let is_root = |file: &&File| {
        let relative = folders
            .iter()
            .find_map(|folder| file.path.strip_prefix(folder.as_str()));
        matches!(relative, Some("main.rs" | "lib.rs"))
    };
    files
        .iter()
        .filter(is_root)
        .filter(|file| !code_only(&file.text).contains("#![forbid(unsafe_code)]"))
        .map(|file| {
            format!(
                "{}: needs `#![forbid(unsafe_code)]`, as its crate has no sys.rs",
                file.path
            )
        })
        .collect()
}

pub(crate) fn long_functions(file: &File) -> Vec<String> {
    functions(&shipped_code(file))
        .into_iter()
        .filter(|function| function.lines > FUNCTION_LINES_MAX)
        .map(|f| {
            format!(
                "{}:{}: `{}` has {} lines of {FUNCTION_LINES_MAX}",
                file.path, f.line, f.name, f.lines
            )
        })
        .collect()
}

pub(crate) fn prints(file: &File) -> Vec<String> {
    let is_program = matches!(
        file.path.split('/').collect::<Vec<_>>()[..],
        ["helpers", _, "src", "main.rs"]
    );
    let may_print = is_program
        || file.path.starts_with("helpers/launcher/src/")
        || file.path == "daemon/src/main.rs"
        || file.name() == "build.rs";
    if may_print {
        return Vec::new();
    }
    let rule = "panics where the stream is closed; trace, or `writeln!` to the log and let it fail";
    bad_words(file, &shipped_code(file), rule, |word, after| {
        matches!(word, "print" | "println" | "eprint" | "eprintln") && after.starts_with('!')
    })
}

pub(crate) fn unfinished(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    bad_words(
        file,
        &code_only(&file.text),
        "is for work in progress",
        |word, after| matches!(word, "dbg" | "todo" | "unimplemented") && after.starts_with('!'),
    )
}

pub(crate) fn unproven_panics(file: &File) -> Vec<String> {
    let code = shipped_code(file);
    let text: Vec<&str> = file.text.lines().collect();
    let is_proven = |at: usize| {
        text[at.saturating_sub(PROOF_LINES_MAX)..=at]
            .iter()
            .any(|l| l.contains("// PANIC:"))
    };
    let panics = |line: &str| {
        let calls = [".unwrap()", ".unwrap_err()", ".expect(", ".expect_err("]
            .iter()
            .any(|call| line.contains(call));
        calls
            || words(line)
                .any(|(_, word, after)| matches!(word, "panic" | "unreachable") && after.starts_with('!'))
    };
    code.lines()
        .enumerate()
        .filter(|(at, line)| panics(line) && !is_proven(*at))
        .map(|(at, _)| {
            format!(
                "{}:{}: may panic without a `// PANIC:` proof above it",
                file.path,
                at + 1
            )
        })
        .collect()
}

pub(crate) fn ignored_tests(file: &File) -> Vec<String> {
    let code = if file.is_rust() {
        code_only(&file.text)
    } else {
        String::new()
    };
    let offence = |(at, _)| {
        format!(
            "{}:{}: a test that cannot run says SKIPPED and why",
            file.path,
            at + 1
        )
    };
    code.lines()
        .enumerate()
        .filter(|(_, line)| line.contains("#[ignore"))
        .map(offence)
        .collect()
}

pub(crate) fn do_send_outside_the_bus(file: &File) -> Vec<String> {
    if file.path == "daemon/src/kernel/bus.rs" {
        return Vec::new();
    }
    let rule = "ignores the mailbox's limit and drops silently; use `try_send`, or `send` with a deadline";
    bad_words(file, &shipped_code(file), rule, |word, _| word == "do_send")
}

pub(crate) fn actix_outside_actors(file: &File) -> Vec<String> {
    let daemon = file.path.strip_prefix("daemon/src/");
    let is_shell = matches!(file.name(), "actor.rs" | "messages.rs");
    if daemon.is_some_and(|path| is_shell || path.starts_with("kernel/") || path == "main.rs") {
        return Vec::new();
    }
    let rule = "belongs in the daemon's actor.rs, messages.rs, kernel/ and main.rs";
    bad_words(file, &shipped_code(file), rule, |word, _| {
        word == "actix" || word.starts_with("actix_")
    })
}

pub(crate) fn bincode_outside_the_codec(file: &File) -> Vec<String> {
    if !file.is_rust() || file.path == "protocol/src/codec.rs" {
        return Vec::new();
    }
    let rule = "is named only in protocol/src/codec.rs, so that it can be replaced";
    bad_words(file, &code_only(&file.text), rule, |word, _| word == "bincode")
}

pub(crate) fn host_conditions(file: &File) -> Vec<String> {
    let is_choice = matches!(file.name(), "main.rs" | "lib.rs" | "mod.rs" | "build.rs");
    if file.path.starts_with("helpers/") && is_choice || file.path == "daemon/src/transport/exit.rs" {
        return Vec::new();
    }
    let rule = "only a helper's main.rs, lib.rs or mod.rs chooses between `linux` and `freebsd`";
    bad_words(file, &shipped_code(file), rule, |word, _| word == "target_os")
}

pub(crate) fn undocumented_limits(file: &File) -> Vec<String> {
    if file.name() != "limits.rs" {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let is_constant = |line: &str| {
        let item = line
            .strip_prefix("pub(crate) ")
            .or_else(|| line.strip_prefix("pub "))
            .unwrap_or(line);
        item.starts_with("const ") && !item.starts_with("const fn ")
    };
    let has_doc = |at: usize| {
        let above = lines[..at].iter().rev().find(|line| !line.starts_with("#["));
        above.is_some_and(|line| line.starts_with("///"))
    };
    (0..lines.len())
        .filter(|at| is_constant(lines[*at]) && !has_doc(*at))
        .map(|at| {
            format!(
                "{}:{}: a limit needs a doc comment with its reason",
                file.path,
                at + 1
            )
        })
        .collect()
}

pub(crate) fn empty_names(file: &File) -> Vec<String> {
    const EMPTY: [&str; 6] = ["utils", "util", "common", "misc", "helpers", "manager"];
    let Some((_, module)) = file.path.split_once("src/").filter(|_| file.is_rust()) else {
        return Vec::new();
    };
    let offence = |part: &str| format!("{}: a module named `{part}` could hold anything", file.path);
    module
        .trim_end_matches(".rs")
        .split('/')
        .filter(|part| EMPTY.contains(part))
        .map(offence)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways: the rule finds exactly one offence in the bad sample, and none in the same text at `good_path`.
    fn forbids(rule: fn(&File) -> Vec<String>, bad_path: &str, good_path: &str, text: &str) {
        let offences = rule(&File::sample(bad_path, text));
        assert!(
            offences.len() == 1 && offences[0].starts_with(bad_path),
            "{offences:?}"
        );
        assert_eq!(rule(&File::sample(good_path, text)), Vec::<String>::new());
    }

    #[test]
    fn unsafe_is_found_outside_sys_and_not_in_comments() {
        let text = "// unsafe\n#![deny(unsafe_op_in_unsafe_fn)]\nunsafe fn f() {}\n";
        forbids(
            unsafe_outside_sys,
            "helpers/zfs/src/freebsd/ioctl.rs",
            "helpers/zfs/src/freebsd/sys.rs",
            text,
        );
        forbids(
            unsafe_outside_sys,
            "tests/system.rs",
            "helpers/jail/src/linux/sys/clone.rs",
            text,
        );
    }

    #[test]
    fn a_crate_without_sys_must_forbid_unsafe() {
        let crate_with = |lib: &str, other: &str| {
            let path = ["api/Cargo.toml", "api/src/lib.rs", other].into_iter();
            path.map(|path| File::sample(path, lib)).collect::<Vec<_>>()
        };
        assert_eq!(
            crates_that_do_not_forbid_unsafe(&crate_with("mod ids;", "api/src/ids.rs")).len(),
            1
        );
        assert!(crates_that_do_not_forbid_unsafe(&crate_with("mod sys;", "api/src/sys.rs")).is_empty());
        assert!(
            crates_that_do_not_forbid_unsafe(&crate_with("#![forbid(unsafe_code)]", "api/src/ids.rs"))
                .is_empty()
        );
    }

    #[test]
    fn a_function_of_71_lines_is_found() {
        let function = |lines: usize| format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2));
        assert_eq!(
            long_functions(&File::sample("api/src/a.rs", &function(70))),
            Vec::<String>::new()
        );
        forbids(long_functions, "api/src/a.rs", "api/tests/a.rs", &function(71));
    }

    #[test]
    fn printing_is_found_outside_programs_and_tests() {
        let text =
            "fn f() { println!(\"x\") }\n#[cfg(test)]\nmod tests {\n    fn g() { eprintln!(\"x\") }\n}\n";
        forbids(
            prints,
            "daemon/src/edge/router.rs",
            "helpers/launcher/src/doctor.rs",
            text,
        );
    }

    #[test]
    fn unfinished_code_is_found_even_in_tests() {
        let text = "fn f() { todo!() } // todo!()\n";
        forbids(unfinished, "tests/flows.rs", "README.md", text);
    }

    #[test]
    fn a_panic_needs_its_proof() {
        forbids(
            unproven_panics,
            "api/src/a.rs",
            "api/tests/a.rs",
            "fn f() { x.expect(\"\") }\n#[expect(dead_code)]\n",
        );
        forbids(
            unproven_panics,
            "api/src/a.rs",
            "api/src/a.md",
            "fn f() { panic!() }\n",
        );
        let proven = "fn f() {\n    // PANIC: the table is never empty.\n    x.expect(\"\")\n}\n";
        assert!(unproven_panics(&File::sample("api/src/a.rs", proven)).is_empty());
    }

    #[test]
    fn an_ignored_test_is_found() {
        forbids(
            ignored_tests,
            "api/tests/a.rs",
            "notes.md",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n",
        );
    }

    #[test]
    fn words_are_found_outside_their_files() {
        forbids(
            do_send_outside_the_bus,
            "daemon/src/edge/a.rs",
            "daemon/src/kernel/bus.rs",
            "a.do_send(b);",
        );
        let actix = "use actix::Actor;";
        forbids(
            actix_outside_actors,
            "daemon/src/services/images/pull.rs",
            "daemon/src/services/images/actor.rs",
            actix,
        );
        forbids(
            actix_outside_actors,
            "helpers/jail/src/messages.rs",
            "daemon/src/kernel/wiring.rs",
            actix,
        );
        forbids(
            bincode_outside_the_codec,
            "protocol/src/names.rs",
            "protocol/src/codec.rs",
            "use bincode::Encode;",
        );
    }

    #[test]
    fn a_host_condition_is_found_outside_the_choice_of_modules() {
        let text = "#[cfg(target_os = \"linux\")]\nmod linux;\n";
        forbids(
            host_conditions,
            "daemon/src/main.rs",
            "helpers/net/src/main.rs",
            text,
        );
        forbids(
            host_conditions,
            "helpers/net/src/policy.rs",
            "daemon/src/transport/exit.rs",
            text,
        );
    }

    #[test]
    fn a_limit_without_a_doc_is_found() {
        let text = "/// Reason.\n#[rustfmt::skip]\npub const A: u8 = 1;\n\npub(crate) const B: u8 = 2;\n";
        forbids(undocumented_limits, "api/src/limits.rs", "api/src/ids.rs", text);
    }

    #[test]
    fn an_empty_name_is_found_as_a_file_and_as_a_folder() {
        forbids(
            empty_names,
            "helpers/zfs/src/utils.rs",
            "helpers/zfs/src/policy.rs",
            "",
        );
        forbids(empty_names, "daemon/src/common/a.rs", "daemon/src/store/a.rs", "");
    }
}
