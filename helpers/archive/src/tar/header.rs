//! One header block, as it stands in the archive (tar(5)).

use super::{Block, invalid};
use protocol::Answer;
use std::ops::Range;

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

/// A header block whose checksum is right.
pub(super) struct Header(Block);

impl Header {
    /// Takes the block if its checksum is right.
    pub(super) fn new(block: Block) -> Answer<Self> {
        // Some old programs summed signed characters.
        let (unsigned, signed) = checksums(&block);
        let stated = number(&block[CHECKSUM]).filter(|stated| *stated == unsigned || *stated == signed);
        stated.map(|_| Header(block)).ok_or_else(invalid)
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[TYPE]
    }

    /// The name; POSIX headers have the first part of a long one in another field.
    pub(super) fn name(&self) -> Vec<u8> {
        let (name, prefix) = (text(&self.0[NAME]), text(&self.0[PREFIX]));
        let has_prefix = self.0[MAGIC].starts_with(b"ustar\0") && !prefix.is_empty();
        if has_prefix {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    /// A numeric field.
    pub(super) fn number(&self, field: Range<usize>) -> Answer<i64> {
        number(&self.0[field]).ok_or_else(invalid)
    }

    /// A numeric field that cannot be negative.
    pub(super) fn count(&self, field: Range<usize>) -> Answer<u64> {
        u64::try_from(self.number(field)?).map_err(|_| invalid())
    }

    /// Device numbers; headers of before POSIX have none.
    pub(super) fn device(&self) -> Answer<(u32, u32)> {
        let has_device = self.0[MAGIC].starts_with(b"ustar");
        let part = |field| u32::try_from(self.number(field)?).map_err(|_| invalid());
        if has_device {
            Ok((part(MAJOR)?, part(MINOR)?))
        } else {
            Ok((0, 0))
        }
    }

    /// The block, where it follows GNU's rules.
    pub(super) fn gnu_block(&self) -> Option<&Block> {
        Some(&self.0).filter(|block| &block[MAGIC] == b"ustar  \0")
    }
}

/// The sums of a block's bytes with the checksum field taken as spaces: unsigned and signed.
pub(super) fn checksums(block: &Block) -> (i64, i64) {
    let byte_at = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { b' ' } else { *byte };
    let bytes = || block.iter().enumerate().map(byte_at);
    (
        bytes().map(i64::from).sum(),
        bytes().map(|byte| i64::from(byte.cast_signed())).sum(),
    )
}

/// A field's text up to its first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number: octal digits, or GNU's big-endian two's complement where the first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => binary(field),
        Some(_) | None => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !blank(byte)) else {
        return Some(0);
    };
    let digits = text(&field[start..]).trim_ascii_end();
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn binary(field: &[u8]) -> Option<i64> {
    let negative = field.first()? & 0x40 != 0;
    // The first bit is only the mark; the second is the sign and fills it.
    let start: i64 = if negative { -1 } else { 0 };
    let first = i64::from(field.first()? & 0x3f);
    let start = start.checked_mul(64)?.checked_add(first)?;
    field.iter().skip(1).try_fold(start, |value, byte| {
        value.checked_mul(256)?.checked_add(i64::from(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000755\0"), Some(0o755));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"0009\0\0\0\0"), None);
        assert_eq!(number(b"+7\0"), None);
        assert_eq!(number(b"-7\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 2]), Some(258));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0x80, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(
            number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]),
            Some(-2)
        );
        assert_eq!(number(b"777777777777777777777777"), None);
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut block = [0u8; super::super::BLOCK_BYTES];
        block[0] = b'a';
        block[CHECKSUM].copy_from_slice(b"000541\0 ");
        assert!(Header::new(block).is_ok());
        block[1] = b'b';
        assert!(Header::new(block).is_err());
    }
}
