//! The front: decodes requests, judges them, and has the hand do them. It is sandboxed and cannot mount
//! anything itself.
#![forbid(unsafe_code)]

use crate::{host, listing, order, policy};
use helper_runtime::pair::Hand;
use helper_runtime::serve::{Reply, Service};
use protocol::handshake::{HelperKind, HostFacts};
use protocol::mount::{BindSource, Request, Response};
use protocol::names::{Bounded, MountName};
use protocol::policy::MountPolicy;
use protocol::{Answer, ErrorCode, HelperError, Principal};
use std::io::Result;
use std::os::fd::OwnedFd;

/// The front of the pair.
#[derive(Debug)]
pub struct Front {
    policy: MountPolicy,
    hand: Hand,
    facts: HostFacts,
    /// Number of the bind roots of whoever asks.
    list: usize,
}

impl Front {
    /// Takes the policy and the way to the hand. Asks the host for its facts, so it comes before the sandbox.
    ///
    /// # Errors
    /// Where the host does not say what it is.
    pub fn new(policy: MountPolicy, hand: Hand) -> Result<Self> {
        Ok(Front {
            policy,
            hand,
            facts: host::facts()?,
            list: 0,
        })
    }

    /// The way to the hand, for the sandbox's table of descriptors.
    #[must_use]
    pub fn hand(&self) -> &Hand {
        &self.hand
    }
}

impl Service for Front {
    type Request = Request;
    type Response = Response;
    const KIND: HelperKind = HelperKind::Mount;

    fn is_finished(&self) -> bool {
        self.hand.is_gone()
    }

    fn facts(&self) -> HostFacts {
        self.facts.clone()
    }

    fn descriptors(_: &Request) -> usize {
        0
    }

    fn describe(request: &Request) -> (&'static str, String) {
        match request {
            Request::Dataset { dataset, at, access } => ("dataset", format!("{dataset} at {at} {access:?}")),
            Request::Bind {
                source,
                at,
                target,
                access,
            } => {
                let source = named(source);
                ("bind", format!("{source} at {at}/{target} {access:?}"))
            }
            Request::Tmpfs { at, target, .. } => ("tmpfs", format!("{at}/{target}")),
            Request::PseudoFileSystems { at, flavour } => ("pseudo", format!("{at} {flavour:?}")),
            Request::Unmount { at } => ("unmount", at.to_string()),
            Request::Check { source } => ("check", named(source)),
            Request::List { after } => (
                "list",
                after.as_ref().map_or_else(String::new, MountName::to_string),
            ),
        }
    }

    fn permit(&mut self, by: &Principal, request: &Request) -> Answer<()> {
        // A number beyond all lists allows no host path.
        self.list = policy::list_of(&by.tenant, &self.policy).unwrap_or(order::NO_LIST);
        match request {
            Request::Dataset { dataset, .. } => policy::judge_owner(dataset, &by.tenant),
            Request::Bind { .. }
            | Request::Tmpfs { .. }
            | Request::PseudoFileSystems { .. }
            | Request::Unmount { .. }
            | Request::Check { .. }
            | Request::List { .. } => Ok(()),
        }
    }

    fn handle(&mut self, request: Request, _: Vec<OwnedFd>) -> Answer<Reply<Response>> {
        policy::judge(&request, &self.policy, self.list)?;
        let order = order::write(&request, self.list)
            .map_err(|bad| HelperError::new(ErrorCode::BadContent, bad.0))?;
        let done = self.hand.call(&order, &[])?;
        let response = match request {
            Request::PseudoFileSystems { .. } | Request::List { .. } => {
                let garbled = || HelperError::new(ErrorCode::System, "the hand's list is garbled");
                let mounts = listing::from_block(&done.block).ok_or_else(garbled)?;
                Response::Mounts(Bounded::new(mounts).map_err(|_| garbled())?)
            }
            Request::Dataset { .. }
            | Request::Bind { .. }
            | Request::Tmpfs { .. }
            | Request::Unmount { .. }
            | Request::Check { .. } => Response::Done,
        };
        Ok(Reply::from(response))
    }
}

/// A source, for people.
fn named(source: &BindSource) -> String {
    match source {
        BindSource::Host { path, .. } => path.to_string(),
        BindSource::HostAlone { path, .. } => format!("{path} alone"),
        BindSource::HostJoined { path, join, .. } => format!("{path} joined {join:?}"),
        BindSource::Mounted { at } => at.to_string(),
        BindSource::MountedPath { at, path } => format!("{at}/{path}"),
    }
}
