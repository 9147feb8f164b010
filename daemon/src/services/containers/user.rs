//! Who a process runs as: `user[:group]` looked up in the container's own /etc/passwd and /etc/group.
//!
//! Those files are the container's, so they are read by the archive helper beneath its root and parsed here, unprivileged.

use super::verbs::Deps;
use crate::kernel::limits::ACCOUNT_FILE_BYTES_MAX;
use crate::services::Failure;
use protocol::Principal;
use protocol::names::{MountName, RelPath};

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// `HOME`.
    pub home: String,
}

/// Finds the account that `wanted` (`user`, `user:group`, numbers or names; empty is root) means in a container.
///
/// # Errors
/// `System` in dockerd's words where a name is not in the files.
pub(super) async fn find(
    deps: &Deps,
    by: &Principal,
    root: &MountName,
    wanted: &str,
    extra_groups: &[String],
) -> Result<Account, Failure> {
    let read = async |path: &str| -> Result<String, Failure> {
        let bytes = deps
            .helpers
            .archive
            .read(by, root.clone(), RelPath::new(path)?, ACCOUNT_FILE_BYTES_MAX)
            .await?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    let (passwd, group) = (read("etc/passwd").await?, read("etc/group").await?);
    resolve(&passwd, &group, wanted, extra_groups)
}

fn resolve(passwd: &str, group: &str, wanted: &str, extra_groups: &[String]) -> Result<Account, Failure> {
    let (user, group_wanted) = wanted.split_once(':').unwrap_or((wanted, ""));
    let user = if user.is_empty() { "0" } else { user };
    let line = passwd
        .lines()
        .map(fields)
        .find(|f| f.len() >= 6 && (f[0] == user || f[2] == user));
    let number = user.parse::<u32>().ok().filter(|uid| i32::try_from(*uid).is_ok());
    let mut account = match (&line, number) {
        (Some(f), _) => Account {
            uid: f[2].parse().unwrap_or_default(),
            gid: f[3].parse().unwrap_or_default(),
            groups: Vec::new(),
            home: f[5].to_owned(),
        },
        (None, Some(uid)) => Account {
            uid,
            gid: 0,
            groups: Vec::new(),
            home: "/".to_owned(),
        },
        (None, None) if user.parse::<i64>().is_ok() => {
            let text = "uids and gids must be in range 0-2147483647";
            return Err(Failure::System(text.to_owned()));
        }
        (None, None) => {
            let text = format!("unable to find user {user}: no matching entries in passwd file");
            return Err(Failure::System(text));
        }
    };
    if group_wanted.is_empty() {
        // Only a user without an explicit group has the groups that list it.
        let name = line.as_ref().map(|f| f[0]);
        account.groups = name.map(|name| groups_of(group, name)).unwrap_or_default();
    } else {
        account.gid = group_id(group, group_wanted)?;
    }
    for extra in extra_groups {
        account.groups.push(group_id(group, extra)?);
    }
    // The primary group is a supplementary one too, as in dockerd (CVE-2022-36109).
    account.groups.retain(|group| *group != account.gid);
    account.groups.insert(0, account.gid);
    Ok(account)
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

fn groups_of(group: &str, name: &str) -> Vec<u32> {
    let lists = |f: &Vec<&str>| f.len() >= 4 && f[3].split(',').any(|member| member == name);
    group
        .lines()
        .map(fields)
        .filter(lists)
        .filter_map(|f| f[2].parse().ok())
        .collect()
}

fn group_id(group: &str, wanted: &str) -> Result<u32, Failure> {
    let line = group
        .lines()
        .map(fields)
        .find(|f| f.len() >= 3 && (f[0] == wanted || f[2] == wanted));
    let from_file = line.and_then(|f| f[2].parse().ok());
    from_file
        .or_else(|| {
            wanted
                .parse()
                .ok()
                .filter(|gid: &u32| i32::try_from(*gid).is_ok())
        })
        .ok_or_else(|| {
            Failure::System(format!(
                "unable to find group {wanted}: no matching entries in group file"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:80:81:web:/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:81:\nlog:x:90:web,other\n";

    fn account(wanted: &str) -> Result<Account, String> {
        resolve(PASSWD, GROUP, wanted, &[]).map_err(|failure| failure.to_string())
    }

    #[test]
    fn users_are_found_by_name_or_number() {
        let web = Account {
            uid: 80,
            gid: 81,
            groups: vec![81, 90],
            home: "/srv".to_owned(),
        };
        assert_eq!(account("web"), Ok(web.clone()));
        assert_eq!(account("80"), Ok(web));
        assert_eq!(account("").unwrap().home, "/root");
        assert_eq!(
            account("1234").unwrap(),
            Account {
                uid: 1234,
                gid: 0,
                groups: vec![0],
                home: "/".to_owned()
            }
        );
        assert_eq!(
            account("web:log").unwrap(),
            Account {
                uid: 80,
                gid: 90,
                groups: vec![90],
                home: "/srv".to_owned()
            }
        );
    }

    #[test]
    fn unknown_names_are_refused_in_dockerds_words() {
        for number in ["2147483648", "-1"] {
            let told = account(number).unwrap_err();
            assert_eq!(told, "uids and gids must be in range 0-2147483647");
        }
        assert_eq!(
            account("no").unwrap_err(),
            "unable to find user no: no matching entries in passwd file"
        );
        assert_eq!(
            account("web:no").unwrap_err(),
            "unable to find group no: no matching entries in group file"
        );
        assert!(account("4294967295").is_err());
    }
}
