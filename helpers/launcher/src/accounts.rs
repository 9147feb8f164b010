//! Users and groups of the host by name.

use nix::unistd::{Gid, Group, User};
use std::io::{Error, ErrorKind, Result};

/// Who a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
}

/// The daemon of a development instance where the host has no user `cellblock`: a number that no system gives out by itself
/// (Debian gives 1000 to 60000 to people, FreeBSD 1001 to 32000).
const NOBODYS: Account = Account {
    uid: 64713,
    gid: 64713,
};

/// Whom the daemon runs as: the configured user, else `cellblock`, else a number that nobody has.
///
/// # Errors
/// `NotFound` for a configured user that is not there, `InvalidInput` for one that is root.
pub fn daemon(configured: Option<&str>) -> Result<Account> {
    let account = match configured {
        Some(name) => user(name)?.ok_or_else(|| not_found("user", name))?,
        None => user("cellblock")?.unwrap_or(NOBODYS),
    };
    if account.uid == 0 || account.gid == 0 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "configuration key user: the daemon never runs as root",
        ));
    }
    Ok(account)
}

/// The number of a group; root's where none is named.
///
/// # Errors
/// `NotFound` for a group that is not there.
pub fn group(name: Option<&str>) -> Result<u32> {
    let Some(name) = name else { return Ok(0) };
    let found = Group::from_name(name)?.ok_or_else(|| not_found("group", name))?;
    Ok(found.gid.as_raw())
}

/// The number of a user.
///
/// # Errors
/// `NotFound` for a user that is not there.
pub fn uid(name: &str) -> Result<u32> {
    let found = user(name)?.ok_or_else(|| not_found("user", name))?;
    Ok(found.uid)
}

/// The users that a group lists; none where the host has no such group. Whose first group it is does not stand there.
///
/// # Errors
/// What the system's look-up gives.
pub fn listed(gid: u32) -> Result<Vec<u32>> {
    let Some(group) = Group::from_gid(Gid::from_raw(gid))? else {
        return Ok(Vec::new());
    };
    let mut uids = Vec::new();
    for name in &group.mem {
        // A list may name people who are gone.
        uids.extend(user(name)?.map(|account| account.uid));
    }
    Ok(uids)
}

fn user(name: &str) -> Result<Option<Account>> {
    let account = |user: User| Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    };
    Ok(User::from_name(name)?.map(account))
}

fn not_found(what: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no {what} {name} on this host; see `cellblock doctor`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_never_runs_as_root() {
        assert_eq!(daemon(Some("root")).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_ne!(daemon(None).unwrap().uid, 0);
    }

    #[test]
    fn a_name_that_is_not_there_is_said() {
        assert_eq!(
            daemon(Some("cb-no-such-user")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            group(Some("cb-no-such-group")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(group(None).unwrap(), 0);
    }
}
