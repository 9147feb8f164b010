//! Jails by name: made, found, listed, removed (jail(2), jail(8)).

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

/// Longest jail name with its NUL, in bytes (sys/param.h, MAXHOSTNAMELEN).
const NAME_BYTES: usize = 256;

/// What no container may do, whatever the host's defaults are. Raw sockets stay possible in a network of its own, where
/// the kernel lets root have them (prison_priv_check), as Docker's default `NET_RAW` does; not in the host's.
const FORBIDDEN: [&CStr; 8] = [
    c"allow.nochflags",
    c"allow.nomlock",
    c"allow.nomount",
    c"allow.noquotas",
    c"allow.noraw_sockets",
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
        let mut parameters = Parameters::new();
        parameters
            .text(c"name", &self.name(&spec.jail))
            .text(c"path", root)
            .text(c"host.hostname", spec.hostname.as_str())
            .flag(c"persist")
            .number(c"children.max", 0)
            .number(c"enforce_statfs", 1)
            .number(c"devfs_ruleset", self.devfs_ruleset);
        for (parameter, variable) in SYSTEM_V {
            // A kernel without the subsystem refuses the parameter; then nobody has it, and nothing is to be set apart.
            if sys::by_name(variable).is_ok() {
                parameters.number(parameter, NEW);
            }
        }
        match spec.network {
            Network::Own => parameters.number(c"vnet", NEW),
            Network::Host => parameters.number(c"ip4", INHERIT).number(c"ip6", INHERIT),
        };
        FORBIDDEN.iter().for_each(|name| {
            parameters.flag(name);
        });
        sys::create_jail(parameters)
            .map_err(|e| HelperError::system(format!("create jail {}", spec.jail), &e))
    }

    /// The id of a jail; `None` if there is none (a dying one is none).
    pub(super) fn find(&self, jail: &JailName) -> Answer<Option<i32>> {
        let mut parameters = Parameters::new();
        parameters.text(c"name", &self.name(jail));
        match sys::get_jail(parameters) {
            Ok((jid, _)) => Ok(Some(jid)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HelperError::system(format!("find jail {jail}"), &error)),
        }
    }

    /// The id of a jail that must be there.
    pub(super) fn jid(&self, jail: &JailName) -> Answer<i32> {
        self.find(jail)?
            .ok_or_else(|| HelperError::new(ErrorCode::NotFound, format!("no jail {jail}")))
    }

    /// Which network a jail sees.
    pub(super) fn network(&self, jail: &JailName) -> Answer<Network> {
        let mut parameters = Parameters::new();
        parameters.text(c"name", &self.name(jail)).number(c"vnet", 0);
        let (_, values) = sys::get_jail(parameters)
            .map_err(|e| HelperError::system(format!("network of jail {jail}"), &e))?;
        let vnet = values
            .get(1)
            .and_then(|bytes| bytes.as_slice().try_into().ok())
            .map(i32::from_ne_bytes);
        Ok(if vnet == Some(NEW) {
            Network::Own
        } else {
            Network::Host
        })
    }

    /// Kills a jail's processes and lets it die.
    pub(super) fn remove(&self, jid: i32) -> Answer<()> {
        match sys::remove_jail(jid) {
            Ok(()) => Ok(()),
            // It died since it was found.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            Err(error) => Err(HelperError::system("remove jail", &error)),
        }
    }

    /// Our jails after a name, in name order, one page.
    pub(super) fn list(&self, after: Option<&JailName>) -> Answer<Vec<JailInfo>> {
        let mut jails = Vec::new();
        let mut last = 0;
        loop {
            let mut parameters = Parameters::new();
            parameters.number(c"lastjid", last).room(c"name", NAME_BYTES);
            let (jid, values) = match sys::get_jail(parameters) {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(HelperError::system("list jails", &error)),
            };
            last = jid;
            let name = values
                .get(1)
                .and_then(|bytes| CStr::from_bytes_until_nul(bytes).ok()?.to_str().ok());
            let ours = name.and_then(|name| JailName::new(name.strip_prefix(&self.prefix)?).ok());
            jails.extend(
                ours.filter(|jail| after.is_none_or(|after| jail > after))
                    .map(|jail| JailInfo { jail, jid }),
            );
        }
        jails.sort_unstable_by(|a, b| a.jail.cmp(&b.jail));
        jails.truncate(LIST_ITEMS_MAX);
        Ok(jails)
    }

    /// The jail's name on the host.
    pub(super) fn name(&self, jail: &JailName) -> String {
        format!("{}{jail}", self.prefix)
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
    let mut parameters = Parameters::new();
    parameters
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
