//! A Dockerfile's text as logical lines: directives, comments, continued lines, flags.
//!
//! This is the first of two passes, as in dockerd: what fails here is `failed to parse Dockerfile: …` whatever the
//! instructions mean; [`super::dockerfile`] is the second. Written here because no parser that is to be had tells
//! errors in dockerd's words or gives an instruction back as it was written (`Step 1/3 : …`).

use super::BuildError;
use crate::services::images::changes::json_list;
use crate::services::images::instructions::{ESCAPE_DEFAULT, Instruction};
use crate::services::images::words::split;
use std::collections::BTreeSet;

/// What dockerd's classic builder says of things that only BuildKit does.
pub(super) const NEEDS_BUILDKIT: &str = "requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled";

/// Directives that may stand before everything else. Only `escape` means something to this builder.
const DIRECTIVES: [&str; 3] = ["syntax", "escape", "check"];

/// One instruction and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// As written, continued lines put together.
    pub(super) text: String,
    /// Its parts.
    pub(super) instruction: Instruction,
    /// Its here-documents, in the order of their marks.
    pub(super) documents: Vec<Document>,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// The line that ends it.
    pub(super) name: String,
    /// Its lines as they stand in the file.
    pub(super) content: String,
    /// Whether variables are put in: not where its name is quoted.
    pub(super) expands: bool,
    /// `<<-`: tabs at the beginning of lines mean nothing.
    pub(super) strips_tabs: bool,
}

impl Document {
    /// Its lines as they are meant.
    pub(super) fn text(&self) -> String {
        if !self.strips_tabs {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// A whole file.
#[derive(Debug)]
pub(super) struct Lines {
    /// The escape character.
    pub(super) escape: char,
    /// At least one.
    pub(super) lines: Vec<Line>,
    /// What the user should be told, as dockerd tells it.
    pub(super) warnings: Vec<String>,
}

/// Reads a Dockerfile.
///
/// # Errors
/// [`BuildError::Failed`] with an invalid request, in dockerd's words.
pub(super) fn read(text: &str) -> Result<Lines, BuildError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_directive(text)?;
    let (mut lines, mut warnings) = (Vec::new(), Vec::new());
    let mut rest = text.lines().enumerate();
    while let Some((index, line)) = rest.next() {
        let line = line.trim_start();
        let (part, mut goes_on) = continued(if line.starts_with('#') { "" } else { line }, escape);
        if part.is_empty() && !goes_on {
            continue;
        }
        let mut whole = part.to_owned();
        let mut has_empty_line = false;
        while goes_on && let Some((_, line)) = rest.next() {
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim_start().is_empty() {
                has_empty_line = true;
                continue;
            }
            let (part, more) = continued(line, escape);
            whole.push_str(part);
            goes_on = more;
        }
        if has_empty_line {
            warnings.push(format!(
                "[WARNING]: Empty continuation line found in: {}",
                whole.trim()
            ));
        }
        let mut line = parts(&whole, escape, index + 1)?;
        for mut document in marks(&line.instruction) {
            let end = |line: &str| match document.strips_tabs {
                true => line.trim_start_matches('\t') == document.name,
                false => line == document.name,
            };
            loop {
                let Some((_, next)) = rest.next() else {
                    return Err(syntax("unterminated heredoc"));
                };
                if end(next) {
                    break;
                }
                document.content.extend([next, "\n"]);
            }
            line.documents.push(document);
        }
        lines.push(line);
    }
    if !warnings.is_empty() {
        warnings
            .push("[WARNING]: Empty continuation lines will become errors in a future release.".to_owned());
    }
    if lines.is_empty() {
        return Err(syntax("file with no instructions"));
    }
    Ok(Lines {
        escape,
        lines,
        warnings,
    })
}

/// Reads one instruction that stands alone: a line put together already, or an `ONBUILD` trigger.
///
/// # Errors
/// As [`read`].
pub(super) fn line_of(text: &str, escape: char, number: usize) -> Result<Line, BuildError> {
    let line = parts(text, escape, number)?;
    if marks(&line.instruction).is_empty() {
        return Ok(line);
    }
    Err(BuildError::unsupported("a here-document in ONBUILD"))
}

fn parts(text: &str, escape: char, number: usize) -> Result<Line, BuildError> {
    let text = text.trim();
    let (keyword, arguments) = text.split_once(is_blank).unwrap_or((text, ""));
    let arguments = arguments.trim();
    let (flags, rest) = flags(arguments);
    let instruction = Instruction {
        keyword: keyword.to_owned(),
        flags,
        rest: rest.trim().to_owned(),
        arguments: arguments.to_owned(),
        escape,
        line: number,
    };
    check_syntax(&instruction)?;
    Ok(Line {
        text: text.to_owned(),
        instruction,
        documents: Vec::new(),
    })
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

fn syntax(why: impl std::fmt::Display) -> BuildError {
    BuildError::invalid(format!("failed to parse Dockerfile: {why}"))
}

/// A line without its continuation character, and whether it had one. Two of them are not one.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(part) if !part.ends_with(escape) => (part, true),
        Some(_) | None => (line, false),
    }
}

/// Directives are comments `# name=value` before anything else.
fn escape_directive(text: &str) -> Result<char, BuildError> {
    let mut seen = BTreeSet::new();
    let mut escape = ESCAPE_DEFAULT;
    for line in text.lines() {
        let directive = line.strip_prefix('#').and_then(|comment| comment.split_once('='));
        let Some((name, value)) =
            directive.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        else {
            break;
        };
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric()) && !value.is_empty();
        if !is_name {
            break;
        }
        if DIRECTIVES.contains(&name.as_str()) && !seen.insert(name.clone()) {
            return Err(syntax(format!("only one {name} parser directive can be used")));
        }
        if name == "escape" {
            escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => {
                    return Err(syntax(format!(
                        "invalid escape token '{other}' does not match ` or \\"
                    )));
                }
            };
        }
    }
    Ok(escape)
}

