//! Jails by name: made, found, listed, removed (jail(2), jail(8)).
//!
//! A jail with a network of its own is the child of one that only holds that network: `cb-net-<number>.cb-<jail>`. Jails that
//! share a network have the same holder, so neither sees or signals the other's processes, and nobody in them is root over the
//! network. The holder has no process; without `persist` it dies with the last of its children, whichever that is.

use super::sys::{self, Parameters};
use protocol::jail::{JailInfo, JailSpec, Network};
use protocol::limits::LIST_ITEMS_MAX;
use protocol::mount::{Access, Flavour};
use protocol::names::JailName;
use protocol::policy::JailPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use rustix::fs::statfs;
use std::ffi::CStr;
use std::io::{Error, ErrorKind, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest jail name with its NUL, in bytes (sys/param.h, MAXHOSTNAMELEN).
const NAME_BYTES: usize = 256;

/// Jails that can share a network: those of one container and of its companions.
const SHARERS_MAX: i32 = 1000;

/// The root of a jail that nobody enters: an empty directory of the base system (hier(7)).
const NO_ROOT: &str = "/var/empty";

/// What no container may do, whatever the host's defaults are. Raw sockets are possible in a network that is not the host's, as
/// with Docker's default `NET_RAW`.
const FORBIDDEN: [&CStr; 7] = [
    c"allow.nochflags",
    c"allow.nomlock",
    c"allow.nomount",
    c"allow.noquotas",
    c"allow.noread_msgbuf",
    c"allow.noset_hostname",
    c"allow.nosocket_af",
];

/// System V messages, semaphores and shared memory: a jail's parameter, and a sysctl(8) variable that is there when the kernel
/// has the subsystem (each is a module that a small kernel may lack).
const SYSTEM_V: [(&CStr, &CStr); 3] = [
    (c"sysvmsg", c"kern.ipc.msgmax"),
    (c"sysvsem", c"kern.ipc.semmni"),
    (c"sysvshm", c"kern.ipc.shmmax"),
];

/// Values of the parameters that share, renew or forbid a subsystem (sys/jail.h, JAIL_SYS_NEW, JAIL_SYS_INHERIT).
const NEW: i32 = 1;
const INHERIT: i32 = 2;

/// The jails whose names begin with the policy's prefix.
#[derive(Debug)]
pub(super) struct Jails {
    prefix: String,
    devfs_ruleset: i32,
}

/// A jail of ours.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) jail: JailName,
    pub(super) jid: i32,
    /// Its whole name on the host.
    pub(super) name: String,
}

impl Found {
    /// The jail that holds its network; `None` where that is the host's.
    pub(super) fn holder(&self) -> Option<&str> {
        self.name.split_once('.').map(|(holder, _)| holder)
    }
}

/// Whether Linux programs can run: the module that answers is loaded.
pub(super) fn runs_linux() -> bool {
    sys::by_name(c"compat.linux.osrelease").is_ok()
}

