//! The keys by which a client on a terminal goes away and leaves the process running.

/// A key sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DetachKeys(Vec<u8>);

/// Ctrl-P, Ctrl-Q.
const DEFAULT: [u8; 2] = [16, 17];

impl DetachKeys {
    /// Reads `ctrl-a,b`; an empty text is the default. None where it is not a sequence.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(DetachKeys(DEFAULT.to_vec()));
        }
        text.split(',')
            .map(key)
            .collect::<Option<Vec<u8>>>()
            .map(DetachKeys)
    }
}

fn key(text: &str) -> Option<u8> {
    if let [single] = text.as_bytes() {
        return Some(*single);
    }
    match text.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        b"@" => Some(0),
        b"[" => Some(27),
        b"\\" => Some(28),
        b"]" => Some(29),
        b"^" => Some(30),
        b"_" => Some(31),
        _ => None,
    }
}

/// Looks for the sequence in what a client types.
#[derive(Debug)]
pub(super) struct Scanner {
    keys: DetachKeys,
    /// How many keys of the sequence were typed last; they are held back until it is clear that they are not it.
    matched: usize,
}

impl Scanner {
    pub(super) fn new(keys: DetachKeys) -> Self {
        Scanner { keys, matched: 0 }
    }

    /// What goes to the process, and whether the sequence was typed.
    pub(super) fn scan(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let keys = &self.keys.0;
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if *byte != keys[self.matched] {
                passed.extend_from_slice(&keys[..self.matched]);
                self.matched = 0;
            }
            if *byte == keys[self.matched] {
                self.matched += 1;
                if self.matched == keys.len() {
                    return (passed, true);
                }
            } else {
                passed.push(*byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read_as_dockerd_reads_them() {
        assert_eq!(DetachKeys::parse(""), Some(DetachKeys(vec![16, 17])));
        assert_eq!(DetachKeys::parse("ctrl-a,b"), Some(DetachKeys(vec![1, b'b'])));
        assert_eq!(DetachKeys::parse("zzz-"), None);
        assert_eq!(DetachKeys::parse("a,"), None);
    }

    #[test]
    fn keys_that_only_begin_the_sequence_are_passed_on() {
        let mut scanner = Scanner::new(DetachKeys::parse("ctrl-p,ctrl-q").unwrap());
        assert_eq!(scanner.scan(&[b'a', 16]), (vec![b'a'], false));
        assert_eq!(scanner.scan(b"b"), (vec![16, b'b'], false));
        assert_eq!(scanner.scan(&[16, 16, 17, b'x']), (vec![16], true));
    }
}
