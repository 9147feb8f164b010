//! Route netlink (rtnetlink(7)): messages, attributes, and one socket to the kernel.
//!
//! Every number in a message is in the host's byte order; attributes and messages are padded to four bytes.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, sendto, socket_with,
};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of a message's header: length, kind, flags, sequence number, port.
const HEADER_BYTES: usize = 16;
/// Bytes of an attribute's header: length, kind.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Room for one read, in bytes: the kernel fills at most 32 KiB of a dump at once.
const READ_BYTES: usize = 64 * 1024;
/// How often a dump that changed under way is repeated before its last state is taken.
const DUMP_ATTEMPTS: u32 = 5;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// The upper bits of an attribute's kind say how it is nested and ordered (linux/netlink.h).
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLA_F_NESTED: u16 = 0x8000;

/// Replace what is there.
pub(super) const NLM_F_REPLACE: u16 = 0x100;
/// Fail where it is there.
pub(super) const NLM_F_EXCL: u16 = 0x200;
/// Make it where it is not there.
pub(super) const NLM_F_CREATE: u16 = 0x400;

/// A message to the kernel being written.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A request with its fixed part.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Message(bytes)
    }

    /// A request for everything there is.
    pub(super) fn dump(kind: u16, fixed: &[u8]) -> Self {
        Message::new(kind, NLM_F_DUMP, fixed)
    }

    /// Appends an attribute.
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // Names, addresses and nests of them: far below the 65535 bytes that the length can say.
        let length = (ATTRIBUTE_HEADER_BYTES + value.len()) as u16;
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(padded(self.0.len()), 0);
        self
    }

    /// Appends a number.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Appends a text with the NUL that the kernel wants behind it.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Appends attributes within an attribute, behind the inner fixed part if it has one.
    pub(super) fn nest(self, kind: u16, fixed: &[u8], fill: impl FnOnce(Message) -> Message) -> Self {
        let inner = fill(Message(fixed.to_vec()));
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }

    /// The whole message under a sequence number, by which the answer is known.
    fn numbered(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = self.0.clone();
        bytes[0..4].copy_from_slice(&(self.0.len() as u32).to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        bytes
    }
}

/// One message of the kernel's answer, without its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply(pub(super) Vec<u8>);

impl Reply {
    /// The attributes behind a fixed part of `fixed` bytes: kind and value.
    pub(super) fn attributes(&self, fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
        attributes(self.0.get(fixed..).unwrap_or(&[]))
    }

    /// The byte at `at` of the fixed part; 0 behind its end.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The number at `at` of the fixed part; 0 behind its end.
    pub(super) fn number(&self, at: usize) -> u32 {
        u32_at(&self.0, at).unwrap_or(0)
    }
}

/// The attributes in a run of bytes; stops at the first that does not fit.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & NLA_TYPE_MASK;
        let value = rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
        rest = rest.get(padded(length)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The text in an attribute, without its NUL.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).ok()
}

/// The kernel's address.
const KERNEL: SocketAddrNetlink = SocketAddrNetlink::new(0, 0);

/// A socket that talks to the kernel only.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Socket { fd, sequence: 0 }
    }
}

impl Socket {
    /// Opens it in the network namespace of this process.
    ///
    /// # Errors
    /// What socket(2) or connect(2) gives.
    pub(super) fn open() -> Result<Self> {
        // The default protocol, 0, is route netlink.
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // Connected to port 0, the kernel, it takes no message from another process.
        connect(&fd, &KERNEL)?;
        Ok(Socket::from(fd))
    }

    /// The descriptor.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends one request and gives what the kernel answers before its acknowledgement.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(super) fn ask(&mut self, message: &Message) -> Result<Vec<Reply>> {
        for _ in 1..DUMP_ATTEMPTS {
            let answer = self.ask_once(message)?;
            if answer.whole {
                return Ok(answer.replies);
            }
        }
        self.ask_once(message).map(|answer| answer.replies)
    }

    fn ask_once(&mut self, message: &Message) -> Result<Answer> {
        self.sequence = self.sequence.wrapping_add(1);
        // With an address the kernel judges by this process's capabilities, not by those of the socket's maker, who was
        // somebody else where the socket comes from a jail (netlink_ns_capable).
        let bytes = message.numbered(self.sequence);
        sendto(&self.fd, &bytes, SendFlags::empty(), &KERNEL)?;
        let mut answer = Answer {
            sequence: self.sequence,
            replies: Vec::new(),
            whole: true,
        };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let (count, _) = recv(&self.fd, &mut buffer[..], RecvFlags::empty())?;
            if answer.take(&buffer[..count])? {
                return Ok(answer);
            }
        }
    }
}

