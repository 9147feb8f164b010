//! `docker commit`: what a container changed becomes a layer, and what it runs the configuration of a new image.

use super::create::merge;
use super::judge::{Ask, judge};
use super::messages::Found;
use super::pause;
use super::state::Container;
use super::verbs::{Containers, to_the_end};
use crate::services::images::changes::apply_changes;
use crate::services::images::{Base, Spool};
use crate::services::{Failure, clock};
use docker_api::containers::ContainerConfig;
use docker_api::error::no_such_image;
use docker_api::image_config::{ConfigHistory, ImageConfig, ImageConfigFile};
use docker_api::reference::Reference;
use protocol::Principal;
use std::sync::Arc;

/// What a commit is to make.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The image's name.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Instructions that change the configuration (`--change`).
    pub changes: Vec<String>,
    /// What containers of it run; none is what this container runs.
    pub config: Option<ContainerConfig>,
    /// Whether the container is stopped meanwhile, so that files are not half-written.
    pub pause: bool,
}

impl Containers {
    /// Makes an image of a container; answers its id.
    ///
    /// # Errors
    /// `NotFound` for the container, or for its image where that was removed; `Invalid` for changes; what the helpers answer.
    pub async fn commit(&self, by: &Principal, text: &str, commit: Commit) -> Result<String, Failure> {
        let (this, by, text) = (self.clone(), by.clone(), text.to_owned());
        // To the end: what was paused for it goes on also where the client hangs up.
        to_the_end(async move { this.commit_now(&by, &text, commit).await }).await
    }

    async fn commit_now(&self, by: &Principal, text: &str, commit: Commit) -> Result<String, Failure> {
        let found = self.find(by, text).await?;
        let container = Arc::clone(&found.container);
        judge(Ask::Commit, &container, text)?;
        let parent = if container.image_id.is_empty() {
            None
        } else {
            let found = self.0.images.find(by, &container.image_id).await;
            Some(found.map_err(|_| Failure::NotFound(no_such_image(&container.image_id)))?)
        };
        let config = config(&container, &commit)?;
        let base = self.0.images.tree(by, &container.chain).await?;
        let is_paused_for_this = commit.pause && container.is_running() && !container.is_paused();
        let layer = if is_paused_for_this {
            self.quiet_layer(by, &found, &base).await
        } else {
            self.changed_layer(by, &container, &base).await
        };
        base.close().await?;
        let mut chain = container.chain.clone();
        let added = match layer? {
            Some(spool) => Some(self.0.images.add_layer(by, &chain, spool.path()).await?),
            None => None,
        };
        chain.extend(added.as_ref().map(|layer| layer.chain_id.clone()));
        let mut file = parent
            .as_ref()
            .map(|parent| parent.config.clone())
            .unwrap_or_else(|| ImageConfigFile {
                os: container.image_os.clone(),
                architecture: self
                    .0
                    .images
                    .host_platforms()
                    .first()
                    .map(|own| own.architecture.clone())
                    .unwrap_or_default(),
                ..ImageConfigFile::default()
            });
        let created = Some(clock::text(clock::now_ns()));
        file.history.push(ConfigHistory {
            created: created.clone(),
            created_by: container.config.cmd.clone().unwrap_or_default().join(" "),
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            empty_layer: added.is_none(),
        });
        file.rootfs
            .diff_ids
            .extend(added.as_ref().map(|layer| layer.diff_id.clone()));
        (file.created, file.author, file.comment) = (created, commit.author, commit.comment.clone());
        file.config = config;
        let names: Vec<Reference> = commit.name.into_iter().collect();
        let image = self
            .0
            .images
            .create(by, file, &chain, parent.as_deref(), &names)
            .await?;
        // The image keeps the layer now.
        drop(added);
        let reference = names.first().map(Reference::to_string).unwrap_or_default();
        let told = [
            ("comment", commit.comment),
            ("imageID", image.id.clone()),
            ("imageRef", reference),
        ];
        self.0.tell(&container, "commit", &told);
        Ok(image.id.clone())
    }
}

impl Containers {
    /// What a container changed, with its processes held meanwhile.
    async fn quiet_layer(
        &self,
        by: &Principal,
        found: &Found,
        base: &Base,
    ) -> Result<Option<Spool>, Failure> {
        match pause::pause(&self.0, by, found).await {
            // It has ended, or somebody else holds it: it is quiet.
            Err(Failure::Conflict(_)) => return self.changed_layer(by, &found.container, base).await,
            other => other?,
        }
        let layer = self.changed_layer(by, &found.container, base).await;
        match pause::resume(&self.0, by, &found.container).await {
            // Somebody killed it meanwhile.
            Err(Failure::NotFound(_)) => {}
            other => other?,
        }
        layer
    }
}

/// dockerd's rule: the changes apply to the configuration that was sent, and what it leaves open is the container's.
fn config(container: &Container, commit: &Commit) -> Result<ImageConfig, Failure> {
    let own = ImageConfig::from(container.config.clone());
    let sent = commit
        .config
        .clone()
        .map_or_else(|| own.clone(), ImageConfig::from);
    let changed = apply_changes(sent, &commit.changes)?;
    let mut merged = ContainerConfig::from(changed);
    merge(&mut merged, &own);
    Ok(merged.into())
}

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;

    fn commit(changes: &[&str]) -> Commit {
        Commit {
            name: None,
            author: String::new(),
            comment: String::new(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            config: None,
            pause: true,
        }
    }

    #[test]
    fn changes_apply_to_what_the_container_runs() {
        let mut container = container(Phase::Exited);
        container.config.cmd = Some(vec!["/bin/sh".to_owned()]);
        container.config.env = Some(vec!["A=1".to_owned()]);
        let made = config(&container, &commit(&["ENV A=2 B=3", "USER u"])).unwrap();
        assert_eq!(made.cmd.as_deref(), Some(&["/bin/sh".to_owned()][..]));
        assert_eq!(made.env, Some(vec!["A=2".to_owned(), "B=3".to_owned()]));
        assert_eq!(made.user, "u");
        assert!(config(&container, &commit(&["FROM x"])).is_err());
    }

    #[test]
    fn a_configuration_that_was_sent_comes_before_the_containers() {
        let mut container = container(Phase::Exited);
        container.config.cmd = Some(vec!["/old".to_owned()]);
        container.config.working_dir = "/w".to_owned();
        let sent = ContainerConfig {
            cmd: Some(vec!["/new".to_owned()]),
            ..ContainerConfig::default()
        };
        let made = config(
            &container,
            &Commit {
                config: Some(sent),
                ..commit(&[])
            },
        )
        .unwrap();
        assert_eq!(made.cmd, Some(vec!["/new".to_owned()]));
        assert_eq!(made.working_dir, "/w");
    }
}
