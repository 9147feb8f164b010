//! For tests: a registry in this process (OCI distribution-spec 1.1), which does wrong what it is told to.

use super::super::chain;
use super::fake::gzip;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What is wrong with an answer.
#[derive(Debug, Clone)]
pub(in super::super) enum Fault {
    /// This status with this body in place of the answer.
    Status(u16, &'static str),
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// Nothing more comes after so many bytes of the body.
    StallAfter(usize),
    /// Another body.
    Body(Vec<u8>),
    /// To another address, with the path behind it.
    RedirectTo(String),
    /// The whole is sent, whatever part was asked for.
    Whole,
    /// The part that was asked for is said to be another.
    WrongRange,
    /// So many blanks.
    Endless(u64),
    /// An upload is to go to another address.
    UploadTo(String),
    /// A header more.
    Header(&'static str, String),
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Asked {
    pub(in super::super) line: String,
    pub(in super::super) range: String,
    pub(in super::super) authorization: String,
    length: usize,
    is_chunked: bool,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By path: kind and text.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: Vec<String>,
    /// What the request's line contains, how often it is done, and what.
    faults: Vec<(String, usize, Fault)>,
    asked: Vec<Asked>,
    /// What was uploaded and not named yet.
    upload: Vec<u8>,
    /// Without this header everything is answered with 401 and that challenge.
    guard: Option<(String, String)>,
}

/// The registry. Its threads end with the process.
#[derive(Debug, Clone)]
pub(in super::super) struct FakeRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    pub(in super::super) fn start() -> Self {
        Self::serve(None)
    }

    /// With TLS, by the certificate and key in a folder of [`authority`]; clients must show one of the same authority.
    pub(in super::super) fn with_tls(folder: &Path) -> Self {
        let read = |name: &str| CertificateDer::from_pem_file(folder.join(name)).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("own.key")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(read("ca.crt")).unwrap();
        let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build();
        let config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients.unwrap())
            .with_single_cert(vec![read("own.cert")], key);
        Self::serve(Some(Arc::new(config.unwrap())))
    }

    fn serve(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = FakeRegistry {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let serving = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (registry, tls) = (serving.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => registry.connection(stream),
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls).unwrap();
                        registry.connection(rustls::StreamOwned::new(session, stream));
                    }
                });
            }
        });
        registry
    }

    /// `127.0.0.1:port`.
    pub(in super::super) fn host(&self) -> String {
        self.address.to_string()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an image of these layers; they are sent with gzip. Gives its digest.
    pub(in super::super) fn put(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> String {
        let stored: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let diffs: Vec<String> = layers.iter().map(|layer| chain::digest_of(layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/x"] },
            "rootfs": { "type": "layers", "diff_ids": diffs },
        });
        self.put_stored(repository, tag, &stored, config.to_string().as_bytes())
    }

    /// Adds an image of blobs as they are.
    pub(in super::super) fn put_stored(
        &self,
        repository: &str,
        tag: &str,
        layers: &[Vec<u8>],
        config: &[u8],
    ) -> String {
        let described = |bytes: &Vec<u8>| {
            json!({
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "digest": chain::digest_of(bytes), "size": bytes.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": chain::digest_of(config), "size": config.len(),
            },
            "layers": layers.iter().map(described).collect::<Vec<_>>(),
        });
        let mut state = self.lock();
        for blob in layers.iter().map(Vec::as_slice).chain([config]) {
            state.blobs.insert(chain::digest_of(blob), blob.to_vec());
        }
        drop(state);
        self.put_manifest(repository, tag, MANIFEST, manifest.to_string().as_bytes())
    }

    /// Adds a manifest as it is, under its tag and its digest.
    pub(in super::super) fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        kind: &str,
        text: &[u8],
    ) -> String {
        let digest = chain::digest_of(text);
        let mut state = self.lock();
        for reference in [tag, &digest] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            state.manifests.insert(path, (kind.to_owned(), text.to_vec()));
        }
        state.tags.push(tag.to_owned());
        digest
    }

    /// Does something wrong, so many times, where the request's line contains `what`.
    pub(in super::super) fn fault(&self, what: &str, times: usize, fault: Fault) {
        self.lock().faults.push((what.to_owned(), times, fault));
    }

    /// Ends all faults.
    pub(in super::super) fn mend(&self) {
        self.lock().faults.clear();
    }

    /// Answers only those who send this header `Authorization`, and sends this challenge to others.
    pub(in super::super) fn guard(&self, authorization: &str, challenge: &str) {
        self.lock().guard = Some((authorization.to_owned(), challenge.to_owned()));
    }

    /// Requests whose line contains `what`.
    pub(in super::super) fn asked(&self, what: &str) -> Vec<Asked> {
        let state = self.lock();
        let found = state.asked.iter().filter(|asked| asked.line.contains(what));
        found.cloned().collect()
    }

    fn connection(&self, mut stream: impl Read + Write) {
        while let Some(asked) = read_head(&mut stream) {
            let (fault, guard) = {
                let mut state = self.lock();
                state.asked.push(asked.clone());
                let found = state
                    .faults
                    .iter_mut()
                    .find(|(what, times, _)| *times > 0 && asked.line.contains(what.as_str()));
                let fault = found.map(|(_, times, fault)| {
                    *times -= 1;
                    fault.clone()
                });
                (fault, state.guard.clone())
            };
            let done = match guard.filter(|(wanted, _)| *wanted != asked.authorization) {
                Some((_, challenge)) => {
                    let header = format!("WWW-Authenticate: {challenge}\r\n");
                    read_body(&mut stream, &asked).and_then(|_| send(&mut stream, 401, &header, b""))
                }
                None => self.answer(&mut stream, &asked, fault),
            };
            if done.is_none() {
                return;
            }
        }
    }

    /// Takes what is pushed (OCI distribution-spec 1.1, "Push").
    fn take(&self, stream: &mut impl Write, asked: &Asked, sent: Vec<u8>, to: &str) -> Option<()> {
        let mut words = asked.line.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let mut state = self.lock();
        if path.contains("/manifests/") {
            let kind = MANIFEST.to_owned();
            state.manifests.insert(path.to_owned(), (kind, sent));
            return send(stream, 201, "", b"");
        }
        match method {
            "POST" => state.upload.clear(),
            _ => state.upload.extend(sent),
        }
        let upload = format!("{to}{}", path.split('?').next()?);
        if method == "PUT" {
            let digest = path.split_once("digest=")?.1.replace("%3A", ":");
            let whole = std::mem::take(&mut state.upload);
            assert_eq!(
                chain::digest_of(&whole),
                digest,
                "what was pushed is not what it was said to be"
            );
            state.blobs.insert(digest, whole);
            return send(stream, 201, "", b"");
        }
        send(stream, 202, &format!("Location: {upload}\r\n"), b"")
    }

    fn answer(&self, stream: &mut (impl Read + Write), asked: &Asked, fault: Option<Fault>) -> Option<()> {
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        let method = asked.line.split(' ').next().unwrap_or_default();
        let sent = read_body(stream, asked)?;
        if let Some(Fault::Status(status, body)) = &fault {
            return send(stream, *status, "", body.as_bytes());
        }
        if let Some(Fault::RedirectTo(address)) = &fault {
            return send(stream, 307, &format!("Location: {address}{path}\r\n"), b"");
        }
        if let Some(Fault::Endless(bytes)) = fault {
            return endless(stream, bytes);
        }
        if method != "GET" && method != "HEAD" {
            let to = match fault {
                Some(Fault::UploadTo(address)) => address,
                Some(_) | None => String::new(),
            };
            return self.take(stream, asked, sent, &to);
        }
        if method == "HEAD" {
            let status = if self.found(path).is_some() { 200 } else { 404 };
            return send(stream, status, "", b"");
        }
        let Some((kind, mut body)) = self.found(path) else {
            let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            return send(stream, 404, "", body);
        };
        let mut headers = format!("Content-Type: {kind}\r\n");
        let from = asked
            .range
            .trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse::<usize>();
        let mut status = 200;
        if let (Ok(from), false) = (from, matches!(fault, Some(Fault::Whole))) {
            let from = if matches!(fault, Some(Fault::WrongRange)) {
                from - 1
            } else {
                from
            };
            headers += &format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                body.len() - 1,
                body.len()
            );
            (status, body) = (206, body.split_off(from));
        }
        match fault {
            Some(Fault::Body(other)) => body = other,
            Some(Fault::Header(name, value)) => headers += &format!("{name}: {value}\r\n"),
            Some(Fault::CutAfter(bytes)) => {
                begin(stream, status, &headers, body.len())?;
                stream
                    .write_all(&body[..bytes])
                    .and_then(|()| stream.flush())
                    .ok()?;
                return None;
            }
            Some(Fault::StallAfter(bytes)) => {
                begin(stream, status, &headers, body.len())?;
                stream
                    .write_all(&body[..bytes])
                    .and_then(|()| stream.flush())
                    .ok()?;
                std::thread::sleep(Duration::from_secs(30));
                return None;
            }
            Some(_) | None => {}
        }
        send(stream, status, &headers, &body)
    }

    fn found(&self, path: &str) -> Option<(String, Vec<u8>)> {
        let state = self.lock();
        if path == "/v2/" {
            return Some(("application/json".to_owned(), b"{}".to_vec()));
        }
        if path.ends_with("/tags/list") {
            let tags = json!({ "name": "x", "tags": state.tags }).to_string();
            return Some(("application/json".to_owned(), tags.into_bytes()));
        }
        if path.starts_with("/token") {
            let token = json!({ "token": "given" }).to_string();
            return Some(("application/json".to_owned(), token.into_bytes()));
        }
        let blob = path
            .split_once("/blobs/")
            .and_then(|(_, digest)| state.blobs.get(digest));
        let blob = blob.map(|blob| ("application/octet-stream".to_owned(), blob.clone()));
        blob.or_else(|| state.manifests.get(path).cloned())
    }
}

