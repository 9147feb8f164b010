//! Name-value lists in the kernel's native packing, as ZFS ioctls take and give them.
//!
//! Written from OpenZFS `module/nvpair/nvpair.c` (native encoding, little endian; FreeBSD's amd64 and arm64 are both). Only
//! the value types that the datasets need are kept; values of other types are checked for size and passed over.
//!
//! ```text
//! stream = encoding 0, endian 1, 0, 0 | i32 version 0 | u32 flags 1 | pair* | u32 0
//! pair   = i32 size | i16 name bytes with NUL | i16 0 | i32 elements | i32 type | name, padded to 8 | value, padded to 8
//! ```
//!
//! A list inside a list is a pair with a value of 24 bytes, and its own pairs follow that pair without being counted in
//! its size.
#![forbid(unsafe_code)]

/// Lists within lists are followed this deep; ZFS replies need two levels, and the kernel itself stops at 20.
const NESTING_LEVELS_MAX: usize = 20;

/// Bytes of the stream's own header.
const HEADER: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];

/// Bytes of a pair before its name.
const PAIR_HEADER_BYTES: usize = 16;

/// Bytes of a list as a value: an `nvlist_t` whose only field that matters is the flag for unique names.
const LIST_VALUE: [u8; 24] = [
    0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// `data_type_t` of `sys/nvpair.h`, the ones understood here.
mod kind {
    pub(super) const FLAG: i32 = 1;
    pub(super) const I32: i32 = 5;
    pub(super) const U64: i32 = 8;
    pub(super) const TEXT: i32 = 9;
    pub(super) const BYTES: i32 = 10;
    pub(super) const LIST: i32 = 19;
    pub(super) const LIST_ARRAY: i32 = 20;
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// There or not: `DATA_TYPE_BOOLEAN`.
    Flag,
    /// A signed number of 32 bits.
    I32(i32),
    /// An unsigned number of 64 bits.
    U64(u64),
    /// Text without NUL.
    Text(String),
    /// Bytes: `DATA_TYPE_BYTE_ARRAY`.
    Bytes(Vec<u8>),
    /// A list in the list.
    List(List),
}

/// A list of named values. The last of several values with one name counts, as in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List(Vec<(String, Value)>);

/// The bytes are not a packed list; says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl List {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The list with one more value. Neither the name nor a text may hold a NUL: callers pass checked names.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .rev()
            .find(|(held, _)| held == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The list as the kernel reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut stream = HEADER.to_vec();
        self.encode_pairs(&mut stream);
        stream
    }

    fn encode_pairs(&self, stream: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            let (kind, elements, bytes) = match value {
                Value::Flag => (kind::FLAG, 0, Vec::new()),
                Value::I32(number) => (kind::I32, 1, number.to_le_bytes().to_vec()),
                Value::U64(number) => (kind::U64, 1, number.to_le_bytes().to_vec()),
                Value::Text(text) => (kind::TEXT, 1, [text.as_bytes(), &[0]].concat()),
                Value::Bytes(bytes) => (kind::BYTES, bytes.len() as i32, bytes.clone()),
                Value::List(_) => (kind::LIST, 1, LIST_VALUE.to_vec()),
            };
            encode_pair(stream, name, kind, elements, &bytes);
            if let Value::List(inner) = value {
                inner.encode_pairs(stream);
            }
        }
        stream.extend_from_slice(&0_u32.to_le_bytes());
    }

    /// Reads one list from the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// [`Malformed`] for everything that the kernel would not have packed.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        // The flags in the last four bytes differ between lists; everything before them does not.
        if reader.take(HEADER.len())?[..8] != HEADER[..8] {
            return Err(Malformed("not a native little-endian list"));
        }
        decode_pairs(&mut reader, 0)
    }
}

