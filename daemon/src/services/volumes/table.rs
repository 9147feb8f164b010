//! The table of volumes and of who refers to them: pure.

use docker_api::filters::Filters;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The label of a volume that was made without a name. It may go with the container that it was made for.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// The only driver.
pub const DRIVER: &str = "local";

/// A volume, as stored (kind `Volume`, key = `tenant/name`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name; 64 hexadecimal digits for an anonymous one.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// Labels; none and an empty set are told apart in answers.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Driver options as the client gave them.
    #[serde(default)]
    pub options: Option<BTreeMap<String, String>>,
    /// Whether another volume's content is still being put into it: only in the store, the table has whole ones.
    #[serde(default)]
    pub is_filling: bool,
}

impl Volume {
    /// Its key in the table.
    #[must_use]
    pub(super) fn key(&self) -> String {
        key(&self.tenant, &self.name)
    }

    /// Whether it shows something else than a dataset of ours.
    fn is_elsewhere(&self) -> bool {
        self.options
            .as_ref()
            .is_some_and(|options| options.contains_key("type"))
    }
}

/// The key of a tenant's volume.
pub(super) fn key(tenant: &str, name: &str) -> String {
    format!("{tenant}/{name}")
}

/// A volume with its users.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) volume: Volume,
    /// Containers that refer to it, running or not: it is not removed while there is one.
    pub(super) referred_by: BTreeSet<String>,
    /// Who has it mounted.
    pub(super) mounted_by: BTreeSet<String>,
}

/// Every volume.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<String, Entry>);

impl Table {
    pub(super) fn insert(&mut self, volume: Volume) {
        let entry = Entry {
            volume,
            referred_by: BTreeSet::new(),
            mounted_by: BTreeSet::new(),
        };
        self.0.insert(entry.volume.key(), entry);
    }

    pub(super) fn get(&self, tenant: &str, name: &str) -> Option<&Entry> {
        self.0.get(&key(tenant, name))
    }

    pub(super) fn get_mut(&mut self, tenant: &str, name: &str) -> Option<&mut Entry> {
        self.0.get_mut(&key(tenant, name))
    }

    pub(super) fn remove(&mut self, tenant: &str, name: &str) {
        self.0.remove(&key(tenant, name));
    }

    /// The tenant's volumes that the filters choose, in name order.
    pub(super) fn choose(&self, tenant: &str, chosen: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
        self.0
            .values()
            .filter(|entry| entry.volume.tenant == tenant && chosen(entry))
            .collect()
    }
}

/// Whether the filters of `GET /volumes` choose a volume; `dangling` is that filter, already read.
pub(super) fn is_listed(entry: &Entry, filters: &Filters, dangling: Option<bool>) -> bool {
    let has_driver = !filters.contains("driver") || filters.values("driver").any(|driver| driver == DRIVER);
    has_driver
        && filters.matches_text("name", &entry.volume.name)
        && has_labels(entry, filters)
        && dangling.is_none_or(|dangling| entry.referred_by.is_empty() == dangling)
}

/// Whether `POST /volumes/prune` removes a volume. One that shows something else than our store stays, as with dockerd.
pub(super) fn is_pruned(entry: &Entry, filters: &Filters) -> bool {
    entry.referred_by.is_empty()
        && entry.mounted_by.is_empty()
        && !entry.volume.is_elsewhere()
        && has_labels(entry, filters)
}

fn has_labels(entry: &Entry, filters: &Filters) -> bool {
    let none = BTreeMap::new();
    let labels = entry.volume.labels.as_ref().unwrap_or(&none);
    filters.matches_pairs("label", labels)
        && !(filters.contains("label!") && filters.matches_pairs("label!", labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        for (name, label) in [("data", Some("web")), ("cache", None)] {
            table.insert(Volume {
                name: name.to_owned(),
                tenant: "t".to_owned(),
                created_ns: 0,
                labels: label.map(|value| BTreeMap::from([("for".to_owned(), value.to_owned())])),
                options: None,
                is_filling: false,
            });
        }
        table
            .get_mut("t", "data")
            .unwrap()
            .referred_by
            .insert("c".to_owned());
        table
    }

    fn listed(filters: &[(&str, &str)], dangling: Option<bool>) -> Vec<String> {
        let mut asked = Filters::default();
        for (key, value) in filters {
            asked.add(*key, *value);
        }
        let table = table();
        let chosen = table.choose("t", |entry| is_listed(entry, &asked, dangling));
        chosen.iter().map(|entry| entry.volume.name.clone()).collect()
    }

    #[test]
    fn filters_choose() {
        assert_eq!(listed(&[], None), ["cache", "data"]);
        assert_eq!(listed(&[("name", "ac")], None), ["cache"]);
        assert_eq!(listed(&[("name", "^da")], None), ["data"]);
        assert_eq!(listed(&[("label", "for=web")], None), ["data"]);
        assert_eq!(listed(&[("label!", "for")], None), ["cache"]);
        assert_eq!(listed(&[("driver", "local")], None), ["cache", "data"]);
        assert!(listed(&[("driver", "nosuch")], None).is_empty());
        assert_eq!(listed(&[], Some(true)), ["cache"]);
        assert_eq!(listed(&[], Some(false)), ["data"]);
    }

    #[test]
    fn what_is_used_or_elsewhere_is_not_pruned() {
        let mut table = table();
        let none = Filters::default();
        let pruned = |table: &Table| -> Vec<String> {
            let chosen = table.choose("t", |entry| is_pruned(entry, &none));
            chosen.iter().map(|entry| entry.volume.name.clone()).collect()
        };
        assert_eq!(pruned(&table), ["cache"]);
        let options = BTreeMap::from([("type".to_owned(), "tmpfs".to_owned())]);
        table.get_mut("t", "cache").unwrap().volume.options = Some(options);
        assert!(pruned(&table).is_empty());
    }

    #[test]
    fn another_tenants_volumes_are_not_seen() {
        assert!(table().choose("other", |_| true).is_empty());
        assert!(table().get("other", "data").is_none());
    }
}
