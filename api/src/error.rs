//! Error answers and the wording clients match on.
//!
//! dockerd answers every failed request with [`ErrorBody`]; the texts here are those of dockerd 28.5.2, to the
//! letter. Each function says which status goes with it; only the daemon's edge knows statuses as numbers.

pub use crate::go_names::RequestBody;

use crate::go_json::{self, SyntaxError};
use crate::go_read::Reader;
use crate::ids::{ContainerId, ImageId};
use serde::{Deserialize, Serialize};

/// The body of every error answer from API 1.24 on.
///
/// Requests refused for a version *below* 1.24 get the message alone, as `text/plain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For people; clients print it after `Error response from daemon: `.
    pub message: String,
}

impl ErrorBody {
    /// Wraps a message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// Every unknown path or method; status 404.
pub const PAGE_NOT_FOUND: &str = "page not found";
/// Create without a body, or with `null` or `{}`; status 400.
pub const CONFIG_EMPTY: &str = "config cannot be empty in order to create a container";
/// Create where neither image nor request names a program; status 400.
pub const NO_COMMAND: &str = "no command specified";
/// Exec create without `Cmd`; status 400.
pub const NO_EXEC_COMMAND: &str = "No exec command specified";
/// Start with a body; status 400.
pub const START_WITH_BODY: &str =
    "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24";
/// Start of a paused container; status 409.
pub const START_PAUSED: &str = "cannot start a paused container, try unpause instead";
/// Start of a container that is being removed; status 409.
pub const START_REMOVING: &str = "container is marked for removal and cannot be started";
/// Logs without `stdout` and `stderr`; status 400.
pub const NO_LOG_STREAM: &str = "Bad parameters: you must choose at least one stream";
/// Logs of a container whose log driver keeps nothing; status 501.
pub const LOGS_NOT_READABLE: &str = "configured logging driver does not support reading";
/// Rename without a new name; status 400.
pub const RENAME_EMPTY: &str = "Neither old nor new names may be empty";
/// Rename to the present name; status 400.
pub const RENAME_SAME: &str = "Renaming a container with the same name as its current name";
/// Archive requests without `path`; status 400. The missing blank is dockerd's.
pub const ARCHIVE_PATH_EMPTY: &str = "bad parameter: pathcannot be empty";
/// Upload to a path that is no directory; status 400.
pub const ARCHIVE_NOT_A_DIRECTORY: &str = "extraction point is not a directory";
/// Upload into a container with a read-only root; status 400.
pub const ARCHIVE_READ_ONLY: &str = "container rootfs is marked read-only";
/// Stats with both `stream` and `one-shot`; status 400.
pub const STATS_STREAM_AND_ONE_SHOT: &str = "cannot have stream=true and one-shot=true";
/// Tag with a digest; status 400.
pub const TAG_DIGEST: &str = "cannot import digest reference";
/// Load of an image whose configuration has no `rootfs`; the last line of a stream with status 200.
pub const LOAD_NO_ROOTFS: &str = "invalid image JSON, no RootFS key";
/// Logs of a container whose log driver keeps none; status 501.
pub const LOG_NOT_READABLE: &str = "configured logging driver does not support reading";
/// A prune while another one runs; status 409.
pub const PRUNE_RUNNING: &str = "a prune operation is already running";
/// Two `until` filters in prune; status 400.
pub const SEVERAL_UNTIL: &str = "more than one until filter specified";
/// A memory limit below dockerd's minimum, in create and update; status 400.
pub const MEMORY_TOO_SMALL: &str = "Minimum memory limit allowed is 6MB";
/// The smallest memory limit in bytes that dockerd takes.
pub const MEMORY_BYTES_MIN: i64 = 6 * 1024 * 1024;
/// A swap limit below the memory limit; status 400.
pub const SWAP_BELOW_MEMORY: &str = "Minimum memoryswap limit should be larger than memory limit, see usage";
/// `AutoRemove` together with a restart policy; status 400.
pub const AUTO_REMOVE_WITH_RESTART: &str = "can't create 'AutoRemove' container with restart policy";
/// A retry count with another policy than `on-failure`; status 400.
pub const RETRY_COUNT_WITHOUT_ON_FAILURE: &str =
    "invalid restart policy: maximum retry count can only be used with 'on-failure'";

/// A container nobody has; status 404. `wanted` is what the client sent.
#[must_use]
pub fn no_such_container(wanted: &str) -> String {
    format!("No such container: {wanted}")
}

/// An unknown container in kill, which dockerd words differently; status 404.
#[must_use]
pub fn cannot_kill(wanted: &str, reason: &str) -> String {
    format!("cannot kill container: {wanted}: {reason}")
}

/// Why stop failed, such as [`invalid_signal`]; status 500 in dockerd 28.
#[must_use]
pub fn cannot_stop(wanted: &str, reason: &str) -> String {
    format!("cannot stop container: {wanted}: {reason}")
}

/// An image nobody has; status 404. `wanted` is the familiar reference with its tag, or an id with `sha256:`.
#[must_use]
pub fn no_such_image(wanted: &str) -> String {
    format!("No such image: {wanted}")
}

/// An exec nobody has, or whose container stopped before it was started; status 404.
#[must_use]
pub fn no_such_exec(wanted: &str) -> String {
    format!("No such exec instance: {wanted}")
}

/// A network nobody has; status 404.
#[must_use]
pub fn no_such_network(wanted: &str) -> String {
    format!("network {wanted} not found")
}

/// A volume nobody has; status 404.
#[must_use]
pub fn no_such_volume(wanted: &str) -> String {
    format!("get {wanted}: no such volume")
}

/// A container name in use; status 409. `name` goes without its slash.
#[must_use]
pub fn name_conflict(name: &str, holder: &ContainerId) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )
}

