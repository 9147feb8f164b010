//! The Docker Engine API's JSON, error wording, identifiers and stream framing.
//!
//! **Owns** every shape that crosses the HTTP edge: what clients send, what the server answers, and the
//! words clients match on. **Never does** I/O, keeps no state and knows nothing of jails. **Called by** the
//! daemon's edge and by tests which read the answers back.
//!
//! The shapes are those of Engine API 1.51 as dockerd 28 writes them; fields that differ in older API
//! versions say so, and the edge adapts them per request version (see [`version`]).
//!
//! # Null, empty and absent
//!
//! Clients tell the three apart, so each type follows what dockerd writes:
//!
//! * a scalar or string is always written, with its zero value (`""`, `0`, `false`) when unset;
//! * `Option<T>` without a skip attribute is written as `null` when unset (dockerd's nil slices, maps and pointers);
//!   `Some(vec![])` is written as `[]`;
//! * `Option<T>`, or a plain value, with `skip_serializing_if` is left out when unset or zero;
//! * a plain `Vec` or map is one that dockerd never leaves null: it is written as `[]` or `{}`.
//!
//! Reading is as tolerant as dockerd: unknown fields are ignored, an absent or `null` field means the zero value,
//! but a value of the wrong JSON type is an error.
#![forbid(unsafe_code)]

pub mod build_image;
mod config_parts;
pub mod containers;
pub mod durations;
pub mod error;
pub mod events;
pub mod exec;
pub mod filters;
mod go_json;
mod go_names;
mod go_read;
pub mod host_config;
pub mod ids;
pub mod image_config;
pub mod images;
pub mod inspect;
mod mounts;
pub mod networks;
mod null;
pub mod query;
pub mod reference;
pub mod stats;
pub mod stream;
pub mod system;
pub mod timestamps;
pub mod version;
pub mod volumes;
