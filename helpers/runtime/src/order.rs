//! The fixed layout in which a front tells its hand what to do.
//!
//! An order has no pointers and one length, which is checked against one constant. The hand re-checks every field it
//! uses: the front may have been taken over by what it decoded.

use protocol::limits::ARGUMENT_BLOCK_BYTES_MAX;

/// Numbers in an order.
pub const NUMBERS: usize = 16;
/// Texts in an order.
pub const TEXTS: usize = 6;
/// Bytes of one text with its NULs: PATH_MAX of FreeBSD.
pub const TEXT_BYTES: usize = 1024;
/// Bytes of the fixed part: operation, block length, numbers, texts.
pub const FIXED_BYTES: usize = 8 + NUMBERS * 8 + TEXTS * TEXT_BYTES;

/// One order.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Which operation; each helper has its own list.
    pub operation: u32,
    /// Plain numbers.
    pub numbers: [u64; NUMBERS],
    texts: [[u8; TEXT_BYTES]; TEXTS],
    block: Vec<u8>,
}

/// Why an order could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadOrder(pub &'static str);

impl std::fmt::Display for BadOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadOrder {}

impl Order {
    /// An order with all fields zero.
    #[must_use]
    pub fn new(operation: u32) -> Self {
        Order {
            operation,
            numbers: [0; NUMBERS],
            texts: [[0; TEXT_BYTES]; TEXTS],
            block: Vec::new(),
        }
    }

    /// Puts a text in place `index`.
    ///
    /// # Errors
    /// [`BadOrder`] where it does not fit with its NUL, or holds one.
    pub fn set_text(&mut self, index: usize, text: &str) -> Result<(), BadOrder> {
        let place = self.texts.get_mut(index).ok_or(BadOrder("no such text"))?;
        if text.len() >= TEXT_BYTES || text.contains('\0') {
            return Err(BadOrder("text does not fit an order"));
        }
        *place = [0; TEXT_BYTES];
        place[..text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    }

    /// The text in place `index`, up to its first NUL; what stands behind that must be NULs.
    ///
    /// # Errors
    /// [`BadOrder`] where the place is not a NUL-padded UTF-8 text.
    pub fn text(&self, index: usize) -> Result<&str, BadOrder> {
        let place = self.texts.get(index).ok_or(BadOrder("no such text"))?;
        let end = place
            .iter()
            .position(|b| *b == 0)
            .ok_or(BadOrder("text without an end"))?;
        if place[end..].iter().any(|b| *b != 0) {
            return Err(BadOrder("bytes after the end of a text"));
        }
        std::str::from_utf8(&place[..end]).map_err(|_| BadOrder("text is not UTF-8"))
    }

    /// Sets the block of NUL-ended strings.
    ///
    /// # Errors
    /// [`BadOrder`] where it is over [`ARGUMENT_BLOCK_BYTES_MAX`].
    pub fn set_block(&mut self, block: Vec<u8>) -> Result<(), BadOrder> {
        if block.len() > ARGUMENT_BLOCK_BYTES_MAX {
            return Err(BadOrder("block is too long"));
        }
        self.block = block;
        Ok(())
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// The order's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.block.len());
        bytes.extend_from_slice(&self.operation.to_le_bytes());
        // PANIC: set_block keeps the block far below 4 GiB, so the cast is exact.
        bytes.extend_from_slice(&(self.block.len() as u32).to_le_bytes());
        self.numbers
            .iter()
            .for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        self.texts.iter().for_each(|text| bytes.extend_from_slice(text));
        bytes.extend_from_slice(&self.block);
        bytes
    }

    /// Reads an order: exactly the fixed part and the announced block.
    ///
    /// # Errors
    /// [`BadOrder`] for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadOrder> {
        let (fixed, block) = bytes
            .split_at_checked(FIXED_BYTES)
            .ok_or(BadOrder("order is too short"))?;
        let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let mut order = Order::new(word(0));
        if word(4) as usize != block.len() || block.len() > ARGUMENT_BLOCK_BYTES_MAX {
            return Err(BadOrder("block length differs"));
        }
        for (index, number) in order.numbers.iter_mut().enumerate() {
            let at = 8 + index * 8;
            *number = u64::from(word(at)) | (u64::from(word(at + 4)) << 32);
        }
        for (index, text) in order.texts.iter_mut().enumerate() {
            let at = 8 + NUMBERS * 8 + index * TEXT_BYTES;
            text.copy_from_slice(&fixed[at..at + TEXT_BYTES]);
        }
        order.block = block.to_vec();
        Ok(order)
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Order({}, block of {} bytes)",
            self.operation,
            self.block.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_bytes() {
        let mut order = Order::new(7);
        order.numbers[15] = u64::MAX - 1;
        order.set_text(5, "väl").unwrap();
        order.set_block(b"a\0b\0".to_vec()).unwrap();
        let back = Order::from_bytes(&order.to_bytes()).unwrap();
        assert_eq!(back, order);
        assert_eq!(back.text(5), Ok("väl"));
    }

    #[test]
    fn lengths_that_do_not_agree_are_refused() {
        let mut bytes = Order::new(1).to_bytes();
        assert_eq!(
            Order::from_bytes(&bytes[..FIXED_BYTES - 1]),
            Err(BadOrder("order is too short"))
        );
        bytes.push(0);
        assert_eq!(Order::from_bytes(&bytes), Err(BadOrder("block length differs")));
    }

    #[test]
    fn bytes_hidden_behind_a_texts_end_are_refused() {
        let mut bytes = Order::new(1).to_bytes();
        bytes[8 + NUMBERS * 8 + 10] = b'x';
        assert_eq!(
            Order::from_bytes(&bytes).unwrap().text(0),
            Err(BadOrder("bytes after the end of a text"))
        );
    }
}
