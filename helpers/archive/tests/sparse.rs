//! Sparse entries: read rightly, kept sparse, and counted as what they would be read as.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use bench::tar::{BLOCK, Item, archive, archive_of, file, padded, seal};
use bench::{Bench, layer};
use protocol::archive::{Extract, Outcome};
use std::fs::read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

/// `first` at 0, `last` at 1,000,000, and a hole up to 2,000,000.
fn wanted() -> Vec<u8> {
    let mut content = vec![0; 2_000_000];
    content[..5].copy_from_slice(b"first");
    content[1_000_000..1_000_004].copy_from_slice(b"last");
    content
}

/// A field of 12 bytes: octal, and GNU's binary form where that is too short.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}

/// GNU's old form; `extra` pieces go to extension blocks.
fn old_gnu(name: &str, pieces: &[(u64, u64)], size: u64, content: &[u8]) -> Vec<u8> {
    let item = Item {
        flag: b'S',
        magic: *b"ustar  \0",
        ..file(name, content)
    };
    let mut header = item.header();
    let field = |block: &mut [u8], at: usize, (offset, length): (u64, u64)| {
        block[at..at + 24].copy_from_slice(&[number(offset), number(length)].concat());
    };
    let (first, rest) = pieces.split_at(pieces.len().min(4));
    for (at, piece) in first.iter().enumerate() {
        field(&mut header, 386 + at * 24, *piece);
    }
    header[482] = u8::from(!rest.is_empty());
    header[483..495].copy_from_slice(&number(size));
    seal(&mut header);
    let mut bytes = header.to_vec();
    let mut chunks = rest.chunks(21).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = [0; BLOCK];
        for (at, piece) in chunk.iter().enumerate() {
            field(&mut block, at * 24, *piece);
        }
        block[504] = u8::from(chunks.peek().is_some());
        bytes.extend(block);
    }
    bytes.extend(padded(content));
    bytes
}

/// The pax form 1.0.
fn pax_1_0(name: &str, pieces: &[(u64, u64)], size: u64, content: &[u8]) -> Vec<u8> {
    let lines: String = pieces
        .iter()
        .map(|(offset, length)| format!("{offset}\n{length}\n"))
        .collect();
    let map = padded(format!("{}\n{lines}", pieces.len()).as_bytes());
    file("GNUSparseFile.0/x", &[map, content.to_vec()].concat())
        .record("GNU.sparse.major", b"1")
        .record("GNU.sparse.minor", b"0")
        .record("GNU.sparse.name", name.as_bytes())
        .record("GNU.sparse.realsize", size.to_string().as_bytes())
        .bytes()
}

#[test]
fn both_forms_give_the_same_file() {
    let Some(mut bench) = Bench::start("both_forms_give_the_same_file") else {
        return;
    };
    let tree = bench.tree("i-1");
    let pieces = [(0, 5), (1_000_000, 4), (2_000_000, 0)];
    let parts = [
        old_gnu("gnu", &pieces, 2_000_000, b"firstlast"),
        pax_1_0("pax-1.0", &pieces, 2_000_000, b"firstlast"),
        file("after", b"the next entry is found").bytes(),
    ];
    let outcome = bench.extract(layer("i-1"), &archive_of(&parts));
    assert_eq!(
        outcome,
        Outcome::Done {
            entries: 3,
            content_bytes: 4_000_023
        }
    );
    for name in ["gnu", "pax-1.0"] {
        assert!(read(tree.join(name)).unwrap() == wanted(), "{name}");
        assert!(
            tree.join(name).metadata().unwrap().blocks() * 512 < 100_000,
            "{name} takes space for its holes"
        );
    }
    assert_eq!(read(tree.join("after")).unwrap(), b"the next entry is found");
}

#[test]
fn many_pieces_need_extension_blocks() {
    let Some(mut bench) = Bench::start("many_pieces_need_extension_blocks") else {
        return;
    };
    let tree = bench.tree("i-1");
    let pieces: Vec<(u64, u64)> = (0..100).map(|at| (at * 10_000, 1)).collect();
    let content = [b'p'; 100];
    let parts = [
        old_gnu("gnu", &pieces, 1_000_000, &content),
        pax_1_0("pax", &pieces, 1_000_000, &content),
    ];
    bench.apply("i-1", &archive_of(&parts));
    let mut wanted = vec![0; 1_000_000];
    for (offset, _) in &pieces {
        wanted[usize::try_from(*offset).unwrap()] = b'p';
    }
    assert!(read(tree.join("gnu")).unwrap() == wanted);
    assert!(read(tree.join("pax")).unwrap() == wanted);
}

