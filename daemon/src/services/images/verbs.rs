//! The handle through which everybody else uses images, and how changes are made: planned, written, applied.

use super::actor::Table;
use super::base::{Base, Bases};
use super::blobs::Blobs;
use super::messages::{Apply, View};
use super::registry::{Downloads, Places};
use super::remove::{Children, Force, ImageUser, Step};
use super::state::{Change, State};
use super::tables::Tables;
use super::{Image, Manifest, RegistrySettings, chain, key};
use crate::kernel::bus::Bus;
use crate::services::{Failure, clock};
use crate::store::{Kind, Store};
use crate::tenants::DEFAULT;
use crate::transport::Helpers;
use docker_api::error::TAG_DIGEST;
use docker_api::image_config::ImageConfigFile;
use docker_api::images::DeleteItem;
use docker_api::reference::Reference;
use protocol::Principal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The handle.
#[derive(Debug, Clone)]
pub struct Images {
    pub(super) table: Table,
    pub(super) store: Store,
    pub(super) helpers: Helpers,
    pub(super) bus: Bus,
    pub(super) bases: Bases,
    pub(super) blobs: Blobs,
    pub(super) places: Places,
    pub(super) downloads: Downloads,
    /// Whether a sweep waits for its time.
    pub(super) is_sweeping_later: Arc<AtomicBool>,
    changing: Arc<Mutex<()>>,
}

/// Held from planning a change of rows until it is applied.
struct Changing {
    /// What the tenant has, which alone it changes.
    own: State,
    /// What it sees.
    seen: State,
    guard: OwnedMutexGuard<()>,
}

/// Names that an image took from others, each with the id of the image that had it.
pub(super) type NamesMoved = Vec<(String, String)>;

impl Images {
    /// Loads what was stored, and compares it with the datasets that exist (`reconcile.rs`).
    ///
    /// # Errors
    /// [`Failure::System`] where rows cannot be read.
    pub async fn start(
        state_dir: &Path,
        registries: RegistrySettings,
        store: Store,
        helpers: Helpers,
        bus: Bus,
    ) -> Result<Self, Failure> {
        let stored: Vec<(String, Image)> = store.all(Kind::Image).await?;
        let images = stored
            .into_iter()
            .map(|(_, image)| image.parsed())
            .collect::<Result<_, _>>()?;
        let layers = store
            .all(Kind::Layer)
            .await?
            .into_iter()
            .map(|(_, layer)| layer)
            .collect();
        let table = Table::start(Tables::new(images, layers));
        let blobs = Blobs::open(state_dir.join("layers"), store.clone())?;
        let bases = Bases::new(helpers.clone());
        let images = Images {
            table,
            store,
            helpers,
            bus,
            bases,
            blobs,
            places: Places::new(registries),
            downloads: Downloads::new(state_dir.join("tmp")),
            is_sweeping_later: Arc::default(),
            changing: Arc::default(),
        };
        let by = crate::kernel::housekeeping()?;
        if let Err(error) = images.reconcile(&by).await {
            tracing::error!(%error, "images were not compared with their datasets");
        }
        tokio::spawn(images.clone().sweep_after_containers(by));
        Ok(images)
    }

