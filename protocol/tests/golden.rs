//! The exact bytes of the wire.
//!
//! A helper and a daemon of different builds must understand each other's handshake, and must find out by it that they
//! may not talk further. Everything after the handshake is free to change with
//! [`protocol::version::PROTOCOL_VERSION`], but never by accident: a variant that moved, a field that grew or a codec
//! that was exchanged shows here as changed bytes.

#![allow(clippy::expect_used, reason = "a broken expectation is a failed test")]

mod samples;

use protocol::codec::{decode, encode};
use protocol::error::ErrorCode;
use protocol::frame;
use protocol::handshake::{Hello, HelperKind, HostFacts, HostOs, MAGIC, Welcome};
use protocol::names::{Label, Text};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Answer, HelperError};
use samples::{Message, ask, bare_wires};
use std::fmt::Write;
use std::path::Path;

/// The recorded bytes of one value per variant.
const RECORDED: &str = "tests/golden/messages.txt";

/// FROZEN FOR EVER. A later version must send and read exactly these bytes; only the two version bytes after the magic
/// may differ. Where this fails, the change is wrong, not the test.
const HELLO: [(HelperKind, &str); 5] = [
    (HelperKind::Zfs, "43424c4b 0100 00000000"),
    (HelperKind::Jail, "43424c4b 0100 01000000"),
    (HelperKind::Net, "43424c4b 0100 02000000"),
    (HelperKind::Mount, "43424c4b 0100 03000000"),
    (HelperKind::Archive, "43424c4b 0100 04000000"),
];

/// FROZEN FOR EVER, as [`HELLO`].
const WELCOME_READY: &str = "00000000 01000000 \
     0600000000000000 362e312e3930 \
     0900000000000000 6f7665726c61796673 00 01";

/// FROZEN FOR EVER, as [`HELLO`]: this is how builds of different versions part.
const WELCOME_VERSION_MISMATCH: &str = "01000000 0201";

/// FROZEN FOR EVER, as [`HELLO`].
const WELCOME_WRONG_PEER: &str = "02000000";

/// FROZEN FOR EVER: the handshake travels in frames, so their header cannot change either.
const FRAME: &str = "03000000 0807060504030201 616263";

/// FROZEN FOR EVER: these numbers stand in audit logs. New codes are appended.
const ERROR_NUMBERS: [(ErrorCode, u16); 15] = [
    (ErrorCode::NotFound, 1),
    (ErrorCode::AlreadyExists, 2),
    (ErrorCode::Busy, 3),
    (ErrorCode::Refused, 4),
    (ErrorCode::Unsupported, 5),
    (ErrorCode::NoSpace, 6),
    (ErrorCode::BadContent, 7),
    (ErrorCode::System, 8),
    (ErrorCode::LimitReached, 9),
    (ErrorCode::CommandNotFound, 10),
    (ErrorCode::CommandNotExecutable, 11),
    (ErrorCode::Retired, 12),
    (ErrorCode::BadDescriptors, 13),
    (ErrorCode::NotDone, 14),
    (ErrorCode::AddressInUse, 15),
];

fn unhex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

#[test]
fn the_opening_to_each_helper_has_its_frozen_bytes() {
    for (to, hex) in HELLO {
        let hello = Hello {
            magic: MAGIC,
            version: 1,
            to,
        };
        assert_eq!(encode(&hello), Ok(unhex(hex)), "Hello to {}", to.name());
        assert_eq!(decode(&unhex(hex)), Ok(hello), "Hello to {}", to.name());
    }
}

#[test]
fn each_welcome_has_its_frozen_bytes() {
    let facts = HostFacts {
        os: HostOs::Linux,
        release: Label::new("6.1.90").expect("a label"),
        backend: Text::new("overlayfs").expect("a text"),
        runs_linux: false,
        enforces_limits: true,
    };
    let frozen = [
        (Welcome::Ready(facts), WELCOME_READY),
        (Welcome::VersionMismatch(0x0102), WELCOME_VERSION_MISMATCH),
        (Welcome::WrongPeer, WELCOME_WRONG_PEER),
    ];
    for (welcome, hex) in frozen {
        assert_eq!(encode(&welcome), Ok(unhex(hex)), "{welcome:?}");
        assert_eq!(decode(&unhex(hex)), Ok(welcome));
    }
}

#[test]
fn a_frame_has_its_frozen_bytes() {
    assert_eq!(frame::build(0x0102_0304_0506_0708, b"abc"), Ok(unhex(FRAME)));
}

#[test]
fn error_codes_keep_their_numbers() {
    let numbers = ERROR_NUMBERS.map(|(code, number)| (code, code as u16, number));
    for (code, is, frozen) in numbers {
        assert_eq!(is, frozen, "{code:?}");
    }
    let codes: Vec<ErrorCode> = ErrorCode::samples().into_iter().map(|(_, code)| code).collect();
    assert_eq!(
        codes,
        ERROR_NUMBERS.map(|(code, _)| code),
        "a new code needs a frozen number"
    );
}

#[test]
fn every_message_has_its_recorded_bytes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = std::fs::read_to_string(root.join(RECORDED)).unwrap_or_default();
    let current = table();
    if recorded == current {
        return;
    }
    let proposal = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages.txt");
    std::fs::write(&proposal, &current).expect("the proposal can be written");
    panic!(
        "the bytes of the wire changed:\n{}\nIf that is intended, raise PROTOCOL_VERSION (unless this version was never \
         released) and record the new bytes:\n    cp {} {}",
        differences(&recorded, &current),
        proposal.display(),
        root.join(RECORDED).display(),
    );
}

/// The bytes of every sample and of what carries them, as the recorded file holds them.
fn table() -> String {
    let mut text = format!("version {PROTOCOL_VERSION}\n");
    for wire in bare_wires() {
        for (variant, bytes) in wire.samples {
            add(&mut text, &format!("{}::{variant}", wire.name), &bytes);
        }
    }
    let refusal: Answer<()> = Err(HelperError::new(ErrorCode::Refused, "outside the policy"));
    let carried = [
        ("Ask", encode(&ask(0x0807_0605_0403_0201_u64))),
        ("Answer::Ok", encode(&Answer::Ok(0x0807_0605_0403_0201_u64))),
        ("Answer::Err", encode(&refusal)),
    ];
    for (name, bytes) in carried {
        add(&mut text, name, &bytes.expect("a small message"));
    }
    text
}

/// Appends one entry: its name, then its bytes in rows of sixteen with what is printable beside them.
fn add(text: &mut String, name: &str, bytes: &[u8]) {
    writeln!(text, "\n{name}").expect("a string takes everything");
    for row in bytes.chunks(16) {
        let words = row.chunks(4).map(|word| {
            word.iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        });
        let words = words.collect::<Vec<_>>().join(" ");
        let printable = |byte: &u8| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '.'
            }
        };
        let characters: String = row.iter().map(printable).collect();
        writeln!(text, "  {words:<35}  {characters}").expect("a string takes everything");
    }
}

/// The entries of two tables that differ, old before new.
fn differences(old: &str, new: &str) -> String {
    let entries = |table: &str| {
        table
            .split("\n\n")
            .map(|entry| entry.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    let (old, new) = (entries(old), entries(new));
    let gone = old
        .iter()
        .filter(|entry| !new.contains(entry))
        .map(|entry| format!("- {entry}"));
    let come = new
        .iter()
        .filter(|entry| !old.contains(entry))
        .map(|entry| format!("+ {entry}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}
