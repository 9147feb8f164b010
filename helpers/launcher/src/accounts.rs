//! Users and groups of the host by name.

use nix::unistd::{Group, User};
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
