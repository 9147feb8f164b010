//! Tenants: the `[[tenant]]` tables of the configuration, and whom of the host's users they mean.
//!
//! With none there is one tenant, `default`, and plain Docker behaviour. With any, whoever is in none is refused by the daemon; root
//! is `default` where no table names it.

use crate::accounts;
use crate::config::ConfigError;
use protocol::limits::{POLICY_PATHS_MAX, TENANTS_MAX};
use protocol::names::{Bounded, HostPath, Label};
use protocol::policy::{TenantPorts, TenantRoots};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{Error, ErrorKind, Result};
use std::ops::RangeInclusive;

/// Longest name of a tenant, in bytes: it stands in each audit line and is a dataset's name.
const NAME_BYTES_MAX: usize = 32;

/// A tenant as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: Label,
    users: Vec<Account>,
    groups: Vec<Account>,
    /// How many containers it may have; none is no limit.
    pub containers_max: Option<u32>,
    /// The host's ports that it may publish; none is every port.
    pub ports: Option<RangeInclusive<u16>>,
    /// Host directories whose content it may bind-mount; none allows no host path.
    pub bind_roots: Bounded<HostPath, POLICY_PATHS_MAX>,
}

/// The host's users and groups of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Its users, those that its groups list among them.
    pub uids: BTreeSet<u32>,
    /// Its groups.
    pub gids: BTreeSet<u32>,
}

/// A table as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    name: String,
    #[serde(default)]
    users: Vec<Account>,
    #[serde(default)]
    groups: Vec<Account>,
    containers_max: Option<u32>,
    ports: Option<[u16; 2]>,
    #[serde(default)]
    bind_roots: Vec<String>,
}

/// A user or group, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "users and groups are names or numbers")]
enum Account {
    Number(u32),
    Name(String),
}

/// Checks the tables.
///
/// # Errors
/// Which table and which of its keys cannot be used, and why.
pub(crate) fn read(tables: Vec<Table>) -> std::result::Result<Vec<Tenant>, ConfigError> {
    if tables.len() > TENANTS_MAX {
        return Err(bad(format!("at most {TENANTS_MAX} tenants")));
    }
    let tenants: Vec<Tenant> = tables
        .into_iter()
        .map(one)
        .collect::<std::result::Result<_, _>>()?;
    let mut names = BTreeSet::new();
    for tenant in &tenants {
        if !names.insert(&tenant.name) {
            return Err(bad(format!("{}: two tables have this name", tenant.name)));
        }
    }
    Ok(tenants)
}

fn one(table: Table) -> std::result::Result<Tenant, ConfigError> {
    let name = tenant_name(table.name)?;
    let wrong = |key: &str, what: String| bad(format!("{name}: {key}: {what}"));
    if table.users.is_empty() && table.groups.is_empty() {
        return Err(wrong("users", "names nobody, and neither does groups".to_owned()));
    }
    let ports = match table.ports {
        Some([from, to]) if from == 0 || from > to => {
            return Err(wrong(
                "ports",
                format!("[{from}, {to}]: must be two ports, the lower one first"),
            ));
        }
        ports => ports.map(|[from, to]| from..=to),
    };
    if table.containers_max == Some(0) {
        return Err(wrong("containers_max", "0 would allow nothing".to_owned()));
    }
    let roots = table.bind_roots.into_iter().map(|root| {
        HostPath::new(root.clone()).map_err(|why| wrong("bind_roots", format!("{root:?}: {why}")))
    });
    let roots = roots.collect::<std::result::Result<Vec<_>, _>>()?;
    let bind_roots =
        Bounded::new(roots).map_err(|_| wrong("bind_roots", format!("at most {POLICY_PATHS_MAX} paths")))?;
    Ok(Tenant {
        users: table.users,
        groups: table.groups,
        containers_max: table.containers_max,
        ports,
        bind_roots,
        name,
    })
}

/// A word that can be part of a dataset's name and stands out nowhere in an audit line.
fn tenant_name(name: String) -> std::result::Result<Label, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    let first = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase());
    if !first || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        let rule = format!(
            "a letter and then at most {} lower-case letters, digits, '_' or '-'",
            NAME_BYTES_MAX - 1
        );
        return Err(bad(format!("{name:?}: a name must be {rule}")));
    }
    Label::new(name).map_err(bad)
}

fn bad(what: impl Display) -> ConfigError {
    ConfigError::Value("tenant", what.to_string())
}

/// Looks the tenants' users and groups up, in the order of the tenants. Who joins a group later is known at the next start.
///
/// # Errors
/// `NotFound` for a name that the host does not have, `InvalidInput` for somebody who would be in two tenants.
pub fn members(tenants: &[Tenant]) -> Result<Vec<Members>> {
    let mut all = Vec::new();
    for tenant in tenants {
        let mut members = Members::default();
        for user in &tenant.users {
            members.uids.insert(match user {
                Account::Number(uid) => *uid,
                Account::Name(name) => accounts::uid(name)?,
            });
        }
        for group in &tenant.groups {
            let (gid, listed) = match group {
                Account::Number(gid) => (*gid, accounts::listed(*gid)?),
                Account::Name(name) => {
                    let gid = accounts::group(Some(name))?;
                    (gid, accounts::listed(gid)?)
                }
            };
            members.gids.insert(gid);
            // Root is everybody's member on some hosts, and is somebody's tenant only by its own name.
            members.uids.extend(listed.into_iter().filter(|uid| *uid != 0));
        }
        all.push(members);
    }
    in_one_only(tenants, &all)?;
    Ok(all)
}