/// The words that begin with `--`, without these dashes and without quotes, and what comes after them.
fn flags(arguments: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = arguments;
    while let Some(after) = rest.strip_prefix("--") {
        let (flag, length) = flag(after);
        rest = after[length..].trim_start();
        // A lone `--` ends the flags.
        if flag.is_empty() {
            break;
        }
        flags.push(flag);
    }
    (flags, rest)
}

/// One flag, and how many bytes it takes.
fn flag(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, quote) {
            (space, None) if space.is_whitespace() => return (word, at),
            ('\'' | '"', None) => quote = Some(character),
            (other, Some(open)) if other == open => quote = None,
            ('\\', _) => word.extend(characters.next().map(|(_, next)| next)),
            (other, _) => word.push(other),
        }
    }
    (word, text.len())
}

/// What dockerd looks at before it looks at any instruction's meaning.
fn check_syntax(instruction: &Instruction) -> Result<(), BuildError> {
    let rest = instruction.rest.as_str();
    let name = instruction.name();
    match name.as_str() {
        "ENV" | "LABEL" => check_pairs(&name, instruction),
        "ADD" | "COPY" | "RUN" | "CMD" | "ENTRYPOINT" | "SHELL" | "VOLUME" => check_list(rest),
        "HEALTHCHECK" => check_list(
            rest.split_once(is_blank)
                .map_or("", |(_, command)| command.trim()),
        ),
        "ONBUILD" => match rest {
            "" => Ok(()),
            trigger => line_of(trigger, instruction.escape, instruction.line).map(|_| ()),
        },
        _ => Ok(()),
    }
}

fn check_list(rest: &str) -> Result<(), BuildError> {
    json_list(rest).map(|_| ()).map_err(syntax)
}

fn check_pairs(name: &str, instruction: &Instruction) -> Result<(), BuildError> {
    let words = split(&instruction.rest, instruction.escape);
    match words.first() {
        None => Ok(()),
        Some(first) if first.contains('=') => match words.iter().find(|word| !word.contains('=')) {
            Some(odd) => Err(syntax(format!(
                "Syntax error - can't find = in {odd:?}. Must be of the form: name=value"
            ))),
            None => Ok(()),
        },
        Some(_) if instruction.rest.split_once(is_blank).is_none() => {
            Err(syntax(format!("{name} must have two arguments")))
        }
        Some(_) => Ok(()),
    }
}

/// The here-documents that an instruction announces.
fn marks(instruction: &Instruction) -> Vec<Document> {
    if !matches!(instruction.name().as_str(), "ADD" | "COPY" | "RUN") {
        return Vec::new();
    }
    let words = split(&instruction.rest, instruction.escape);
    words.iter().filter_map(|word| mark(word)).collect()
}

