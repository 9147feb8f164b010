//! Rules about any text: length, reminders, links.

use system_tests::repository::{File, root};
use system_tests::source::{code_only, without_tests, words};

/// A longer file tells more than one story. A Rust file's own test module is not counted.
const FILE_LINES_MAX: usize = 600;

/// Words that put work off instead of doing or tracking it, in two halves so that this file does not hold them.
const REMINDERS: [(&str, &str); 3] = [("TO", "DO"), ("FIX", "ME"), ("X", "XX")];

pub(crate) fn too_long(file: &File) -> Vec<String> {
    // Captured answers and lists made by a program are data: nobody reads them from top to bottom.
    let is_data = [".lock", ".json", ".txt"]
        .iter()
        .any(|ending| file.path.ends_with(ending));
    let lines = if is_data {
        0
    } else if file.is_rust() {
        without_tests(&code_only(&file.text)).lines().count()
    } else {
        file.text.lines().count()
    };
    let offence = || format!("{}: {lines} lines of {FILE_LINES_MAX}", file.path);
    (lines > FILE_LINES_MAX).then(offence).into_iter().collect()
}

pub(crate) fn reminders(file: &File) -> Vec<String> {
    let is_reminder = |word: &str| {
        REMINDERS
            .iter()
            .any(|(head, tail)| word.strip_prefix(head) == Some(tail))
    };
    words(&file.text)
        .filter(|(_, word, _)| is_reminder(word))
        .map(|(line, word, _)| format!("{}:{line}: `{word}` belongs in the issue tracker", file.path))
        .collect()
}

/// Links to files and folders. A link may name a folder, so the file system is asked and not only the list.
pub(crate) fn broken_links(files: &[File]) -> Vec<String> {
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents
        .flat_map(|file| broken_links_of(file, |path| root().join(path).exists()))
        .collect()
}

fn broken_links_of(file: &File, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut in_code = false;
    let mut offences = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        let links = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ']).next());
        for link in links.filter(|_| !in_code) {
            let target = link.split('#').next().unwrap_or_default();
            let is_elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !is_elsewhere && !exists(format!("{folder}/{target}").trim_start_matches('/')) {
                offences.push(format!("{}:{}: `{link}` leads nowhere", file.path, at + 1));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_601_lines_is_found_and_its_tests_do_not_count() {
        let with_tests = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "a();\n".repeat(600),
            "b();\n".repeat(100)
        );
        assert_eq!(
            too_long(&File::sample("api/src/a.rs", &with_tests)),
            Vec::<String>::new()
        );
        assert_eq!(
            too_long(&File::sample("api/src/a.rs", &"a();\n".repeat(601))).len(),
            1
        );
        assert_eq!(too_long(&File::sample("README.md", &"a\n".repeat(601))).len(), 1);
        assert_eq!(
            too_long(&File::sample("Cargo.lock", &"a\n".repeat(601))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_reminder_is_found_but_not_inside_another_word() {
        for (head, tail) in REMINDERS {
            let file = File::sample(
                "a.sh",
                &format!("# {head}{tail}: later\nmktemp a.{head}{tail}{tail}\n"),
            );
            assert_eq!(reminders(&file).len(), 1);
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text =
            "[a](there.md#part) [b](gone.md) [c](https://example.org) [d](#here)\n```\n[e](gone.md)\n```\n";
        let offences = broken_links_of(&File::sample("packaging/README.md", text), |path| {
            path == "packaging/there.md"
        });
        assert_eq!(offences, ["packaging/README.md:1: `gone.md` leads nowhere"]);
    }
}
