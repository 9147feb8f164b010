//! Exec: a further process in a running container.

use crate::null;
use serde::{Deserialize, Serialize};

/// Body of `POST /containers/{id}/exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExecCreateRequest {
    /// User (and group) to run as, `user[:group]`.
    #[serde(deserialize_with = "null::or_default")]
    pub user: String,
    /// Give the process every capability.
    #[serde(deserialize_with = "null::or_default")]
    pub privileged: bool,
    /// Run on a terminal.
    #[serde(deserialize_with = "null::or_default")]
    pub tty: bool,
    /// First terminal size: rows, columns (API 1.42).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
    /// Connect standard input.
    #[serde(deserialize_with = "null::or_default")]
    pub attach_stdin: bool,
    /// Connect standard error.
    #[serde(deserialize_with = "null::or_default")]
    pub attach_stderr: bool,
    /// Connect standard output.
    #[serde(deserialize_with = "null::or_default")]
    pub attach_stdout: bool,
    /// Key sequence that detaches the client.
    #[serde(deserialize_with = "null::or_default")]
    pub detach_keys: String,
    /// Environment, `NAME=value`.
    pub env: Option<Vec<String>>,
    /// Working directory; empty means the container's.
    #[serde(deserialize_with = "null::or_default")]
    pub working_dir: String,
    /// Command and arguments. Unlike a container's, never a single string.
    pub cmd: Option<Vec<String>>,
    /// Sent by old clients; what counts is `Detach` of start.
    #[serde(deserialize_with = "null::or_default")]
    pub detach: bool,
}

/// Answer to exec create (201), commit (201) and others that return only an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IdResponse {
    /// The new object's id.
    pub id: String,
}

/// Body of `POST /exec/{id}/start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExecStartRequest {
    /// Start and answer at once.
    #[serde(deserialize_with = "null::or_default")]
    pub detach: bool,
    /// Must agree with create: tells how the stream is framed.
    #[serde(deserialize_with = "null::or_default")]
    pub tty: bool,
    /// First terminal size: rows, columns (API 1.42).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
}

/// Answer to `GET /exec/{id}/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExecInspect {
    /// The exec's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Started and not yet finished.
    pub running: bool,
    /// Exit code; null until it has exited.
    pub exit_code: Option<i64>,
    /// What runs.
    pub process_config: ExecProcessConfig,
    /// Standard input is open.
    pub open_stdin: bool,
    /// Standard error is connected.
    pub open_stderr: bool,
    /// Standard output is connected.
    pub open_stdout: bool,
    /// The container may be removed while this runs.
    pub can_remove: bool,
    /// The container's id.
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    /// Key sequence that detaches the client, as bytes in base64; empty for the default.
    pub detach_keys: Option<String>,
    /// Process id on the host; 0 before the start.
    pub pid: i64,
}

/// The process of an exec, with dockerd's lower-case names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecProcessConfig {
    /// Runs on a terminal.
    pub tty: bool,
    /// The program.
    pub entrypoint: String,
    /// Its arguments.
    pub arguments: Option<Vec<String>>,
    /// Has every capability; left out if the client did not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// User it runs as; left out if the client did not ask.
    #[serde(skip_serializing_if = "null::is_zero")]
    pub user: String,
}
