//! The connection to the launcher: helpers that come up, descriptors that were kept, the word to stop.

use super::StartError;
use crate::transport::launcher::{FromLauncher, Launcher};
use crate::transport::{Client, Helpers, Slot, archive, jail, mount, net, zfs};
use protocol::codec::{Decode, Encode};
use protocol::handshake::HelperKind;
use protocol::keeper::ToDaemon;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What an earlier daemon left with the launcher.
pub(super) type Kept = BTreeMap<String, Vec<OwnedFd>>;

/// The supervisor's findings at start.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// The control connection.
    pub(super) launcher: Launcher,
    /// The helpers' clients.
    pub(super) helpers: Helpers,
    /// What was kept.
    pub(super) kept: Kept,
}

type Slots = BTreeMap<&'static str, Arc<Slot>>;

impl Supervisor {
    /// Starts listening to the launcher; returns when everything kept has been handed over. The receiver tells when to stop.
    pub(super) async fn start(control: OwnedFd) -> Result<(Self, mpsc::Receiver<()>), StartError> {
        let launcher = Launcher::new(control);
        let slots: Slots = HelperKind::ALL
            .iter()
            .map(|kind| (kind.name(), Arc::default()))
            .collect();
        let helpers = Helpers {
            zfs: zfs::Zfs(client(HelperKind::Zfs, &slots)?),
            jail: jail::Jail(client(HelperKind::Jail, &slots)?),
            net: net::Net(client(HelperKind::Net, &slots)?),
            mount: mount::Mount(client(HelperKind::Mount, &slots)?),
            archive: archive::Archive(client(HelperKind::Archive, &slots)?),
        };
        let (told_kept, kept) = oneshot::channel();
        let (stop, stopped) = mpsc::channel(1);
        let link = launcher.clone();
        std::thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(move || listen(&link, &slots, told_kept, &stop))?;
        let kept = kept
            .await
            .map_err(|_| StartError::NotInherited("standard input"))?;
        Ok((
            Supervisor {
                launcher,
                helpers,
                kept,
            },
            stopped,
        ))
    }
}

fn client<Q, R>(kind: HelperKind, slots: &Slots) -> Result<Client<Q, R>, StartError>
where
    Q: Encode + Send + 'static,
    R: Decode<()> + Send + 'static,
{
    let slot = slots.get(kind.name()).cloned().unwrap_or_default();
    Ok(Client::start(kind, slot)?)
}

fn listen(launcher: &Launcher, slots: &Slots, told_kept: oneshot::Sender<Kept>, stop: &mpsc::Sender<()>) {
    let mut kept = Kept::new();
    let mut told_kept = Some(told_kept);
    loop {
        let FromLauncher { message, fds } = match launcher.receive() {
            Ok(Some(received)) => received,
            Ok(None) => {
                tracing::warn!("the launcher is gone");
                break;
            }
            Err(error) => {
                tracing::error!(%error, "the launcher cannot be understood");
                break;
            }
        };
        match message {
            ToDaemon::Kept { key } => {
                kept.insert(key.as_str().to_owned(), fds);
            }
            ToDaemon::Everything => {
                if let Some(told) = told_kept.take() {
                    let _ = told.send(std::mem::take(&mut kept));
                }
            }
            ToDaemon::Helper { kind } => {
                if let (Some(slot), Some(socket)) = (slots.get(kind.name()), fds.into_iter().next()) {
                    slot.put(socket);
                }
            }
            ToDaemon::Stop => break,
        }
    }
    let _ = stop.blocking_send(());
}
