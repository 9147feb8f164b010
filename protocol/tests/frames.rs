//! Frames over a real socketpair: delivery in pieces, ends of the connection, oversized headers, descriptors.
//!
//! A process of its own, because a test here counts the descriptors of the process.

#![allow(clippy::expect_used, reason = "a broken expectation is a failed test")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use protocol::fd::{Received, receive_frame, send_frame};
use protocol::frame::{HEADER_BYTES, Header, Oversized, build, parse_header};
use protocol::limits::{FRAME_BYTES_MAX, FRAME_DESCRIPTORS_MAX};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{ErrorKind, IoSlice, PipeReader, PipeWriter, Read, Write, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread;

/// More than one frame may carry, as a peer with its own sender could attach.
const HOSTILE_DESCRIPTORS_MAX: usize = 64;

/// Times that hostile descriptors are sent, so that a leak of one per frame stands out from what other tests hold.
const LEAK_ROUNDS: usize = 150;

fn sockets() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

fn receive(socket: &UnixStream) -> Received {
    receive_frame(socket).unwrap().expect("a frame")
}

fn refusal(socket: &UnixStream) -> ErrorKind {
    receive_frame(socket).expect_err("this is no frame").kind()
}

/// Sends bytes with any number of descriptors, past our own checks.
fn send_raw(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HOSTILE_DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, bytes.len());
}

/// Fails where anybody in this process still holds a copy of the pipe's writing end: then the pipe does not end.
fn assert_closed_everywhere(mut reading: PipeReader, writing: PipeWriter) {
    drop(writing);
    rustix::io::ioctl_fionbio(&reading, true).unwrap();
    let end = reading.read(&mut [0]);
    assert!(matches!(end, Ok(0)), "a descriptor leaked: {end:?}");
}

#[test]
fn a_header_announces_at_most_the_frame_limit() {
    let header = |length: u32| {
        let mut bytes = [0xff; HEADER_BYTES];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        parse_header(bytes)
    };
    let id = u64::MAX;
    assert_eq!(header(0), Ok(Header { length: 0, id }));
    let limit = u32::try_from(FRAME_BYTES_MAX).unwrap();
    assert_eq!(header(limit).map(|header| header.length), Ok(FRAME_BYTES_MAX));
    for length in [limit + 1, 1 << 31, u32::MAX] {
        assert_eq!(header(length), Err(Oversized(length)));
    }
}

