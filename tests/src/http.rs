//! Just enough of an HTTP client to send a daemon what no library would send.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The lines of the head after the first, as they came.
    pub head: String,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text, without the line end that dockerd puts after its JSON.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// What the daemon says in its usual error body.
    pub fn message(&self) -> String {
        let text = self.text();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        value["message"].as_str().map_or(text, str::to_owned)
    }
}

/// Sends one request over a new connection; the body's length goes with it.
///
/// # Panics
/// Where no whole answer comes.
pub fn request(socket: &Path, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!(
        "{line} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    raw(socket, &[head.as_bytes(), b"\r\n", body].concat())
}

/// A GET request.
pub fn get(socket: &Path, path: &str) -> Answer {
    request(socket, &format!("GET {path}"), &[], b"")
}

/// A POST request with a JSON body.
pub fn post(socket: &Path, path: &str, json: &str) -> Answer {
    request(
        socket,
        &format!("POST {path}"),
        &[("Content-Type", "application/json")],
        json.as_bytes(),
    )
}

/// Sends bytes as they are and reads to the end of the connection.
///
/// # Panics
/// Where no answer comes.
pub fn raw(socket: &Path, bytes: &[u8]) -> Answer {
    let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    stream.set_write_timeout(Some(ANSWER_WITHIN)).unwrap();
    // A daemon that has read enough to refuse answers before the end and closes: what cannot be written is no failure.
    let mut writer = stream.try_clone().unwrap();
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || drop(writer.write_all(&bytes)));
    let mut answer = Vec::new();
    let mut reader = stream.try_clone().unwrap();
    let read = reader.read_to_end(&mut answer);
    drop(stream.shutdown(Shutdown::Both));
    writing.join().unwrap();
    parse(&answer).unwrap_or_else(|| panic!("{read:?}, no answer: {}", String::from_utf8_lossy(&answer)))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (first, head) = text.split_once("\r\n").unwrap_or((&text, ""));
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer {
        status,
        head: head.to_owned(),
        body: bytes[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = whole(&answer.body);
    }
    Some(answer)
}

/// The content of chunks (RFC 9112, 7.1), as far as they came.
fn whole(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..end])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size.filter(|size| *size > 0) else {
            break;
        };
        let Some(content) = chunks.get(end + 2..end + 2 + size) else {
            break;
        };
        body.extend_from_slice(content);
        chunks = chunks.get(end + 2 + size + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_answer_is_put_together() {
        let bytes = b"HTTP/1.1 404 Not Found\r\nApi-Version: 1.51\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"mes\r\nd\r\nsage\":\"gone\"}\r\n0\r\n\r\n";
        let answer = parse(bytes).unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("api-version"), Some("1.51"));
        assert_eq!(answer.message(), "gone");
    }

    #[test]
    fn a_plain_answer_is_taken_as_it_is() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
        assert_eq!(answer.message(), "OK");
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
