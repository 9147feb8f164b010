//! Chain ids: what a stack of layers is called (OCI image-spec, "Layer ChainID").

use crate::services::naming::hex;
use sha2::{Digest, Sha256};

/// What stands before the digits of a digest.
const PREFIX: &str = "sha256:";

/// The chain id of a layer on top of `parent`: `sha256(parent + " " + diff_id)`, or the diff id itself for the lowest layer.
/// All three are hexadecimal digits without `sha256:`.
#[must_use]
pub fn next(parent: Option<&str>, diff: &str) -> String {
    match parent {
        None => diff.to_owned(),
        Some(parent) => hex(&Sha256::digest(format!("{PREFIX}{parent} {PREFIX}{diff}"))),
    }
}

/// The chain ids of a stack of layers, lowest first; `None` where one of the diff ids is no SHA-256 digest.
#[must_use]
pub fn of(diff_ids: &[String]) -> Option<Vec<String>> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let above = next(chain.last().map(String::as_str), digits(diff_id)?);
        chain.push(above);
    }
    Some(chain)
}

/// The 64 digits of `sha256:<digits>`.
#[must_use]
pub fn digits(digest: &str) -> Option<&str> {
    let digits = digest.strip_prefix(PREFIX)?;
    docker_api::reference::is_identifier(digits).then_some(digits)
}

/// `sha256:` and the digits.
#[must_use]
pub fn digest(digits: &str) -> String {
    format!("{PREFIX}{digits}")
}

/// The digest of some bytes, with its `sha256:`.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    digest(&hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What dockerd 28.5 reported for an image of these two layers.
    const DIFF_IDS: [&str; 2] = [
        "sha256:de5745f0980f8bf8168fe694bd34b0631aeaaf306cd3968e53e3c3bb28ed0c38",
        "sha256:56e70e72e784779c3502fc7aa71a648ad83c803e39d08d10665a7e60222f1b11",
    ];
    const TOP: &str = "fad6c5f9d6a479d29af2b6d514d47c09c8b02575c6a56269ad0b79740c3dd284";

    #[test]
    fn chain_ids_are_dockerds() {
        let chain = of(&DIFF_IDS.map(str::to_owned)).unwrap();
        assert_eq!(chain, [DIFF_IDS[0].trim_start_matches(PREFIX), TOP]);
        assert_eq!(of(&[]), Some(Vec::new()));
    }

    #[test]
    fn the_same_layer_twice_gives_two_chain_ids() {
        let chain = of(&[DIFF_IDS[0].to_owned(), DIFF_IDS[0].to_owned()]).unwrap();
        // As dockerd 28.5 deleted it.
        assert_eq!(
            chain[1],
            "066f037b0dddba5678675c82380a84a85431eed19f7faa46a8d908329667b35f"
        );
    }

    #[test]
    fn only_sha256_digests_make_a_chain() {
        for bad in [
            "",
            "sha256:",
            "sha256:../../../../etc",
            "sha512:00",
            DIFF_IDS[0].trim_start_matches(PREFIX),
        ] {
            assert_eq!(of(&[bad.to_owned()]), None, "{bad}");
        }
    }
}
