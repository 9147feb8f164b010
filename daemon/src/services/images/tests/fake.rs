//! For tests: archives of images, and helpers that keep a made-up host in memory and speak the real protocol.

use super::super::{Image, chain};
use crate::transport::{
    Client, Helpers, Slot, archive::Archive, jail::Jail, mount::Mount, net::Net, zfs::Zfs,
};
use protocol::codec::{Decode, Encode, decode, encode};
use protocol::fd::{receive_frame, send_frame};
use protocol::handshake::{HelperKind, HostFacts, HostOs, Welcome};
use protocol::names::{Bounded, DatasetName, Label, MountName, RelPath, Text};
use protocol::{Answer, Ask, ErrorCode, HelperError, archive, mount, zfs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An image whose id is 64 times `digit`.
pub(in super::super) fn image(digit: char, tags: &[&str]) -> Image {
    Image {
        id: format!("sha256:{}", digit.to_string().repeat(64)),
        config_json: "{}".to_owned(),
        config: Default::default(),
        chain: Vec::new(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        digests: Vec::new(),
        manifests: Vec::new(),
        parent: None,
        size_bytes: 0,
        tagged_at_ns: 0,
        tenant: crate::tenants::DEFAULT.to_owned(),
    }
}

/// One entry of a made-up archive.
pub(in super::super) struct TarFile<'a> {
    name: &'a str,
    kind: tar::EntryType,
    content: &'a [u8],
    target: &'a str,
}

impl<'a> TarFile<'a> {
    pub(in super::super) fn regular(name: &'a str, content: &'a [u8]) -> Self {
        TarFile {
            name,
            kind: tar::EntryType::Regular,
            content,
            target: "",
        }
    }

    pub(in super::super) fn symlink(name: &'a str, target: &'a str) -> Self {
        TarFile {
            name,
            kind: tar::EntryType::Symlink,
            content: b"",
            target,
        }
    }

    pub(in super::super) fn hard_link(name: &'a str, target: &'a str) -> Self {
        TarFile {
            name,
            kind: tar::EntryType::Link,
            content: b"",
            target,
        }
    }
}

/// An archive with these entries; names may be as bad as they like.
pub(in super::super) fn tar_of(files: &[TarFile<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in files {
        for (kind, text) in [
            (tar::EntryType::GNULongName, file.name),
            (tar::EntryType::GNULongLink, file.target),
        ] {
            if text.len() > 100 {
                entry(
                    &mut bytes,
                    "././@LongLink",
                    kind,
                    "",
                    format!("{text}\0").as_bytes(),
                );
            }
        }
        entry(&mut bytes, file.name, file.kind, file.target, file.content);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn entry(bytes: &mut Vec<u8>, name: &str, kind: tar::EntryType, target: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    let put = |field: &mut [u8; 100], text: &str| {
        let length = text.len().min(100);
        field[..length].copy_from_slice(&text.as_bytes()[..length]);
    };
    let gnu = header.as_gnu_mut().unwrap();
    put(&mut gnu.name, name);
    put(&mut gnu.linkname, target);
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    bytes.extend(header.as_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

pub(in super::super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image in an archive of `docker save`.
pub(in super::super) struct SavedImage {
    pub(in super::super) layers: Vec<Vec<u8>>,
    pub(in super::super) tags: Vec<String>,
    pub(in super::super) diff_ids: Vec<String>,
    /// How many of the layers the manifest names.
    pub(in super::super) listed_layers: usize,
}

impl SavedImage {
    pub(in super::super) fn new(layers: &[&[u8]], tags: &[&str]) -> Self {
        SavedImage {
            layers: layers.iter().map(|layer| layer.to_vec()).collect(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            diff_ids: layers.iter().map(|layer| chain::digest_of(layer)).collect(),
            listed_layers: layers.len(),
        }
    }

    pub(in super::super) fn with_diff_ids(mut self, diff_ids: &[&str]) -> Self {
        self.diff_ids = diff_ids.iter().map(|diff_id| (*diff_id).to_owned()).collect();
        self
    }

    /// The same image with its layers compressed in the archive.
    pub(in super::super) fn compressed(mut self) -> Self {
        self.layers.iter_mut().for_each(|layer| *layer = gzip(layer));
        self
    }
}

pub(in super::super) fn save(images: &[SavedImage]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut items = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "author": number.to_string(),
            "config": { "Cmd": ["/x"], "Labels": { "k": "v" } },
            "rootfs": { "type": "layers", "diff_ids": image.diff_ids },
        });
        let layers: Vec<String> = (0..image.listed_layers)
            .map(|layer| format!("{number}/{layer}/layer.tar"))
            .collect();
        let contents = layers.iter().cloned().zip(image.layers.iter().cloned());
        files.extend(contents);
        let name = format!("{number}.json");
        files.push((name.clone(), config.to_string().into_bytes()));
        items.push(serde_json::json!({ "Config": name, "RepoTags": image.tags, "Layers": layers }));
    }
    files.push((
        "manifest.json".to_owned(),
        serde_json::Value::from(items).to_string().into_bytes(),
    ));
    let entries: Vec<TarFile<'_>> = files
        .iter()
        .map(|(name, content)| TarFile::regular(name, content))
        .collect();
    tar_of(&entries)
}

/// An OCI layout with one image for several platforms.
pub(in super::super) struct OciArchive<'a> {
    pub(in super::super) name: Option<&'a str>,
    pub(in super::super) platforms: &'a [(&'a str, &'a str)],
    /// The blobs are not what their names say.
    pub(in super::super) is_damaged: bool,
}

pub(in super::super) fn oci_layout(archive: &OciArchive<'_>) -> Vec<u8> {
    oci_layout_with(archive, &serde_json::json!({}))
}

/// The same with more fields in the images' configurations.
pub(in super::super) fn oci_layout_with(archive: &OciArchive<'_>, more: &serde_json::Value) -> Vec<u8> {
    let mut blobs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut add = |bytes: Vec<u8>| {
        let digest = chain::digest_of(&bytes);
        let stored = if archive.is_damaged {
            [bytes.as_slice(), b" "].concat()
        } else {
            bytes
        };
        blobs.insert(digest.clone(), stored);
        serde_json::json!({ "digest": digest, "size": 1 })
    };
    let layer = tar_of(&[TarFile::regular("file", b"content")]);
    let layer_digest = chain::digest_of(&layer);
    let layer = add(gzip(&layer));
    let mut manifests = Vec::new();
    for (os, architecture) in archive.platforms {
        let mut config = serde_json::json!({
            "os": os, "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        let config = add(config.to_string().into_bytes());
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let mut descriptor = add(manifest.to_string().into_bytes());
        descriptor["platform"] = serde_json::json!({ "os": os, "architecture": architecture });
        manifests.push(descriptor);
    }
    let mut index = add(serde_json::json!({ "schemaVersion": 2, "manifests": manifests })
        .to_string()
        .into_bytes());
    if let Some(name) = archive.name {
        index["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": name });
    }
    let top = serde_json::json!({ "schemaVersion": 2, "manifests": [index] }).to_string();
    let mut files = vec![("index.json".to_owned(), top.into_bytes())];
    files.extend(
        blobs
            .into_iter()
            .map(|(digest, bytes)| (format!("blobs/{}", digest.replace(':', "/")), bytes)),
    );
    let entries: Vec<TarFile<'_>> = files
        .iter()
        .map(|(name, content)| TarFile::regular(name, content))
        .collect();
    tar_of(&entries)
}

/// What exists on the made-up host.
#[derive(Debug, Default)]
pub(in super::super) struct Host {
    /// Datasets with the dataset each was cloned from.
    pub(in super::super) datasets: BTreeMap<String, Option<String>>,
    /// Datasets with a snapshot.
    pub(in super::super) snapshots: BTreeSet<String>,
    /// Mount points and their datasets.
    pub(in super::super) mounts: BTreeMap<String, String>,
    /// How many streams were extracted.
    pub(in super::super) extractions: usize,
}

/// The host, shared with the helpers' threads.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct FakeHost(Arc<Mutex<Host>>);

impl FakeHost {
    pub(in super::super) fn lock(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clients of new helpers on this host.
    pub(in super::super) fn helpers(&self) -> Helpers {
        let (zfs_host, mount_host, archive_host) = (self.clone(), self.clone(), self.clone());
        Helpers {
            zfs: Zfs(client(HelperKind::Zfs, move |request, _| {
                zfs_host.lock().zfs(request)
            })),
            mount: Mount(client(HelperKind::Mount, move |request, _| {
                mount_host.lock().mount(request)
            })),
            archive: Archive(client(HelperKind::Archive, move |request, fds| {
                archive_host.archive(request, fds)
            })),
            jail: Jail(Client::start(HelperKind::Jail, Arc::default()).unwrap()),
            net: Net(Client::start(HelperKind::Net, Arc::default()).unwrap()),
        }
    }

    fn archive(&self, request: archive::Request, fds: Vec<OwnedFd>) -> Answer<archive::Response> {
        let archive::Request::Extract(extract) = request else {
            panic!("{request:?}")
        };
        assert!(
            self.lock().mounts.contains_key(extract.root.as_str()),
            "nothing is mounted there"
        );
        self.lock().extractions += 1;
        let [stream, outcome] = <[OwnedFd; 2]>::try_from(fds).unwrap();
        std::thread::spawn(move || {
            let outcome_bytes = encode(&extracted(&mut File::from(stream))).unwrap();
            File::from(outcome).write_all(&outcome_bytes).unwrap();
        });
        Ok(archive::Response::Started)
    }
}

fn extracted(stream: &mut File) -> archive::Outcome {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let bad = |text: String| archive::Outcome::Failed(HelperError::new(ErrorCode::BadContent, text));
    let (mut entries, mut content_bytes) = (0, 0);
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let Ok(entry) = entry else {
            return bad("archive/tar: invalid tar header".to_owned());
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name.contains("..") {
            return bad(format!("invalid entry name {name:?}"));
        }
        entries += 1;
        content_bytes += entry.size();
    }
    archive::Outcome::Done {
        entries,
        content_bytes,
    }
}

impl Host {
    fn zfs(&mut self, request: zfs::Request) -> Answer<zfs::Response> {
        let error = |code| Err(HelperError::new(code, "fake"));
        match request {
            zfs::Request::Create { dataset } => {
                if self.datasets.contains_key(dataset.as_str()) {
                    return error(ErrorCode::AlreadyExists);
                }
                self.datasets.insert(dataset.to_string(), None);
            }
            zfs::Request::Clone { origin, dataset, .. } => {
                if !self.snapshots.contains(origin.as_str()) {
                    return error(ErrorCode::NotFound);
                }
                if self.datasets.contains_key(dataset.as_str()) {
                    return error(ErrorCode::AlreadyExists);
                }
                self.datasets
                    .insert(dataset.to_string(), Some(origin.to_string()));
            }
            zfs::Request::Snapshot { dataset, .. } => {
                assert!(
                    !self.mounts.values().any(|mounted| mounted == dataset.as_str()),
                    "mounted"
                );
                self.snapshots.insert(dataset.to_string());
            }
            zfs::Request::Destroy { dataset } => {
                let name = dataset.as_str();
                let is_origin = self
                    .datasets
                    .values()
                    .any(|origin| origin.as_deref() == Some(name));
                if is_origin || self.mounts.values().any(|mounted| mounted == name) {
                    return error(ErrorCode::Busy);
                }
                self.snapshots.remove(name);
                if self.datasets.remove(name).is_none() {
                    return error(ErrorCode::NotFound);
                }
            }
            zfs::Request::List { parent, after } => {
                let family = format!("{parent}/");
                let names = self.datasets.keys().filter(|name| name.starts_with(&family));
                let rest =
                    names.filter(|name| after.as_ref().is_none_or(|after| name.as_str() > after.as_str()));
                let names = rest.map(|name| DatasetName::new(name).unwrap()).collect();
                return Ok(zfs::Response::Names(Bounded::new(names).unwrap()));
            }
            zfs::Request::Stats { .. }
            | zfs::Request::PoolSpace
            | zfs::Request::Fork { .. }
            | zfs::Request::Tune { .. }
            | zfs::Request::Promote { .. }
            | zfs::Request::Copy { .. } => panic!("{request:?}"),
        }
        Ok(zfs::Response::Done)
    }

    fn mount(&mut self, request: mount::Request) -> Answer<mount::Response> {
        match request {
            mount::Request::Dataset { dataset, at, .. } => {
                assert!(self.datasets.contains_key(dataset.as_str()), "no such dataset");
                self.mounts.insert(at.to_string(), dataset.to_string());
            }
            mount::Request::Unmount { at } => drop(self.mounts.remove(at.as_str())),
            mount::Request::List { after: Some(_) } => {
                return Ok(mount::Response::Mounts(Bounded::new(Vec::new()).unwrap()));
            }
            mount::Request::List { after: None } => {
                let mounted = |at: &String| mount::Mounted {
                    at: MountName::new(at).unwrap(),
                    target: RelPath::new("").unwrap(),
                    kind: Text::new("fake").unwrap(),
                };
                let all = self.mounts.keys().map(mounted).collect();
                return Ok(mount::Response::Mounts(Bounded::new(all).unwrap()));
            }
            other @ (mount::Request::Bind { .. }
            | mount::Request::Tmpfs { .. }
            | mount::Request::PseudoFileSystems { .. }
            | mount::Request::Check { .. }) => panic!("{other:?}"),
        }
        Ok(mount::Response::Done)
    }
}

/// A client whose helper is a thread that answers with `handle`.
fn client<Q, R>(
    kind: HelperKind,
    mut handle: impl FnMut(Q, Vec<OwnedFd>) -> Answer<R> + Send + 'static,
) -> Client<Q, R>
where
    Q: Encode + Decode<()> + Send + 'static,
    R: Encode + Decode<()> + Send + 'static,
{
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let slot = Arc::new(Slot::default());
    slot.put(ours.into());
    std::thread::spawn(move || {
        let facts = HostFacts {
            os: HostOs::Linux,
            release: Label::new("0").unwrap(),
            backend: Text::new("fake").unwrap(),
            runs_linux: true,
            enforces_limits: true,
        };
        receive_frame(&theirs).unwrap().unwrap();
        send_frame(&theirs, 0, &encode(&Welcome::Ready(facts)).unwrap(), &[]).unwrap();
        while let Ok(Some(frame)) = receive_frame(&theirs) {
            let ask: Ask<Q> = decode(&frame.payload).unwrap();
            let answer = encode(&handle(ask.request, frame.fds)).unwrap();
            if send_frame(&theirs, frame.id, &answer, &[]).is_err() {
                return;
            }
        }
    });
    Client::start(kind, slot).unwrap()
}
