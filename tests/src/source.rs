//! Reading Rust source just well enough to check rules and to count lines: no parser, no types.

/// Stands for each character inside a string or character literal, so that the line still counts as code while
/// nothing in the literal can be mistaken for code.
const LITERAL: char = '~';

/// The source with comments blanked and literals filled with a neutral character. Lines and columns stay where they were.
pub fn code_only(source: &str) -> String {
    let mut scan = Scan {
        chars: source.chars().collect(),
        at: 0,
        out: String::with_capacity(source.len()),
    };
    while let Some(here) = scan.peek(0) {
        match (here, scan.peek(1)) {
            ('/', Some('/')) => scan.line_comment(),
            ('/', Some('*')) => scan.block_comment(),
            ('"', _) => scan.string(),
            ('r', Some('"' | '#')) if scan.starts_raw_string() => scan.raw_string(),
            ('\'', Some('\\')) => scan.escaped_character(),
            ('\'', _) if scan.peek(2) == Some('\'') => scan.take(3, LITERAL),
            _ => scan.keep(),
        }
    }
    scan.out
}

struct Scan {
    chars: Vec<char>,
    at: usize,
    out: String,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        self.out.extend(self.peek(0));
        self.at += 1;
    }

    /// Replaces the next characters, apart from line ends.
    fn take(&mut self, count: usize, with: char) {
        for _ in 0..count {
            self.out
                .extend(self.peek(0).map(|c| if c == '\n' { c } else { with }));
            self.at += 1;
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take(1, ' ');
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.peek(0).is_some() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                _ => {
                    self.take(1, ' ');
                    continue;
                }
            }
            self.take(2, ' ');
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while let Some(c) = self.peek(0) {
            match c {
                '"' => return self.keep(),
                '\\' => self.take(2, LITERAL),
                _ => self.take(1, LITERAL),
            }
        }
    }

    fn escaped_character(&mut self) {
        self.take(3, LITERAL);
        while self.peek(0).is_some_and(|c| c != '\'') {
            self.take(1, LITERAL);
        }
        self.take(1, LITERAL);
    }

    /// Tells `r"`, `r#"` and `br"` from the raw name `r#type` and from a name that ends in `r`.
    fn starts_raw_string(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.chars.get(at));
        let quote = self.chars.iter().skip(self.at + 1).find(|c| **c != '#');
        quote == Some(&'"') && before.is_none_or(|c| !is_name(*c) || matches!(c, 'b' | 'c'))
    }

    fn raw_string(&mut self) {
        self.keep();
        let mut hashes = 0;
        while self.peek(0) == Some('#') {
            self.take(1, LITERAL);
            hashes += 1;
        }
        self.keep();
        while let Some(c) = self.peek(0) {
            let ends = c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if ends {
                self.keep();
                return self.take(hashes, LITERAL);
            }
            self.take(1, LITERAL);
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The part of a file (already [`code_only`]) that precedes its test module, which stands last by house style.
pub fn without_tests(code: &str) -> String {
    let lines: Vec<&str> = code.lines().collect();
    let is_test_module = |at: usize| {
        let item = lines[at + 1..]
            .iter()
            .find(|line| !line.trim_start().starts_with("#["));
        lines[at].trim() == "#[cfg(test)]" && item.is_some_and(|l| opens_module(l))
    };
    let end = (0..lines.len())
        .find(|at| is_test_module(*at))
        .unwrap_or(lines.len());
    lines[..end].iter().flat_map(|line| [line, "\n"]).collect()
}

fn opens_module(line: &str) -> bool {
    let item = line.strip_prefix("pub(crate) ").unwrap_or(line);
    item.starts_with("mod ") && item.ends_with('{')
}

/// Lines that hold code: neither blank nor only comment, outside the test module.
pub fn code_lines(source: &str) -> usize {
    without_tests(&code_only(source))
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count()
}

/// Every name or number in the text with the line it stands on (from 1) and what follows it on that line.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    code.lines().enumerate().flat_map(|(at, line)| {
        let mut rest = line;
        std::iter::from_fn(move || {
            rest = rest.trim_start_matches(|c| !is_name(c));
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            (!word.is_empty()).then_some((at + 1, word, after))
        })
    })
}

