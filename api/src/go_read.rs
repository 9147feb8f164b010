//! Reading a [`Document`](crate::go_json::Document) into our types, with Go's words for a value of the wrong type.
//!
//! `null` is every type's zero value, field names match in any case, and the last of several equal names counts,
//! all as in Go's `encoding/json`. A name that is given twice is only read once, though, where dockerd reads both.

use crate::go_json::Token;
use crate::go_names;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt::Display;
use std::str::FromStr;

/// Arrays and objects within each other in a field that is kept as it came. Only such fields are read by recursion
/// without a bound of their own, and a thread's stack is small.
const KEPT_VALUES_MAX: usize = 100;

static ABSENT: [Token<'static>; 1] = [Token::Null];

/// A value of the wrong type.
#[derive(Debug)]
pub struct TypeError {
    /// Index of the token that was refused: the smaller of two is the error that Go reports.
    pub(crate) at: usize,
    kind: Kind,
    /// The path's parts, innermost first.
    path: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    /// What was there, and Go's type of what should have been.
    Mismatch { found: String, wanted: String },
    /// As before, from a Go type that reads itself and knows no path.
    Pathless { found: String, wanted: String },
    /// Anything else.
    Words(String),
}

impl TypeError {
    fn within(mut self, part: &str) -> Self {
        // Go joins the path as a JSON pointer and then writes dots for the slashes.
        self.path.push(part.replace('~', "~0").replace('/', "~1"));
        self
    }

    /// Go's message; `prefix` is the name of the body's type.
    pub(crate) fn words(&self, prefix: &str) -> String {
        let (found, wanted) = match &self.kind {
            Kind::Words(words) => return words.clone(),
            Kind::Pathless { found, wanted } => {
                return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
            }
            Kind::Mismatch { found, wanted } => (found, wanted),
        };
        let Some(last) = self.path.first() else {
            return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
        };
        // Go takes a name of digits for a list's index.
        let index = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let field = if index { "" } else { "Go struct field " };
        let path: String = self.path.iter().rev().map(|part| format!(".{part}")).collect();
        format!("json: cannot unmarshal {found} into {field}{prefix}{path} of type {wanted}")
    }
}

impl Display for TypeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words(""))
    }
}

impl std::error::Error for TypeError {}

impl Error for TypeError {
    fn custom<T: Display>(words: T) -> Self {
        Self {
            at: 0,
            kind: Kind::Words(words.to_string()),
            path: Vec::new(),
        }
    }

    fn invalid_type(unexpected: Unexpected<'_>, wanted: &dyn serde::de::Expected) -> Self {
        Self::custom(format!("json: cannot unmarshal {unexpected} into {wanted}"))
    }
}

/// Reads the value at one token.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    place: Place,
    depth: usize,
}

/// Where a value stands: what Go's name of its type depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It is the whole body, of this Go type.
    Body(&'static str),
    /// It is a field of one of our structures.
    Field { of: &'static str, name: &'static str },
    /// It is an element of the list or map in such a field.
    Element { of: &'static str, name: &'static str },
    /// Deeper within.
    Deeper,
}

