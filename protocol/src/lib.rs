//! What the daemon, the launcher and the helpers say to each other.
//!
//! A session between the daemon and one helper, over an inherited `SOCK_STREAM` socketpair:
//!
//! ```text
//! daemon                                   helper
//!   | -- Hello  (frozen bytes) ------------> |   handshake::Hello
//!   | <------------- Welcome | Refused ----- |   handshake::Welcome: version + host facts
//!   | -- frame(id, Ask<Request>) [+ fds] --> |   one request in flight per connection
//!   | <-- frame(id, Answer<Response>) [fds]- |   Result<Response, HelperError>
//! ```
//!
//! Adding a message: append a variant (never reorder: the tag is the position), raise
//! [`version::PROTOCOL_VERSION`] with a doc line, extend `tests/samples`. Retiring one: rename it to
//! `RetiredN` and answer [`error::ErrorCode::Retired`].
//!
//! This crate does no I/O beyond framing and holds no unsafe code. Names are checked while they are decoded, so
//! a value of a name type always holds a good name.
#![forbid(unsafe_code)]

pub mod archive;
pub mod codec;
pub mod error;
pub mod fd;
pub mod frame;
pub mod handshake;
pub mod jail;
pub mod keeper;
pub mod limits;
pub mod mount;
pub mod names;
pub mod net;
pub mod policy;
pub mod principal;
pub mod version;
pub mod zfs;

pub use codec::CodecError;
pub use error::{Answer, ErrorCode, HelperError};
pub use principal::{Ask, Principal};
