//! The descriptors that outlive a daemon: a container's streams, its terminal, its exit.
//!
//! They are only held, never read or written.

use protocol::keeper::{KEEP_KEY_BYTES_MAX, KEPT_ENTRIES_MAX};
use protocol::limits::FRAME_DESCRIPTORS_MAX;
use protocol::names::Text;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::io::Result;
use std::os::fd::OwnedFd;

/// Descriptors that the launcher itself needs at most: connections to five helpers and the daemon, logs while they start,
/// signals, the socket and the lock, with room to spare.
const OWN_DESCRIPTORS_MAX: u64 = 64;

/// A key under which descriptors are kept.
pub type Key = Text<KEEP_KEY_BYTES_MAX>;

/// What is kept.
#[derive(Debug, Default)]
pub struct Kept {
    entries: BTreeMap<Key, Vec<OwnedFd>>,
}

impl Kept {
    /// Keeps descriptors under a key, in place of what was kept under it.
    ///
    /// # Errors
    /// One line saying why they are not kept (and closed): none came, or all places are taken.
    pub fn keep(&mut self, key: Key, fds: Vec<OwnedFd>) -> std::result::Result<(), String> {
        if fds.is_empty() {
            return Err(format!("no descriptor came to be kept as {}", key.as_str()));
        }
        if self.entries.len() >= KEPT_ENTRIES_MAX && !self.entries.contains_key(&key) {
            return Err(format!(
                "{KEPT_ENTRIES_MAX} entries are kept already, not {}",
                key.as_str()
            ));
        }
        self.entries.insert(key, fds);
        Ok(())
    }

    /// Closes what is kept under a key, if anything.
    pub fn forget(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// What is kept under a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&[OwnedFd]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }
}

/// Raises this process's limit of open descriptors so that everything that may be kept fits. What it starts inherits it; the
/// daemon needs as many, since it holds the same descriptors.
///
/// # Errors
/// What setrlimit(2) gives, such as for a limit above the system's own.
pub fn make_room() -> Result<()> {
    let needed = (KEPT_ENTRIES_MAX * FRAME_DESCRIPTORS_MAX) as u64 + OWN_DESCRIPTORS_MAX;
    let limit = getrlimit(Resource::Nofile);
    // None means no limit.
    let raised = |limit: Option<u64>| limit.map(|limit| limit.max(needed));
    let wished = Rlimit {
        current: raised(limit.current),
        maximum: raised(limit.maximum),
    };
    if wished == limit {
        Ok(())
    } else {
        Ok(setrlimit(Resource::Nofile, wished)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn key(name: &str) -> Key {
        Key::new(name).unwrap()
    }

    fn fds(count: usize) -> Vec<OwnedFd> {
        (0..count)
            .map(|_| File::open("/dev/null").unwrap().into())
            .collect()
    }

    #[test]
    fn a_key_kept_again_holds_the_later_descriptors() {
        let mut kept = Kept::default();
        kept.keep(key("container/a"), fds(3)).unwrap();
        kept.keep(key("container/a"), fds(1)).unwrap();
        assert_eq!(kept.get(&key("container/a")).unwrap().len(), 1);
        kept.forget(&key("container/a"));
        kept.forget(&key("container/a"));
        assert_eq!(kept.keys().count(), 0);
    }

    #[test]
    fn nothing_cannot_be_kept() {
        assert!(Kept::default().keep(key("container/a"), Vec::new()).is_err());
    }

    #[test]
    fn entries_have_a_limit_and_a_known_key_is_still_taken_there() {
        make_room().unwrap();
        let mut kept = Kept::default();
        for n in 0..KEPT_ENTRIES_MAX {
            kept.keep(key(&n.to_string()), fds(1)).unwrap();
        }
        assert!(kept.keep(key("more"), fds(1)).is_err());
        kept.keep(key("7"), fds(1)).unwrap();
        assert_eq!(kept.keys().count(), KEPT_ENTRIES_MAX);
    }
}