/// What was read of an answer so far.
struct Answer {
    sequence: u32,
    replies: Vec<Reply>,
    /// False where the kernel said that the dumped things changed under way.
    whole: bool,
}

impl Answer {
    /// Takes one datagram; whether it ended the answer.
    fn take(&mut self, mut rest: &[u8]) -> Result<bool> {
        while let Some(length) = u32_at(rest, 0) {
            let body = rest
                .get(HEADER_BYTES..length as usize)
                .ok_or(ErrorKind::InvalidData)?;
            let (kind, flags) = (u16_at(rest, 4).unwrap_or(0), u16_at(rest, 6).unwrap_or(0));
            let sequence = u32_at(rest, 8).unwrap_or(0);
            rest = rest.get(padded(length as usize)..).unwrap_or(&[]);
            if sequence != self.sequence {
                // A late part of an answer that was given up.
                continue;
            }
            self.whole &= flags & NLM_F_DUMP_INTR == 0;
            match kind {
                // Both hold a negative error number, 0 for success.
                NLMSG_ERROR | NLMSG_DONE => match u32_at(body, 0).map_or(0, u32::cast_signed) {
                    0 => return Ok(true),
                    errno => return Err(Error::from_raw_os_error(errno.wrapping_neg())),
                },
                _ => self.replies.push(Reply(body.to_vec())),
            }
        }
        Ok(false)
    }
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were_written() {
        let message = Message::new(16, NLM_F_CREATE, &[7; 16])
            .text(3, "cbbr0")
            .nest(18, &[9; 4], |nest| nest.number(1, 1500).bytes(2, &[1]));
        let bytes = message.numbered(5);
        assert_eq!(u32_at(&bytes, 0), Some(bytes.len() as u32));
        assert_eq!(bytes.len() % 4, 0);
        let reply = Reply(bytes[HEADER_BYTES..].to_vec());
        let found: Vec<_> = reply.attributes(16).collect();
        assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [3, 18]);
        assert_eq!(text(found[0].1), Some("cbbr0"));
        let inner: Vec<_> = attributes(&found[1].1[4..]).collect();
        assert_eq!(u32_at(inner[0].1, 0), Some(1500));
        assert_eq!(inner[1], (2, &[1][..]));
    }

    #[test]
    fn an_attribute_longer_than_its_message_ends_the_reading() {
        for broken in [&[9u8, 0, 1, 0, 5][..], &[3, 0, 1, 0], &[0, 0, 0, 0], &[4]] {
            assert_eq!(attributes(broken).count(), 0, "{broken:?}");
        }
    }

    fn header(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = Message::new(kind, 0, body).numbered(sequence);
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    #[test]
    fn an_answer_ends_with_its_own_acknowledgement() {
        let mut answer = Answer {
            sequence: 4,
            replies: Vec::new(),
            whole: true,
        };
        assert!(
            !answer.take(&header(NLMSG_DONE, 0, 3, &[0; 4])).unwrap(),
            "another request's end"
        );
        assert!(!answer.take(&header(16, NLM_F_DUMP_INTR, 4, b"link")).unwrap());
        assert!(answer.take(&header(NLMSG_ERROR, 0, 4, &[0; 4])).unwrap());
        assert_eq!(answer.replies, [Reply(b"link".to_vec())]);
        assert!(!answer.whole);
    }

    #[test]
    fn the_kernels_error_number_is_the_error() {
        let mut answer = Answer {
            sequence: 1,
            replies: Vec::new(),
            whole: true,
        };
        let refused = answer.take(&header(NLMSG_ERROR, 0, 1, &(-17i32).to_ne_bytes()));
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(17));
    }

    #[test]
    fn a_message_that_claims_more_than_was_read_is_invalid() {
        let mut answer = Answer {
            sequence: 1,
            replies: Vec::new(),
            whole: true,
        };
        let mut bytes = header(16, 0, 1, b"link");
        bytes[0] = 200;
        assert_eq!(answer.take(&bytes).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