fn read_head(stream: &mut impl Read) -> Option<Asked> {
    let mut asked = Asked::default();
    // One byte at a time: what follows the head is not to be swallowed.
    let mut lines = BufReader::with_capacity(1, stream);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        match line.split_once(": ") {
            _ if line.is_empty() => return Some(asked),
            _ if asked.line.is_empty() => line.clone_into(&mut asked.line),
            Some((name, value)) if name.eq_ignore_ascii_case("range") => value.clone_into(&mut asked.range),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                value.clone_into(&mut asked.authorization);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                asked.length = value.parse().unwrap();
            }
            Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => asked.is_chunked = true,
            _ => {}
        }
    }
}

fn read_body(stream: &mut impl Read, asked: &Asked) -> Option<Vec<u8>> {
    let mut body = vec![0; asked.length];
    stream.read_exact(&mut body).ok()?;
    let mut is_over = !asked.is_chunked;
    while !is_over {
        let mut size = String::new();
        BufReader::with_capacity(1, &mut *stream)
            .read_line(&mut size)
            .ok()?;
        let size = usize::from_str_radix(size.trim_end(), 16).ok()?;
        // The chunk and the line end behind it.
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
        is_over = size == 0;
    }
    Some(body)
}

fn begin(stream: &mut impl Write, status: u16, headers: &str, length: usize) -> Option<()> {
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()
}

/// None where the client went away.
fn send(stream: &mut impl Write, status: u16, headers: &str, body: &[u8]) -> Option<()> {
    begin(stream, status, headers, body.len())?;
    stream.write_all(body).and_then(|()| stream.flush()).ok()
}

fn endless(stream: &mut impl Write, bytes: u64) -> Option<()> {
    begin(stream, 200, "", usize::try_from(bytes).unwrap())?;
    let chunk = [b' '; 64 * 1024];
    for _ in 0..bytes / chunk.len() as u64 {
        stream.write_all(&chunk).ok()?;
    }
    stream.flush().ok()
}

/// A folder with an authority (`ca.crt`), a certificate of 127.0.0.1 by it (`own.cert`), and its key (`own.key`).
pub(in super::super) fn authority() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cb-tls-{}", crate::services::naming::new_id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("req -x509 {key} -days 2 -subj /CN=ca -keyout ca.key -out ca.crt"),
        format!("req {key} -subj /CN=127.0.0.1 -keyout own.key -out own.csr"),
        "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.cert"
            .to_owned(),
    ] {
        let ran = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(&folder)
            .output();
        let ran = ran.expect("openssl makes the certificates of this test");
        assert!(ran.status.success(), "{line}: {ran:?}");
    }
    folder
}
