//! Every variant of every message comes back as it was sent, by itself and inside what carries it.
//!
//! This file also proves the table of samples: nothing is tested for a message that the table has forgotten.

#![allow(clippy::expect_used, reason = "a broken expectation is a failed test")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod samples;

use protocol::codec::{Decode, Encode, decode, encode};
use protocol::handshake::{Hello, HelperKind};
use protocol::jail::{ProcessInfo, ProcessSpec, Request, Response};
use protocol::limits::{ARGUMENT_BLOCK_BYTES_MAX, ARGUMENTS_MAX, COMMAND_LINE_BYTES_MAX, FRAME_BYTES_MAX};
use protocol::limits::{ERROR_DETAIL_BYTES_MAX, PRINCIPAL_BYTES_MAX, PROCESSES_MAX};
use protocol::names::{Bounded, Label, Text};
use protocol::{Answer, CodecError, ErrorCode, HelperError};
use samples::{Message, Visitor, ask, visit_all};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

fn comes_back<T: Encode + Decode<()> + PartialEq + Debug>(what: &str, sent: &T) {
    let bytes = encode(sent).unwrap_or_else(|error| panic!("{what} does not encode: {error}"));
    let received: T = decode(&bytes).unwrap_or_else(|error| panic!("{what} does not decode: {error}"));
    assert_eq!(&received, sent, "{what} changed on the way");
}

#[test]
fn every_variant_comes_back_as_it_was_sent() {
    struct RoundTrip;
    impl Visitor for RoundTrip {
        fn visit<T: Message>(&mut self) {
            for (variant, sample) in T::samples() {
                comes_back(&format!("{}::{variant}", T::NAME), &sample);
                comes_back(&format!("Ask of {}::{variant}", T::NAME), &ask(sample.clone()));
                comes_back(&format!("Answer of {}::{variant}", T::NAME), &Answer::Ok(sample));
            }
            let refused: Answer<T> = Err(HelperError::new(ErrorCode::Refused, "outside the policy"));
            comes_back(&format!("refusal instead of {}", T::NAME), &refused);
        }
    }
    visit_all(&mut RoundTrip);
    for kind in HelperKind::ALL {
        comes_back("Hello", &Hello::new(kind));
    }
}

#[test]
fn an_error_with_every_code_comes_back_as_it_was_sent() {
    for (name, code) in ErrorCode::samples() {
        for errno in [None, Some(0), Some(i32::MIN)] {
            let detail = Text::cut(&"ä".repeat(ERROR_DETAIL_BYTES_MAX));
            comes_back(name, &HelperError { code, errno, detail });
        }
    }
}

#[test]
fn every_sample_is_of_the_variant_that_it_stands_for_and_rows_stand_in_wire_order() {
    struct Table;
    impl Visitor for Table {
        fn visit<T: Message>(&mut self) {
            for (position, (row, sample)) in T::samples().into_iter().enumerate() {
                let name = format!("{}::{row}", T::NAME);
                assert_eq!(
                    sample.variant(),
                    row,
                    "the sample of {name} is of another variant"
                );
                let tag = u32::try_from(position).unwrap().to_le_bytes();
                let bytes = encode(&sample).unwrap();
                assert_eq!(
                    bytes[..4],
                    tag,
                    "{name} does not stand at its position in the enum"
                );
            }
        }
    }
    visit_all(&mut Table);
}

/// Reads the sources, because the compiler does not count enums.
#[test]
fn no_enum_of_the_wire_is_missing_from_the_samples() {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        fn visit<T: Message>(&mut self) {
            self.0.insert(T::NAME.to_owned());
        }
    }
    let mut sampled = Names(BTreeSet::new());
    visit_all(&mut sampled);

    let mut declared = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let file = entry.unwrap().path();
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut is_encoded = false;
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if line.starts_with("#[derive(") {
                is_encoded = line.contains("Encode");
            } else if let Some(rest) = line.strip_prefix("pub enum ").filter(|_| is_encoded) {
                let name = rest.split([' ', '<']).next().unwrap();
                declared.insert(format!("{module}::{name}"));
            } else if line.starts_with("pub ") {
                is_encoded = false;
            }
        }
    }
    assert_eq!(sampled.0, declared, "left: with samples, right: declared in src/");
}

#[test]
fn a_process_with_the_largest_argument_block_fits_a_frame() {
    let Request::Launch { jail, process } = launch() else {
        panic!("the sample of Launch is something else");
    };
    let each = ARGUMENT_BLOCK_BYTES_MAX / ARGUMENTS_MAX;
    let half = vec![Text::new("x".repeat(each)).unwrap(); ARGUMENTS_MAX / 2];
    let process = Box::new(ProcessSpec {
        argv: Bounded::new(half.clone()).unwrap(),
        env: Bounded::new(half).unwrap(),
        ..*process
    });
    comes_back("the largest process", &ask(Request::Launch { jail, process }));
}

#[test]
fn the_longest_list_of_processes_fits_a_frame() {
    let process = ProcessInfo {
        pid: 1,
        ppid: 1,
        uid: 1,
        started_s: 1,
        cpu_s: 1,
        terminal: Label::new("t".repeat(PRINCIPAL_BYTES_MAX)).unwrap(),
        command: Text::new("c".repeat(COMMAND_LINE_BYTES_MAX)).unwrap(),
    };
    let all = Bounded::new(vec![process; PROCESSES_MAX]).unwrap();
    comes_back("the longest list", &Answer::Ok(Response::Processes(all)));
}

#[test]
fn a_message_over_the_frame_limit_is_not_encoded() {
    let Request::Launch { jail, process } = launch() else {
        panic!("the sample of Launch is something else");
    };
    let argument = Text::new("x".repeat(ARGUMENT_BLOCK_BYTES_MAX)).unwrap();
    let process = Box::new(ProcessSpec {
        argv: Bounded::new(vec![argument; 2]).unwrap(),
        ..*process
    });
    assert_eq!(
        encode(&Request::Launch { jail, process }),
        Err(CodecError::TooLong)
    );
}

#[test]
fn a_payload_of_exactly_the_frame_limit_is_decoded() {
    let bytes_of_count = 8;
    let text = "x".repeat(FRAME_BYTES_MAX - bytes_of_count);
    let bytes = encode(&text).unwrap();
    assert_eq!(bytes.len(), FRAME_BYTES_MAX);
    assert_eq!(decode::<String>(&bytes), Ok(text));
}

fn launch() -> Request {
    let launch = Request::samples()
        .into_iter()
        .find(|(variant, _)| *variant == "Launch");
    launch.expect("a sample of Launch").1
}