/// The number of blocks in which the compiler's checks are lifted.
pub fn unsafe_blocks(source: &str) -> usize {
    let code = without_tests(&code_only(source));
    words(&code)
        .filter(|(_, word, after)| *word == "unsafe" && after.trim_start().starts_with('{'))
        .count()
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Lines from its `fn` to its closing brace, both included.
    pub lines: usize,
}

/// All functions of a file (already [`code_only`]), also those inside others.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let starts: Vec<usize> = code
        .split_inclusive('\n')
        .scan(0, |sum, line| Some(std::mem::replace(sum, *sum + line.len())))
        .collect();
    for (line, word, after) in words(code) {
        let Some(name) = after
            .strip_prefix(' ')
            .and_then(|name| name.split(|c| !is_name(c)).next())
        else {
            continue;
        };
        if word != "fn" || name.is_empty() {
            continue;
        }
        let line_text = code.lines().nth(line - 1).unwrap_or_default();
        let from = starts[line - 1] + line_text.len() - after.len();
        if let Some(lines) = body_end(&code[from..]) {
            found.push(Function {
                name: name.to_owned(),
                line,
                lines: lines + 1,
            });
        }
    }
    found
}

/// How many line ends lie between the start of a signature and the brace that closes its body; none without a body.
fn body_end(code: &str) -> Option<usize> {
    let (mut nesting, mut braces, mut line_ends) = (0_i32, 0_i32, 0);
    for c in code.chars() {
        match c {
            '\n' => line_ends += 1,
            '(' | '[' => nesting += 1,
            ')' | ']' => nesting -= 1,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(line_ends),
            '}' => braces -= 1,
            ';' if nesting == 0 && braces == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_vanish_and_literals_become_neutral() {
        let source = "let a = \"unsafe // {\"; // unsafe\nlet b = '{'; /* un /* safe */ unsafe */ let c = r#\"x\"}\"#;";
        let code = code_only(source);
        assert!(
            !code.contains("unsafe") && !code.contains('{') && !code.contains('}'),
            "{code}"
        );
        assert_eq!(
            code.lines().map(str::len).collect::<Vec<_>>(),
            source.lines().map(str::len).collect::<Vec<_>>()
        );
        assert!(code.contains("let c"), "{code}");
    }

    #[test]
    fn lifetimes_escapes_and_raw_names_are_not_literals() {
        let code = code_only(
            "fn f<'a>(r#type: &'a str) { let q = '\\''; let s = \"\\\"{\"; let t = b'\\x7b'; done() }",
        );
        assert!(
            code.contains("<'a>(r#type: &'a str)") && code.contains("done()"),
            "{code}"
        );
        assert_eq!(code.matches('{').count(), 1, "{code}");
    }

    #[test]
    fn the_test_module_is_cut_but_a_test_module_in_another_file_is_not() {
        assert_eq!(
            without_tests("a\n#[cfg(test)]\npub(crate) mod tests {\n}\n"),
            "a\n"
        );
        assert_eq!(
            without_tests("a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n b\n}\n"),
            "a\n"
        );
        assert_eq!(
            without_tests("#[cfg(test)]\nmod tests;\na\n"),
            "#[cfg(test)]\nmod tests;\na\n"
        );
    }

    #[test]
    fn only_lines_with_code_are_counted() {
        let source =
            "//! Doc.\n\nfn f() {\n    // why\n    let s = \"a\n  b\";\n}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(code_lines(source), 4);
    }

    #[test]
    fn only_blocks_are_counted_as_unsafe_blocks() {
        let source =
            "unsafe fn f() { unsafe { g() } }\n// unsafe {\nunsafe extern \"C\" {}\nlet x = unsafe{ h() };";
        assert_eq!(unsafe_blocks(source), 2);
    }

    #[test]
    fn functions_are_measured_from_signature_to_closing_brace() {
        let code = "trait T {\n    fn none(x: [u8; 4]);\n}\nfn one(x: [u8; 4],\n) -> fn(u8) {\n    if x { y }\n}\nfn two() {}\n";
        let expected = [("one", 4, 4), ("two", 8, 1)].map(|(name, line, lines)| Function {
            name: name.to_owned(),
            line,
            lines,
        });
        assert_eq!(functions(code), expected);
    }
}
