//! The front's orders to the hand, in the fixed layout of [`helper_runtime::order`].
//!
//! Reading one makes every name again through its checked type, so the hand holds the same guarantees that
//! the front got from decoding, without decoding.
#![forbid(unsafe_code)]

use helper_runtime::order::{BadOrder, Order};
use protocol::mount::{Access, BindSource, Flavour, Join, MissingSource, Request, TmpfsFlags};
use protocol::names::{BadName, DatasetName, HostPath, MountName, RelPath};

const DATASET: u32 = 1;
const BIND_HOST: u32 = 2;
const BIND_MOUNTED: u32 = 3;
const TMPFS: u32 = 4;
const PSEUDO_FILE_SYSTEMS: u32 = 5;
const UNMOUNT: u32 = 6;
const LIST: u32 = 7;
const BIND_MOUNTED_PATH: u32 = 8;
const BIND_HOST_ALONE: u32 = 9;
const BIND_HOST_JOINED: u32 = 10;
/// What is added to the number of a bind: its source is only looked at.
const CHECK: u32 = 16;

/// Place of the mount point's name in each order; `LIST` has its cursor there, empty for the first page.
const AT: usize = 0;
/// Place of the path in the container.
const TARGET: usize = 1;
/// Place of the dataset, host path or other mount point.
const SOURCE: usize = 2;
/// Place of the path in another mount point.
const SOURCE_PATH: usize = 3;

/// Place of the number of the tenant's bind roots, behind the numbers of the request itself.
const LIST_PLACE: usize = 4;

/// The number of no tenant's bind roots.
pub(crate) const NO_LIST: usize = u32::MAX as usize;

/// A request as an order, with the number of the tenant's bind roots.
pub(crate) fn write(request: &Request, list: usize) -> Result<Order, BadOrder> {
    let mut order = write_request(request)?;
    order.numbers[LIST_PLACE] = list as u64;
    Ok(order)
}

/// The number of the tenant's bind roots that goes with an order.
pub(crate) fn list(order: &Order) -> usize {
    usize::try_from(order.numbers[LIST_PLACE]).unwrap_or(NO_LIST)
}

fn write_request(request: &Request) -> Result<Order, BadOrder> {
    match request {
        Request::Dataset { dataset, at, access } => order(
            DATASET,
            at.as_str(),
            "",
            dataset.as_str(),
            [access_number(*access), 0, 0, 0],
        ),
        Request::Bind {
            source,
            at,
            target,
            access,
        } => bind(source, at.as_str(), target.as_str(), *access),
        Request::Check { source } => {
            let mut order = bind(source, "", "", Access::ReadOnly)?;
            order.operation += CHECK;
            Ok(order)
        }
        Request::Tmpfs {
            at,
            target,
            size_bytes,
            mode,
            flags,
        } => {
            // Zero in the first place says that no size was given: zero is itself a size.
            let size = [u64::from(size_bytes.is_some()), size_bytes.unwrap_or(0)];
            let bits = u64::from(flags.noexec) | u64::from(flags.read_only) << 1;
            order(
                TMPFS,
                at.as_str(),
                target.as_str(),
                "",
                [size[0], size[1], u64::from(*mode), bits],
            )
        }
        Request::PseudoFileSystems { at, flavour } => {
            let flavour = match flavour {
                Flavour::Native => 0,
                Flavour::Linux => 1,
            };
            order(PSEUDO_FILE_SYSTEMS, at.as_str(), "", "", [flavour, 0, 0, 0])
        }
        Request::Unmount { at } => order(UNMOUNT, at.as_str(), "", "", [0; 4]),
        Request::List { after } => order(LIST, after.as_ref().map_or("", MountName::as_str), "", "", [0; 4]),
    }
}

fn bind(source: &BindSource, at: &str, target: &str, access: Access) -> Result<Order, BadOrder> {
    let makes = |missing: &MissingSource| u64::from(*missing == MissingSource::CreateDirectory);
    let (operation, text, path, numbers) = match source {
        BindSource::Host { path, missing } => (BIND_HOST, path.as_str(), "", [makes(missing), 0]),
        BindSource::HostAlone { path, missing } => (BIND_HOST_ALONE, path.as_str(), "", [makes(missing), 0]),
        BindSource::HostJoined { path, missing, join } => {
            let join = match join {
                Join::Shared => 0,
                Join::SharedThroughout => 1,
                Join::Slave => 2,
            };
            (BIND_HOST_JOINED, path.as_str(), "", [makes(missing), join])
        }
        BindSource::Mounted { at } => (BIND_MOUNTED, at.as_str(), "", [0; 2]),
        BindSource::MountedPath { at, path } => (BIND_MOUNTED_PATH, at.as_str(), path.as_str(), [0; 2]),
    };
    let numbers = [access_number(access), numbers[0], numbers[1], 0];
    let mut order = order(operation, at, target, text, numbers)?;
    order.set_text(SOURCE_PATH, path)?;
    Ok(order)
}

