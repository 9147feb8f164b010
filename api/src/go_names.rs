//! The names which dockerd's Go types have in its error messages.
//!
//! Rust's types are coarser than dockerd's (`NetworkMode` is a plain string here), and clients see Go's names.

use crate::containers::{ContainerConfig, CreateRequest, UpdateRequest};
use crate::exec::{ExecCreateRequest, ExecStartRequest};
use crate::go_read::{Place, Reader, TypeError};
use crate::host_config::HostConfig;
use crate::networks::{
    NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest, NetworkingConfig,
};
use crate::volumes::VolumeCreateRequest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A type that comes as the JSON body of a request.
pub trait RequestBody: DeserializeOwned + Default {
    /// The Go type that dockerd 28.5.2 reads the body into.
    const GO_NAME: &'static str;
    /// What dockerd puts in front of a field's path: the type's name without package, or nothing.
    const GO_PREFIX: &'static str;

    /// Reads the body.
    ///
    /// # Errors
    /// A value of the wrong type.
    #[doc(hidden)]
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

impl RequestBody for CreateRequest {
    const GO_NAME: &'static str = "container.CreateRequest";
    // Its fields are those of an embedded type, which Go does not name.
    const GO_PREFIX: &'static str = "";

    /// Reads the object twice, because serde loses places and types on the way into a flattened structure.
    fn read(reader: Reader<'_, '_>) -> Result<Self, TypeError> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Beside {
            host_config: HostConfig,
            networking_config: Option<NetworkingConfig>,
        }
        match (ContainerConfig::deserialize(reader), Beside::deserialize(reader)) {
            (
                Ok(config),
                Ok(Beside {
                    host_config,
                    networking_config,
                }),
            ) => Ok(Self {
                config,
                host_config,
                networking_config,
            }),
            (Err(config), Err(beside)) => Err(if beside.at < config.at { beside } else { config }),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        }
    }
}

/// Go's name of one of our structures; of an unknown one its own name, which is close.
pub(crate) fn of_structure(name: &'static str) -> &'static str {
    match name {
        "Empty" => "struct {}",
        "HealthConfig" => "v1.HealthcheckConfig",
        "HostConfig" => "container.HostConfig",
        "LogConfig" => "container.LogConfig",
        "RestartPolicy" => "container.RestartPolicy",
        "PortBinding" => "nat.PortBinding",
        "DeviceMapping" => "container.DeviceMapping",
        "DeviceRequest" => "container.DeviceRequest",
        "WeightDevice" => "blkiodev.WeightDevice",
        "ThrottleDevice" => "blkiodev.ThrottleDevice",
        "Ulimit" => "units.Ulimit",
        "Mount" => "mount.Mount",
        "BindOptions" => "mount.BindOptions",
        "VolumeOptions" => "mount.VolumeOptions",
        "ImageOptions" => "mount.ImageOptions",
        "TmpfsOptions" => "mount.TmpfsOptions",
        "MountDriver" => "mount.Driver",
        "NetworkingConfig" => "network.NetworkingConfig",
        "EndpointSettings" => "network.EndpointSettings",
        "EndpointIpamConfig" => "network.EndpointIPAMConfig",
        "Ipam" => "network.IPAM",
        "IpamConfig" => "network.IPAMConfig",
        "ConfigReference" => "network.ConfigReference",
        other => other,
    }
}

/// Go's name of the type wanted at `place`; `usual` is what it is for most values of the same Rust type.
pub(crate) fn of_value(place: Place, usual: &'static str) -> &'static str {
    match place {
        Place::Body(name) => name,
        Place::Field { of, name } => of_field(of, name).unwrap_or(usual),
        Place::Element {
            of: "HostConfig",
            name: "PortBindings",
        } => "[]nat.PortBinding",
        Place::Element { .. } | Place::Deeper => usual,
    }
}

fn of_field(of: &str, name: &str) -> Option<&'static str> {
    Some(match (of, name) {
        (_, "StopTimeout" | "Retries" | "OomScoreAdj" | "MaximumRetryCount" | "GwPriority") => "int",
        ("DeviceRequest", "Count") => "int",
        ("HealthConfig", "Interval" | "Timeout" | "StartPeriod" | "StartInterval") => "time.Duration",
        ("RestartPolicy", "Name") => "container.RestartPolicyMode",
        ("Mount", "Type") => "mount.Type",
        ("Mount", "Consistency") => "mount.Consistency",
        ("BindOptions", "Propagation") => "mount.Propagation",
        ("TmpfsOptions", "Mode") => "fs.FileMode",
        ("TmpfsOptions", "Options") | ("DeviceRequest", "Capabilities") => "[][]string",
        ("ContainerConfig", "ExposedPorts") => "nat.PortSet",
        ("ContainerConfig", "Volumes") => "map[string]struct {}",
        ("NetworkingConfig", "EndpointsConfig") => "map[string]*network.EndpointSettings",
        ("Ipam", "Config") => "[]network.IPAMConfig",
        (_, "BlkioWeightDevice") => "[]*blkiodev.WeightDevice",
        (
            _,
            "BlkioDeviceReadBps" | "BlkioDeviceWriteBps" | "BlkioDeviceReadIOps" | "BlkioDeviceWriteIOps",
        ) => "[]*blkiodev.ThrottleDevice",
        (_, "Devices") => "[]container.DeviceMapping",
        (_, "DeviceRequests") => "[]container.DeviceRequest",
        (_, "Ulimits") => "[]*units.Ulimit",
        ("HostConfig", name) => return of_host_field(name),
        _ => return None,
    })
}

fn of_host_field(name: &str) -> Option<&'static str> {
    Some(match name {
        "NetworkMode" => "container.NetworkMode",
        "CgroupnsMode" => "container.CgroupnsMode",
        "IpcMode" => "container.IpcMode",
        "Cgroup" => "container.CgroupSpec",
        "PidMode" => "container.PidMode",
        "UTSMode" => "container.UTSMode",
        "UsernsMode" => "container.UsernsMode",
        "Isolation" => "container.Isolation",
        "PortBindings" => "nat.PortMap",
        "Mounts" => "[]mount.Mount",
        _ => return None,
    })
}
