//! Which datasets a request may name. Pure: no host is asked.
//!
//! Everything lies in one of three families below the configured parent. A name that is too short would be a family
//! itself, and a longer one would lie inside a dataset, where a container writes: both are refused.
#![forbid(unsafe_code)]

use protocol::names::DatasetName;
use protocol::policy::{Policy, ZfsPolicy};
use protocol::zfs::Request;
use protocol::{Answer, ErrorCode, HelperError};
use std::io::{Error, ErrorKind, Result};

/// Record sizes that every pool takes, in bytes (zfsprops(7), `recordsize`).
const RECORD_BYTES: std::ops::RangeInclusive<u64> = 512..=1024 * 1024;

/// A kind of datasets: the first component of their names, and how many components such a name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The first component.
    pub folder: &'static str,
    /// Components of a dataset's name, this first one among them.
    pub depth: usize,
}

/// The folder of volumes, which has a folder for each tenant.
const VOLUMES: &str = "volumes";

/// Every family: `images/<chain id>`, `containers/<container id>`, `volumes/<tenant>/<name>`.
pub const FAMILIES: [Family; 3] = [
    Family {
        folder: "images",
        depth: 2,
    },
    Family {
        folder: "containers",
        depth: 2,
    },
    Family {
        folder: VOLUMES,
        depth: 3,
    },
];

/// The policy, if it is this helper's.
///
/// # Errors
/// `InvalidInput` for another helper's.
pub fn ours(policy: Policy) -> Result<ZfsPolicy> {
    match policy {
        Policy::Zfs(policy) => Ok(policy),
        Policy::Jail(_) | Policy::Net(_) | Policy::Mount(_) | Policy::Archive(_) => Err(Error::new(
            ErrorKind::InvalidInput,
            "the policy is another helper's",
        )),
    }
}

/// Judges what a request of a tenant names.
///
/// # Errors
/// `Refused` for every name that is not a dataset of a family or is another tenant's volume, or, where a folder is listed, not a folder of one.
pub fn judge(request: &Request, tenant: &str) -> Answer<()> {
    match request {
        Request::Create { dataset }
        | Request::Snapshot { dataset, .. }
        | Request::Destroy { dataset }
        | Request::Stats { dataset } => check_dataset(dataset, tenant),
        // Limits are set on what outlives containers; a layer keeps what it was made with.
        Request::Tune { dataset, tuning } => {
            check_volume(dataset, tenant)?;
            check_record_size(tuning.record_bytes)
        }
        Request::Promote { dataset } => check_volume(dataset, tenant),
        Request::Fork {
            origin,
            dataset,
            label: _,
        }
        | Request::Copy {
            origin,
            dataset,
            label: _,
        } => {
            check_volume(origin, tenant)?;
            check_volume(dataset, tenant)
        }
        Request::Clone {
            origin,
            dataset,
            label: _,
        } => {
            check_dataset(origin, tenant)?;
            check_dataset(dataset, tenant)
        }
        Request::List { parent, after: _ } => check_folder(parent),
        Request::PoolSpace => Ok(()),
    }
}

fn check_dataset(name: &DatasetName, tenant: &str) -> Answer<()> {
    match family_and_depth(name) {
        Some((family, depth)) if depth == family.depth && family.folder == VOLUMES => {
            check_volume(name, tenant)
        }
        Some((family, depth)) if depth == family.depth => Ok(()),
        Some(_) | None => Err(refused(name, "is not a dataset of a family")),
    }
}

fn check_volume(name: &DatasetName, tenant: &str) -> Answer<()> {
    match family_and_depth(name) {
        Some((family, depth)) if depth == family.depth && family.folder == VOLUMES => {
            match name.as_str().split('/').nth(1) {
                Some(owner) if owner == tenant => Ok(()),
                Some(_) | None => Err(refused(name, "is another tenant's volume")),
            }
        }
        Some(_) | None => Err(refused(name, "is not a volume's dataset")),
    }
}

