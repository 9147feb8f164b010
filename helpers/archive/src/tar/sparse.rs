//! Maps of sparse files: GNU's old one in the header, and its pax form 1.0 before the content, which is what tar(1) of
//! GNU and of FreeBSD write (GNU tar manual, "Sparse Formats"). The pax forms before 1.0 are refused.

use super::header::{Header, number};
use super::pax::decimal;
use super::{BLOCK_BYTES, Block, Piece, SPARSE_PIECES_MAX, invalid};
use protocol::Answer;
use std::ops::Range;

/// Where a header block has the first pieces, whether extension blocks follow, and the size with holes.
const PIECES: Range<usize> = 386..482;
const EXTENDED: usize = 482;
const REAL_SIZE: Range<usize> = 483..495;
/// Where an extension block has pieces, and whether another follows.
const EXTENSION_PIECES: Range<usize> = 0..504;
const EXTENSION_EXTENDED: usize = 504;
/// One piece: offset and length of 12 digits each.
const PIECE_BYTES: usize = 24;
/// Digits of a number in a map before the content: no size has more.
const DIGITS_MAX: usize = 20;

/// The old form: size and pieces. `next_block` gives the extension blocks that follow the header.
pub(super) fn in_header(
    header: &Header,
    mut next_block: impl FnMut() -> Answer<Block>,
) -> Answer<(u64, Vec<Piece>)> {
    let block = header.gnu_block().ok_or_else(invalid)?;
    let mut pieces = Vec::new();
    let mut fields = block[PIECES].to_vec();
    let mut extended = block[EXTENDED] != 0;
    loop {
        // A field that begins with a NUL is unused and ends the list.
        for field in fields.chunks_exact(PIECE_BYTES).take_while(|field| field[0] != 0) {
            let (offset, length) = field.split_at(PIECE_BYTES / 2);
            pieces.push(Piece {
                offset: count(offset)?,
                length: count(length)?,
            });
        }
        if pieces.len() > SPARSE_PIECES_MAX {
            return Err(invalid());
        }
        if !extended {
            return Ok((count(&block[REAL_SIZE])?, pieces));
        }
        let extension = next_block()?;
        fields = extension[EXTENSION_PIECES].to_vec();
        extended = extension[EXTENSION_EXTENDED] != 0;
    }
}

/// The pax form 1.0: a list of decimal lines in whole blocks, which `next_block` takes off the content.
pub(super) fn in_content(mut next_block: impl FnMut() -> Answer<Block>) -> Answer<Vec<Piece>> {
    let (mut block, mut at) = ([0; BLOCK_BYTES], BLOCK_BYTES);
    let mut next = || {
        let mut digits = Vec::new();
        while digits.len() <= DIGITS_MAX {
            if at == BLOCK_BYTES {
                (block, at) = (next_block()?, 0);
            }
            at += 1;
            match block[at - 1] {
                b'\n' => return decimal(&digits),
                digit => digits.push(digit),
            }
        }
        Err(invalid())
    };
    let count = next()?;
    if count > SPARSE_PIECES_MAX as u64 {
        return Err(invalid());
    }
    (0..count)
        .map(|_| {
            Ok(Piece {
                offset: next()?,
                length: next()?,
            })
        })
        .collect()
}

/// Takes the pieces if they describe `stored` bytes in order, without overlaps, within the size.
pub(super) fn check(size: u64, pieces: &[Piece], stored: u64) -> Answer<()> {
    let (mut end, mut total) = (0u64, 0u64);
    for piece in pieces {
        let is_behind = piece.offset >= end;
        end = piece
            .offset
            .checked_add(piece.length)
            .filter(|_| is_behind)
            .ok_or_else(invalid)?;
        total = total.checked_add(piece.length).ok_or_else(invalid)?;
    }
    let fits = end <= size && total == stored && i64::try_from(size).is_ok();
    if fits { Ok(()) } else { Err(invalid()) }
}

fn count(field: &[u8]) -> Answer<u64> {
    let value = number(field).and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &[u8]) -> impl FnMut() -> Answer<Block> {
        let mut padded = text.to_vec();
        padded.resize(text.len().next_multiple_of(BLOCK_BYTES), 0);
        let mut blocks = padded.as_chunks::<BLOCK_BYTES>().0.to_vec().into_iter();
        move || blocks.next().ok_or_else(invalid)
    }

    #[test]
    fn a_map_before_the_content_is_read_over_block_ends() {
        let pieces = (0..200u64).map(|at| Piece {
            offset: at * 1000,
            length: 7,
        });
        let text: String = pieces
            .clone()
            .map(|piece| format!("{}\n{}\n", piece.offset, piece.length))
            .collect();
        let found = in_content(blocks(format!("200\n{text}").as_bytes())).unwrap();
        assert_eq!(found, pieces.collect::<Vec<_>>());
        assert!(check(1_000_000, &found, 1400).is_ok());
        assert_eq!(in_content(blocks(b"0\n")).unwrap(), []);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for text in [
            &b"2\n0\n1\n"[..],
            b"99999999\n0\n1\n",
            b"x\n",
            b"-1\n",
            b"1\n0\n\n",
            &[b'1'; 600],
        ] {
            assert!(in_content(blocks(text)).is_err(), "{}", text.escape_ascii());
        }
        let fits = |pieces: &[(u64, u64)], stored| {
            let piece = |(offset, length): &(u64, u64)| Piece {
                offset: *offset,
                length: *length,
            };
            check(100, &pieces.iter().map(piece).collect::<Vec<_>>(), stored).is_ok()
        };
        assert!(fits(&[(0, 10), (90, 10)], 20));
        assert!(!fits(&[(0, 10), (90, 10)], 21), "stored bytes without a place");
        assert!(!fits(&[(0, 10), (5, 10)], 20), "overlap");
        assert!(!fits(&[(50, 10), (0, 10)], 20), "order");
        assert!(!fits(&[(95, 10)], 10), "beyond the end");
        assert!(!fits(&[(u64::MAX, 2)], 2), "overflow");
    }
}
