//! Shell patterns as Go's `path.Match` has them, for the filter `reference`.
//!
//! `*` is any run of characters and `?` any one, neither of them a slash; `[a-z]` and `[^a-z]` are sets; `\` takes the next
//! character for itself.

/// A pattern that is none; the text is Go's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub(super) struct BadPattern;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Run,
    One,
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
    Character(char),
}

impl Token {
    fn fits(&self, character: char) -> bool {
        match self {
            Token::Run => false,
            Token::One => character != '/',
            Token::Set { is_negated, ranges } => {
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character))
                    != *is_negated
            }
            Token::Character(own) => *own == character,
        }
    }
}

/// A pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BadPattern`].
    pub(super) fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            tokens.push(match character {
                '*' => Token::Run,
                '?' => Token::One,
                '[' => set(&mut rest)?,
                '\\' => Token::Character(rest.next().ok_or(BadPattern)?),
                other => Token::Character(other),
            });
        }
        Ok(Pattern(tokens))
    }

    /// Whether the whole text fits.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut at) = (0, 0);
        // Where to go on when the last run has to take one character more.
        let mut last_run: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(token), text.get(at)) {
                (None, None) => return true,
                (Some(Token::Run), _) => {
                    last_run = Some((token, at));
                    token += 1;
                    continue;
                }
                (Some(own), Some(character)) if own.fits(*character) => {
                    (token, at) = (token + 1, at + 1);
                    continue;
                }
                (Some(_) | None, _) => {}
            }
            match last_run {
                Some((run, from)) if text.get(from).is_some_and(|character| *character != '/') => {
                    last_run = Some((run, from + 1));
                    (token, at) = (run + 1, from + 1);
                }
                Some(_) | None => return false,
            }
        }
    }
}

fn set(rest: &mut std::str::Chars<'_>) -> Result<Token, BadPattern> {
    let is_negated = rest.as_str().starts_with('^');
    if is_negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Ok(Token::Set { is_negated, ranges });
        }
        let low = member(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = member(rest)?;
        }
        ranges.push((low, high));
    }
}

fn member(rest: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match rest.next() {
        Some('\\') => rest.next().ok_or(BadPattern),
        None | Some('-' | ']') => Err(BadPattern),
        Some(other) => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_go() {
        for (pattern, text, expected) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox:1", true),
            ("busy*:1", "busybox:1", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("*x*", "example.com/x", false),
            ("b?x", "box", true),
            ("b?x", "b/x", false),
            ("b[a-o]x", "box", true),
            ("b[^a-n]x", "box", true),
            ("b[^o]x", "box", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a*b*c", "axxbyybc", true),
            ("a*b", "acbd", false),
            ("", "", true),
            ("", "a", false),
            ("**", "abc", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().fits(text),
                expected,
                "{pattern} {text}"
            );
        }
        for bad in ["[", "[]", "[a", "[a-", "[-a]", "a\\", "[]a]", "[^]"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_of_many_runs_ends_soon() {
        let pattern = Pattern::parse(&"*a".repeat(50)).unwrap();
        assert!(!pattern.fits(&"a".repeat(2000).replace("aa", "ab")[..49]));
        assert!(!pattern.fits(&format!("{}/", "a".repeat(5000))));
    }
}