    /// A container keeps the layers that it was cloned from; when it is gone, those of an image that went before it can go.
    async fn sweep_after_containers(self, by: Principal) {
        let (_, mut news) = self.bus.listen();
        loop {
            match news.recv().await {
                Ok(news) if news.event.kind == "container" && news.event.action == "destroy" => {
                    self.sweep(&by).await;
                }
                Ok(_) => {}
                // Some news was missed; a sweep is never wrong.
                Err(RecvError::Lagged(_)) => self.sweep(&by).await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    pub(super) async fn view(&self) -> Result<Arc<Tables>, Failure> {
        Ok(self.table.ask(View).await?)
    }

    /// What the caller's tenant sees.
    pub(super) async fn seen(&self, by: &Principal) -> Result<State, Failure> {
        Ok(self.view().await?.seen_by(by.tenant.as_str()))
    }

    /// Finds an image by id, name, `name@digest` or beginning of an id, as dockerd does.
    ///
    /// # Errors
    /// [`Failure::NotFound`], or [`Failure::Invalid`] for what is neither a name nor an id.
    pub async fn find(&self, by: &Principal, wanted: &str) -> Result<Arc<Image>, Failure> {
        self.seen(by).await?.find(wanted)
    }

    /// The tree of layers (chain ids, lowest first), mounted read-only for as long as the answer lives.
    ///
    /// # Errors
    /// What the mount helper answers.
    pub async fn tree(&self, by: &Principal, chain: &[String]) -> Result<Base, Failure> {
        self.bases.open(by, chain).await
    }

    /// Every image that the caller's tenant sees.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub async fn all(&self, by: &Principal) -> Result<Vec<Arc<Image>>, Failure> {
        Ok(self.seen(by).await?.images().cloned().collect())
    }

    /// The ids of an image and of all that were built on it; none where there is no such image.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub async fn with_descendants(&self, by: &Principal, wanted: &str) -> Result<Vec<String>, Failure> {
        let view = self.seen(by).await?;
        let mut ids: Vec<String> = view.find(wanted).iter().map(|image| image.id.clone()).collect();
        let mut next = 0;
        while let Some(id) = ids.get(next).cloned() {
            ids.extend(view.children(&id).map(|child| child.id.clone()));
            next += 1;
        }
        Ok(ids)
    }

    /// Gives an image another name, which other images of the tenant lose. A name of another tenant's is hidden by it.
    ///
    /// # Errors
    /// As [`Images::find`] for `source`; see [`target`] for the name.
    pub async fn tag(&self, by: &Principal, source: &str, name: &Reference) -> Result<(), Failure> {
        let changing = self.begin(by.tenant.as_str()).await?;
        let image = changing.seen.find(source)?;
        let names = [name.familiar()];
        let change = changing
            .own
            .plan_names(Image::clone(&image), &names, clock::now_ns());
        self.commit(changing, change).await?;
        self.tell(by, &image, "tag", &names[0]);
        Ok(())
    }

    /// Makes an image of a configuration and layers, which the caller holds; one that exists gets the names too.
    ///
    /// # Errors
    /// [`Failure::System`] where the layers are not those that the configuration names.
    pub async fn create(
        &self,
        by: &Principal,
        config: ImageConfigFile,
        chain: &[String],
        parent: Option<&Image>,
        names: &[Reference],
    ) -> Result<Arc<Image>, Failure> {
        let text = serde_json::to_string(&config).map_err(|error| Failure::System(error.to_string()))?;
        let parent = parent.map(|parent| parent.id.clone());
        let names: Vec<String> = names.iter().map(Reference::familiar).collect();
        if chain::of(&config.rootfs.diff_ids).as_deref() != Some(chain) {
            return Err(Failure::System(
                "the configuration does not name these layers".to_owned(),
            ));
        }
        let (image, _) = self
            .put(by, text, config, parent, &names, clock::now_ns(), None)
            .await?;
        for name in &names {
            self.tell(by, &image, "tag", name);
        }
        Ok(image)
    }

    /// Says that an image was built on another one.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for an image that is gone.
    pub async fn adopt(&self, by: &Principal, image: &str, parent: &str) -> Result<Arc<Image>, Failure> {
        let tenant = by.tenant.as_str();
        let changing = self.begin(tenant).await?;
        let known = match changing.own.image(image) {
            Some(own) => Arc::clone(own),
            None => changing.seen.find(image)?,
        };
        let image = Arc::new(Image {
            parent: Some(parent.to_owned()),
            ..Image::clone(&known).of_tenant(tenant)
        });
        let change = Change {
            tenant: tenant.to_owned(),
            put: vec![Arc::clone(&image)],
            ..Change::default()
        };
        self.commit(changing, change).await?;
        Ok(image)
    }

    /// Writes an image's row and its names. `tagged_at_ns` is 0 for `docker load`, which is no tagging.
    #[expect(clippy::too_many_arguments, reason = "they are the row")]
    pub(super) async fn put(
        &self,
        by: &Principal,
        config_json: String,
        config: ImageConfigFile,
        parent: Option<String>,
        names: &[String],
        tagged_at_ns: i64,
        manifest: Option<Manifest>,
    ) -> Result<(Arc<Image>, NamesMoved), Failure> {
        let changing = self.begin(by.tenant.as_str()).await?;
        let view = &changing.own;
        let bad_digest = || Failure::System("invalid checksum digest format".to_owned());
        let chain = chain::of(&config.rootfs.diff_ids).ok_or_else(bad_digest)?;
        let mut size_bytes = 0;
        for chain in &chain {
            let gone = || Failure::System(format!("layer sha256:{chain} does not exist"));
            size_bytes += view.layer(chain).ok_or_else(gone)?.size_bytes;
        }
        let id = chain::digest_of(config_json.as_bytes());
        let tagged_at_ns = if names.is_empty() { 0 } else { tagged_at_ns };
        let (tags, digests) = (Vec::new(), Vec::new());
        let image = Image {
            id: id.clone(),
            config_json,
            config,
            chain,
            tags,
            digests,
            manifests: manifest.into_iter().collect(),
            parent,
            size_bytes,
            tagged_at_ns: 0,
            tenant: by.tenant.as_str().to_owned(),
        };
        let change = view.plan_names(image, names, tagged_at_ns);
        let moved = change.moved.clone();
        self.commit(changing, change).await?;
        let stored = self.seen(by).await?.image(&id).cloned();
        stored
            .map(|image| (image, moved))
            .ok_or_else(|| Failure::System(format!("image {id} is gone")))
    }

    /// Removes an image or one of its names. `users` are all containers of the tenant.
    ///
    /// # Errors
    /// As [`Images::find`], [`Failure::Conflict`] in dockerd's words, or [`Failure::Forbidden`] for one that another tenant shares.
    pub async fn remove(
        &self,
        by: &Principal,
        wanted: &str,
        force: Force,
        children: Children,
        users: Vec<ImageUser>,
    ) -> Result<Vec<DeleteItem>, Failure> {
        let (images, by, wanted) = (self.clone(), by.clone(), wanted.to_owned());
        to_the_end(async move { images.removed(&by, &wanted, force, children, &users).await }).await?
    }

    async fn removed(
        &self,
        by: &Principal,
        wanted: &str,
        force: Force,
        children: Children,
        users: &[ImageUser],
    ) -> Result<Vec<DeleteItem>, Failure> {
        let changing = self.begin(by.tenant.as_str()).await?;
        let removal = match changing.own.plan_removal(wanted, force, children, users) {
            Err(Failure::NotFound(_)) if changing.seen.find(wanted).is_ok() => {
                let text =
                    format!("image {wanted} is shared by the tenant {DEFAULT}, which alone can remove it");
                return Err(Failure::Forbidden(text));
            }
            other => other?,
        };
        self.commit(changing, removal.change).await?;
        let steps = removal.steps;
        let mut items = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Untagged { image, name } => {
                    self.tell(by, image, "untag", &image.id);
                    items.push(DeleteItem::untagged(name));
                }
                Step::Deleted(image) => {
                    let name = BTreeMap::from([("name".to_owned(), image.id.clone())]);
                    self.bus
                        .publish(by.tenant.as_str(), "image", "delete", &image.id, name);
                    items.push(DeleteItem::deleted(&image.id));
                    // Layers are told with the last image that had them, as dockerd does.
                    let later: BTreeSet<&String> = steps[index + 1..].iter().flat_map(chain_of).collect();
                    for chain in image.chain.iter().rev().filter(|chain| !later.contains(chain)) {
                        if self.release(by, chain).await.is_some() {
                            items.push(DeleteItem::deleted(chain::digest(chain)));
                        }
                    }
                }
            }
        }
        Ok(items)
    }

    /// Takes images of a tenant out whose layers are gone.
    pub(super) async fn forget(&self, tenant: &str, ids: Vec<String>) -> Result<(), Failure> {
        let changing = self.begin(tenant).await?;
        self.commit(
            changing,
            Change {
                tenant: tenant.to_owned(),
                gone: ids,
                ..Change::default()
            },
        )
        .await
    }

    async fn begin(&self, tenant: &str) -> Result<Changing, Failure> {
        let guard = Arc::clone(&self.changing).lock_owned().await;
        let view = self.view().await?;
        Ok(Changing {
            own: view.owned_by(tenant),
            seen: view.seen_by(tenant),
            guard,
        })
    }

    /// Writes and applies a change; not stopped half-way by an asker who hangs up.
    async fn commit(&self, changing: Changing, change: Change) -> Result<(), Failure> {
        let images = self.clone();
        let work = async move {
            for image in &change.put {
                images.store.put(Kind::Image, &image.key(), &**image).await?;
            }
            for id in &change.gone {
                images.store.delete(Kind::Image, &key(&change.tenant, id)).await?;
            }
            images.table.ask(Apply(change)).await?;
            drop(changing.guard);
            Ok(())
        };
        to_the_end(work).await?
    }

    /// Publishes an event about an image, to the tenant that did it: its labels, and `name`.
    pub(super) fn tell(&self, by: &Principal, image: &Image, action: &str, name: &str) {
        let mut attributes = image.config.config.labels.clone().unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        self.bus
            .publish(by.tenant.as_str(), "image", action, &image.id, attributes);
    }
}

