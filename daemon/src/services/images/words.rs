//! Words of Dockerfile instructions: quotes, escapes and variables, as dockerd's builder reads them.

/// Why a word cannot be read; dockerd puts `failed to process "<word>": ` in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote is not closed.
    #[error("unexpected end of statement while looking for matching {0}-quote")]
    OpenQuote(&'static str),
    /// `${` is not closed.
    #[error("syntax error: missing '}}'")]
    OpenBrace,
    /// Nothing that could be a name stands after `${`.
    #[error("syntax error: bad substitution")]
    BadName,
    /// A modifier that is not `-`, `+` or `?`.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${name:?text}` of a variable that is not set.
    #[error("{name}: {text}")]
    Required {
        /// The variable.
        name: String,
        /// What the Dockerfile says about it.
        text: String,
    },
}

/// Where variables come from.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A word with its variables put in and its quotes taken off.
///
/// # Errors
/// [`WordError`] in dockerd's words.
pub fn expand(word: &str, escape: char, lookup: Lookup<'_>) -> Result<String, WordError> {
    let mut reader = Reader {
        rest: word.chars().peekable(),
        escape,
        lookup,
    };
    let pieces = reader.until(None)?;
    Ok(pieces.into_iter().map(|piece| piece.text).collect())
}

/// As [`expand`], and then split at white space that did not stand in quotes (`EXPOSE $PORTS`).
///
/// # Errors
/// As [`expand`].
pub fn expand_and_split(word: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>, WordError> {
    let mut reader = Reader {
        rest: word.chars().peekable(),
        escape,
        lookup,
    };
    let mut words = Vec::new();
    let mut current: Option<String> = None;
    for piece in reader.until(None)? {
        if piece.is_whole {
            current.get_or_insert_default().push_str(&piece.text);
            continue;
        }
        for character in piece.text.chars() {
            if character.is_whitespace() {
                words.extend(current.take());
            } else {
                current.get_or_insert_default().push(character);
            }
        }
    }
    words.extend(current);
    Ok(words)
}

/// Splits an instruction's arguments at white space; quotes and escapes hold words together and stay in them.
#[must_use]
pub fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match (character, quote) {
            (space, None) if space.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            // In single quotes an escape is a character like others.
            (other, open) if other == escape && open != Some('\'') => {
                word.push(other);
                word.extend(rest.next());
                continue;
            }
            ('\'' | '"', None) => quote = Some(character),
            (other, Some(open)) if other == open => quote = None,
            (_, _) => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A part of a word, and whether it stood in quotes.
struct Piece {
    text: String,
    is_whole: bool,
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    escape: char,
    lookup: Lookup<'a>,
}

impl Reader<'_> {
    /// Reads up to an unquoted `stop`, which is consumed, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<Vec<Piece>, WordError> {
        let mut pieces = Vec::new();
        let mut add = |text: String, is_whole| pieces.push(Piece { text, is_whole });
        while let Some(character) = self.rest.next() {
            if Some(character) == stop {
                return Ok(pieces);
            }
            match character {
                '\'' => add(self.single_quoted()?, true),
                '"' => add(self.double_quoted()?, true),
                '$' => add(self.variable()?, false),
                other if other == self.escape => {
                    add(self.rest.next().map(String::from).unwrap_or_default(), true);
                }
                other => add(other.to_string(), false),
            }
        }
        if stop.is_some() {
            Err(WordError::OpenBrace)
        } else {
            Ok(pieces)
        }
    }

    fn single_quoted(&mut self) -> Result<String, WordError> {
        let mut text = String::new();
        for character in self.rest.by_ref() {
            match character {
                '\'' => return Ok(text),
                other => text.push(other),
            }
        }
        Err(WordError::OpenQuote("single"))
    }

    fn double_quoted(&mut self) -> Result<String, WordError> {
        let mut text = String::new();
        while let Some(character) = self.rest.next() {
            match character {
                '"' => return Ok(text),
                '$' => text.push_str(&self.variable()?),
                other if other == self.escape => {
                    let special = |next: &char| matches!(next, '"' | '$') || *next == self.escape;
                    match self.rest.next_if(special) {
                        Some(next) => text.push(next),
                        None => text.push(other),
                    }
                }
                other => text.push(other),
            }
        }
        Err(WordError::OpenQuote("double"))
    }

    /// After a `$`.
    fn variable(&mut self) -> Result<String, WordError> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            // A lone dollar is a dollar.
            return Ok(if name.is_empty() {
                "$".to_owned()
            } else {
                self.value(&name).unwrap_or_default()
            });
        }
        let name = self.name();
        if name.is_empty() {
            return Err(if self.rest.peek().is_some() {
                WordError::BadName
            } else {
                WordError::OpenBrace
            });
        }
        let value = self.value(&name);
        let (modifier, value) = match self.rest.next() {
            None => return Err(WordError::OpenBrace),
            Some('}') => return Ok(value.unwrap_or_default()),
            // With a colon, an empty value counts as none.
            Some(':') => (
                self.rest.next().ok_or(WordError::OpenBrace)?,
                value.filter(|value| !value.is_empty()),
            ),
            Some(other) => (other, value),
        };
        if !matches!(modifier, '-' | '+' | '?') {
            return Err(WordError::Modifier(modifier.to_string()));
        }
        let word: String = self
            .until(Some('}'))?
            .into_iter()
            .map(|piece| piece.text)
            .collect();
        match (modifier, value) {
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            ('?', None) => {
                let text = if word.is_empty() {
                    "is not allowed to be unset".to_owned()
                } else {
                    word
                };
                Err(WordError::Required { name, text })
            }
            (_, None) => Ok(word),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        let is_first = |c: &char| c.is_alphabetic() || *c == '_';
        if let Some(first) = self.rest.next_if(is_first) {
            name.push(first);
            while let Some(next) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                name.push(next);
            }
        } else {
            // Positional and special parameters of a shell: nothing has them, so they are empty.
            while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
                name.push(digit);
            }
            if name.is_empty() {
                name.extend(
                    self.rest
                        .next_if(|c| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!')),
                );
            }
        }
        name
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".to_owned()),
            "TWO" => Some("x y".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn words_are_expanded_as_dockerd_expands_them() {
        for (word, expected) in [
            ("$A-${A}-${Z:-def}-${A:+yes}-\\$A", "1-1-def-yes-$A"),
            ("'4 $A'", "4 $A"),
            ("\"2 $A\"", "2 1"),
            ("a\\ b", "a b"),
            ("\"x\\\"y\"", "x\"y"),
            ("\"b\\nc\"", "b\\nc"),
            ("x\\\\y", "x\\y"),
            ("'it''s'", "its"),
            ("${EMPTY-x}|${EMPTY:-x}|${B-x}|${B+x}|${A+x}", "|x|x||x"),
            ("${Z:-${A}b}", "1b"),
            ("$", "$"),
            ("$.", "$."),
            ("$1x", "x"),
            ("a#b", "a#b"),
        ] {
            assert_eq!(expand(word, '\\', &lookup).as_deref(), Ok(expected), "{word}");
        }
        assert_eq!(expand("`$A\\", '`', &lookup).as_deref(), Ok("$A\\"));
    }

    #[test]
    fn words_that_cannot_be_read_say_why() {
        for (word, text) in [
            (
                "\"a",
                "unexpected end of statement while looking for matching double-quote",
            ),
            (
                "'a",
                "unexpected end of statement while looking for matching single-quote",
            ),
            ("${B", "syntax error: missing '}'"),
            ("${B:-x", "syntax error: missing '}'"),
            ("${}", "syntax error: bad substitution"),
            ("${B%x}", "unsupported modifier (%) in substitution"),
            ("${B:?err}", "B: err"),
        ] {
            assert_eq!(
                expand(word, '\\', &lookup).unwrap_err().to_string(),
                text,
                "{word}"
            );
        }
    }

    #[test]
    fn arguments_are_split_outside_of_quotes() {
        assert_eq!(
            split(r#"A=1  B="2 3" C='4 "' D=a\ b"#, '\\'),
            ["A=1", "B=\"2 3\"", "C='4 \"'", "D=a\\ b"]
        );
        assert_eq!(split("  ", '\\'), Vec::<String>::new());
        assert_eq!(expand_and_split("$TWO", '\\', &lookup).unwrap(), ["x", "y"]);
        assert_eq!(expand_and_split("\"$TWO\"", '\\', &lookup).unwrap(), ["x y"]);
        assert_eq!(
            expand_and_split("$Z", '\\', &lookup).unwrap(),
            Vec::<String>::new()
        );
    }
}
