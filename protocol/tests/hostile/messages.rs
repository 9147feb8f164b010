//! Messages cut short, prolonged and with tags that nobody knows.

use crate::all_wires;
use crate::samples::bare_wires;
use protocol::codec::{decode, encode};
use protocol::handshake::{Hello, HelperKind};
use protocol::limits::FRAME_BYTES_MAX;
use protocol::{Answer, CodecError, ErrorCode, HelperError};
use std::net::IpAddr;

fn is_malformed<T>(result: &Result<T, CodecError>) -> bool {
    matches!(result, Err(CodecError::Malformed(_)))
}

#[test]
fn a_message_cut_short_anywhere_is_refused() {
    for wire in all_wires() {
        for (variant, bytes) in &wire.samples {
            for length in 0..bytes.len() {
                let result = (wire.reencode)(&bytes[..length]);
                assert!(
                    is_malformed(&result),
                    "{}::{variant} cut to {length} bytes: {result:?}",
                    wire.name
                );
            }
        }
    }
    let hello = encode(&Hello::new(HelperKind::Zfs)).unwrap();
    for length in 0..hello.len() {
        assert!(
            is_malformed(&decode::<Hello>(&hello[..length])),
            "Hello cut to {length} bytes"
        );
    }
    let error = encode(&Answer::<()>::Err(HelperError::new(ErrorCode::Busy, "mounted"))).unwrap();
    for length in 0..error.len() {
        assert!(
            is_malformed(&decode::<Answer<()>>(&error[..length])),
            "error cut to {length} bytes"
        );
    }
}

#[test]
fn bytes_after_a_message_are_refused() {
    for wire in all_wires() {
        for (variant, bytes) in wire.samples {
            for extra in [1, 4, 4096] {
                let mut longer = bytes.clone();
                longer.resize(bytes.len() + extra, 0);
                let result = (wire.reencode)(&longer);
                assert_eq!(
                    result,
                    Err(CodecError::Trailing(extra)),
                    "{}::{variant}",
                    wire.name
                );
            }
        }
    }
}

#[test]
fn two_messages_in_one_payload_are_refused() {
    for wire in all_wires() {
        for (variant, bytes) in wire.samples {
            let twice = bytes.repeat(2);
            let result = (wire.reencode)(&twice);
            assert_eq!(
                result,
                Err(CodecError::Trailing(bytes.len())),
                "{}::{variant}",
                wire.name
            );
        }
    }
}

#[test]
fn tags_of_no_variant_are_refused() {
    for wire in bare_wires() {
        let first_free = u32::try_from(wire.samples.len()).unwrap();
        for tag in [first_free, first_free + 1, 0x100, 0x8000_0000, u32::MAX] {
            // The rest of a message follows, so that only the tag can be at fault.
            for (_, bytes) in &wire.samples {
                let mut changed = bytes.clone();
                changed[..4].copy_from_slice(&tag.to_le_bytes());
                let result = (wire.reencode)(&changed);
                assert!(is_malformed(&result), "{} with tag {tag}: {result:?}", wire.name);
            }
        }
    }
}

#[test]
fn an_answer_that_is_neither_good_nor_bad_is_refused() {
    assert_eq!(decode::<Answer<u8>>(&[0, 0, 0, 0, 7]), Ok(Ok(7)));
    for tag in [2, u32::MAX] {
        let bytes = encode(&(tag, 7_u8)).unwrap();
        assert!(is_malformed(&decode::<Answer<u8>>(&bytes)), "tag {tag}");
    }
}

#[test]
fn switches_and_options_have_one_spelling_each() {
    for byte in 2..=u8::MAX {
        assert!(is_malformed(&decode::<bool>(&[byte])), "a switch of {byte}");
        assert!(
            is_malformed(&decode::<Option<u8>>(&[byte, 0])),
            "an option of {byte}"
        );
    }
}

#[test]
fn addresses_of_no_family_are_refused() {
    let sixteen_bytes = 1_u128;
    for family in [2, 10, u32::MAX] {
        let bytes = encode(&(family, sixteen_bytes)).unwrap();
        assert!(is_malformed(&decode::<IpAddr>(&bytes)), "family {family}");
    }
}

#[test]
fn a_payload_over_the_frame_limit_is_refused_unread() {
    let zeros = vec![0; FRAME_BYTES_MAX + 1];
    assert_eq!(decode::<[u8; 4]>(&zeros), Err(CodecError::TooLong));
    for wire in all_wires() {
        assert_eq!((wire.reencode)(&zeros), Err(CodecError::TooLong), "{}", wire.name);
    }
}
