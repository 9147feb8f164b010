//! What our objects are called at the helpers, and new ids.

use protocol::names::{BadName, DatasetName, InterfaceName, JailName, MountName, SnapshotLabel};
use std::fmt::Write as _;

/// The label of a finished layer's snapshot.
///
/// # Errors
/// Never: the label is a good name; the type asks.
pub fn layer_label() -> Result<SnapshotLabel, BadName> {
    SnapshotLabel::new("layer")
}

/// The dataset of a layer chain. `chain` is the digest without `sha256:`.
///
/// # Errors
/// Where `chain` is not a name; digests are.
pub fn image_dataset(chain: &str) -> Result<DatasetName, BadName> {
    DatasetName::within("images", chain)
}

/// The dataset of a container's root.
///
/// # Errors
/// Where `id` is not a name; ids are.
pub fn container_dataset(id: &str) -> Result<DatasetName, BadName> {
    DatasetName::within("containers", id)
}

/// The dataset of a tenant's volume.
///
/// # Errors
/// Where a part is not a name.
pub fn volume_dataset(tenant: &str, name: &str) -> Result<DatasetName, BadName> {
    DatasetName::new(format!("volumes/{tenant}/{name}"))
}

/// Where a container's root is mounted.
///
/// # Errors
/// Where `id` is not a name.
pub fn container_mount(id: &str) -> Result<MountName, BadName> {
    MountName::new(format!("{}{id}", MountName::CONTAINER_PREFIX))
}

/// Where a layer chain is mounted while it is filled or compared.
///
/// # Errors
/// Where `chain` is not a name.
pub fn image_mount(chain: &str) -> Result<MountName, BadName> {
    MountName::new(format!("i-{chain}"))
}

/// The jail of a container.
///
/// # Errors
/// Where `id` is not a name.
pub fn jail(id: &str) -> Result<JailName, BadName> {
    JailName::new(id)
}

/// The host's end of a container's link: `cb`, four digits of the installation, `e`, eight of the endpoint.
///
/// # Errors
/// Where an id is not hexadecimal.
pub fn endpoint_interface(installation: &str, endpoint: &str) -> Result<InterfaceName, BadName> {
    InterfaceName::new(format!("cb{}e{}", cut(installation, 4), cut(endpoint, 8)))
}

/// A network's bridge.
///
/// # Errors
/// Where an id is not hexadecimal.
pub fn bridge_interface(installation: &str, network: &str) -> Result<InterfaceName, BadName> {
    InterfaceName::new(format!("cb{}b{}", cut(installation, 4), cut(network, 8)))
}

fn cut(id: &str, length: usize) -> &str {
    id.get(..length).unwrap_or(id)
}

/// A new random id of 64 hexadecimal digits.
#[must_use]
pub fn new_id() -> String {
    hex(&random::<32>())
}

/// Random bytes from the kernel.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // PANIC: both hosts have getrandom(2), which fails only for a bad pointer.
    #[expect(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("no random bytes");
    bytes
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit() {
        let id = new_id();
        assert_eq!(endpoint_interface(&id, &id).unwrap().as_str().len(), 15);
        assert_eq!(bridge_interface(&id, &id).unwrap().as_str().len(), 15);
    }

    #[test]
    fn ids_are_64_digits_and_differ() {
        assert_eq!(new_id().len(), 64);
        assert_ne!(new_id(), new_id());
    }
}
