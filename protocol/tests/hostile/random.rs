//! Random bytes and damaged messages, the same ones in every run.

use crate::all_wires;
use crate::samples::Wire;
use protocol::CodecError;

/// Inputs of each way of making them, for each message type: over 100,000 in all, in a few seconds.
const ROUNDS: usize = 400;

/// Longer inputs only add bytes after the message.
const RANDOM_BYTES_MAX: usize = 96;

/// Splitmix64 (Steele, Lea, Flood 2014): enough for tests, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("less than a usize")
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(RANDOM_BYTES_MAX);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// What became of the inputs.
#[derive(Default)]
struct Tally {
    taken: usize,
    refused: usize,
}

impl Tally {
    /// Decodes `input`; what is taken must be the only spelling of its value.
    fn feed(&mut self, wire: &Wire, input: &[u8]) {
        match (wire.reencode)(input) {
            Ok(again) => {
                assert_eq!(again, input, "{} has two spellings of one value", wire.name);
                self.taken += 1;
            }
            Err(CodecError::Malformed(_) | CodecError::Trailing(_)) => self.refused += 1,
            Err(CodecError::TooLong) => panic!("{} called {} bytes too long", wire.name, input.len()),
        }
    }
}

#[test]
fn random_bytes_never_panic_and_have_one_spelling() {
    let mut random = Random(1);
    let mut tally = Tally::default();
    for wire in all_wires() {
        for _ in 0..ROUNDS {
            tally.feed(&wire, &random.bytes());
        }
    }
    assert!(tally.refused > 1_000, "{} refused", tally.refused);
}

/// Random bytes behind a good tag get past the first check.
#[test]
fn random_bytes_behind_a_good_tag_never_panic_and_have_one_spelling() {
    let mut random = Random(2);
    let mut tally = Tally::default();
    for wire in all_wires() {
        for _ in 0..ROUNDS {
            let (_, sample) = &wire.samples[random.below(wire.samples.len())];
            let mut input = sample[..4].to_vec();
            input.extend(random.bytes());
            // Small numbers are likelier to be good counts, switches and tags.
            for byte in input.iter_mut().skip(4) {
                *byte &= [0xff, 0x0f, 0x01, 0x00][random.below(4)];
            }
            tally.feed(&wire, &input);
        }
    }
    assert!(tally.refused > 1_000, "{} refused", tally.refused);
}

#[test]
fn damaged_messages_never_panic_and_have_one_spelling() {
    let mut random = Random(3);
    let mut tally = Tally::default();
    for wire in all_wires() {
        for _ in 0..2 * ROUNDS {
            let (_, sample) = &wire.samples[random.below(wire.samples.len())];
            let mut input = sample.clone();
            for _ in 0..=random.below(3) {
                damage(&mut random, &mut input);
            }
            tally.feed(&wire, &input);
        }
    }
    // Both outcomes must be common, or this test looks at one side only.
    assert!(tally.taken > 1_000, "{} taken", tally.taken);
    assert!(tally.refused > 1_000, "{} refused", tally.refused);
}

fn damage(random: &mut Random, input: &mut Vec<u8>) {
    if input.is_empty() {
        return;
    }
    let at = random.below(input.len());
    match random.below(5) {
        0 => input[at] = random.next().to_le_bytes()[0],
        1 => input[at] ^= 1 << random.below(8),
        2 => drop(input.remove(at)),
        3 => input.insert(at, b"\0\x01a/.@\xff"[random.below(7)]),
        _ => input.truncate(at),
    }
}