fn check_record_size(bytes: Option<u64>) -> Answer<()> {
    match bytes {
        Some(bytes) if !bytes.is_power_of_two() || !RECORD_BYTES.contains(&bytes) => {
            let detail = format!("a record size of {bytes} is no power of two from 512 to 1048576");
            Err(HelperError::new(ErrorCode::BadContent, detail))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_folder(name: &DatasetName) -> Answer<()> {
    match family_and_depth(name) {
        Some((family, depth)) if depth < family.depth => Ok(()),
        Some(_) | None => Err(refused(name, "is not a folder of datasets")),
    }
}

fn family_and_depth(name: &DatasetName) -> Option<(Family, usize)> {
    let mut parts = name.as_str().split('/');
    let first = parts.next()?;
    let family = FAMILIES.into_iter().find(|family| family.folder == first)?;
    Some((family, 1 + parts.count()))
}

fn refused(name: &DatasetName, why: &str) -> HelperError {
    HelperError::new(ErrorCode::Refused, format!("{name} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::names::SnapshotLabel;
    use protocol::zfs::Tuning;

    fn name(text: &str) -> DatasetName {
        DatasetName::new(text).unwrap()
    }

    fn code(request: &Request) -> Option<ErrorCode> {
        judge(request, "t").err().map(|error| error.code)
    }

    #[test]
    fn datasets_of_the_families_are_allowed() {
        for dataset in ["images/ab12", "containers/c0ffee", "volumes/t/data"] {
            assert_eq!(
                code(&Request::Create {
                    dataset: name(dataset)
                }),
                None,
                "{dataset}"
            );
        }
    }

    #[test]
    fn another_tenants_volumes_are_refused() {
        let dataset = name("volumes/other/data");
        let copy = |origin: &str, dataset: &str| Request::Copy {
            origin: name(origin),
            label: SnapshotLabel::new("a").unwrap(),
            dataset: name(dataset),
        };
        for request in [
            Request::Create {
                dataset: dataset.clone(),
            },
            Request::Destroy {
                dataset: dataset.clone(),
            },
            Request::Promote { dataset },
            copy("volumes/other/a", "volumes/t/b"),
            copy("volumes/t/a", "volumes/other/b"),
        ] {
            assert_eq!(code(&request), Some(ErrorCode::Refused), "{request:?}");
        }
    }

    #[test]
    fn families_themselves_and_names_inside_datasets_are_refused() {
        for dataset in [
            "images",
            "volumes/default",
            "images/ab12/data",
            "volumes/default/data/work",
            "other/x",
            "zroot",
        ] {
            let dataset = name(dataset);
            for request in [
                Request::Create {
                    dataset: dataset.clone(),
                },
                Request::Destroy {
                    dataset: dataset.clone(),
                },
                Request::Stats {
                    dataset: dataset.clone(),
                },
                Request::Snapshot {
                    dataset: dataset.clone(),
                    label: SnapshotLabel::new("layer").unwrap(),
                },
            ] {
                assert_eq!(code(&request), Some(ErrorCode::Refused), "{request:?}");
            }
        }
    }

    #[test]
    fn both_names_of_a_clone_are_judged() {
        let clone = |origin: &str, dataset: &str| Request::Clone {
            origin: name(origin),
            label: SnapshotLabel::new("layer").unwrap(),
            dataset: name(dataset),
        };
        assert_eq!(code(&clone("images/a", "containers/b")), None);
        assert_eq!(code(&clone("images", "containers/b")), Some(ErrorCode::Refused));
        assert_eq!(code(&clone("images/a", "elsewhere/b")), Some(ErrorCode::Refused));
    }

    #[test]
    fn only_volumes_are_forked_copied_promoted_and_tuned() {
        let copy = |origin: &str, dataset: &str| Request::Copy {
            origin: name(origin),
            label: SnapshotLabel::new("a").unwrap(),
            dataset: name(dataset),
        };
        assert_eq!(code(&copy("volumes/t/a", "volumes/t/b")), None);
        for (origin, dataset) in [("containers/a", "volumes/t/b"), ("volumes/t/a", "receiving/b")] {
            assert_eq!(
                code(&copy(origin, dataset)),
                Some(ErrorCode::Refused),
                "{origin} {dataset}"
            );
        }
        for (dataset, judged) in [("volumes/t/a", None), ("images/a", Some(ErrorCode::Refused))] {
            let dataset = name(dataset);
            assert_eq!(code(&Request::Promote { dataset }), judged);
        }
        let fork = |origin: &str, dataset: &str| Request::Fork {
            origin: name(origin),
            label: SnapshotLabel::new("a").unwrap(),
            dataset: name(dataset),
        };
        assert_eq!(code(&fork("volumes/t/a", "volumes/t/b")), None);
        assert_eq!(
            code(&fork("containers/a", "volumes/t/b")),
            Some(ErrorCode::Refused)
        );
        assert_eq!(code(&fork("volumes/t/a", "images/b")), Some(ErrorCode::Refused));
        let tune = |dataset: &str, record_bytes: u64| Request::Tune {
            dataset: name(dataset),
            tuning: Tuning {
                record_bytes: Some(record_bytes),
                ..Tuning::default()
            },
        };
        assert_eq!(code(&tune("volumes/t/a", 16 << 10)), None);
        assert_eq!(code(&tune("images/a", 16 << 10)), Some(ErrorCode::Refused));
        for bytes in [0, 511, 1000, 2 << 20] {
            assert_eq!(code(&tune("volumes/t/a", bytes)), Some(ErrorCode::BadContent));
        }
    }

    #[test]
    fn only_folders_are_listed() {
        let list = |parent: &str| Request::List {
            parent: name(parent),
            after: None,
        };
        for folder in ["images", "containers", "volumes", "volumes/default"] {
            assert_eq!(code(&list(folder)), None, "{folder}");
        }
        for other in ["images/a", "volumes/default/data", "etc"] {
            assert_eq!(code(&list(other)), Some(ErrorCode::Refused), "{other}");
        }
    }
}
