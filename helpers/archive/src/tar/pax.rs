//! Records of extended headers: `LENGTH KEY=VALUE\n` (pax(1), "pax Header Block").

use super::{Fault, Time, XATTR_PREFIX};

/// Keys whose value is a name, which cannot hold a NUL.
const NAME_KEYS: [&[u8]; 3] = [b"path", b"linkpath", b"GNU.sparse.name"];

/// The records that hold for one entry, the last of a key winning.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Records {
    /// Reads an extended header's content.
    pub(super) fn parse(mut content: &[u8]) -> Result<Self, Fault> {
        let mut found = Records::default();
        while !content.is_empty() {
            let (key, value, rest) = one(content).ok_or(Fault::InvalidHeader)?;
            if key.contains(&0) || (NAME_KEYS.contains(&key) && value.contains(&0)) {
                return Err(Fault::InvalidHeader);
            }
            found.records.push((key.to_vec(), value.to_vec()));
            content = rest;
        }
        Ok(found)
    }

    /// Whether any key begins so.
    pub(super) fn has_prefix(&self, prefix: &[u8]) -> bool {
        self.records.iter().any(|(key, _)| key.starts_with(prefix))
    }

    /// The value of a key; an empty one takes an earlier one back.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, value) = self.records.iter().rev().find(|(name, _)| name == key)?;
        (!value.is_empty()).then_some(value)
    }

    /// The value of a key that is a number from 0.
    pub(super) fn count(&self, key: &[u8]) -> Result<Option<u64>, Fault> {
        self.get(key).map(decimal).transpose()
    }

    /// The value of a key that is a time.
    pub(super) fn time(&self, key: &[u8]) -> Result<Option<Time>, Fault> {
        self.get(key)
            .map(|value| time(value).ok_or(Fault::InvalidHeader))
            .transpose()
    }

    /// The extended attributes.
    pub(super) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (key, value) in &self.records {
            let Some(name) = key.strip_prefix(XATTR_PREFIX) else {
                continue;
            };
            found.retain(|(earlier, _)| earlier != name);
            found.push((name.to_vec(), value.clone()));
        }
        found
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
    to.extend_from_slice(length.to_string().as_bytes());
    to.push(b' ');
    to.extend_from_slice(key);
    to.push(b'=');
    to.extend_from_slice(value);
    to.push(b'\n');
}

/// Decimal digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Result<u64, Fault> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain);
    text.and_then(|text| text.parse().ok())
        .ok_or(Fault::InvalidHeader)
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
    Some(Time {
        seconds: whole.parse().ok()?,
        nanoseconds: digits.parse().ok()?,
    })
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
            let records = Records::parse(&bytes).unwrap();
            assert_eq!(records.get(b"key"), (length > 0).then_some(&value[..]));
            assert_eq!(records.get(b"other"), Some(&b"x"[..]));
        }
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
            assert!(Records::parse(content).is_err(), "{}", content.escape_ascii());
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
