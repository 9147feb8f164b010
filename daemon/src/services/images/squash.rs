//! `docker build --squash`: all steps of an image as one layer on its base.

use super::spool::Spool;
use super::verbs::Images;
use super::{Image, chain};
use crate::services::{Failure, clock};
use docker_api::image_config::ConfigHistory;
use protocol::Principal;
use protocol::names::Bounded;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

impl Images {
    /// Makes an image of `image` whose layers above `base` are one. `directory` takes the layer on its way. The images of the
    /// steps stay as they are.
    ///
    /// # Errors
    /// [`Failure::System`] in dockerd's words where there is nothing above `base`, or what the helpers answer.
    pub async fn squash(
        &self,
        by: &Principal,
        image: &Image,
        base: Option<&Image>,
        directory: &Path,
    ) -> Result<Arc<Image>, Failure> {
        let below = base.map_or(&[][..], |base| &base.chain);
        if image.chain == below {
            let top = image
                .chain
                .last()
                .map(|top| chain::digest(top))
                .unwrap_or_default();
            return Err(Failure::System(format!(
                "error getting tar stream to parent: layer ID '{top}' is not a parent of the specified layer: cannot provide diff to non-parent"
            )));
        }
        let spool = self.between(by, &image.chain, below, directory).await?;
        let layer = self.add_layer(by, below, spool.path()).await?;
        let mut chain = below.to_vec();
        chain.push(layer.chain_id.clone());
        let mut file = image.config.clone();
        file.rootfs.diff_ids.truncate(below.len());
        file.rootfs.diff_ids.push(layer.diff_id.clone());
        let steps_below = base.map_or(0, |base| base.config.history.len());
        for step in file.history.iter_mut().skip(steps_below) {
            step.empty_layer = true;
        }
        file.created = Some(clock::text(clock::now_ns()));
        file.history.push(ConfigHistory {
            created: file.created.clone(),
            comment: match base {
                Some(base) => format!("merge {} to {}", image.id, base.id),
                None => format!("create new from {}", image.id),
            },
            ..ConfigHistory::default()
        });
        self.create(by, file, &chain, None, &[]).await
    }

    /// What differs between two chains of layers, as a layer's tar.
    async fn between(
        &self,
        by: &Principal,
        of: &[String],
        below: &[String],
        directory: &Path,
    ) -> Result<Spool, Failure> {
        let io = |error: std::io::Error| Failure::System(error.to_string());
        let (tree, base) = (self.tree(by, of).await?, self.tree(by, below).await?);
        let root = tree
            .mount_name()
            .ok_or_else(|| Failure::System("an image without layers".to_owned()))?;
        let skip = Bounded::new(Vec::new())?;
        let archive = &self.helpers.archive;
        let mut packing = archive.pack_difference(by, root, base.mount_name(), skip).await?;
        let (spool, file) = Spool::create(directory).map_err(io)?;
        let mut file = tokio::fs::File::from_std(file);
        let copied = tokio::io::copy(&mut packing.stream, &mut file).await;
        packing.finish().await?;
        copied.map_err(io)?;
        file.flush().await.map_err(io)?;
        tree.close().await?;
        base.close().await?;
        Ok(spool)
    }
}
