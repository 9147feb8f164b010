//! Maps of sparse files: GNU's old one in the header, and the three of its pax forms (GNU tar manual, "Sparse Formats").

use super::header::number;
use super::pax::{Records, decimal};
use super::{BLOCK_BYTES, Fault, Piece, SPARSE_PIECES_MAX};

/// Where the old form keeps its first pieces in a header block.
const OLD_PIECES: std::ops::Range<usize> = 386..482;
/// Whether extension blocks follow the header.
const OLD_EXTENDED: usize = 482;
/// The size of the file with its holes.
const OLD_REAL_SIZE: std::ops::Range<usize> = 483..495;
/// The pieces of an extension block, and whether another follows.
const EXTENSION_PIECES: std::ops::Range<usize> = 0..504;
const EXTENSION_EXTENDED: usize = 504;
/// One piece: offset and length of 12 digits each.
const OLD_PIECE_BYTES: usize = 24;

/// A sparse file: its size with holes, and where its stored bytes belong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) size: u64,
    pub(super) pieces: Vec<Piece>,
}

impl Map {
    /// The old form: `next_block` gives the extension blocks that follow the header.
    pub(super) fn old(
        header: &[u8; BLOCK_BYTES],
        mut next_block: impl FnMut() -> Result<[u8; BLOCK_BYTES], Fault>,
    ) -> Result<Self, Fault> {
        let size = count(&header[OLD_REAL_SIZE])?;
        let mut pieces = Vec::new();
        old_pieces(&header[OLD_PIECES], &mut pieces)?;
        let mut extended = header[OLD_EXTENDED] != 0;
        while extended {
            let block = next_block()?;
            old_pieces(&block[EXTENSION_PIECES], &mut pieces)?;
            extended = block[EXTENSION_EXTENDED] != 0;
        }
        Ok(Map { size, pieces })
    }

    /// The pax forms 0.0 and 0.1: the map is in the records.
    pub(super) fn from_records(records: &Records, size: u64) -> Result<Self, Fault> {
        let numbers = match records.get(b"GNU.sparse.map") {
            Some(map) => map
                .split(|byte| *byte == b',')
                .map(decimal)
                .collect::<Result<Vec<u64>, Fault>>()?,
            None => records.sparse_pairs.clone(),
        };
        let stated = records
            .count(b"GNU.sparse.numblocks")?
            .ok_or(Fault::InvalidHeader)?;
        if !numbers.len().is_multiple_of(2) || numbers.len() as u64 / 2 != stated {
            return Err(Fault::InvalidHeader);
        }
        Ok(Map {
            size,
            pieces: pair_up(&numbers)?,
        })
    }

    /// The pax form 1.0: the map is a list of decimal lines, in whole blocks before the content.
    pub(super) fn from_content(
        size: u64,
        mut next_block: impl FnMut() -> Result<[u8; BLOCK_BYTES], Fault>,
    ) -> Result<Self, Fault> {
        let mut lines = Lines::default();
        while lines
            .values
            .first()
            .is_none_or(|pieces| lines.values.len() as u64 <= pieces.saturating_mul(2))
        {
            lines.take(&next_block()?)?;
        }
        let (pieces, numbers) = lines.values.split_first().ok_or(Fault::InvalidHeader)?;
        let numbers = usize::try_from(*pieces)
            .ok()
            .and_then(|pieces| numbers.get(..pieces * 2));
        Ok(Map {
            size,
            pieces: pair_up(numbers.ok_or(Fault::InvalidHeader)?)?,
        })
    }

    /// Takes the map if it describes `stored` bytes in order, without overlaps, within the size.
    pub(super) fn checked(self, stored: u64) -> Result<Self, Fault> {
        let (mut end, mut total) = (0u64, 0u64);
        for piece in &self.pieces {
            if piece.offset < end {
                return Err(Fault::InvalidHeader);
            }
            end = piece
                .offset
                .checked_add(piece.length)
                .ok_or(Fault::InvalidHeader)?;
            total = total.checked_add(piece.length).ok_or(Fault::InvalidHeader)?;
        }
        if end > self.size || total != stored || self.size > i64::MAX as u64 {
            return Err(Fault::InvalidHeader);
        }
        Ok(self)
    }
}

