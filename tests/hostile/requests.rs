//! Requests that are not even wrong: too long, too deep, no HTTP, or never finished.

use crate::target::{answers, target};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use system_tests::http;
use system_tests::tarball::Tarball;

#[test]
fn a_head_of_more_than_a_mebibyte_is_431() {
    let target = target!();
    let fits = "a".repeat(500 * 1024);
    let answer = http::request(target.socket(), "GET /_ping", &[("X-Long", &fits)], b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    let long = "a".repeat(2 << 20);
    let answer = http::request(target.socket(), "GET /_ping", &[("X-Long", &long)], b"");
    assert_eq!(answer.status, 431);
    let answer = http::request(target.socket(), &format!("GET /{long}"), &[], b"");
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    target.shows_no_harm();
}

#[test]
fn what_is_no_http_is_400() {
    let target = target!();
    for bytes in [
        &b"GARBAGE\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nBad Header\r\n\r\n",
    ] {
        let answer = http::raw(target.socket(), bytes);
        assert_eq!(answer.status, 400, "{:?}", String::from_utf8_lossy(bytes));
    }
    let length = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n";
    assert_eq!(http::raw(target.socket(), length).status, 400);
    target.shows_no_harm();
}

#[test]
fn a_huge_json_body_is_refused_and_not_kept() {
    let target = target!();
    let long = format!(r#"{{"Image":"{}"}}"#, "a".repeat(64 << 20));
    let answer = target.post("/containers/create", &long);
    assert!(matches!(answer.status, 400 | 413), "{answer:?}");
    target.shows_no_harm();
}

#[test]
fn a_deep_json_body_is_refused() {
    let target = target!();
    for deep in [
        format!(r#"{{"Image":"base","Labels":{}"#, r#"{"a":"#.repeat(100_000)),
        "[".repeat(200_000),
    ] {
        let answer = target.post("/containers/create", &deep);
        assert_eq!(answer.status, 400);
        assert!(answer.message().starts_with("invalid JSON: "), "{answer:?}");
    }
    target.shows_no_harm();
}

#[test]
fn uploads_that_break_off_leave_nothing() {
    let target = target!();
    let archive = Tarball::new()
        .directory("d/")
        .file("d/f", vec![7; 300_000])
        .finish();
    for line in [
        "POST /images/load",
        "POST /images/create?fromSrc=-&repo=broken",
        "POST /build?t=broken",
    ] {
        let mut stream = UnixStream::connect(target.socket()).unwrap();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            archive.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&archive[..archive.len() / 2]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        drop(stream);
    }
    assert_eq!(target.get("/images/broken/json").status, 404);
    target.shows_no_harm();
}

#[test]
fn idle_connections_do_not_keep_others_out() {
    let target = target!();
    let idle: Vec<UnixStream> = (0..200)
        .map(|_| UnixStream::connect(target.socket()).unwrap())
        .collect();
    for mut stream in &idle {
        stream.write_all(b"GET /_pi").unwrap();
    }
    assert_eq!(target.get("/_ping").text(), "OK");
    drop(idle);
    answers(target.socket());
    target.shows_no_harm();
}