fn encode_pair(stream: &mut Vec<u8>, name: &str, kind: i32, elements: i32, value: &[u8]) {
    let start = stream.len();
    let name_bytes = name.len() + 1;
    let size = (PAIR_HEADER_BYTES + name_bytes).next_multiple_of(8) + value.len().next_multiple_of(8);
    // Names and values are a few hundred bytes long (limits.rs of the protocol), so nothing is cut by these casts.
    stream.extend_from_slice(&(size as i32).to_le_bytes());
    stream.extend_from_slice(&(name_bytes as i16).to_le_bytes());
    stream.extend_from_slice(&0_i16.to_le_bytes());
    stream.extend_from_slice(&elements.to_le_bytes());
    stream.extend_from_slice(&kind.to_le_bytes());
    stream.extend_from_slice(name.as_bytes());
    stream.resize(start + (PAIR_HEADER_BYTES + name_bytes).next_multiple_of(8), 0);
    stream.extend_from_slice(value);
    stream.resize(start + size, 0);
}

fn decode_pairs(reader: &mut Reader<'_>, level: usize) -> Result<List, Malformed> {
    if level >= NESTING_LEVELS_MAX {
        return Err(Malformed("lists are nested too deep"));
    }
    let mut list = List::new();
    loop {
        let size = reader.i32()?;
        if size == 0 {
            return Ok(list);
        }
        let rest = usize::try_from(size).ok().and_then(|size| size.checked_sub(4));
        let pair = Pair::parse(reader.take(rest.ok_or(Malformed("bad pair size"))?)?)?;
        let value = match pair.kind {
            kind::FLAG => Some(Value::Flag),
            kind::I32 => Some(Value::I32(Reader(pair.value).i32()?)),
            kind::U64 => Some(Value::U64(Reader(pair.value).u64()?)),
            kind::TEXT => Some(Value::Text(text(pair.value)?)),
            kind::BYTES => Some(Value::Bytes(bytes(pair.elements, pair.value)?)),
            kind::LIST => Some(Value::List(decode_pairs(reader, level + 1)?)),
            kind::LIST_ARRAY => {
                // Each element takes 32 bytes of the value, which bounds the count by the bytes that are there.
                for _ in 0..pair.value.len() / (8 + LIST_VALUE.len()) {
                    decode_pairs(reader, level + 1)?;
                }
                None
            }
            _other_type => None,
        };
        list.0.extend(value.map(|value| (pair.name, value)));
    }
}

/// One pair without its size.
struct Pair<'a> {
    name: String,
    elements: i32,
    kind: i32,
    value: &'a [u8],
}

impl<'a> Pair<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let name_bytes = usize::from(u16::from_le_bytes(reader.array()?));
        reader.take(2)?;
        let elements = reader.i32()?;
        let kind = reader.i32()?;
        let padded = (PAIR_HEADER_BYTES + name_bytes).next_multiple_of(8) - PAIR_HEADER_BYTES;
        let name = reader.take(padded)?;
        match name.get(..name_bytes).and_then(<[u8]>::split_last) {
            Some((0, name)) => Ok(Pair {
                name: String::from_utf8_lossy(name).into_owned(),
                elements,
                kind,
                value: reader.0,
            }),
            Some(_) | None => Err(Malformed("a name without its end")),
        }
    }
}

fn text(value: &[u8]) -> Result<String, Malformed> {
    // User properties may hold any bytes; nobody decides anything by them, so they need not be kept exactly.
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(Malformed("a text without its end"))?;
    Ok(String::from_utf8_lossy(&value[..end]).into_owned())
}

fn bytes(elements: i32, value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let count = usize::try_from(elements).ok();
    let bytes = count.and_then(|count| value.get(..count));
    bytes
        .map(<[u8]>::to_vec)
        .ok_or(Malformed("bytes without their end"))
}