/// Decimal lines gathered block by block.
#[derive(Default)]
struct Lines {
    values: Vec<u64>,
    begun: Vec<u8>,
}

impl Lines {
    fn take(&mut self, block: &[u8; BLOCK_BYTES]) -> Result<(), Fault> {
        for byte in block {
            // Zeros fill the map's last block; digits cannot follow them.
            match byte {
                b'\n' => self.values.push(decimal(&std::mem::take(&mut self.begun))?),
                0 if self.begun.is_empty() => break,
                _ => self.begun.push(*byte),
            }
        }
        // 20 digits hold every size there is.
        if self.begun.len() > 20 || self.values.len() > SPARSE_PIECES_MAX * 2 + BLOCK_BYTES {
            return Err(Fault::InvalidHeader);
        }
        if self
            .values
            .first()
            .is_some_and(|pieces| *pieces > SPARSE_PIECES_MAX as u64)
        {
            return Err(Fault::InvalidHeader);
        }
        Ok(())
    }
}

fn old_pieces(fields: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Fault> {
    for field in fields.chunks_exact(OLD_PIECE_BYTES) {
        let (offset, length) = field.split_at(OLD_PIECE_BYTES / 2);
        // An unused field ends the list.
        if offset[0] == 0 {
            break;
        }
        if pieces.len() == SPARSE_PIECES_MAX {
            return Err(Fault::InvalidHeader);
        }
        pieces.push(Piece {
            offset: count(offset)?,
            length: count(length)?,
        });
    }
    Ok(())
}

fn pair_up(numbers: &[u64]) -> Result<Vec<Piece>, Fault> {
    if numbers.len() / 2 > SPARSE_PIECES_MAX {
        return Err(Fault::InvalidHeader);
    }
    Ok(numbers
        .chunks_exact(2)
        .map(|pair| Piece {
            offset: pair[0],
            length: pair[1],
        })
        .collect())
}

fn count(field: &[u8]) -> Result<u64, Fault> {
    number(field)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(Fault::InvalidHeader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &[u8]) -> impl FnMut() -> Result<[u8; BLOCK_BYTES], Fault> {
        let mut padded = text.to_vec();
        padded.resize(text.len().next_multiple_of(BLOCK_BYTES), 0);
        let mut blocks = padded.as_chunks::<BLOCK_BYTES>().0.to_vec().into_iter();
        move || blocks.next().ok_or(Fault::UnexpectedEof)
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
        let map = Map::from_content(1_000_000, blocks(format!("200\n{text}").as_bytes())).unwrap();
        assert_eq!(map.pieces, pieces.collect::<Vec<_>>());
        assert!(map.checked(1400).is_ok());
        assert_eq!(Map::from_content(5, blocks(b"0\n")).unwrap().pieces, []);
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
            assert!(
                Map::from_content(10, blocks(text)).is_err(),
                "{}",
                text.escape_ascii()
            );
        }
        let map = |pieces: &[(u64, u64)]| Map {
            size: 100,
            pieces: pieces
                .iter()
                .map(|(offset, length)| Piece {
                    offset: *offset,
                    length: *length,
                })
                .collect(),
        };
        assert!(map(&[(0, 10), (90, 10)]).checked(20).is_ok());
        assert!(
            map(&[(0, 10), (90, 10)]).checked(21).is_err(),
            "stored bytes without a place"
        );
        assert!(map(&[(0, 10), (5, 10)]).checked(20).is_err(), "overlap");
        assert!(map(&[(50, 10), (0, 10)]).checked(20).is_err(), "order");
        assert!(map(&[(95, 10)]).checked(10).is_err(), "beyond the end");
        assert!(map(&[(u64::MAX, 2)]).checked(2).is_err(), "overflow");
    }
}
