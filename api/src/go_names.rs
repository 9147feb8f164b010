//! The names which dockerd's Go types have in its error messages.
//!
//! Rust's types are coarser than dockerd's (`NetworkMode` is a plain string here), and clients see Go's names.

use crate::containers::{CreateRequest, UpdateRequest};
use crate::exec::{ExecCreateRequest, ExecStartRequest};
use crate::go_read::{Reader, TypeError};
use crate::networks::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use crate::volumes::VolumeCreateRequest;
use serde::de::DeserializeOwned;

/// A type that comes as the JSON body of a request.
pub trait RequestBody: DeserializeOwned + Default {
    /// The Go type that dockerd 28.5.2 reads the body into.
    const GO_NAME: &'static str;
    /// What dockerd puts in front of a field's path: the type's name without package, or nothing.
    const GO_PREFIX: &'static str;

    /// Reads the body.
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "only this crate implements and calls it")]
    fn read(reader: Reader<'_, '_>) -> Result<Self, TypeError> {
        Self::deserialize(reader)
    }
}

macro_rules! request_bodies {
    ($($body:ty: $package:literal $name:literal,)*) => {$(
        impl RequestBody for $body {
            const GO_NAME: &'static str = concat!($package, ".", $name);
            const GO_PREFIX: &'static str = $name;
        }
    )*};
}

request_bodies! {
    ExecCreateRequest: "container" "ExecOptions",
    ExecStartRequest: "container" "ExecStartOptions",
    UpdateRequest: "container" "UpdateConfig",
    NetworkCreateRequest: "network" "CreateRequest",
    NetworkConnectRequest: "network" "ConnectOptions",
    NetworkDisconnectRequest: "network" "DisconnectOptions",
    VolumeCreateRequest: "volume" "CreateOptions",
}