/// `<<NAME`, `<<-NAME` or `3<<NAME`, with the name in quotes or not; not `<<<`.
pub(super) fn mark(word: &str) -> Option<Document> {
    let word = word
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix("<<")?;
    let (written, strips_tabs) = match word.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (word, false),
    };
    if written.is_empty() || written.contains('<') {
        return None;
    }
    let name: String = written
        .chars()
        .filter(|c| !matches!(c, '"' | '\'' | '\\'))
        .collect();
    Some(Document {
        expands: name == written,
        name,
        content: String::new(),
        strips_tabs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        read(text)
            .unwrap()
            .lines
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn steps_read_as_dockerd_prints_them() {
        // Each pair was printed by dockerd 28.5 as `Step n/m : …`.
        for (written, shown) in [
            (
                "ENV A=1 B=\"two words\" \\\n   # comment\n   C=3",
                "ENV A=1 B=\"two words\"    C=3",
            ),
            ("ENV OLD some  value  ", "ENV OLD some  value"),
            ("ENV A=\\\n1", "ENV A=1"),
            (
                "RUN echo a \\\n# comment\n  # second\n && echo   b",
                "RUN echo a  && echo   b",
            ),
            ("ONBUILD   ENV   z=1", "ONBUILD   ENV   z=1"),
            ("CMD echo \\\n  \"x\"", "CMD echo   \"x\""),
            ("  RUN a # b", "RUN a # b"),
            ("ENV a=1 \\  \n b=2", "ENV a=1  b=2"),
            ("RUN a\\\\\nRUN b", "RUN a\\\\"),
            ("FROM scratch\r", "FROM scratch"),
        ] {
            assert_eq!(texts(written)[0], shown, "{written}");
        }
        assert_eq!(texts("# c\n\n   \n# escape=`\nFROM a"), ["FROM a"]);
        assert_eq!(texts("\u{feff}# escape=`\nENV A=`\n1"), ["ENV A=1"]);
    }

    #[test]
    fn empty_continuation_lines_are_warned_of() {
        let lines = read("ENV a=1 \\\n\n b=2").unwrap();
        assert_eq!(lines.lines[0].text, "ENV a=1  b=2");
        assert_eq!(
            lines.warnings[0],
            "[WARNING]: Empty continuation line found in: ENV a=1  b=2"
        );
        assert_eq!(lines.warnings.len(), 2);
    }

    #[test]
    fn flags_stand_before_the_arguments() {
        let line = line_of("COPY --from=a --chown='b c' -- --x y", '\\', 1)
            .unwrap()
            .instruction;
        assert_eq!(
            (line.flags, line.rest.as_str()),
            (vec!["from=a".to_owned(), "chown=b c".to_owned()], "--x y")
        );
        let line = line_of("RUN echo --x", '\\', 1).unwrap().instruction;
        assert_eq!((line.flags.len(), line.rest.as_str()), (0, "echo --x"));
    }

    #[test]
    fn what_cannot_be_parsed_is_told_in_dockerds_words() {
        for (text, words) in [
            ("# x\n", "failed to parse Dockerfile: file with no instructions"),
            (
                "# escape=x\nFROM a",
                "failed to parse Dockerfile: invalid escape token 'x' does not match ` or \\",
            ),
            (
                "# escape=`\n# escape=`\nFROM a",
                "failed to parse Dockerfile: only one escape parser directive can be used",
            ),
            ("ENV a", "failed to parse Dockerfile: ENV must have two arguments"),
            (
                "LABEL a",
                "failed to parse Dockerfile: LABEL must have two arguments",
            ),
            (
                "ENV a=b c",
                "failed to parse Dockerfile: Syntax error - can't find = in \"c\". Must be of the form: name=value",
            ),
            (
                "CMD [1]",
                "failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only",
            ),
            (
                "ONBUILD ENV x",
                "failed to parse Dockerfile: ENV must have two arguments",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), words, "{text}");
        }
    }

    #[test]
    fn here_documents_are_read_up_to_their_end() {
        let text = "FROM a\nRUN <<EOF cat <<-\"X\" 3<<Y\n  one\n# no comment\nEOF\n\ttabs\n\tX\nFROM in a document\nY\nRUN b";
        let read = read(text).unwrap().lines;
        assert_eq!(read.len(), 3);
        let told: Vec<_> = read[1]
            .documents
            .iter()
            .map(|d| (d.name.as_str(), d.text(), d.expands))
            .collect();
        assert_eq!(
            told,
            [
                ("EOF", "  one\n# no comment\n".to_owned(), true),
                ("X", "tabs\n".to_owned(), false),
                ("Y", "FROM in a document\n".to_owned(), true),
            ]
        );
        assert_eq!(read[2].text, "RUN b");
        for text in ["RUN cat <<<x", "RUN echo $((1<<2))", "RUN echo a << b", "CMD <<X"] {
            assert!(super::read(text).unwrap().lines[0].documents.is_empty(), "{text}");
        }
        let told = |text: &str| super::read(text).unwrap_err().to_string();
        assert_eq!(
            told("RUN <<EOF\nEOF "),
            "failed to parse Dockerfile: unterminated heredoc"
        );
        assert_eq!(
            told("ONBUILD RUN <<EOF\nEOF"),
            "a here-document in ONBUILD is not supported by cellblock yet"
        );
    }
}
