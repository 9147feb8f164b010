//! Who is whose: the tenants that the launcher names, and the principal of a peer.

use protocol::Principal;
use protocol::names::{BadName, Label};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The tenant of everybody where none are configured, and of root where no other has it. The others may use its images.
pub const DEFAULT: &str = "default";

/// A tenant: its members and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: Label,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
    /// How many containers it may have; none is no limit.
    pub containers_max: Option<usize>,
    /// The host's ports that it may publish; none is every port.
    pub ports: Option<RangeInclusive<u16>>,
}

/// What is wrong with the launcher's words about a tenant.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} says nothing of a tenant")]
pub struct BadTenant(String);

impl FromStr for Tenant {
    type Err = BadTenant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(' ');
        let bad = |word: &str| BadTenant(word.to_owned());
        let name = words.next().unwrap_or_default();
        if name.is_empty() {
            return Err(bad(text));
        }
        let mut tenant = Tenant {
            name: Label::new(name).map_err(|_| bad(name))?,
            uids: BTreeSet::new(),
            gids: BTreeSet::new(),
            containers_max: None,
            ports: None,
        };
        for word in words {
            tenant.hear(word).ok_or_else(|| bad(word))?;
        }
        Ok(tenant)
    }
}

impl Tenant {
    fn hear(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once(':')?;
        match key {
            "uid" => drop(self.uids.insert(value.parse().ok()?)),
            "gid" => drop(self.gids.insert(value.parse().ok()?)),
            "containers" => self.containers_max = Some(value.parse().ok()?),
            "ports" => {
                let (from, to) = value.split_once('-')?;
                self.ports = Some(from.parse().ok()?..=to.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }
}

/// The principal of a peer with this user and group; none where tenants are configured and it is in none of them. A user that is
/// named counts more than a group, and root's group means nothing.
///
/// # Errors
/// Never: the words are good labels; the type asks.
pub fn principal(tenants: &[Tenant], uid: u32, gid: u32) -> Result<Option<Principal>, BadName> {
    let by_user = tenants.iter().find(|tenant| tenant.uids.contains(&uid));
    let by_group = || {
        tenants
            .iter()
            .find(|tenant| uid != 0 && tenant.gids.contains(&gid))
    };
    let tenant = match by_user.or_else(by_group) {
        Some(tenant) => tenant.name.clone(),
        None if tenants.is_empty() || uid == 0 => Label::new(DEFAULT)?,
        None => return Ok(None),
    };
    Ok(Some(Principal {
        tenant,
        subject: Label::new(format!("uid:{uid}"))?,
    }))
}

/// The limits of a tenant; none where it has no table.
#[must_use]
pub fn named<'a>(tenants: &'a [Tenant], name: &str) -> Option<&'a Tenant> {
    tenants.iter().find(|tenant| tenant.name.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(texts: &[&str]) -> Vec<Tenant> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_peer_is_its_tenants_and_nobody_elses() {
        let two = tenants(&["red uid:1000 uid:1001 gid:70", "blue uid:2000 gid:80"]);
        let own_root = tenants(&["red uid:0"]);
        for (tenants, uid, gid, tenant) in [
            (&two, 1000, 1000, Some("red")),
            (&two, 1001, 80, Some("red")),
            (&two, 2000, 70, Some("blue")),
            (&two, 3000, 70, Some("red")),
            (&two, 3000, 80, Some("blue")),
            (&two, 3000, 3000, None),
            (&two, 0, 0, Some("default")),
            (&two, 0, 70, Some("default")),
            (&own_root, 0, 0, Some("red")),
            (&Vec::new(), 3000, 3000, Some("default")),
        ] {
            let principal = principal(tenants, uid, gid).unwrap();
            let found = principal.as_ref().map(|principal| principal.tenant.as_str());
            assert_eq!(found, tenant, "{uid} {gid}");
            let subject = principal.map_or_else(|| format!("uid:{uid}"), |known| known.subject.to_string());
            assert_eq!(subject, format!("uid:{uid}"));
        }
    }

    #[test]
    fn the_launchers_words_are_understood_or_refused() {
        let tenant: Tenant = "red uid:1 containers:3 ports:20000-20099".parse().unwrap();
        assert_eq!(
            (tenant.containers_max, tenant.ports.clone()),
            (Some(3), Some(20000..=20099))
        );
        assert_eq!(named(&[tenant], "blue"), None);
        for text in [
            "",
            "red uid",
            "red uid:x",
            "red ports:5",
            "red quota:5",
            "red  uid:1",
        ] {
            assert!(text.parse::<Tenant>().is_err(), "{text}");
        }
    }
}