#[test]
fn an_oversized_payload_is_not_sent() {
    let (ours, theirs) = sockets();
    let payload = vec![0; FRAME_BYTES_MAX + 1];
    assert!(build(1, &payload).is_err());
    let error = send_frame(&ours, 1, &payload, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(ours);
    assert!(receive_frame(&theirs).unwrap().is_none(), "something was sent");
}

/// The peer stays connected and sends no payload: whoever believed the header would wait for it.
#[test]
fn an_oversized_header_is_refused_without_waiting_for_its_payload() {
    for length in [u32::try_from(FRAME_BYTES_MAX).unwrap() + 1, u32::MAX] {
        let (mut ours, theirs) = sockets();
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        ours.write_all(&header).unwrap();
        assert_eq!(refusal(&theirs), ErrorKind::InvalidData, "length {length}");
    }
}

#[test]
fn frames_of_every_size_arrive_whole_and_in_order() {
    let sizes = [0, 1, 11, 12, 13, 4096, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX, 0];
    let (ours, theirs) = sockets();
    let sender = thread::spawn(move || {
        for (id, size) in (7..).zip(sizes) {
            send_frame(&ours, id, &vec![0x5a; size], &[]).unwrap();
        }
    });
    for (id, size) in (7..).zip(sizes) {
        let frame = receive(&theirs);
        assert_eq!(frame.id, id);
        assert!(frame.payload == vec![0x5a; size], "frame of {size} bytes changed");
        assert!(frame.fds.is_empty());
    }
    sender.join().unwrap();
    assert!(
        receive_frame(&theirs).unwrap().is_none(),
        "a clean end is no error"
    );
}

#[test]
fn a_frame_delivered_byte_by_byte_arrives_whole() {
    let (mut ours, theirs) = sockets();
    let sender = thread::spawn(move || {
        for byte in build(9, b"payload").unwrap() {
            ours.write_all(&[byte]).unwrap();
            thread::yield_now();
        }
        ours
    });
    let frame = receive(&theirs);
    assert_eq!((frame.id, frame.payload.as_slice()), (9, b"payload".as_slice()));
    drop(sender.join().unwrap());
    assert!(receive_frame(&theirs).unwrap().is_none());
}

#[test]
fn an_end_anywhere_inside_a_frame_is_an_error_and_between_frames_is_not() {
    let frame = build(9, b"payload").unwrap();
    for length in 0..frame.len() {
        let (mut ours, theirs) = sockets();
        ours.write_all(&frame[..length]).unwrap();
        drop(ours);
        if length == 0 {
            assert!(receive_frame(&theirs).unwrap().is_none());
        } else {
            assert_eq!(
                refusal(&theirs),
                ErrorKind::UnexpectedEof,
                "ended after {length} bytes"
            );
        }
    }
}

#[test]
fn sending_to_a_closed_connection_is_an_error_and_no_signal() {
    let (ours, theirs) = sockets();
    drop(theirs);
    let error = send_frame(&ours, 1, b"x", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn descriptors_arrive_with_their_frame_in_order_and_close_on_exec() {
    for count in 0..=FRAME_DESCRIPTORS_MAX {
        let (ours, theirs) = sockets();
        let (mut readings, writings): (Vec<_>, Vec<_>) = (0..count).map(|_| pipe().unwrap()).unzip();
        let lent: Vec<_> = writings.iter().map(AsFd::as_fd).collect();
        send_frame(&ours, 1, b"before", &[]).unwrap();
        send_frame(&ours, 2, b"with", &lent).unwrap();
        send_frame(&ours, 3, b"after", &[]).unwrap();
        drop(writings);

        assert!(receive(&theirs).fds.is_empty(), "descriptors came too early");
        let frame = receive(&theirs);
        assert_eq!((frame.id, frame.payload.as_slice()), (2, b"with".as_slice()));
        assert_eq!(frame.fds.len(), count);
        assert!(receive(&theirs).fds.is_empty(), "descriptors came twice");

        for (number, (fd, reading)) in (0_u8..).zip(frame.fds.into_iter().zip(&mut readings)) {
            assert_eq!(fcntl_getfd(&fd).unwrap(), FdFlags::CLOEXEC);
            PipeWriter::from(fd).write_all(&[number]).unwrap();
            let mut written = Vec::new();
            reading.read_to_end(&mut written).unwrap();
            assert_eq!(written, [number], "descriptors changed places");
        }
    }
}

#[test]
fn descriptors_arrive_with_a_frame_in_pieces() {
    let (mut ours, theirs) = sockets();
    let (reading, writing) = pipe().unwrap();
    let bytes = build(9, b"payload").unwrap();
    send_raw(&ours, &bytes[..1], &[writing.as_fd()]);
    ours.write_all(&bytes[1..]).unwrap();
    let frame = receive(&theirs);
    assert_eq!(
        (frame.payload.as_slice(), frame.fds.len()),
        (b"payload".as_slice(), 1)
    );
    drop(frame);
    assert_closed_everywhere(reading, writing);
}

#[test]
fn too_many_descriptors_are_not_sent() {
    let (ours, theirs) = sockets();
    let (reading, writing) = pipe().unwrap();
    let lent = [writing.as_fd(); FRAME_DESCRIPTORS_MAX + 1];
    let error = send_frame(&ours, 1, b"x", &lent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(ours);
    assert!(receive_frame(&theirs).unwrap().is_none(), "something was sent");
    assert_closed_everywhere(reading, writing);
}

#[test]
fn a_frame_with_too_many_descriptors_is_refused_and_all_are_closed() {
    for count in FRAME_DESCRIPTORS_MAX + 1..=HOSTILE_DESCRIPTORS_MAX {
        let (ours, theirs) = sockets();
        let (reading, writing) = pipe().unwrap();
        send_raw(&ours, &build(1, b"x").unwrap(), &vec![writing.as_fd(); count]);
        assert_eq!(refusal(&theirs), ErrorKind::InvalidData, "{count} descriptors");
        assert_closed_everywhere(reading, writing);
    }
}

#[test]
fn descriptors_behind_the_header_are_refused_and_closed() {
    let bytes = build(1, b"payload").unwrap();
    for split in HEADER_BYTES..bytes.len() {
        let (ours, theirs) = sockets();
        let (reading, writing) = pipe().unwrap();
        send_raw(&ours, &bytes[..split], &[]);
        send_raw(&ours, &bytes[split..], &[writing.as_fd()]);
        assert_eq!(
            refusal(&theirs),
            ErrorKind::InvalidData,
            "descriptor after {split} bytes"
        );
        drop((ours, theirs));
        assert_closed_everywhere(reading, writing);
    }
}

/// Otherwise a frame could collect any number of them, a few with each byte.
#[test]
fn descriptors_in_two_places_of_one_frame_are_refused_and_closed() {
    let bytes = build(1, b"payload").unwrap();
    for split in 1..bytes.len() {
        let (ours, theirs) = sockets();
        let (reading, writing) = pipe().unwrap();
        send_raw(&ours, &bytes[..split], &[writing.as_fd()]);
        send_raw(&ours, &bytes[split..], &[writing.as_fd()]);
        assert_eq!(
            refusal(&theirs),
            ErrorKind::InvalidData,
            "again after {split} bytes"
        );
        drop((ours, theirs));
        assert_closed_everywhere(reading, writing);
    }
}

#[test]
fn descriptors_of_a_frame_that_is_refused_are_closed() {
    let cut = build(1, b"payload").unwrap()[..15].to_vec();
    let oversized = [0xff; HEADER_BYTES].to_vec();
    for bytes in [cut, oversized] {
        let (ours, theirs) = sockets();
        let (reading, writing) = pipe().unwrap();
        send_raw(&ours, &bytes, &[writing.as_fd(); FRAME_DESCRIPTORS_MAX]);
        drop(ours);
        refusal(&theirs);
        assert_closed_everywhere(reading, writing);
    }
}

#[test]
fn hostile_descriptors_do_not_fill_the_table_of_descriptors() {
    let Some(before) = open_descriptors() else {
        println!("SKIPPED hostile_descriptors_do_not_fill_the_table_of_descriptors: no /proc/self/fd here");
        return;
    };
    let (_reading, writing) = pipe().unwrap();
    let bytes = build(1, b"payload").unwrap();
    for _ in 0..LEAK_ROUNDS {
        for count in [
            1,
            FRAME_DESCRIPTORS_MAX,
            FRAME_DESCRIPTORS_MAX + 1,
            HOSTILE_DESCRIPTORS_MAX,
        ] {
            let (ours, theirs) = sockets();
            send_raw(&ours, &bytes, &vec![writing.as_fd(); count]);
            drop(receive_frame(&theirs));
        }
    }
    let after = open_descriptors().unwrap();
    assert!(
        after < before + LEAK_ROUNDS,
        "{before} descriptors before, {after} after"
    );
}

/// Descriptors of this process, those of tests beside this one too.
fn open_descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}