#[test]
fn what_gnu_tar_writes_is_read() {
    let Some(mut bench) = Bench::start("what_gnu_tar_writes_is_read") else {
        return;
    };
    let (source, tree) = (bench.tree("source"), bench.tree("i-1"));
    let hole = std::fs::File::create(source.join("hole")).unwrap();
    hole.write_all_at(b"first", 0).unwrap();
    hole.write_all_at(b"last", 1_000_000).unwrap();
    hole.set_len(2_000_000).unwrap();
    let forms: [&[&str]; 2] = [&["--format=gnu"], &["--format=posix", "--sparse-version=1.0"]];
    for form in forms {
        let mut command = Command::new("tar");
        let output = command
            .args(form)
            .args(["--sparse", "-cf", "-", "-C"])
            .arg(&source)
            .arg("hole")
            .output();
        match output {
            Ok(output) if output.status.success() => {
                assert!(output.stdout.len() < 100_000, "{form:?} wrote no sparse entry");
                bench.apply("i-1", &output.stdout);
                assert!(read(tree.join("hole")).unwrap() == wanted(), "{form:?}");
            }
            Ok(_) | Err(_) => return println!("SKIPPED what_gnu_tar_writes_is_read: no GNU tar"),
        }
    }
}

#[test]
fn holes_count_against_the_limit() {
    let Some(mut bench) = Bench::start("holes_count_against_the_limit") else {
        return;
    };
    const TEN_GIB: u64 = 10 << 30;
    let tree = bench.tree("i-1");
    let lies = [
        old_gnu("big", &[(0, 1), (TEN_GIB, 0)], TEN_GIB, b"x"),
        pax_1_0("big", &[(0, 1)], TEN_GIB, b"x"),
        old_gnu("big", &[], TEN_GIB, b""),
    ];
    for bytes in lies {
        let text = bench.blame(layer("i-1"), &archive_of(&[bytes]));
        assert_eq!(
            text,
            format!("archive exceeds the limit of {} bytes of files", 1 << 30)
        );
        assert!(!tree.join("big").exists());
    }
    // Below the limit the same file costs nothing.
    let room = Extract {
        content_bytes_max: TEN_GIB,
        ..layer("i-1")
    };
    let outcome = bench.extract(room, &archive_of(&[pax_1_0("big", &[(0, 1)], TEN_GIB, b"x")]));
    assert_eq!(
        outcome,
        Outcome::Done {
            entries: 1,
            content_bytes: TEN_GIB
        }
    );
    let meta = tree.join("big").metadata().unwrap();
    assert_eq!(meta.len(), TEN_GIB);
    assert!(meta.blocks() < 100);
}

#[test]
fn maps_that_lie_are_refused() {
    let Some(mut bench) = Bench::start("maps_that_lie_are_refused") else {
        return;
    };
    let half = file("x", b"data")
        .record("GNU.sparse.major", b"1")
        .record("GNU.sparse.minor", b"0");
    let unknown = half
        .clone()
        .record("GNU.sparse.major", b"2")
        .record("GNU.sparse.realsize", b"9");
    // What GNU tar wrote before 2006, told by its records.
    let old = file("x", b"data")
        .record("GNU.sparse.offset", b"0")
        .record("GNU.sparse.numbytes", b"4");
    let no_map = file("x", b"data").record("GNU.sparse.size", b"100");
    let counted = file("x", b"data")
        .record("GNU.sparse.size", b"9")
        .record("GNU.sparse.map", b"0,4");
    let posix = Item {
        flag: b'S',
        ..file("x", b"data")
    };
    let archives = [
        archive_of(&[old_gnu("x", &[(0, 9)], 100, b"data")]),
        archive_of(&[old_gnu("x", &[(8, 2), (0, 2)], 100, b"data")]),
        archive_of(&[old_gnu("x", &[(99, 4)], 100, b"data")]),
        archive_of(&[pax_1_0("x", &[(0, 4), (2, 0)], 100, b"data")]),
        archive_of(&[pax_1_0("x", &[(u64::MAX, 4)], 100, b"data")]),
        archive_of(&[pax_1_0("x", &[(0, 4)], u64::MAX, b"data")]),
        archive(&[half]),
        archive(&[unknown]),
        archive(&[old]),
        archive(&[no_map]),
        archive(&[counted]),
        archive(&[posix]),
    ];
    for (at, bytes) in archives.iter().enumerate() {
        assert_eq!(
            bench.blame(layer("i-1"), bytes),
            "archive/tar: invalid tar header",
            "archive {at}"
        );
    }
}
