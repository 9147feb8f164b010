//! The hand: takes orders, judges them again and has the host do them. It holds the privilege, so it does
//! little else.
//!
//! Both hosts give a `Host` with the same methods; this file is the whole list of what is asked of them.
#![forbid(unsafe_code)]

use crate::host::{self, Host};
use crate::source::{self, Depth, Kind, Source};
use crate::{listing, order, policy, target};
use helper_runtime::order::Order;
use helper_runtime::pair::{Done, Orders};
use protocol::mount::{BindSource, MissingSource, Mounted, Request};
use protocol::policy::MountPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use std::io::Result;
use std::os::fd::OwnedFd;

/// Does orders until the front is gone.
///
/// # Errors
/// Where the front sent what is no order, or the answer could not be sent.
pub fn obey(orders: &Orders, host: &Host, policy: &MountPolicy) -> Result<()> {
    while let Some((order, fds)) = orders.next()? {
        let answer =
            check(&order, &fds, policy).and_then(|request| perform(host, request, order::list(&order)));
        let done = answer.map(|mounts| Done {
            block: listing::to_block(&mounts),
            ..Done::default()
        });
        orders.answer(done)?;
    }
    Ok(())
}

fn check(order: &Order, fds: &[OwnedFd], policy: &MountPolicy) -> Answer<Request> {
    if !fds.is_empty() {
        return Err(HelperError::new(
            ErrorCode::BadDescriptors,
            "no order comes with descriptors",
        ));
    }
    let request = order::read(order).map_err(|bad| HelperError::new(ErrorCode::Refused, bad.0))?;
    policy::judge(&request, policy, order::list(order))?;
    Ok(request)
}

fn perform(host: &Host, request: Request, list: usize) -> Answer<Vec<Mounted>> {
    let nothing = |()| Vec::new();
    match request {
        Request::Dataset { dataset, at, access } => host.mount_dataset(&dataset, &at, access).map(nothing),
        Request::Bind {
            source,
            at,
            target,
            access,
        } => {
            let container = host.container(&at)?;
            let source = open(host, &source, list)?;
            let place = target::prepare(&container, &target, source.kind)?;
            host.bind(&source, &place, access).map(nothing)
        }
        Request::Tmpfs {
            at,
            target,
            size_bytes,
            mode,
            flags,
        } => {
            let container = host.container(&at)?;
            let place = target::prepare(&container, &target, Kind::Directory)?;
            host.tmpfs(&place, size_bytes, mode, flags).map(nothing)
        }
        Request::PseudoFileSystems { at, flavour } => {
            let container = host.container(&at)?;
            host.pseudo_file_systems(&container, flavour)
        }
        Request::Unmount { at } => host.unmount(&at).map(nothing),
        Request::Check { source } => check_source(host, source, list).map(nothing),
        Request::List { after } => Ok(listing::page(host.list()?, after.as_ref())),
    }
}

fn open(host: &Host, source: &BindSource, list: usize) -> Answer<Source> {
    match source {
        BindSource::Host { path, missing } => source::open_host(path, *missing, host.bind_rules(list)?),
        BindSource::HostAlone { path, missing } => Ok(Source {
            depth: Depth::Alone,
            ..source::open_host(path, *missing, host.bind_rules(list)?)?
        }),
        BindSource::HostJoined { path, missing, join } => {
            host::judge_join()?;
            Ok(Source {
                join: Some(*join),
                ..source::open_host(path, *missing, host.bind_rules(list)?)?
            })
        }
        BindSource::Mounted { at } => host.open_mounted(at),
        BindSource::MountedPath { at, path } => source::open_inside(&host.open_mounted(at)?, path),
    }
}

/// Looks at a source. One that would be made is not: where it would lie is judged when it is.
fn check_source(host: &Host, source: BindSource, list: usize) -> Answer<()> {
    let (would_make, source) = match source {
        BindSource::Host { path, missing } | BindSource::HostAlone { path, missing } => {
            let source = BindSource::Host {
                path,
                missing: MissingSource::Refuse,
            };
            (missing == MissingSource::CreateDirectory, source)
        }
        BindSource::HostJoined { path, missing, join } => {
            let source = BindSource::HostJoined {
                path,
                missing: MissingSource::Refuse,
                join,
            };
            (missing == MissingSource::CreateDirectory, source)
        }
        ours => (false, ours),
    };
    match open(host, &source, list) {
        Err(error) if would_make && error.code == ErrorCode::NotFound => Ok(()),
        answer => answer.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::names::{Bounded, HostPath, MountName, RelPath, Text};

    fn policy() -> MountPolicy {
        MountPolicy {
            mount_root: HostPath::new("/base/mnt").unwrap(),
            parent: Text::new("tank/cellblock").unwrap(),
            pool_dir: HostPath::new("/base/pool").unwrap(),
            bind_roots: Bounded::default(),
            bind_refused: Bounded::default(),
            devfs_ruleset: 4200,
            tenants: Bounded::default(),
        }
    }

    fn bind(source: &str, target: &str) -> Order {
        let request = Request::Bind {
            source: BindSource::Mounted {
                at: MountName::new(source).unwrap(),
            },
            at: MountName::new("c-1").unwrap(),
            target: RelPath::new(target).unwrap(),
            access: protocol::mount::Access::ReadWrite,
        };
        order::write(&request, 0).unwrap()
    }

    #[test]
    fn a_hand_judges_for_itself() {
        let checked = |order: &Order| check(order, &[], &policy()).map_err(|error| error.code);
        assert!(checked(&bind("v-1", "data")).is_ok());
        assert_eq!(checked(&bind("v-1", "proc/sys")), Err(ErrorCode::Refused));
        assert_eq!(checked(&bind("c-2", "data")), Err(ErrorCode::Refused));
        assert_eq!(checked(&Order::new(99)), Err(ErrorCode::Refused));
    }

    #[test]
    fn a_hand_takes_no_descriptors() {
        let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let error = check(&bind("v-1", "data"), &[null], &policy()).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadDescriptors);
    }
}
