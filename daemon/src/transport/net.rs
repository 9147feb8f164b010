//! Asks of the net helper.

use super::{Client, TransportError};
use protocol::Principal;
use protocol::names::{AnchorName, InterfaceName};
use protocol::net::{AddressPrefix, Request, Response};
use std::os::fd::OwnedFd;

/// The net helper's client.
#[derive(Debug, Clone)]
pub struct Net(pub(crate) Client<Request, Response>);

type Result<T> = std::result::Result<T, TransportError>;

impl Net {
    /// Any request that is answered by `Done`; `fds` are the sockets of `ConfigureInside`.
    ///
    /// # Errors
    /// What the helper refuses, or see [`TransportError`].
    pub async fn change(&self, by: &Principal, request: Request, fds: Vec<OwnedFd>) -> Result<()> {
        match self.0.ask(by, request, fds).await? {
            (Response::Done, _) => Ok(()),
            _ => Err(self.0.confused()),
        }
    }

    /// The socket of a `BindPort`.
    ///
    /// # Errors
    /// `AddressInUse`, `Unsupported`, what the helper refuses, or see [`TransportError`].
    pub async fn bind(&self, by: &Principal, request: Request) -> Result<OwnedFd> {
        match self.0.ask(by, request, Vec::new()).await? {
            (Response::Done, fds) => fds.into_iter().next().ok_or_else(|| self.0.confused()),
            _ => Err(self.0.confused()),
        }
    }

    /// Removes an interface of ours; one that is gone counts as removed.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn remove_interface(&self, by: &Principal, interface: InterfaceName) -> Result<()> {
        self.change(by, Request::RemoveInterface { interface }, Vec::new())
            .await
    }

    /// All interfaces of ours.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn list(&self, by: &Principal) -> Result<Vec<InterfaceName>> {
        let mut all: Vec<InterfaceName> = Vec::new();
        loop {
            match self
                .0
                .ask(
                    by,
                    Request::List {
                        after: all.last().cloned(),
                    },
                    Vec::new(),
                )
                .await?
            {
                (Response::Interfaces(page), _) if page.as_slice().is_empty() => return Ok(all),
                (Response::Interfaces(page), _) => all.extend(page.into_vec()),
                _ => return Err(self.0.confused()),
            }
        }
    }

    /// The rule sets of ours that are loaded.
    ///
    /// # Errors
    /// `Unsupported` on a host without a packet filter, or see [`TransportError`].
    pub async fn rule_sets(&self, by: &Principal) -> Result<Vec<AnchorName>> {
        let mut all: Vec<AnchorName> = Vec::new();
        loop {
            let after = all.last().cloned();
            match self.0.ask(by, Request::ListRules { after }, Vec::new()).await? {
                (Response::RuleSets(page), _) if page.as_slice().is_empty() => return Ok(all),
                (Response::RuleSets(page), _) => all.extend(page.into_vec()),
                _ => return Err(self.0.confused()),
            }
        }
    }

    /// The prefixes that the host routes now.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn host_prefixes(&self, by: &Principal) -> Result<Vec<AddressPrefix>> {
        match self.0.ask(by, Request::HostPrefixes, Vec::new()).await? {
            (Response::Prefixes(prefixes), _) => Ok(prefixes.into_vec()),
            _ => Err(self.0.confused()),
        }
    }
}