/// The request that an order holds.
pub(crate) fn read(order: &Order) -> Result<Request, BadOrder> {
    let at = || MountName::new(order.text(AT)?).map_err(bad);
    let target = || RelPath::new(order.text(TARGET)?).map_err(bad);
    let source = || order.text(SOURCE);
    let [first, second, third, fourth, ..] = order.numbers;
    match order.operation {
        DATASET => {
            let dataset = DatasetName::new(source()?).map_err(bad)?;
            Ok(Request::Dataset {
                dataset,
                at: at()?,
                access: access(first)?,
            })
        }
        BIND_HOST | BIND_HOST_ALONE | BIND_HOST_JOINED | BIND_MOUNTED | BIND_MOUNTED_PATH => {
            Ok(Request::Bind {
                source: bind_source(order, order.operation)?,
                at: at()?,
                target: target()?,
                access: access(first)?,
            })
        }
        TMPFS => {
            let mode = u16::try_from(third).map_err(|_| BadOrder("mode is out of range"))?;
            let flags = TmpfsFlags {
                noexec: is_set(fourth & 1)?,
                read_only: is_set(fourth >> 1)?,
            };
            let size_bytes = is_set(first)?.then_some(second);
            Ok(Request::Tmpfs {
                at: at()?,
                target: target()?,
                size_bytes,
                mode,
                flags,
            })
        }
        PSEUDO_FILE_SYSTEMS => {
            let flavour = if is_set(first)? {
                Flavour::Linux
            } else {
                Flavour::Native
            };
            Ok(Request::PseudoFileSystems { at: at()?, flavour })
        }
        UNMOUNT => Ok(Request::Unmount { at: at()? }),
        LIST if order.text(AT)?.is_empty() => Ok(Request::List { after: None }),
        LIST => Ok(Request::List { after: Some(at()?) }),
        checked if checked > CHECK => Ok(Request::Check {
            source: bind_source(order, checked - CHECK)?,
        }),
        _ => Err(BadOrder("no such operation")),
    }
}

fn bind_source(order: &Order, operation: u32) -> Result<BindSource, BadOrder> {
    let source = order.text(SOURCE)?;
    let host = || Ok((HostPath::new(source).map_err(bad)?, missing(order.numbers[1])?));
    match operation {
        BIND_HOST => host().map(|(path, missing)| BindSource::Host { path, missing }),
        BIND_HOST_ALONE => host().map(|(path, missing)| BindSource::HostAlone { path, missing }),
        BIND_HOST_JOINED => {
            let join = match order.numbers[2] {
                0 => Join::Shared,
                1 => Join::SharedThroughout,
                2 => Join::Slave,
                _ => return Err(BadOrder("no such join")),
            };
            host().map(|(path, missing)| BindSource::HostJoined { path, missing, join })
        }
        BIND_MOUNTED_PATH => Ok(BindSource::MountedPath {
            at: MountName::new(source).map_err(bad)?,
            path: RelPath::new(order.text(SOURCE_PATH)?).map_err(bad)?,
        }),
        BIND_MOUNTED => Ok(BindSource::Mounted {
            at: MountName::new(source).map_err(bad)?,
        }),
        _ => Err(BadOrder("no such operation")),
    }
}

fn missing(number: u64) -> Result<MissingSource, BadOrder> {
    Ok(if is_set(number)? {
        MissingSource::CreateDirectory
    } else {
        MissingSource::Refuse
    })
}

fn order(operation: u32, at: &str, target: &str, source: &str, numbers: [u64; 4]) -> Result<Order, BadOrder> {
    let mut order = Order::new(operation);
    order.numbers[..numbers.len()].copy_from_slice(&numbers);
    order.set_text(AT, at)?;
    order.set_text(TARGET, target)?;
    order.set_text(SOURCE, source)?;
    Ok(order)
}

fn access_number(access: Access) -> u64 {
    match access {
        Access::ReadWrite => 0,
        Access::ReadOnly => 1,
    }
}

fn access(number: u64) -> Result<Access, BadOrder> {
    Ok(if is_set(number)? {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    })
}

fn is_set(number: u64) -> Result<bool, BadOrder> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(BadOrder("neither 0 nor 1")),
    }
}

