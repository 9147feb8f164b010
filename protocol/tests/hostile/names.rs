//! Names that break their rule, through both ways in: the constructor and the wire.

use protocol::CodecError;
use protocol::codec::{decode, encode};
use protocol::limits::{
    DATASET_NAME_BYTES_MAX, HOSTNAME_BYTES_MAX, INTERFACE_NAME_BYTES_MAX, OBJECT_NAME_BYTES_MAX,
    PATH_BYTES_MAX, PRINCIPAL_BYTES_MAX, SNAPSHOT_LABEL_BYTES_MAX,
};
use protocol::names::{
    AnchorName, DatasetName, HostName, HostPath, InnerInterfaceName, InterfaceName, JailName, Label,
    MountName, RelPath, SnapshotLabel, Text,
};

/// Bytes that no UTF-8 text holds: a lone continuation, an overlong slash, a surrogate, a character cut short.
const NOT_UTF8: [&[u8]; 4] = [b"a\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xe2\x82"];

/// Demands that a name type takes every good name and no bad one.
macro_rules! judge {
    ($type:ty, good: $good:expr, bad: $bad:expr) => {
        for name in $good.map(String::from) {
            let made = <$type>::new(name.clone()).unwrap_or_else(|bad| panic!("{name:?} was refused: {bad}"));
            assert_eq!(made.as_str(), name);
            assert_eq!(
                decode::<$type>(&encode(&name).unwrap()),
                Ok(made),
                "{name:?} on the wire"
            );
        }
        for name in $bad.map(String::from) {
            assert!(<$type>::new(name.clone()).is_err(), "{name:?} was taken");
            let result = decode::<$type>(&encode(&name).unwrap());
            assert!(
                matches!(result, Err(CodecError::Malformed(_))),
                "{name:?} on the wire: {result:?}"
            );
        }
        for bytes in NOT_UTF8 {
            let result = decode::<$type>(&encode(&bytes.to_vec()).unwrap());
            assert!(
                matches!(result, Err(CodecError::Malformed(_))),
                "{bytes:x?} on the wire: {result:?}"
            );
        }
    };
}

#[test]
fn dataset_names_stay_below_their_parent() {
    judge!(
        DatasetName,
        good: ["a", "images/Base_1.0-x", "a/b/c/d", &"a".repeat(DATASET_NAME_BYTES_MAX)],
        bad: [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/.", "a/.hidden", "-a", "_a", "a/-b",
            "a@b", "a#b", "a%b", "a b", "a:b", "a\\b", "a\0", "\0", "a\0b", "a\n", "ä", "a/b/c/d/e",
            &"a".repeat(DATASET_NAME_BYTES_MAX + 1),
        ]
    );
}

#[test]
fn a_dataset_within_a_family_cannot_leave_it() {
    assert_eq!(DatasetName::within("images", "a").unwrap().as_str(), "images/a");
    for name in ["", "..", "../containers/c1", "/a", "a/"] {
        assert!(DatasetName::within("images", name).is_err(), "{name:?} was taken");
    }
}

#[test]
fn snapshot_labels_are_one_component() {
    judge!(
        SnapshotLabel,
        good: ["layer", "0", "A.b_c-d", &"a".repeat(SNAPSHOT_LABEL_BYTES_MAX)],
        bad: ["", ".", "..", "a/b", "/", "a@b", "a\0", " ", "ä", &"a".repeat(SNAPSHOT_LABEL_BYTES_MAX + 1)]
    );
}

/// Names of jails, mount points and rule sets have one rule, with lengths of their own.
const BAD_OBJECTS: [&str; 20] = [
    "", ".", "..", "a.b", "a/b", "/", "/a", "a/", "../a", "-", "-a", "A", "aB", "a_b", "a b", "a\0", "\0a",
    "a\n", "ä", "a*",
];

fn bad_objects(bytes_max: usize) -> Vec<String> {
    let mut bad = BAD_OBJECTS.map(String::from).to_vec();
    bad.push("a".repeat(bytes_max + 1));
    bad
}