/// Why rename failed, in front of [`name_conflict`] or [`invalid_container_name`]; same status.
#[must_use]
pub fn rename_failed(reason: &str) -> String {
    format!("Error when allocating new name: {reason}")
}

/// A malformed container name; status 400. In rename, dockerd shows the name with a slash in front.
#[must_use]
pub fn invalid_container_name(name: &str) -> String {
    format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
}

/// True if the text may be a container's name: two characters at least, see [`invalid_container_name`].
#[must_use]
pub fn is_container_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Exec, top, resize and pause of a container that does not run; status 409.
#[must_use]
pub fn not_running(id: &ContainerId) -> String {
    format!("container {id} is not running")
}

/// Kill of a container that does not run; status 409. `wanted` is what the client sent.
#[must_use]
pub fn cannot_kill_not_running(wanted: &str, id: &ContainerId) -> String {
    cannot_kill(wanted, &not_running(id))
}

/// Exec and pause of a container between two runs; status 409.
#[must_use]
pub fn restarting(id: &ContainerId) -> String {
    format!("Container {id} is restarting, wait until the container is running")
}

/// Pause of a paused container; status 409.
#[must_use]
pub fn already_paused(id: &ContainerId) -> String {
    format!("Container {id} is already paused")
}

/// Unpause of a container that is not paused; status 500 in dockerd 28.
#[must_use]
pub fn not_paused(id: &ContainerId) -> String {
    format!("Container {id} is not paused")
}

/// Exec create in a paused container; status 409. `wanted` is what the client sent.
#[must_use]
pub fn exec_paused(wanted: &str) -> String {
    format!("Container {wanted} is paused, unpause the container before exec")
}

/// Attach to a paused container; status 409. `wanted` is what the client sent.
///
/// Attach answers its errors as `application/vnd.docker.raw-stream`: the message alone and `\r\n`, no JSON.
#[must_use]
pub fn attach_paused(wanted: &str) -> String {
    format!("container {wanted} is paused, unpause the container before attach")
}

/// Malformed `detachKeys` of attach; status 400. (Exec create says `Invalid escape keys (…) provided`, status 500.)
#[must_use]
pub fn invalid_detach_keys(keys: &str) -> String {
    format!("Invalid detach keys ({keys}) provided")
}

/// Start of an exec that was started before; status 409.
#[must_use]
pub fn exec_is_running(exec: &str) -> String {
    format!("exec command {exec} is already running")
}

/// Start of an exec that has finished; status 409.
#[must_use]
pub fn exec_has_run(exec: &str) -> String {
    format!("exec command {exec} has already run")
}