fn chain_of(step: &Step) -> &[String] {
    match step {
        Step::Untagged { .. } => &[],
        Step::Deleted(image) => &image.chain,
    }
}

/// Reads the arguments `repo` and `tag` that name an image to be; nothing without `repo`.
///
/// # Errors
/// [`Failure::Invalid`] in dockerd's words.
pub fn target(repo: &str, tag: &str) -> Result<Option<Reference>, Failure> {
    if repo.is_empty() {
        return Ok(None);
    }
    let invalid = |bad: docker_api::reference::ReferenceError| Failure::Invalid(bad.to_string());
    let name = Reference::parse(repo).map_err(invalid)?;
    if name.digest().is_some() {
        return Err(Failure::Invalid(TAG_DIGEST.to_owned()));
    }
    if tag.is_empty() {
        return Ok(Some(name.with_default_tag()));
    }
    name.with_tag(tag).map(Some).map_err(invalid)
}

/// Runs work in a task of its own, so that it goes on when the asker hangs up.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work)
        .await
        .map_err(|_| Failure::Unavailable("the daemon is ending".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_be_are_read_as_dockerd_reads_them() {
        let digest = format!("x@sha256:{}", "0".repeat(64));
        for (repo, tag, expected) in [
            ("", "1", Ok(None)),
            ("x", "", Ok(Some("x:latest"))),
            ("x:5", "", Ok(Some("x:5"))),
            ("x:5", "7", Ok(Some("x:7"))),
            ("example.com:5000/x", "1", Ok(Some("example.com:5000/x:1"))),
            ("x", "a b", Err("invalid tag format")),
            (&digest, "", Err("cannot import digest reference")),
            (
                "Foo",
                "",
                Err("invalid reference format: repository name (library/Foo) must be lowercase"),
            ),
        ] {
            let got = target(repo, tag).map_err(|error| error.to_string());
            let got = got
                .as_ref()
                .map(|name| name.as_ref().map(Reference::familiar))
                .map_err(String::as_str);
            assert_eq!(
                got,
                expected.map(|name: Option<&str>| name.map(str::to_owned)),
                "{repo} {tag}"
            );
        }
    }
}
