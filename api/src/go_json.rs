//! Reading JSON text as Go's `encoding/json` reads it, with its words for what is wrong.
//!
//! Clients show dockerd's words, so the first bad byte is named as Go 1.27 names it; some words of older versions
//! differ (`in string literal`, `in string escape code`). Go is also more tolerant than serde_json: of lone
//! surrogates, of bytes that are no UTF-8 inside strings, of numbers of any size and of 10,000 nested values. A
//! [`Document`] is a flat list of tokens, so that neither reading nor dropping it recurses.

use std::borrow::Cow;

/// Arrays and objects that may be open at once: the limit of Go's `encoding/json`.
const OPEN_VALUES_MAX: usize = 10_000;
/// Bytes of a `\uXXXX` escape.
const UNICODE_ESCAPE_BYTES: usize = 6;

/// The first JSON value of a body.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// The value and, in order, everything in it. Never empty.
    pub(crate) tokens: Vec<Token<'a>>,
    /// Something other than white space follows the value.
    pub(crate) trailing: bool,
}

/// One value, or one key of an object (a [`Token::Text`] followed by its value).
#[derive(Debug)]
pub(crate) enum Token<'a> {
    Null,
    Bool(bool),
    /// The number as written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// `after` is the index of the first token behind the array.
    Array {
        after: usize,
    },
    /// `after` is the index of the first token behind the object.
    Object {
        after: usize,
    },
}

/// Why a text holds no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    /// White space only.
    Empty,
    /// The text ends within the value.
    Truncated,
    /// Go's words for the first bad byte.
    Words(String),
}

