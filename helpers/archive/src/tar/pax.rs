//! Records of extended headers: `LENGTH KEY=VALUE\n` (pax(1), "pax Header Block").

use super::{Time, XATTR_PREFIX, invalid};
use protocol::Answer;

/// Keys whose value is a name, which cannot hold a NUL.
const NAME_KEYS: [&[u8]; 3] = [b"path", b"linkpath", b"GNU.sparse.name"];

/// The records that hold for one entry, the last of a key winning.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Takes an extended header's content in.
    pub(super) fn read(&mut self, mut content: &[u8]) -> Answer<()> {
        while !content.is_empty() {
            let (key, value, rest) = one(content).ok_or_else(invalid)?;
            if key.contains(&0) || (NAME_KEYS.contains(&key) && value.contains(&0)) {
                return Err(invalid());
            }
            self.set(key, value);
            content = rest;
        }
        Ok(())
    }

    /// Adds one. Earlier ones of its key stay, since looking for them each time would take a long list's length squared.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((key.to_vec(), value.to_vec()));
    }

    /// Whether any key begins so.
    pub(super) fn has_prefix(&self, prefix: &[u8]) -> bool {
        self.0.iter().any(|(key, _)| key.starts_with(prefix))
    }

    /// The value of a key; an empty one is as good as none.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, value) = self.0.iter().rev().find(|(name, _)| name == key)?;
        Some(&value[..]).filter(|value| !value.is_empty())
    }

    /// The value of a key that is a number from 0.
    pub(super) fn count(&self, key: &[u8]) -> Answer<Option<u64>> {
        self.get(key).map(decimal).transpose()
    }

    /// The value of a key that is a time.
    pub(super) fn time(&self, key: &[u8]) -> Answer<Option<Time>> {
        let found = self.get(key).map(time);
        found.map(|time| time.ok_or_else(invalid)).transpose()
    }

    /// The extended attributes, in order: of two with one name the later is to win.
    pub(super) fn xattrs(self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let name = |key: &[u8]| key.strip_prefix(XATTR_PREFIX).map(<[u8]>::to_vec);
        let named = |(key, value): (Vec<u8>, Vec<u8>)| Some((name(&key)?, value));
        self.0.into_iter().filter_map(named).collect()
    }
}

/// Appends one record.
pub(super) fn append(to: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits, so it is found by trying.
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let digits = length.to_string();
    to.extend([digits.as_bytes(), b" ", key, b"=", value, b"\n"].concat());
}

/// Decimal digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Answer<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_plain);
    text.and_then(|text| text.parse().ok()).ok_or_else(invalid)
}

/// The first record: key, value, and what follows.
fn one(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&content[..space]).ok()?).ok()?;
    let record = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty()).then_some((key, value, &content[length..]))
}

/// `SECONDS[.FRACTION]`, the fraction cut to nanoseconds.
fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.starts_with('+') || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let (seconds, nanoseconds) = (whole.parse().ok()?, digits.parse().ok()?);
    Some(Time { seconds, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_record_is_read_back() {
        for length in [0, 1, 5, 90, 91, 92, 93, 994, 995, 9_000] {
            let value = vec![b'v'; length];
            let mut bytes = Vec::new();
            append(&mut bytes, b"key", &value);
            append(&mut bytes, b"other", b"x");
            let mut records = Records::default();
            records.read(&bytes).unwrap();
            assert_eq!(records.get(b"key"), (length > 0).then_some(&value[..]));
            assert_eq!(records.get(b"other"), Some(&b"x"[..]));
        }
    }

    #[test]
    fn a_header_full_of_short_records_is_read_at_once() {
        let content = b"6 k=v\n".repeat(1 << 17);
        let began = std::time::Instant::now();
        let mut records = Records::default();
        records.read(&content).unwrap();
        assert_eq!(records.get(b"k"), Some(&b"v"[..]));
        assert!(
            began.elapsed() < std::time::Duration::from_secs(5),
            "its length squared"
        );
    }

    #[test]
    fn broken_records_are_refused() {
        let broken: [&[u8]; 10] = [
            b"9 path=a",
            b"99 path=a\n",
            b"0 path=a\n",
            b"2 path=a\n",
            b"path=a\n",
            b"7 path\n",
            b"5 =a\n",
            b"11 path=a\0b\n",
            b"-9 path=a\n",
            b"99999999999999999999 path=a\n",
        ];
        for content in broken {
            assert!(
                Records::default().read(content).is_err(),
                "{}",
                content.escape_ascii()
            );
        }
    }

    #[test]
    fn times_have_fractions() {
        assert_eq!(
            time(b"12.25"),
            Some(Time {
                seconds: 12,
                nanoseconds: 250_000_000
            })
        );
        assert_eq!(
            time(b"-3"),
            Some(Time {
                seconds: -3,
                nanoseconds: 0
            })
        );
        assert_eq!(
            time(b"1.0000000019"),
            Some(Time {
                seconds: 1,
                nanoseconds: 1
            })
        );
        for bad in [
            &b""[..],
            b"x",
            b"+1",
            b"1.-5",
            b"1.5e3",
            b"--1",
            b"99999999999999999999",
        ] {
            assert_eq!(time(bad), None, "{}", bad.escape_ascii());
        }
    }
}
