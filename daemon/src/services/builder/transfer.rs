//! `COPY` and `ADD`: where their sources come from, and the layer that they become.

use super::copy::{self, Destination};
use super::dockerfile::{Transfer, Verb};
use super::lines::Document;
use super::plan::expand_document;
use super::source::{self, Origin, Source, is_address, is_git};
use super::steps::{Build, Current};
use super::{BuildError, blocking, cache, fetch};
use crate::services::Failure;
use crate::services::images::Base;
use std::io::Write;
use std::sync::Arc;

/// Permission bits of what an address gave and of a here-document, as in dockerd and BuildKit.
const FETCHED_MODE: u32 = 0o600;
const DOCUMENT_MODE: u32 = 0o644;

impl Build<'_> {
    pub(super) async fn transfer(
        &mut self,
        current: &mut Current,
        transfer: &Transfer,
    ) -> Result<(), BuildError> {
        if let Some(option) = &transfer.needs_buildkit {
            return Err(BuildError::needs_buildkit(option));
        }
        let verb = transfer.verb;
        let mode = copy::mode(&transfer.mode)?;
        let expand = |word: &String| current.plan.expand(word);
        let sources = transfer
            .sources
            .iter()
            .map(expand)
            .collect::<Result<Vec<_>, _>>()?;
        let (addresses, sources): (Vec<String>, Vec<String>) = sources
            .into_iter()
            .partition(|path| verb == Verb::Add && is_address(path) && !is_git(path));
        let (wanted, chown) = (expand(&transfer.destination)?, expand(&transfer.owner)?);
        let keeps_owner = !transfer.from.is_empty() && chown.is_empty();
        let failed = |error: BuildError| error.within(&format!("{} failed", verb.word()));
        let mut found = if transfer.from.is_empty() {
            let origin = Origin::Context(&self.context);
            source::find(self.deps, verb, &origin, &sources, keeps_owner)
                .await
                .map_err(failed)?
        } else {
            let tree = self.other_image(&transfer.from).await;
            let tree =
                tree.map_err(|error| error.within(&format!("invalid from flag value {}", transfer.from)))?;
            let found = source::find(self.deps, verb, &Origin::Image(&tree), &sources, keeps_owner).await;
            tree.close().await?;
            found.map_err(failed)?
        };
        for address in &addresses {
            found.push(self.fetched(address).await.map_err(failed)?);
        }
        for document in &transfer.documents {
            found.push(self.document(current, document).await?);
        }
        if found.is_empty() {
            let text = "no source files were specified".to_owned();
            return Err(failed(BuildError::from(Failure::System(text))));
        }
        if found.len() > 1 && !wanted.ends_with('/') {
            let text = format!(
                "When using {} with more than one source file, the destination must be a directory and end with a /",
                verb.word()
            );
            return Err(BuildError::from(Failure::System(text)));
        }
        let hash = source::hash_of(&found);
        let text = cache::transfer_text(verb.word(), &chown, &transfer.mode, &hash, &wanted);
        let created_by = current.plan.comment_in_one(&text).created_by();
        if self.is_done(current, &created_by).await? {
            return Ok(());
        }
        let base = self.base(current).await?;
        let owner = copy::owner(&base, transfer, &chown).await?;
        let path = copy::absolute(&current.plan.config().working_dir, &wanted);
        let layer = copy::layer(self.deps, &base, verb, found, Destination { path, owner, mode }).await?;
        base.close().await?;
        self.commit(current, &created_by, layer).await
    }

    /// What is at an address.
    async fn fetched(&mut self, address: &str) -> Result<Source, BuildError> {
        let name = fetch::name_of(address)?;
        let directory = self.deps.spool_directory();
        let gone = self.output.gone();
        let fetched = tokio::select! {
            fetched = crate::services::images::fetch(address, &directory) => fetched?,
            () = gone => return Err(BuildError::Cancelled),
        };
        blocking(move || {
            let tree = fetch::tree_of(
                &name,
                fetched.spool.path(),
                FETCHED_MODE,
                fetched.modified_s,
                &directory,
            )?;
            Ok(one_file(tree, name))
        })
        .await
    }

    async fn document(&self, current: &Current, document: &Document) -> Result<Source, BuildError> {
        if document.name.contains('/') {
            return Err(BuildError::unsupported("a here-document whose name is a path"));
        }
        let text = if document.expands {
            expand_document(&document.text(), self.escape, &|word| current.plan.expand(word))?
        } else {
            document.text()
        };
        let (name, directory) = (document.name.clone(), self.deps.spool_directory());
        blocking(move || {
            let broken = |error: std::io::Error| BuildError::from(Failure::System(error.to_string()));
            let (spool, mut file) = crate::services::images::Spool::create(&directory).map_err(broken)?;
            file.write_all(text.as_bytes()).map_err(broken)?;
            let tree = fetch::tree_of(&name, spool.path(), DOCUMENT_MODE, 0, &directory)?;
            Ok(one_file(tree, name))
        })
        .await
    }

    /// The tree that `--from` means: a stage by name or number, or an image.
    async fn other_image(&mut self, from: &str) -> Result<Base, BuildError> {
        let lower = from.to_ascii_lowercase();
        let told = |text: &str| BuildError::from(Failure::System(text.to_owned()));
        let named = self
            .stages
            .iter()
            .find(|(name, _)| !name.is_empty() && *name == lower);
        let image = match (named, from.parse::<usize>()) {
            (Some((_, image)), _) => image.clone(),
            (None, Ok(number)) if number == self.stages.len() => {
                return Err(told("refers to current build stage"));
            }
            (None, Ok(number)) => {
                let stage = self
                    .stages
                    .get(number)
                    .ok_or_else(|| told("index out of bounds"))?;
                stage.1.clone()
            }
            (None, Err(_)) => Some(self.image(from, None).await?),
        };
        let chain = image.map(|image| image.chain.clone()).unwrap_or_default();
        Ok(self.deps.images.tree(self.by, &chain).await?)
    }
}

fn one_file(tree: super::context::Tree, name: String) -> Source {
    Source {
        hash: source::hash(&tree, &name, false),
        tree: Arc::new(tree),
        path: name.clone(),
        name,
        unpacks: false,
    }
}
