//! Keys that one task holds at a time: a volume that is being made, a tenant whose things are being pruned.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The keys that are held now.
#[derive(Debug, Clone, Default)]
pub struct Reservations(Arc<Mutex<BTreeSet<String>>>);

/// A key that nobody else holds; dropping it gives it up.
#[derive(Debug)]
pub struct Reserved {
    all: Reservations,
    key: String,
}

impl Reservations {
    /// Takes a key; none where somebody holds it.
    #[must_use]
    pub fn reserve(&self, key: &str) -> Option<Reserved> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(key.to_owned()).then(|| Reserved {
            all: self.clone(),
            key: key.to_owned(),
        })
    }

    /// Whether somebody holds a key.
    #[must_use]
    pub fn holds(&self, key: &str) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.contains(key)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut held = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_once_and_others_are_free() {
        let all = Reservations::default();
        let red = all.reserve("red").unwrap();
        assert!(all.reserve("red").is_none() && all.holds("red"));
        assert!(all.reserve("blue").is_some() && !all.holds("blue"));
        drop(red);
        assert!(all.reserve("red").is_some());
    }
}