#[test]
fn jail_mount_and_anchor_names_are_lower_case_letters_digits_and_dashes() {
    const ANCHOR_BYTES_MAX: usize = 40;
    let longest = "a".repeat(OBJECT_NAME_BYTES_MAX);
    let bad: [String; 21] = bad_objects(OBJECT_NAME_BYTES_MAX).try_into().unwrap();
    judge!(JailName, good: ["a", "0", "c-1", "a-", &longest], bad: bad.clone());
    judge!(MountName, good: ["a", "0", "c-1", "a-", &longest], bad: bad);
    let bad: [String; 21] = bad_objects(ANCHOR_BYTES_MAX).try_into().unwrap();
    judge!(AnchorName, good: ["a", "n-1", &"a".repeat(ANCHOR_BYTES_MAX)], bad: bad);
}

#[test]
fn interfaces_of_the_host_are_only_our_own() {
    let longest = format!("cb{}", "0".repeat(INTERFACE_NAME_BYTES_MAX - 2));
    judge!(
        InterfaceName,
        good: ["cb0", "cbe1a", &longest],
        bad: [
            "", "cb", "eth0", "em0", "lo0", "CB0", "cB0", "cbA", "cb-0", "cb_0", "cb.1", "cb/0", "cb 0", "cb0\0", "cb0\n",
            "cbä", " cb0", "xcb0", &format!("{longest}0"),
        ]
    );
}

#[test]
fn interfaces_inside_are_lower_case_letters_and_digits() {
    judge!(
        InnerInterfaceName,
        good: ["eth0", "a", "0", &"e".repeat(INTERFACE_NAME_BYTES_MAX)],
        bad: [
            "", ".", "..", "eth/0", "/", "Eth0", "eth-0", "eth.1", "eth 0", "eth0\0", "\0", "ethä", "eth%d",
            &"e".repeat(INTERFACE_NAME_BYTES_MAX + 1),
        ]
    );
}

#[test]
fn relative_paths_never_climb() {
    judge!(
        RelPath,
        good: ["", "a", "etc/passwd", "a b/ä", "...", "..a", "a../.b", "A\n", &"a".repeat(PATH_BYTES_MAX)],
        bad: [
            "/", "/a", "//", "a/", "a//b", ".", "./a", "a/.", "a/./b", "..", "../a", "a/..", "a/../b", "a/../../b", "\0",
            "a\0", "a/b\0/..", &"a".repeat(PATH_BYTES_MAX + 1),
        ]
    );
}

#[test]
fn host_paths_are_absolute_and_plain() {
    let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
    judge!(
        HostPath,
        good: ["/", "/a", "/srv/Data x", "/a/...", &longest],
        bad: [
            "", "a", "a/b", "./a", "../a", "//", "//a", "/a/", "/a//b", "/.", "/./a", "/a/.", "/..", "/../a", "/a/..",
            "/a/../b", "/\0", "/a\0", &format!("{longest}a"),
        ]
    );
}

#[test]
fn host_names_hold_no_separators() {
    judge!(
        HostName,
        good: ["", "web", "Web-1.example_x", &"a".repeat(HOSTNAME_BYTES_MAX)],
        bad: ["a b", "a/b", "a\0", "a\n", "a:b", "ä", "a=b", &"a".repeat(HOSTNAME_BYTES_MAX + 1)]
    );
}

#[test]
fn labels_cannot_break_an_audit_line() {
    judge!(
        Label,
        good: ["", "default", "uid:1001", "A=\"b\"", &"a".repeat(PRINCIPAL_BYTES_MAX)],
        bad: ["a b", " ", "a\n", "a\r", "a\t", "a\0", "\x1b[2J", "\x7f", "ä", &"a".repeat(PRINCIPAL_BYTES_MAX + 1)]
    );
}

#[test]
fn texts_hold_no_nul_and_no_byte_too_many() {
    judge!(
        Text<8>,
        good: ["", "a b/..\n", "ääää", "12345678"],
        bad: ["\0", "a\0b", "123456789", "äääää", "1234567ä"]
    );
}

#[test]
fn a_cut_text_ends_between_characters_and_holds_no_nul() {
    assert_eq!(Text::<4>::cut("äöü").as_str(), "äö");
    assert_eq!(Text::<3>::cut("äö").as_str(), "ä");
    assert_eq!(Text::<1>::cut("ä").as_str(), "");
    assert_eq!(Text::<4>::cut("a\0b\0c\0").as_str(), "a b ");
    let cut = Text::<8>::cut("\0\0\0\0ä\0ä\0");
    assert_eq!(decode(&encode(&cut).unwrap()), Ok(cut));
}