fn bad(name: BadName) -> BadOrder {
    BadOrder(name.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let at = || MountName::new("c-1").unwrap();
        let target = || RelPath::new("srv/data").unwrap();
        let host = |missing| BindSource::Host {
            path: HostPath::new("/srv/www").unwrap(),
            missing,
        };
        let joined = |join| BindSource::HostJoined {
            path: HostPath::new("/srv/www").unwrap(),
            missing: MissingSource::Refuse,
            join,
        };
        let dataset = || DatasetName::new("containers/1").unwrap();
        let tmpfs = |size_bytes, noexec, read_only| Request::Tmpfs {
            at: at(),
            target: target(),
            size_bytes,
            mode: 0o1777,
            flags: TmpfsFlags { noexec, read_only },
        };
        let bind = |source, access| Request::Bind {
            source,
            at: at(),
            target: target(),
            access,
        };
        vec![
            Request::Dataset {
                dataset: dataset(),
                at: at(),
                access: Access::ReadWrite,
            },
            Request::Dataset {
                dataset: dataset(),
                at: at(),
                access: Access::ReadOnly,
            },
            bind(host(MissingSource::CreateDirectory), Access::ReadOnly),
            bind(host(MissingSource::Refuse), Access::ReadWrite),
            bind(
                BindSource::Mounted {
                    at: MountName::new("v-1").unwrap(),
                },
                Access::ReadOnly,
            ),
            bind(
                BindSource::MountedPath {
                    at: MountName::new("v-1").unwrap(),
                    path: RelPath::new("a/b").unwrap(),
                },
                Access::ReadWrite,
            ),
            bind(
                BindSource::HostAlone {
                    path: HostPath::new("/srv/www").unwrap(),
                    missing: MissingSource::CreateDirectory,
                },
                Access::ReadOnly,
            ),
            bind(joined(Join::Shared), Access::ReadWrite),
            bind(joined(Join::SharedThroughout), Access::ReadOnly),
            bind(joined(Join::Slave), Access::ReadWrite),
            tmpfs(None, true, false),
            tmpfs(Some(0), false, true),
            tmpfs(Some(u64::MAX), true, true),
            Request::PseudoFileSystems {
                at: at(),
                flavour: Flavour::Native,
            },
            Request::PseudoFileSystems {
                at: at(),
                flavour: Flavour::Linux,
            },
            Request::Unmount { at: at() },
            Request::List { after: None },
            Request::List { after: Some(at()) },
            Request::Check {
                source: host(MissingSource::Refuse),
            },
        ]
    }

    #[test]
    fn every_request_survives_being_an_order() {
        for request in requests() {
            let order = write(&request, 3).unwrap();
            assert_eq!((read(&order), list(&order)), (Ok(request), 3));
        }
    }

    #[test]
    fn a_hand_does_not_believe_names() {
        let hostile =
            |operation, at, target, source| read(&order(operation, at, target, source, [0; 4]).unwrap());
        assert!(hostile(UNMOUNT, "../etc", "", "").is_err());
        assert!(hostile(UNMOUNT, "", "", "").is_err());
        assert!(hostile(DATASET, "c-1", "", "../x").is_err());
        assert!(hostile(BIND_HOST, "c-1", "../../etc", "/srv").is_err());
        assert!(hostile(BIND_HOST, "c-1", "srv", "srv").is_err());
        assert!(hostile(BIND_MOUNTED, "c-1", "srv", "v/1").is_err());
        assert!(hostile(BIND_MOUNTED_PATH, "c-1", "srv", "v/1").is_err());
        let mut out = order(BIND_MOUNTED_PATH, "c-1", "srv", "v-1", [0; 4]).unwrap();
        out.set_text(SOURCE_PATH, "../c-2").unwrap();
        assert!(read(&out).is_err());
        assert!(hostile(LIST, "a b", "", "").is_err());
        assert!(hostile(99, "c-1", "", "").is_err());
    }

    #[test]
    fn a_hand_does_not_believe_numbers() {
        let hostile = |operation, numbers| read(&order(operation, "c-1", "srv", "", numbers).unwrap());
        assert!(hostile(TMPFS, [2, 0, 0, 0]).is_err());
        assert!(hostile(TMPFS, [0, 0, 1 << 16, 0]).is_err());
        assert!(hostile(TMPFS, [0, 0, 0, 4]).is_err());
        assert!(hostile(PSEUDO_FILE_SYSTEMS, [2, 0, 0, 0]).is_err());
        let mut out = order(BIND_HOST_JOINED, "c-1", "srv", "/srv", [0, 0, 3, 0]).unwrap();
        assert!(read(&out).is_err());
        out.numbers[2] = 2;
        assert!(read(&out).is_ok());
    }
}
