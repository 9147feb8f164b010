//! `zfs_cmd_t`, the fixed part of every ZFS ioctl, as bytes with named places.
//!
//! Offsets are those of OpenZFS `include/sys/zfs_ioctl.h` on 64-bit FreeBSD, where the structure has 4528 bytes; they are the
//! same in OpenZFS 2.1 to 2.4 for every field used here. The kernel copies its own idea of the size in and out
//! whatever we say, so the buffer is larger than any version's structure.
#![forbid(unsafe_code)]

/// Bytes of the buffer: OpenZFS 2.3.1 had the largest structure so far with 4544.
pub const COMMAND_BYTES: usize = 8192;

/// Where fields lie, in bytes from the start.
mod at {
    pub(super) const NAME: usize = 0;
    pub(super) const SOURCE: usize = 1024;
    pub(super) const SOURCE_SIZE: usize = 1032;
    pub(super) const DESTINATION: usize = 1040;
    pub(super) const DESTINATION_SIZE: usize = 1048;
    pub(super) const VALUE: usize = 1072;
    pub(super) const COOKIE: usize = 3400;
    /// `zc_objset_stats.dds_origin`: 31 bytes into the statistics at 3488.
    pub(super) const ORIGIN: usize = 3519;
    pub(super) const SIMPLE: usize = 4452;
}

/// Bytes of `zc_name` (MAXPATHLEN).
const NAME_BYTES: usize = 1024;

/// Bytes of `zc_value` (twice MAXPATHLEN).
const VALUE_BYTES: usize = 2048;

/// Bytes of a full dataset or snapshot name with its NUL (ZFS_MAX_DATASET_NAME_LEN).
pub const FULL_NAME_BYTES: usize = 256;

/// One command, zero but for what was set.
#[derive(Debug, Clone)]
pub struct Command(Box<[u8; COMMAND_BYTES]>);

impl Command {
    /// A command on the dataset, snapshot or pool `name`, of which at most [`FULL_NAME_BYTES`] less one are kept.
    #[must_use]
    pub fn on(name: &str) -> Self {
        let mut command = Command(Box::new([0; COMMAND_BYTES]));
        command.set_name(name);
        command
    }

    /// Names another object; listings overwrite the name with what they found.
    pub fn set_name(&mut self, name: &str) {
        self.set_text(at::NAME, NAME_BYTES, name);
    }

    /// The name, as the kernel left it; empty where it is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text(at::NAME, NAME_BYTES)
    }

    /// The origin that the statistics name; empty without one.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text(at::ORIGIN, FULL_NAME_BYTES)
    }

    /// Sets the statistics' origin, as the kernel does.
    #[cfg(test)]
    pub(super) fn set_origin(&mut self, origin: &str) {
        self.0[at::ORIGIN..at::ORIGIN + origin.len()].copy_from_slice(origin.as_bytes());
    }

    /// Where a listing goes on.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.number(at::COOKIE)
    }

    /// Sets where a listing goes on.
    pub fn set_cookie(&mut self, cookie: u64) {
        self.set_number(at::COOKIE, cookie);
    }

    /// Asks a listing of snapshots for names only.
    pub fn set_simple(&mut self) {
        self.0[at::SIMPLE] = 1;
    }

    /// Sets the second name of an operation, of which at most [`FULL_NAME_BYTES`] less one are kept.
    pub fn set_value(&mut self, name: &str) {
        self.set_text(at::VALUE, VALUE_BYTES, name);
    }

    /// The second name.
    #[cfg(test)]
    pub(super) fn value(&self) -> &str {
        self.text(at::VALUE, VALUE_BYTES)
    }

    /// Address and length of the packed input.
    pub fn set_source(&mut self, address: u64, bytes: u64) {
        self.set_number(at::SOURCE, address);
        self.set_number(at::SOURCE_SIZE, bytes);
    }

    /// Address and length of the buffer for packed output.
    pub fn set_destination(&mut self, address: u64, bytes: u64) {
        self.set_number(at::DESTINATION, address);
        self.set_number(at::DESTINATION_SIZE, bytes);
    }

    /// Bytes of packed output, after the call.
    #[must_use]
    pub fn destination_size(&self) -> u64 {
        self.number(at::DESTINATION_SIZE)
    }

    /// The bytes, for the kernel.
    pub fn bytes_mut(&mut self) -> &mut [u8; COMMAND_BYTES] {
        &mut self.0
    }

    fn text(&self, offset: usize, bytes_max: usize) -> &str {
        let bytes = &self.0[offset..offset + bytes_max];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes_max);
        std::str::from_utf8(&bytes[..end]).unwrap_or_default()
    }

    fn set_text(&mut self, offset: usize, bytes_max: usize, text: &str) {
        self.0[offset..offset + bytes_max].fill(0);
        let length = text.len().min(FULL_NAME_BYTES - 1);
        self.0[offset..offset + length].copy_from_slice(&text.as_bytes()[..length]);
    }

    fn number(&self, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[offset..offset + 8]);
        u64::from_le_bytes(bytes)
    }

    fn set_number(&mut self, offset: usize, number: u64) {
        self.0[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_name_leaves_nothing_of_a_longer_one() {
        let mut command = Command::on("zroot/cellblock/images/abc");
        command.set_name("zroot");
        assert_eq!(command.name(), "zroot");
        assert!(command.bytes_mut()[5..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_name_that_is_too_long_keeps_its_end_mark() {
        assert_eq!(Command::on(&"x".repeat(2000)).name().len(), FULL_NAME_BYTES - 1);
    }

    #[test]
    fn fields_lie_where_the_kernel_looks() {
        let mut command = Command::on("p");
        command.set_source(0x1122, 0x33);
        command.set_destination(0x4455, 0x66);
        command.set_cookie(0x77);
        command.set_simple();
        command.set_value("v");
        let bytes = command.bytes_mut();
        let places = [
            (0, b'p'),
            (1024, 0x22),
            (1025, 0x11),
            (1032, 0x33),
            (1040, 0x55),
            (1041, 0x44),
            (1048, 0x66),
            (1072, b'v'),
        ];
        for (offset, byte) in places.into_iter().chain([(3400, 0x77), (4452, 1)]) {
            assert_eq!(bytes[offset], byte, "byte {offset}");
        }
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 10);
        bytes[3519..3523].copy_from_slice(b"p/a@");
        assert_eq!(command.origin(), "p/a@");
    }
}