impl Jails {
    /// # Errors
    /// `InvalidInput` for a prefix that could name the host's own jails or a jail's child.
    pub(super) fn new(policy: &JailPolicy) -> Result<Self> {
        let prefix = policy.prefix.as_str();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !prefix.starts_with(|c: char| c.is_ascii_lowercase()) || !prefix.bytes().all(fits) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the prefix of jail names needs letters, digits, '-'",
            ));
        }
        Ok(Jails {
            prefix: prefix.to_owned(),
            devfs_ruleset: i32::from(policy.devfs_ruleset),
        })
    }

    /// Makes a jail without processes; gives its id.
    pub(super) fn create(&self, spec: &JailSpec, root: &str) -> Answer<i32> {
        if spec.flavour == Flavour::Linux && !runs_linux() {
            return super::unsupported("the module linux64 is not loaded");
        }
        if self.find(&spec.jail)?.is_some() {
            return crate::policy::fail(ErrorCode::AlreadyExists, &format!("jail {} exists", spec.jail));
        }
        if spec.root_access == Access::ReadOnly {
            make_read_only(root).map_err(|e| HelperError::system("read-only root", &e))?;
        }
        let failed = |e: Error| HelperError::system(format!("create jail {}", spec.jail), &e);
        let own = format!("{}{}", self.prefix, spec.jail);
        let holder = match (&spec.openings.network_of, spec.network) {
            (Some(other), _) => self.get(other)?.holder().map(str::to_owned),
            (None, Network::Own) => Some(self.hold_network().map_err(failed)?),
            (None, Network::Host) => None,
        };
        let name = match &holder {
            Some(holder) => format!("{holder}.{own}"),
            None => own,
        };
        let parameters = self
            .parameters(&name, root, holder.is_some())
            .text(c"host.hostname", spec.hostname.as_str())
            .number(c"children.max", 0)
            .number(c"ip4", INHERIT)
            .number(c"ip6", INHERIT);
        let created = sys::set_jail(parameters, libc::JAIL_CREATE).map_err(failed);
        if let (Some(holder), None) = (&holder, &spec.openings.network_of) {
            let released = Parameters::new().text(c"name", holder).flag(c"nopersist");
            sys::set_jail(released, libc::JAIL_UPDATE).map_err(failed)?;
        }
        created
    }

    /// Makes a jail that holds a network; gives its name. Until it has a child it persists, and is listed: so one that is left by
    /// a hand that was killed is found and removed.
    fn hold_network(&self) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let name = format!("{}net-{}", self.prefix, now.unwrap_or_default().as_nanos());
        let parameters = self
            .parameters(&name, NO_ROOT, true)
            .number(c"children.max", SHARERS_MAX)
            .number(c"vnet", NEW);
        sys::set_jail(parameters, libc::JAIL_CREATE).map(|_| name)
    }

    /// What a network's holder and its children have in common: a child can have nothing that its parent has not.
    fn parameters(&self, name: &str, root: &str, may_send_raw: bool) -> Parameters {
        let raw = if may_send_raw {
            c"allow.raw_sockets"
        } else {
            c"allow.noraw_sockets"
        };
        let parameters = Parameters::new()
            .text(c"name", name)
            .text(c"path", root)
            .flag(c"persist")
            .number(c"enforce_statfs", 1)
            .number(c"devfs_ruleset", self.devfs_ruleset)
            .flag(raw);
        // A kernel without a subsystem refuses its parameter; then nobody has it, and nothing is to be set apart.
        let system_v = SYSTEM_V
            .iter()
            .filter(|(_, variable)| sys::by_name(variable).is_ok())
            .fold(parameters, |all, (name, _)| all.number(name, NEW));
        FORBIDDEN.iter().fold(system_v, |all, name| all.flag(name))
    }

    /// A jail; `None` if there is none (a dying one is none).
    pub(super) fn find(&self, jail: &JailName) -> Answer<Option<Found>> {
        Ok(self.all()?.into_iter().find(|found| found.jail == *jail))
    }

    /// A jail that must be there.
    pub(super) fn get(&self, jail: &JailName) -> Answer<Found> {
        self.find(jail)?
            .ok_or_else(|| HelperError::new(ErrorCode::NotFound, format!("no jail {jail}")))
    }

    /// Kills a jail's processes and lets it die.
    pub(super) fn remove(&self, jid: i32) -> Answer<()> {
        match sys::remove_jail(jid) {
            // It died since it was found.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other.map_err(|e| HelperError::system("remove jail", &e)),
        }
    }

    /// Our jails after a name, in name order, one page.
    pub(super) fn list(&self, after: Option<&JailName>) -> Answer<Vec<JailInfo>> {
        let all = self.all()?.into_iter();
        let mut jails: Vec<_> = all
            .filter(|found| after.is_none_or(|after| found.jail > *after))
            .map(|Found { jail, jid, .. }| JailInfo { jail, jid })
            .collect();
        jails.sort_unstable_by(|a, b| a.jail.cmp(&b.jail));
        jails.truncate(LIST_ITEMS_MAX);
        Ok(jails)
    }

    fn all(&self) -> Answer<Vec<Found>> {
        let mut found = Vec::new();
        let mut last = 0;
        loop {
            let parameters = Parameters::new()
                .number(c"lastjid", last)
                .room(c"name", NAME_BYTES)
                .number(c"persist", 0);
            let (jid, values) = match sys::get_jail(parameters) {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
                Err(error) => return Err(HelperError::system("list jails", &error)),
            };
            last = jid;
            found.extend(self.ours(jid, &values));
        }
    }

    /// A jail from its id, its name and whether it persists, if it is one of ours.
    fn ours(&self, jid: i32, values: &[Vec<u8>]) -> Option<Found> {
        let [_, name, persists] = values else {
            return None;
        };
        let name = CStr::from_bytes_until_nul(name).ok()?.to_str().ok()?;
        let own = name.rsplit('.').next()?.strip_prefix(&self.prefix)?;
        let is_ours = name.starts_with(&self.prefix) && persists.iter().any(|byte| *byte != 0);
        is_ours.then_some(Found {
            jail: JailName::new(own).ok()?,
            jid,
            name: name.to_owned(),
        })
    }
}

/// Makes the mount of a root read-only, once it holds everything that was to be written there (`mount -u -o ro`). What is
/// mounted in it (volumes, devfs) keeps its own say.
fn make_read_only(root: &str) -> Result<()> {
    let mounted = statfs(root)?;
    if mounted.f_flags & libc::MNT_RDONLY as u64 != 0 {
        return Ok(());
    }
    let text = |letters: &[libc::c_char]| -> Result<String> {
        let bytes: Vec<u8> = letters.iter().map(|letter| letter.to_ne_bytes()[0]).collect();
        let text = CStr::from_bytes_until_nul(&bytes).map_err(Error::other)?;
        text.to_str().map(str::to_owned).map_err(Error::other)
    };
    if text(&mounted.f_mntonname)? != root {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "nothing is mounted at the root",
        ));
    }
    let parameters = Parameters::new()
        .text(c"fstype", &text(&mounted.f_fstypename)?)
        .text(c"fspath", root)
        .text(c"from", &text(&mounted.f_mntfromname)?)
        // ZFS goes by the option and clears the flag where it is not there (zfs_register_callbacks).
        .flag(c"ro");
    // An update replaces the flags that it can change, so those that are set are said again.
    let kept = mounted.f_flags & (libc::MNT_NOSUID | libc::MNT_NOEXEC | libc::MNT_NOATIME) as u64;
    let flags = i32::try_from(kept).map_err(Error::other)? | libc::MNT_UPDATE | libc::MNT_RDONLY;
    sys::update_mount(parameters, flags)
}
