//! The lines of a Dockerfile as instructions: comments, continued lines, flags.

/// What takes the next character for itself, and continues a line at its end, unless the directive `escape` says otherwise.
pub const ESCAPE_DEFAULT: char = '\\';

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its first word as written; upper and lower case mean the same.
    pub keyword: String,
    /// Words that begin with `--`, right after the keyword, without these dashes.
    pub flags: Vec<String>,
    /// Everything after them, continued lines put together.
    pub rest: String,
    /// Everything after the keyword, flags included.
    pub arguments: String,
    /// The escape character of its file.
    pub escape: char,
    /// The number of its first line, from 1.
    pub line: usize,
}

impl Instruction {
    /// The keyword in capitals.
    #[must_use]
    pub fn name(&self) -> String {
        self.keyword.to_ascii_uppercase()
    }

    /// Reads one instruction of a line that was put together already, such as an `ONBUILD` trigger.
    #[must_use]
    pub fn of_line(text: &str, escape: char, line: usize) -> Self {
        let text = text.trim();
        let (keyword, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let arguments = arguments.trim();
        let mut rest = arguments;
        let mut flags = Vec::new();
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
            rest = after.trim_start();
            // A lone `--` ends the flags.
            if flag.is_empty() {
                break;
            }
            flags.push(flag.to_owned());
        }
        Instruction {
            keyword: keyword.to_owned(),
            flags,
            rest: rest.to_owned(),
            arguments: arguments.to_owned(),
            escape,
            line,
        }
    }
}

/// The instructions of a text, without looking at what they are.
#[must_use]
pub fn parse(text: &str) -> Vec<Instruction> {
    let escape = escape_directive(text).unwrap_or(ESCAPE_DEFAULT);
    let mut instructions = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let is_blank = line.trim().is_empty();
        // Comments and blank lines may stand between continued lines.
        if is_blank || line.trim_start().starts_with('#') {
            continue;
        }
        let (number, mut whole) = open.take().unwrap_or_else(|| (index + 1, String::new()));
        let part = if whole.is_empty() { line.trim_start() } else { line };
        match part.trim_end().strip_suffix(escape) {
            Some(part) => {
                whole.push_str(part);
                open = Some((number, whole));
            }
            None => {
                whole.push_str(part);
                instructions.push(Instruction::of_line(&whole, escape, number));
            }
        }
    }
    if let Some((number, whole)) = open.filter(|(_, whole)| !whole.trim().is_empty()) {
        instructions.push(Instruction::of_line(&whole, escape, number));
    }
    instructions
}

/// Directives are comments `# name=value` before anything else.
fn escape_directive(text: &str) -> Option<char> {
    for line in text.lines() {
        let (name, value) = line.trim().strip_prefix('#')?.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("escape") {
            return match value.trim() {
                "`" => Some('`'),
                _ => Some(ESCAPE_DEFAULT),
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, Vec<String>, String, usize)> {
        let parts = |i: Instruction| (i.keyword, i.flags, i.rest, i.line);
        parse(text).into_iter().map(parts).collect()
    }

    #[test]
    fn lines_are_put_together_and_comments_left_out() {
        let text = "# comment\n\nCMD a \\\n# c\n\n b\n  env A=1 \\\n B=2\nCMD z \\\n";
        let none = Vec::new();
        assert_eq!(
            parsed(text),
            [
                ("CMD".to_owned(), none.clone(), "a  b".to_owned(), 3),
                ("env".to_owned(), none.clone(), "A=1  B=2".to_owned(), 7),
                ("CMD".to_owned(), none, "z".to_owned(), 9),
            ]
        );
        assert!(parse(" \n# x\n").is_empty());
    }

    #[test]
    fn flags_stand_between_keyword_and_arguments() {
        let read = parsed("HEALTHCHECK --interval=5s --retries=2 CMD --x");
        assert_eq!(read[0].1, ["interval=5s", "retries=2"]);
        assert_eq!(read[0].2, "CMD --x");
    }

    #[test]
    fn the_escape_character_can_be_chosen() {
        let read = parse("# escape=`\nCMD a `\nb \\");
        assert_eq!((read[0].rest.as_str(), read[0].escape), ("a b \\", '`'));
    }
}