impl<'t, 'a> Reader<'t, 'a> {
    /// Reads a whole document as the body of Go's type `go_name`.
    pub(crate) fn new(tokens: &'t [Token<'a>], go_name: &'static str) -> Self {
        Self {
            tokens,
            at: 0,
            place: Place::Body(go_name),
            depth: 0,
        }
    }

    fn token(&self) -> &'t Token<'a> {
        self.tokens.get(self.at).unwrap_or(&ABSENT[0])
    }

    fn element(&self, at: usize) -> Self {
        let place = match self.place {
            Place::Field { of, name } => Place::Element { of, name },
            Place::Body(_) | Place::Element { .. } | Place::Deeper => Place::Deeper,
        };
        Self {
            at,
            place,
            depth: self.depth + 1,
            ..*self
        }
    }

    fn field(&self, at: usize, of: &'static str, name: &'static str) -> Self {
        Self {
            at,
            place: Place::Field { of, name },
            depth: self.depth + 1,
            ..*self
        }
    }

    /// Index of the token behind the value at `at`.
    fn behind(&self, at: usize) -> usize {
        match self.tokens.get(at) {
            Some(Token::Array { after } | Token::Object { after }) => *after,
            Some(Token::Null | Token::Bool(_) | Token::Number(_) | Token::Text(_)) | None => at + 1,
        }
    }

    /// An object's names, each with its value's index.
    fn entries(&self, after: usize) -> impl Iterator<Item = (&'t str, usize)> {
        let reader = *self;
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            let Some(Token::Text(name)) = reader.tokens.get(next).filter(|_| next < after) else {
                return None;
            };
            let at = next + 1;
            next = reader.behind(at);
            Some((name.as_ref(), at))
        })
    }

    fn elements(&self, after: usize) -> impl Iterator<Item = usize> {
        let reader = *self;
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            let at = next;
            next = reader.behind(at);
            (at < after).then_some(at)
        })
    }

    fn found(&self) -> &'static str {
        match self.token() {
            Token::Null => "null",
            Token::Bool(_) => "bool",
            Token::Number(_) => "number",
            Token::Text(_) => "string",
            Token::Array { .. } => "array",
            Token::Object { .. } => "object",
        }
    }

    fn mismatch(&self, found: String, usual: &'static str) -> TypeError {
        let wanted = go_names::of_value(self.place, usual).to_owned();
        TypeError {
            at: self.at,
            kind: Kind::Mismatch { found, wanted },
            path: Vec::new(),
        }
    }

    fn wrong<T>(&self, usual: &'static str) -> Result<T, TypeError> {
        Err(self.mismatch(self.found().to_owned(), usual))
    }

    fn integer<N: FromStr + Default>(&self, usual: &'static str) -> Result<N, TypeError> {
        match self.token() {
            Token::Null => Ok(N::default()),
            // Rust reads "-0" as an unsigned zero; Go does not.
            Token::Number(digits) => digits
                .parse()
                .ok()
                .filter(|_| !(*digits == "-0" && usual.starts_with('u')))
                .ok_or_else(|| self.mismatch(format!("number {digits}"), usual)),
            Token::Bool(_) | Token::Text(_) | Token::Array { .. } | Token::Object { .. } => self.wrong(usual),
        }
    }

    /// The check that dockerd's `strslice.StrSlice` makes: it reads itself, so Go knows no path.
    fn check_words(&self) -> Result<(), TypeError> {
        let is_word = |at: usize| matches!(self.tokens.get(at), Some(Token::Text(_) | Token::Null));
        let good = match self.token() {
            Token::Null | Token::Text(_) => true,
            Token::Array { after } => self.elements(*after).all(is_word),
            Token::Bool(_) | Token::Number(_) | Token::Object { .. } => false,
        };
        if good {
            return Ok(());
        }
        let kind = Kind::Pathless {
            found: self.found().to_owned(),
            wanted: "string".to_owned(),
        };
        Err(TypeError {
            at: self.at,
            kind,
            path: Vec::new(),
        })
    }

    /// The fields of `names` that are given, the last of equal ones each.
    fn given(&self, after: usize, names: &'static [&'static str]) -> Vec<(&'static str, &'t str, usize)> {
        let mut last = vec![None; names.len()];
        for (given, at) in self.entries(after) {
            let exact = names.iter().position(|name| *name == given);
            let index = exact.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(given)));
            if let Some(slot) = index.and_then(|index| last.get_mut(index)) {
                *slot = Some((given, at));
            }
        }
        let pairs = names.iter().zip(last);
        let mut given: Vec<_> = pairs
            .filter_map(|(name, found)| found.map(|(given, at)| (*name, given, at)))
            .collect();
        given.sort_by_key(|(_, _, at)| *at);
        given
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $go:literal,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
            visitor.$visit(self.integer($go)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = TypeError;

    // Docker has no 8 bit numbers: where ours has one (prefix lengths), Go's is an int. A u32 stands for an uint.
    integers! {
        deserialize_i64 visit_i64 "int64",
        deserialize_u64 visit_u64 "uint64",
        deserialize_u32 visit_u32 "uint",
        deserialize_u16 visit_u16 "uint16",
        deserialize_u8 visit_u8 "int",
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.token() {
            Token::Null => visitor.visit_bool(false),
            Token::Bool(value) => visitor.visit_bool(*value),
            Token::Number(_) | Token::Text(_) | Token::Array { .. } | Token::Object { .. } => {
                self.wrong("bool")
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.token() {
            Token::Null => visitor.visit_str(""),
            Token::Text(text) => visitor.visit_str(text),
            Token::Bool(_) | Token::Number(_) | Token::Array { .. } | Token::Object { .. } => {
                self.wrong("string")
            }
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.token() {
            Token::Null => visitor.visit_none(),
            Token::Bool(_)
            | Token::Number(_)
            | Token::Text(_)
            | Token::Array { .. }
            | Token::Object { .. } => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        if name == crate::null::WORDS {
            self.check_words()?;
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.token() {
            Token::Null => visitor.visit_seq(Elements {
                reader: self,
                after: 0,
                next: self.at + 1,
                index: 0,
                pad: 0,
            }),
            Token::Array { after } => visitor.visit_seq(Elements {
                reader: self,
                after: *after,
                next: self.at + 1,
                index: 0,
                pad: 0,
            }),
            Token::Bool(_) | Token::Number(_) | Token::Text(_) | Token::Object { .. } => {
                self.wrong("[]string")
            }
        }
    }

    /// A Go array: missing elements are zero, further ones are dropped.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, TypeError> {
        let after = match self.token() {
            Token::Null => 0,
            Token::Array { after } => *after,
            // The only arrays of the API are terminal sizes.
            Token::Bool(_) | Token::Number(_) | Token::Text(_) | Token::Object { .. } => {
                return self.wrong("[2]uint");
            }
        };
        visitor.visit_seq(Elements {
            reader: self,
            after,
            next: self.at + 1,
            index: 0,
            pad: len,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let entries = match self.token() {
            Token::Null => Vec::new(),
            Token::Object { after } => self
                .entries(*after)
                .map(|(name, at)| (name, name, self.element(at)))
                .collect(),
            Token::Bool(_) | Token::Number(_) | Token::Text(_) | Token::Array { .. } => {
                return self.wrong("map[string]string");
            }
        };
        visitor.visit_map(Entries {
            entries: entries.into_iter(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        of: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let entries = match self.token() {
            Token::Null => Vec::new(),
            Token::Object { after } => {
                let given = self.given(*after, names).into_iter();
                given
                    .map(|(name, given, at)| (name, given, self.field(at, of, name)))
                    .collect()
            }
            Token::Bool(_) | Token::Number(_) | Token::Text(_) | Token::Array { .. } => {
                return self.wrong(go_names::of_structure(of));
            }
        };
        visitor.visit_map(Entries {
            entries: entries.into_iter(),
            value: None,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        if self.depth > KEPT_VALUES_MAX {
            return Err(TypeError {
                at: self.at,
                ..TypeError::custom("exceeded max depth")
            });
        }
        match self.token() {
            Token::Null => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(*value),
            Token::Text(text) => visitor.visit_str(text),
            Token::Number(digits) => match (digits.parse::<i64>(), digits.parse::<f64>()) {
                (Ok(number), _) => visitor.visit_i64(number),
                (Err(_), Ok(number)) => visitor.visit_f64(number),
                (Err(_), Err(_)) => self.wrong("float64"),
            },
            Token::Array { .. } => self.deserialize_seq(visitor),
            Token::Object { .. } => self.deserialize_map(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct enum identifier
    }
}

/// The elements of an array; at least and at most `pad` where that is not 0.
struct Elements<'t, 'a> {
    reader: Reader<'t, 'a>,
    after: usize,
    next: usize,
    index: usize,
    pad: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = TypeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        let index = self.index;
        self.index += 1;
        if self.pad > 0 && index >= self.pad {
            return Ok(None);
        }
        if self.next >= self.after {
            let zero = Reader {
                tokens: &ABSENT,
                at: 0,
                place: Place::Deeper,
                depth: 0,
            };
            return if self.pad > 0 {
                seed.deserialize(zero).map(Some)
            } else {
                Ok(None)
            };
        }
        let element = self.reader.element(self.next);
        self.next = self.reader.behind(self.next);
        seed.deserialize(element)
            .map(Some)
            .map_err(|error| error.within(&index.to_string()))
    }
}

/// Names as our types know them, as they were given, and their values.
struct Entries<'t, 'a> {
    entries: std::vec::IntoIter<(&'t str, &'t str, Reader<'t, 'a>)>,
    value: Option<(&'t str, Reader<'t, 'a>)>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = TypeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        let Some((name, given, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some((given, value));
        let name: StrDeserializer<'_, TypeError> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TypeError> {
        let (given, value) = self
            .value
            .take()
            .ok_or_else(|| TypeError::custom("a value without a name"))?;
        seed.deserialize(value).map_err(|error| error.within(given))
    }
}
