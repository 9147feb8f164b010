//! `docker import`: a root file system becomes an image of one layer.

use super::spool::Spool;
use super::verbs::Images;
use crate::services::{Failure, clock};
use docker_api::image_config::{ConfigHistory, ConfigRootFs, ImageConfig, ImageConfigFile, Platform};
use docker_api::reference::Reference;
use protocol::Principal;
use protocol::handshake::HostOs;

/// What an imported image is to be.
#[derive(Debug, Clone)]
pub struct Import {
    /// Its name.
    pub name: Option<Reference>,
    /// Its comment.
    pub message: String,
    /// What containers of it run, see [`super::changes::apply_changes`].
    pub config: ImageConfig,
    /// What it is for; none means this host.
    pub platform: Option<Platform>,
}

impl Images {
    /// Makes an image of a spooled root file system (plain or gzip tar); answers its id.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a platform that this host cannot run, else as [`Images::add_layer`].
    pub async fn import(&self, by: &Principal, spool: Spool, import: Import) -> Result<String, Failure> {
        let platforms = self.host_platforms();
        let wanted = import
            .platform
            .or_else(|| platforms.first().cloned())
            .unwrap_or_default();
        if !platforms.iter().any(|platform| platform.os == wanted.os) {
            return Err(Failure::Invalid("operating system is not supported".to_owned()));
        }
        let layer = self.add_layer(by, &[], spool.path()).await?;
        let created = Some(clock::text(clock::now_ns()));
        let comment = import.message;
        let config = ImageConfigFile {
            created: created.clone(),
            architecture: wanted.architecture,
            variant: wanted.variant,
            os: wanted.os,
            comment: comment.clone(),
            config: import.config,
            rootfs: ConfigRootFs {
                diff_ids: vec![layer.diff_id],
                ..ConfigRootFs::default()
            },
            history: vec![ConfigHistory {
                created,
                comment,
                ..ConfigHistory::default()
            }],
            ..ImageConfigFile::default()
        };
        let names: Vec<Reference> = import.name.into_iter().collect();
        let image = self.create(by, config, &[layer.chain_id], None, &names).await?;
        drop(layer.hold);
        self.tell(by, &image, "import", &image.id);
        Ok(image.id.clone())
    }

    /// What this host can run, best first.
    #[must_use]
    pub fn host_platforms(&self) -> Vec<Platform> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let systems: &[&str] = match self.helpers.zfs.0.facts() {
            Some(facts) => match (facts.os, facts.runs_linux) {
                (HostOs::FreeBsd, true) => &["freebsd", "linux"],
                (HostOs::FreeBsd, false) => &["freebsd"],
                (HostOs::Linux, _) => &["linux"],
            },
            None => &[],
        };
        let platform = |os: &&str| Platform {
            os: (*os).to_owned(),
            architecture: architecture.to_owned(),
            ..Platform::default()
        };
        systems.iter().map(platform).collect()
    }
}