/// Reads the first value of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Result<Document<'_>, SyntaxError> {
    let mut scanner = Scanner {
        bytes,
        at: 0,
        tokens: Vec::new(),
        open: Vec::new(),
    };
    scanner.skip_spaces();
    if scanner.peek().is_none() {
        return Err(SyntaxError::Empty);
    }
    scanner.values()?;
    scanner.skip_spaces();
    // Go's Decoder.More, which dockerd asks, takes a closing bracket for the end of an enclosing value.
    let trailing = !matches!(scanner.peek(), None | Some(b']' | b'}'));
    Ok(Document {
        tokens: scanner.tokens,
        trailing,
    })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token<'a>>,
    /// Indices of the arrays and objects that are not closed yet.
    open: Vec<usize>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn need(&self) -> Result<u8, SyntaxError> {
        self.peek().ok_or(SyntaxError::Truncated)
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Go's complaint about the character here; a text that ends here is cut short.
    fn bad<T>(&self, place: &str) -> Result<T, SyntaxError> {
        self.need()?;
        let character = quoted(self.bytes.get(self.at..).unwrap_or_default());
        Err(SyntaxError::Words(format!(
            "invalid character {character} {place}"
        )))
    }

    /// Reads values until the outermost one is complete.
    fn values(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.skip_spaces();
            let opened = self.value()?;
            self.skip_spaces();
            if opened && !self.closes_at_once()? {
                continue;
            }
            loop {
                if self.open.is_empty() {
                    return Ok(());
                }
                self.skip_spaces();
                if self.goes_on()? {
                    break;
                }
            }
        }
    }

    /// Reads a scalar, or the bracket that opens an array or object (then true).
    fn value(&mut self) -> Result<bool, SyntaxError> {
        let token = match self.need()? {
            b'{' => return self.open(Token::Object { after: 0 }),
            b'[' => return self.open(Token::Array { after: 0 }),
            b'"' => Token::Text(self.string()?),
            b'n' => self.literal("null", Token::Null)?,
            b't' => self.literal("true", Token::Bool(true))?,
            b'f' => self.literal("false", Token::Bool(false))?,
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            _ => return self.bad("looking for beginning of value"),
        };
        self.tokens.push(token);
        Ok(false)
    }

    fn open(&mut self, token: Token<'a>) -> Result<bool, SyntaxError> {
        if self.open.len() == OPEN_VALUES_MAX {
            return Err(SyntaxError::Words("exceeded max depth".to_owned()));
        }
        self.at += 1;
        self.open.push(self.tokens.len());
        self.tokens.push(token);
        Ok(true)
    }

    fn in_object(&self) -> bool {
        let innermost = self.open.last().and_then(|at| self.tokens.get(*at));
        matches!(innermost, Some(Token::Object { .. }))
    }

    /// Behind an opening bracket: closes an empty value, or reads an object's first key.
    fn closes_at_once(&mut self) -> Result<bool, SyntaxError> {
        let object = self.in_object();
        if self.need()? == if object { b'}' } else { b']' } {
            self.close();
            return Ok(true);
        }
        if object {
            self.key()?;
        }
        Ok(false)
    }

    /// Behind a value within another one: true if a further value follows, false if the outer one was closed.
    fn goes_on(&mut self) -> Result<bool, SyntaxError> {
        let object = self.in_object();
        match self.need()? {
            b',' => {
                self.at += 1;
                if object {
                    self.skip_spaces();
                    self.key()?;
                }
                Ok(true)
            }
            b'}' if object => Ok(self.close()),
            b']' if !object => Ok(self.close()),
            _ if object => self.bad("after object key:value pair"),
            _ => self.bad("after array element"),
        }
    }

    fn close(&mut self) -> bool {
        self.at += 1;
        let behind = self.tokens.len();
        let closed = self.open.pop().and_then(|at| self.tokens.get_mut(at));
        if let Some(Token::Array { after } | Token::Object { after }) = closed {
            *after = behind;
        }
        false
    }

    fn key(&mut self) -> Result<(), SyntaxError> {
        if self.need()? != b'"' {
            return self.bad("looking for beginning of object key string");
        }
        let key = self.string()?;
        self.tokens.push(Token::Text(key));
        self.skip_spaces();
        if self.need()? != b':' {
            return self.bad("after object key");
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, SyntaxError> {
        for expected in word.bytes() {
            if self.need()? != expected {
                let expected = char::from(expected);
                return self.bad(&format!("in literal {word} (expecting '{expected}')"));
            }
            self.at += 1;
        }
        Ok(token)
    }

    fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        // A zero is a whole integer part; a digit behind it is no longer of this number.
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        Ok(std::str::from_utf8(digits).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !self.need()?.is_ascii_digit() {
            return self.bad("in numeric literal");
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// Reads a string; what is no UTF-8, and lone surrogates, become U+FFFD as in Go.
    fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        self.at += 1;
        let mut text = Cow::Borrowed("");
        let mut start = self.at;
        loop {
            let byte = self.need()?;
            if byte != b'"' && byte != b'\\' {
                if byte < b' ' {
                    return self.bad("in string");
                }
                self.at += 1;
                continue;
            }
            text += String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default());
            if byte == b'"' {
                self.at += 1;
                return Ok(text);
            }
            text.to_mut().push(self.escape()?);
            start = self.at;
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let character = match rest.get(1).ok_or(SyntaxError::Truncated)? {
            byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(bad_escape(rest.get(..2).unwrap_or_default())),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let unit = self.code_unit()?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if (0xd800..0xdc00).contains(&unit) && rest.starts_with(b"\\u") {
            let behind_first = self.at;
            let second = self.code_unit()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind_first;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn code_unit(&mut self) -> Result<u32, SyntaxError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let escape = rest.get(..UNICODE_ESCAPE_BYTES).unwrap_or(rest);
        let mut unit = 0;
        for byte in escape.iter().skip(2) {
            let digit = char::from(*byte).to_digit(16).ok_or_else(|| bad_escape(escape))?;
            unit = unit * 16 + digit;
        }
        if escape.len() < UNICODE_ESCAPE_BYTES {
            return Err(SyntaxError::Truncated);
        }
        self.at += UNICODE_ESCAPE_BYTES;
        Ok(unit)
    }
}

/// Go prints an escape sequence in backquotes where it can be read there, else as a quoted string.
fn bad_escape(sequence: &[u8]) -> SyntaxError {
    let plain = std::str::from_utf8(sequence).ok().filter(|text| {
        let odd = |c: char| c == '`' || c == char::REPLACEMENT_CHARACTER || c.is_whitespace() || !is_print(c);
        !text.contains(odd)
    });
    let shown = match plain {
        Some(text) => format!("`{text}`"),
        None => quoted_all(sequence),
    };
    SyntaxError::Words(format!("invalid escape sequence {shown} in string"))
}

/// Go's `strconv.Quote`.
fn quoted_all(bytes: &[u8]) -> String {
    let mut shown = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_quoted(&mut shown, character, '"');
        }
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown + "\""
}

/// The first character of `bytes` as Go's `strconv.QuoteRune` writes it; a byte that starts no character as `'\xff'`.
fn quoted(bytes: &[u8]) -> String {
    let mut shown = String::from("'");
    let first = bytes.utf8_chunks().next();
    match first.map(|chunk| (chunk.valid().chars().next(), chunk.invalid().first())) {
        Some((Some(character), _)) => push_quoted(&mut shown, character, '\''),
        Some((None, Some(byte))) => shown += &format!("\\x{byte:02x}"),
        Some((None, None)) | None => {}
    }
    shown + "'"
}

fn push_quoted(shown: &mut String, character: char, quote: char) {
    match character {
        '\\' => *shown += "\\\\",
        _ if character == quote => shown.extend(['\\', quote]),
        _ if is_print(character) => shown.push(character),
        '\u{7}' => *shown += "\\a",
        '\u{8}' => *shown += "\\b",
        '\t' => *shown += "\\t",
        '\n' => *shown += "\\n",
        '\u{b}' => *shown += "\\v",
        '\u{c}' => *shown += "\\f",
        '\r' => *shown += "\\r",
        '\0'..='\u{1f}' | '\u{7f}' => *shown += &format!("\\x{:02x}", u32::from(character)),
        '\0'..='\u{ffff}' => *shown += &format!("\\u{:04x}", u32::from(character)),
        _ => *shown += &format!("\\U{:08x}", u32::from(character)),
    }
}

/// Go's `unicode.IsPrint`, but for combining marks, which the standard library's table counts as not printable.
fn is_print(character: char) -> bool {
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}