/// Removal of a container that is in use, without force; status 409. `state` is its state's name.
#[must_use]
pub fn cannot_remove(wanted: &str, state: &str) -> String {
    let reason = if state == "paused" {
        "container is paused and must be unpaused first".to_owned()
    } else {
        format!("container is {state}: stop the container before removing or force remove")
    };
    format!("cannot remove container \"{wanted}\": {reason}")
}

/// Removal of a container that is being removed; status 409.
#[must_use]
pub fn removal_in_progress(wanted: &str) -> String {
    format!("removal of container {wanted} is already in progress")
}

/// A path that is not in the container; status 404.
#[must_use]
pub fn no_such_file(path: &str, container: &str) -> String {
    format!("Could not find the file {path} in container {container}")
}

/// A signal nobody knows; status 400, also within [`cannot_kill`].
#[must_use]
pub fn invalid_signal(signal: &str) -> String {
    format!("invalid signal: {signal}")
}

/// Two mounts on one path; status 400.
#[must_use]
pub fn duplicate_mount_point(path: &str) -> String {
    format!("Duplicate mount point: {path}")
}

/// A restart policy nobody knows; status 400.
#[must_use]
pub fn unknown_restart_policy(name: &str) -> String {
    format!(
        "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )
}

/// A relative working directory; status 400.
#[must_use]
pub fn relative_working_dir(path: &str) -> String {
    format!("the working directory '{path}' is invalid, it needs to be an absolute path")
}

/// Removal of the last tag of an image that a container uses; status 409. `wanted` is what the client sent.
#[must_use]
pub fn image_reference_in_use(wanted: &str, container: &ContainerId, image: &ImageId) -> String {
    format!(
        "conflict: unable to remove repository reference \"{wanted}\" (must force) - container {} is using its referenced image {}",
        container.short(),
        image.short()
    )
}

/// Removal of an image by id which something needs; status 409.
#[must_use]
pub fn image_in_use(image: &ImageId, by: ImageUse<'_>) -> String {
    let (force, reason) = match by {
        ImageUse::Running(container) => (
            "cannot be forced",
            format!("image is being used by running container {}", container.short()),
        ),
        ImageUse::Stopped(container) => (
            "must be forced",
            format!("image is being used by stopped container {}", container.short()),
        ),
        ImageUse::SeveralRepositories => (
            "must be forced",
            "image is referenced in multiple repositories".to_owned(),
        ),
        ImageUse::Children => ("cannot be forced", "image has dependent child images".to_owned()),
    };
    format!(
        "conflict: unable to delete {} ({force}) - {reason}",
        image.short()
    )
}

/// What keeps an image from being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageUse<'a> {
    /// A container that runs.
    Running(&'a ContainerId),
    /// A container that does not run.
    Stopped(&'a ContainerId),
    /// It has tags in several repositories, or several tags.
    SeveralRepositories,
    /// Other images were built on it.
    Children,
}

/// Why a request body was refused; status 400. The texts are dockerd's.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// A body without content type, or with one that is no media type.
    #[error("malformed Content-Type header ({given}): {reason}")]
    MalformedContentType {
        /// The header's value.
        given: String,
        /// The words of Go's parser.
        reason: &'static str,
    },
    /// Another content type than JSON.
    #[error("unsupported Content-Type header ({0}): must be 'application/json'")]
    ContentType(String),
    /// The body ends before its first value, but its length was not zero.
    #[error("invalid JSON: got EOF while reading request body")]
    Empty,
    /// The body ends in the middle of a value.
    #[error("invalid JSON: unexpected EOF")]
    Truncated,
    /// Not JSON, or of another shape than wanted.
    #[error("invalid JSON: {0}")]
    Json(String),
    /// Something follows the value.
    #[error("unexpected content after JSON")]
    Trailing,
}

/// Reads a request's JSON body as dockerd does: an empty one means the zero value, and so does `null`.
///
/// dockerd's create is stricter (see [`CONFIG_EMPTY`]); its caller must look at the result.
///
/// # Errors
/// See [`BodyError`].
pub fn read_body<T: RequestBody>(content_type: Option<&str>, body: &[u8]) -> Result<T, BodyError> {
    if content_type.is_none() && body.is_empty() {
        return Ok(T::default());
    }
    check_json(content_type.unwrap_or_default())?;
    if body.is_empty() {
        return Ok(T::default());
    }
    let document = go_json::read(body).map_err(|error| match error {
        SyntaxError::Empty => BodyError::Empty,
        SyntaxError::Truncated => BodyError::Truncated,
        SyntaxError::Words(words) => BodyError::Json(words),
    })?;
    let read = T::read(Reader::new(&document.tokens, T::GO_NAME))
        .map_err(|error| BodyError::Json(error.words(T::GO_PREFIX)))?;
    if document.trailing {
        Err(BodyError::Trailing)
    } else {
        Ok(read)
    }
}

fn check_json(content_type: &str) -> Result<(), BodyError> {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let malformed = |reason| BodyError::MalformedContentType {
        given: content_type.to_owned(),
        reason,
    };
    if media_type.is_empty() {
        return Err(malformed("mime: no media type"));
    }
    // A single semicolon at the end is harmless, as in Go.
    let parameters: Vec<&str> = parts.collect();
    let last = parameters.len().saturating_sub(1);
    let well_formed = |(index, parameter): (usize, &&str)| {
        (parameter.is_empty() && index == last)
            || parameter
                .split_once('=')
                .is_some_and(|(name, value)| !name.is_empty() && !value.is_empty())
    };
    if !parameters.iter().enumerate().all(well_formed) {
        return Err(malformed("mime: invalid media parameter"));
    }
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(BodyError::ContentType(content_type.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::CreateRequest;

    fn refusal(content_type: Option<&str>, body: &str) -> String {
        read_body::<CreateRequest>(content_type, body.as_bytes())
            .expect_err(body)
            .to_string()
    }

    #[test]
    fn bodies_are_refused_in_dockerds_words() {
        let json = Some("application/json");
        for (content_type, body, words) in [
            (
                None,
                "{}",
                "malformed Content-Type header (): mime: no media type",
            ),
            (
                Some("text/plain"),
                "{}",
                "unsupported Content-Type header (text/plain): must be 'application/json'",
            ),
            (
                Some("application/json;;"),
                "{}",
                "malformed Content-Type header (application/json;;): mime: invalid media parameter",
            ),
            (json, " ", "invalid JSON: got EOF while reading request body"),
            (json, "{\"Image\":", "invalid JSON: unexpected EOF"),
            (json, "{} x", "unexpected content after JSON"),
            (json, "{} {}", "unexpected content after JSON"),
        ] {
            assert_eq!(refusal(content_type, body), words);
        }
    }

    #[test]
    fn empty_and_null_bodies_mean_the_zero_value() {
        for (content_type, body) in [
            (None, ""),
            (Some("application/json"), ""),
            (Some("application/json; charset=utf-8"), "null"),
            (Some("Application/JSON;"), "{}"),
        ] {
            let read: CreateRequest = read_body(content_type, body.as_bytes()).expect(body);
            assert_eq!(read, CreateRequest::default());
        }
    }

    #[test]
    fn container_names_follow_dockers_rule() {
        for good in ["ab", "a.", "A_b-c.9", "0x"] {
            assert!(is_container_name(good), "{good}");
        }
        for bad in ["", "a", "-a", "_a", ".a", "a b", "a/b", "éa", "a\n"] {
            assert!(!is_container_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn conflicts_are_worded_as_dockerd_words_them() {
        let id = ContainerId::from_bytes([0xab; 32]);
        let image = ImageId::from_digest([0xcd; 32]);
        assert_eq!(
            name_conflict("web", &id),
            format!(
                "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
            )
        );
        assert_eq!(
            image_reference_in_use("busybox", &id, &image),
            "conflict: unable to remove repository reference \"busybox\" (must force) - container abababababab is using its referenced image cdcdcdcdcdcd"
        );
        assert_eq!(
            image_in_use(&image, ImageUse::Running(&id)),
            "conflict: unable to delete cdcdcdcdcdcd (cannot be forced) - image is being used by running container abababababab"
        );
        assert_eq!(
            cannot_remove("web", "running"),
            "cannot remove container \"web\": container is running: stop the container before removing or force remove"
        );
    }
}
