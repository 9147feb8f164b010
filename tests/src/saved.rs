//! Image archives as `docker save` writes them: a configuration, layers in order, and a manifest (image-spec v1.2 of Docker).

use crate::tarball::Tarball;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What goes into the archive; nothing makes it agree with itself.
#[derive(Debug, Clone)]
pub struct Image<'a> {
    /// Names with tags.
    pub tags: Vec<&'a str>,
    /// The part `config` of the configuration.
    pub config: Value,
    /// What the configuration says the layers' digests are.
    pub digests: Vec<String>,
    /// The layers.
    pub stored: Vec<Vec<u8>>,
}

impl<'a> Image<'a> {
    /// An image of one layer that agrees with itself.
    pub fn of(tag: &'a str, layer: Vec<u8>) -> Image<'a> {
        let config = json!({ "Cmd": ["sh"] });
        Image {
            tags: vec![tag],
            config,
            digests: vec![digest(&layer)],
            stored: vec![layer],
        }
    }

    /// The archive.
    pub fn archive(&self) -> Vec<u8> {
        let history: Vec<Value> = self
            .digests
            .iter()
            .map(|_| json!({ "created_by": "a test" }))
            .collect();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "created": "2025-01-02T03:04:05Z",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": self.digests },
            "history": history,
        })
        .to_string();
        let config_name = format!("{}.json", &digest(config.as_bytes())[7..]);
        let names: Vec<String> = (0..self.stored.len())
            .map(|at| format!("{at}/layer.tar"))
            .collect();
        let manifest = json!([{ "Config": config_name, "RepoTags": self.tags, "Layers": names }]).to_string();
        let mut archive = Tarball::new().file(&config_name, config);
        for (name, layer) in names.iter().zip(&self.stored) {
            archive = archive.file(name, layer);
        }
        archive.file("manifest.json", manifest).finish()
    }
}

/// `sha256:` and the digits.
pub fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}