fn in_one_only(tenants: &[Tenant], all: &[Members]) -> Result<()> {
    let (mut users, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for (tenant, members) in tenants.iter().zip(all) {
        let uids = members
            .uids
            .iter()
            .map(|uid| ("user", *uid, users.insert(*uid, &tenant.name)));
        let gids = members
            .gids
            .iter()
            .map(|gid| ("group", *gid, groups.insert(*gid, &tenant.name)));
        for (what, id, before) in uids.chain(gids) {
            if let Some(before) = before {
                let why = format!(
                    "configuration key tenant: {what} {id} is in two tenants, {before} and {}",
                    tenant.name
                );
                return Err(Error::new(ErrorKind::InvalidInput, why));
            }
        }
    }
    Ok(())
}

/// What the daemon is told of a tenant: its name, then words such as `uid:1000`.
#[must_use]
pub fn words(tenant: &Tenant, members: &Members) -> String {
    let mut words = vec![tenant.name.to_string()];
    words.extend(members.uids.iter().map(|uid| format!("uid:{uid}")));
    words.extend(members.gids.iter().map(|gid| format!("gid:{gid}")));
    words.extend(tenant.containers_max.map(|count| format!("containers:{count}")));
    words.extend(
        tenant
            .ports
            .as_ref()
            .map(|ports| format!("ports:{}-{}", ports.start(), ports.end())),
    );
    words.join(" ")
}

/// What the mount helper is told.
#[must_use]
pub fn roots(tenants: &[Tenant]) -> Vec<TenantRoots> {
    let of = |tenant: &Tenant| TenantRoots {
        tenant: tenant.name.clone(),
        bind_roots: tenant.bind_roots.clone(),
    };
    tenants.iter().map(of).collect()
}

/// What the net helper is told.
#[must_use]
pub fn ports(tenants: &[Tenant]) -> Vec<TenantPorts> {
    let of = |tenant: &Tenant| {
        let ports = tenant.ports.as_ref()?;
        Some(TenantPorts {
            tenant: tenant.name.clone(),
            from: *ports.start(),
            to: *ports.end(),
        })
    };
    tenants.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        tenant: Vec<Table>,
    }

    fn of(text: &str) -> std::result::Result<Vec<Tenant>, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        read(file.tenant).map_err(|error| error.to_string())
    }

    fn table(name: &str, rest: &str) -> String {
        format!("[[tenant]]\nname = \"{name}\"\n{rest}\n")
    }

    #[test]
    fn what_is_said_of_a_tenant_reaches_the_daemon_as_words() {
        let text = table(
            "red",
            "users = [\"root\", 4242]\ngroups = [4343]\ncontainers_max = 3\nports = [20000, 20099]\nbind_roots = [\"/srv/red\"]",
        );
        let tenants = of(&text).unwrap();
        let members = members(&tenants).unwrap();
        assert_eq!(
            words(&tenants[0], &members[0]),
            "red uid:0 uid:4242 gid:4343 containers:3 ports:20000-20099"
        );
        assert_eq!(roots(&tenants)[0].bind_roots, tenants[0].bind_roots);
        assert_eq!((ports(&tenants)[0].from, ports(&tenants)[0].to), (20000, 20099));
        assert_eq!(
            tenants[0].bind_roots.as_slice(),
            [HostPath::new("/srv/red").unwrap()]
        );
        let plain = of(&table("blue", "users = [7]")).unwrap();
        assert_eq!((plain[0].containers_max, plain[0].ports.clone()), (None, None));
        assert_eq!(ports(&plain), []);
        assert!(plain[0].bind_roots.as_slice().is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_tenant() {
        for (text, said) in [
            (table("Red", "users = [1]"), "\"Red\": a name must be"),
            (table("a/b", "users = [1]"), "\"a/b\": a name must be"),
            (table("red", ""), "red: users: names nobody"),
            (
                table("red", "users = [1]\nports = [90, 80]"),
                "red: ports: [90, 80]",
            ),
            (
                table("red", "users = [1]\nports = [0, 80]"),
                "red: ports: [0, 80]",
            ),
            (
                table("red", "users = [1]\ncontainers_max = 0"),
                "red: containers_max: 0",
            ),
            (
                table("red", "users = [1]\nbind_roots = [\"srv\"]"),
                "red: bind_roots: \"srv\"",
            ),
            (
                table("red", "users = [true]"),
                "users and groups are names or numbers",
            ),
            (table("red", "users = [1]\nquota = 1"), "unknown field `quota`"),
            (
                table("red", "users = [1]") + &table("red", "users = [2]"),
                "red: two tables have this name",
            ),
        ] {
            let complaint = of(&text).unwrap_err();
            assert!(complaint.contains(said), "{text}: {complaint}");
        }
    }

    #[test]
    fn nobody_is_in_two_tenants_and_nobody_is_made_up() {
        let complaint = |text: String| members(&of(&text).unwrap()).unwrap_err().to_string();
        let said = complaint(table("red", "users = [\"root\"]") + &table("blue", "users = [0]"));
        assert_eq!(
            said,
            "configuration key tenant: user 0 is in two tenants, red and blue"
        );
        let said = complaint(table("red", "groups = [5]") + &table("blue", "groups = [5]"));
        assert_eq!(
            said,
            "configuration key tenant: group 5 is in two tenants, red and blue"
        );
        let said = complaint(table("red", "users = [\"cb-no-such-user\"]"));
        assert!(said.starts_with("there is no user cb-no-such-user"), "{said}");
    }
}
