//! What is fetched from an address: `docker import URL`, and for builds.

use super::spool::Spool;
use crate::kernel::limits::LAYER_CONTENT_BYTES_MAX;
use crate::services::Failure;
use reqwest::header::LAST_MODIFIED;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How long a connection may take to be made, and how long a server may send nothing.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
const STALL_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of what is fetched: as much as may be uploaded.
const FETCHED_BYTES_MAX: u64 = LAYER_CONTENT_BYTES_MAX;
/// Characters of a server's error that are shown.
const DETAIL_CHARS_MAX: usize = 500;

/// What an address gave.
#[derive(Debug)]
pub struct Fetched {
    /// Its bytes.
    pub spool: Spool,
    /// When it last changed, seconds since 1970; 0 is not known.
    pub modified_s: u64,
}

/// Fetches what is at an address. Dropping it ends it, with nothing left.
///
/// # Errors
/// In dockerd's words where it has them.
pub async fn fetch(address: &str, directory: &Path) -> Result<Fetched, Failure> {
    let failed = |error: reqwest::Error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::System(format!("Get {address:?}: {cause}"))
    };
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .read_timeout(STALL_DEADLINE)
        .no_proxy();
    let mut answer = client
        .build()
        .map_err(failed)?
        .get(address)
        .send()
        .await
        .map_err(failed)?;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.chunk().await.ok().flatten().unwrap_or_default();
        let told: String = String::from_utf8_lossy(&body)
            .chars()
            .take(DETAIL_CHARS_MAX)
            .collect();
        let text = format!("failed to GET {address} with status {status}: {told}");
        return Err(Failure::System(text));
    }
    let modified = answer
        .headers()
        .get(LAST_MODIFIED)
        .and_then(|value| value.to_str().ok());
    let modified = modified.and_then(|text| OffsetDateTime::parse(text, &Rfc2822).ok());
    let modified_s = modified.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
    let (spool, file) = Spool::create(directory).map_err(broken)?;
    let (mut file, mut bytes) = (BufWriter::new(file), 0);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes += chunk.len() as u64;
        if bytes > FETCHED_BYTES_MAX {
            let text = format!("{address} is larger than {FETCHED_BYTES_MAX} bytes");
            return Err(Failure::Invalid(text));
        }
        file.write_all(&chunk).map_err(broken)?;
    }
    file.flush().map_err(broken)?;
    Ok(Fetched {
        spool,
        modified_s: modified_s.unwrap_or_default(),
    })
}

fn broken(error: io::Error) -> Failure {
    Failure::System(error.to_string())
}