/// The bytes not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Malformed("the list ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?
            .try_into()
            .map_err(|_| Malformed("the list ends too early"))
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packed by OpenZFS's own nvpair.c on FreeBSD 14.
    const CREATE: &str = "
        00010000 00000000 01000000 20000000 05000000 01000000 05000000 74797065 00000000 02000000 00000000 30000000
        06000000 01000000 13000000 70726f70 73000000 00000000 01000000 00000000 00000000 00000000 00000000 28000000
        09000000 01000000 08000000 63616e6d 6f756e74 00000000 00000000 02000000 00000000 28000000 0b000000 01000000
        09000000 6d6f756e 74706f69 6e740000 00000000 6e6f6e65 00000000 00000000 00000000";
    const DESTROY: &str = "
        00010000 00000000 01000000 30000000 06000000 01000000 13000000 736e6170 73000000 00000000 01000000 00000000
        00000000 00000000 00000000 18000000 06000000 00000000 01000000 7a2f6140 73000000 00000000 18000000 06000000
        00000000 01000000 64656665 72000000 00000000";
    const OTHER_TYPES: &str = "
        00010000 00000000 01000000 20000000 02000000 05000000 0a000000 62000000 00000000 01020304 05000000 20000000
        05000000 01000000 15000000 73796e63 00000000 01000000 00000000 30000000 03000000 02000000 11000000 73610000
        00000000 00000000 00000000 00000000 00000000 7800797a 00000000 00000000";
    const EMPTY: &str = "00010000 00000000 01000000 00000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    fn create() -> List {
        let props = List::new()
            .with("canmount", Value::U64(2))
            .with("mountpoint", Value::Text("none".to_owned()));
        List::new()
            .with("type", Value::I32(2))
            .with("props", Value::List(props))
    }

    fn destroy() -> List {
        let snaps = List::new().with("z/a@s", Value::Flag);
        List::new()
            .with("snaps", Value::List(snaps))
            .with("defer", Value::Flag)
    }

    #[test]
    fn lists_are_packed_as_the_kernel_packs_them() {
        assert_eq!(create().encode(), bytes(CREATE));
        assert_eq!(destroy().encode(), bytes(DESTROY));
        assert_eq!(List::new().encode(), bytes(EMPTY));
    }

    #[test]
    fn packed_lists_are_read_back() {
        assert_eq!(List::decode(&bytes(CREATE)), Ok(create()));
        assert_eq!(List::decode(&bytes(DESTROY)), Ok(destroy()));
        assert_eq!(List::decode(&bytes(EMPTY)), Ok(List::new()));
        let begin = List::new().with("begin_record", Value::Bytes(vec![9; 312]));
        assert_eq!(List::decode(&begin.encode()), Ok(begin));
    }

    #[test]
    fn values_of_other_types_are_passed_over() {
        let mut packed = bytes(OTHER_TYPES);
        let held = |list: &List| list.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let decoded = List::decode(&packed).unwrap();
        assert_eq!(held(&decoded), ["b"]);
        assert_eq!(decoded.get("b"), Some(&Value::Bytes(vec![1, 2, 3, 4, 5])));
        // With a known pair in front of the end, that one is found behind the unknown ones.
        packed.truncate(packed.len() - 4);
        packed.extend_from_slice(&create().encode()[HEADER.len()..]);
        assert_eq!(held(&List::decode(&packed).unwrap()), ["b", "type", "props"]);
    }

    #[test]
    fn a_list_cut_anywhere_is_malformed() {
        for whole in [bytes(CREATE), bytes(DESTROY), bytes(OTHER_TYPES), bytes(EMPTY)] {
            for length in 0..whole.len() {
                assert!(
                    List::decode(&whole[..length]).is_err(),
                    "{length} of {} bytes",
                    whole.len()
                );
            }
        }
    }

    #[test]
    fn a_flipped_byte_never_panics() {
        for whole in [bytes(CREATE), bytes(DESTROY), bytes(OTHER_TYPES)] {
            for at in 0..whole.len() {
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = whole.clone();
                    changed[at] ^= change;
                    let _ = List::decode(&changed);
                }
            }
        }
    }

    #[test]
    fn a_size_below_its_own_header_or_a_name_without_end_is_malformed() {
        for (at, byte) in [(12, 3_u8), (12, 8), (16, 4)] {
            let mut changed = bytes(CREATE);
            changed[at] = byte;
            assert!(List::decode(&changed).is_err(), "byte {at} = {byte}");
        }
    }

    #[test]
    fn lists_nested_without_end_are_malformed() {
        let mut list = List::new();
        for _ in 0..NESTING_LEVELS_MAX {
            list = List::new().with("l", Value::List(list));
        }
        assert_eq!(
            List::decode(&list.encode()),
            Err(Malformed("lists are nested too deep"))
        );
    }

    #[test]
    fn the_last_of_several_values_with_one_name_counts() {
        let list = List::new().with("n", Value::U64(1)).with("n", Value::U64(2));
        assert_eq!(list.get("n"), Some(&Value::U64(2)));
        assert_eq!(list.get("other"), None);
    }
}
