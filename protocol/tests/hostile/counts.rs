//! Counts that promise more than was sent. A decoder that believed them would allocate until its process dies.

use crate::all_wires;
use protocol::codec::{decode, encode};
use protocol::limits::{FRAME_BYTES_MAX, LIST_ITEMS_MAX};
use protocol::names::{Bounded, DatasetName, RelPath, Text};
use protocol::{CodecError, archive, net, zfs};
use std::time::{Duration, Instant};

/// From just over what a frame can hold to what no machine has.
const HUGE: [u64; 6] = [
    FRAME_BYTES_MAX as u64 + 1,
    1 << 33,
    1 << 40,
    1 << 62,
    1 << 63,
    u64::MAX,
];

/// How much the address space may grow while hostile counts are decoded. Threads of the test harness reserve some
/// hundred megabytes; the smallest claim that would be noticed is 8 GiB.
const GROWTH_KIB_MAX: u64 = 2 << 20;

/// All hostile counts are refused in some milliseconds; filling what they claim takes longer than this.
const REFUSAL_MAX: Duration = Duration::from_secs(20);

#[test]
fn huge_counts_at_any_place_of_any_message_take_neither_memory_nor_time() {
    let before = address_space_peak_kib();
    let start = Instant::now();
    for wire in all_wires() {
        for (variant, bytes) in &wire.samples {
            for (at, count) in (0..bytes.len().saturating_sub(7)).flat_map(|at| HUGE.map(|count| (at, count)))
            {
                let mut changed = bytes.clone();
                changed[at..at + 8].copy_from_slice(&count.to_le_bytes());
                // Where a number stood it may be a good number; everywhere else it is refused.
                if let Ok(again) = (wire.reencode)(&changed) {
                    assert_eq!(again, changed, "{}::{variant} with {count} at {at}", wire.name);
                }
            }
        }
    }
    assert!(start.elapsed() < REFUSAL_MAX, "took {:?}", start.elapsed());
    match (before, address_space_peak_kib()) {
        (Some(before), Some(after)) => assert!(
            after - before < GROWTH_KIB_MAX,
            "the address space grew from {before} KiB to {after} KiB"
        ),
        (None, _) | (_, None) => {
            println!("SKIPPED memory of hostile counts: no /proc/self/status with VmPeak here")
        }
    }
}

/// The most address space that this process ever had; untouched allocations count.
fn address_space_peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn texts_and_names_of_huge_claimed_length_are_refused() {
    for count in HUGE {
        let bytes = encode(&(count, *b"short")).unwrap();
        refused::<String>(&bytes, count);
        refused::<Text<200>>(&bytes, count);
        refused::<Text<FRAME_BYTES_MAX>>(&bytes, count);
        refused::<DatasetName>(&bytes, count);
        refused::<RelPath>(&bytes, count);
    }
}

#[test]
fn lists_of_huge_claimed_length_are_refused() {
    for count in HUGE {
        let items = encode(&(count, [0_u64; 8])).unwrap();
        refused::<Bounded<u8, 4>>(&items, count);
        refused::<Bounded<u64, LIST_ITEMS_MAX>>(&items, count);
        refused::<Bounded<Text<16>, LIST_ITEMS_MAX>>(&items, count);
        refused::<Bounded<Bounded<u8, 4>, 4>>(&encode(&(1_u64, items)).unwrap(), count);

        let interfaces = encode(&(1_u32, count, [0_u64; 8])).unwrap();
        refused::<net::Response>(&interfaces, count);
        let names = encode(&(2_u32, count, [0_u64; 8])).unwrap();
        refused::<zfs::Response>(&names, count);
    }
}

/// Items without bytes of their own would let a short message ask for endless work.
#[test]
fn the_count_of_a_list_is_limited_even_where_its_items_take_no_bytes() {
    assert!(decode::<Bounded<(), 4>>(&encode(&4_u64).unwrap()).is_ok());
    for count in [5, u64::MAX] {
        refused::<Bounded<(), 4>>(&encode(&count).unwrap(), count);
    }
}

#[test]
fn a_list_with_one_item_too_many_is_refused_and_a_full_one_is_not() {
    let full = vec![7_u32; 64];
    assert_eq!(
        decode(&encode(&full).unwrap()),
        Ok(Bounded::<u32, 64>::new(full).unwrap())
    );
    refused::<Bounded<u32, 64>>(&encode(&vec![7_u32; 65]).unwrap(), 65);

    let names = |count: usize| encode(&(2_u32, vec!["images/a".to_owned(); count])).unwrap();
    assert!(decode::<zfs::Response>(&names(LIST_ITEMS_MAX)).is_ok());
    refused::<zfs::Response>(&names(LIST_ITEMS_MAX + 1), LIST_ITEMS_MAX as u64 + 1);
}

#[test]
fn a_list_with_one_bad_item_is_refused_whole() {
    let skip = |bad: &str| {
        let root = "c-c1".to_owned();
        let skip = vec!["proc".to_owned(), bad.to_owned(), "sys".to_owned()];
        encode(&(2_u32, root, None::<String>, skip)).unwrap()
    };
    assert!(decode::<archive::Request>(&skip("dev")).is_ok());
    assert!(decode::<archive::Request>(&skip("../dev")).is_err());
}

#[track_caller]
fn refused<T: protocol::codec::Decode<()> + std::fmt::Debug>(bytes: &[u8], count: u64) {
    let result = decode::<T>(bytes);
    assert!(
        matches!(result, Err(CodecError::Malformed(_))),
        "count {count}: {result:?}"
    );
}
