//! The administrator's configuration file: its format, its defaults, and what makes it unfit.
//!
//! The launcher is root and believes this file, so nobody else may be able to write it. Everything in it is checked here, once;
//! what the rest of the launcher gets are values that can be used as they are, also in the lines that `doctor` shows.

use crate::capabilities;
use crate::host;
use crate::tenants::{self, Tenant};
use protocol::limits::POLICY_PATHS_MAX;
use protocol::names::{Bounded, HostPath, Label, Text};
use serde::Deserialize;
use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest configuration file, in bytes: 64 bind roots of the longest length fit.
const CONFIG_BYTES_MAX: u64 = 128 * 1024;

/// Permission bits that let group or others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Longest anchor name, in bytes: the net helper puts a network's name behind it, and a table's name holds both.
const ANCHOR_BYTES_MAX: usize = 20;

/// Longest user or group name, in bytes: MAXLOGNAME is 33 with its NUL on FreeBSD.
const ACCOUNT_NAME_BYTES_MAX: usize = 32;

/// Network prefix that Docker networks fit in: a /8 is the largest private network, a /29 holds a gateway and five containers.
const SUBNET_BITS: std::ops::RangeInclusive<u8> = 8..=29;

/// Why the configuration cannot be used. Each reads as one line for the administrator.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no such file.
    Missing(PathBuf),
    /// It cannot be read, and why.
    Unreadable(PathBuf, String),
    /// It belongs to another user than root; its uid.
    NotRoots(PathBuf, u32),
    /// Group or others may write it; its permission bits.
    Writable(PathBuf, u32),
    /// It is not TOML, or holds an unknown key or a value of the wrong type: line and what is wrong.
    Syntax(PathBuf, usize, String),
    /// A value that cannot be used: its key and what is wrong.
    Value(&'static str, String),
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Missing(path) => {
                write!(f, "{}: there is no such configuration file", path.display())
            }
            ConfigError::Unreadable(path, why) => write!(f, "{}: {why}", path.display()),
            ConfigError::NotRoots(path, uid) => {
                write!(
                    f,
                    "{}: belongs to uid {uid} and must belong to root",
                    path.display()
                )
            }
            ConfigError::Writable(path, mode) => {
                let path = path.display();
                write!(
                    f,
                    "{path}: mode {mode:04o} lets others write it; mend it with: chmod go-w {path}"
                )
            }
            ConfigError::Syntax(path, line, what) => write!(f, "{}:{line}: {what}", path.display()),
            ConfigError::Value(key, what) => write!(f, "configuration key {key}: {what}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// In which way the launcher runs; defaults differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// `cellblock up`: the host's one service.
    Service,
    /// `cellblock dev`: everything below one directory, several beside each other.
    Development {
        /// The directory, without symbolic links.
        base: HostPath,
        /// Name of this instance on the host: `cb` and eight digits of a hash of `base`.
        instance: String,
    },
}

/// The configuration with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where everything that must be kept lies.
    pub state_dir: HostPath,
    /// The API socket.
    pub socket: HostPath,
    /// Who may use the API socket beside root; root's group where none is named.
    pub socket_group: Option<String>,
    /// Whom the daemon runs as; where none is named (`dev` only), `cellblock` or a number nobody else has.
    pub user: Option<String>,
    /// FreeBSD: the dataset below which ours lie.
    pub parent_dataset: Text<200>,
    /// Host directories whose content may be bind-mounted.
    pub bind_roots: Bounded<HostPath, POLICY_PATHS_MAX>,
    /// First choice for the default network.
    pub bridge_subnet: String,
    /// Whether a container may share the host's network.
    pub allow_host_network: bool,
    /// Linux: whether a container may see the host's processes (`--pid host`) and have its name (`--uts host`).
    pub allow_host_processes: bool,
    /// Linux: whether a container may have devices of the host (`--device`).
    pub allow_host_devices: bool,
    /// Linux capabilities that a container may be given at most, by number.
    pub capability_mask: u64,
    /// Whether the net helper switches IPv4 forwarding on.
    pub enable_forwarding: bool,
    /// FreeBSD: number of our devfs ruleset.
    pub devfs_ruleset: u16,
    /// pf anchor (FreeBSD) or prefix of nftables tables (Linux).
    pub anchor: Label,
    /// Stands before each jail's name.
    pub jail_prefix: Label,
    /// What `docker info` says in place of the host's own system type.
    pub report_os_type: Option<String>,
    /// Registries that may be asked without TLS: `host[:port]` or `address/bits`.
    pub insecure_registries: Vec<String>,
    /// Addresses that are asked before docker.io.
    pub registry_mirrors: Vec<String>,
    /// The directory of registries' certificates, one directory for each `host[:port]`.
    pub registry_certs_dir: Option<HostPath>,
    /// Whether clients may use experimental features (`docker build --squash`).
    pub experimental: bool,
    /// The daemon's log filter.
    pub log: String,
    /// Whether the end of the launcher is the end of the containers.
    pub stop_containers_on_exit: bool,
    /// Who shares this host without seeing each other; none is plain Docker.
    pub tenants: Vec<Tenant>,
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    state_dir: Option<String>,
    socket: Option<String>,
    socket_group: Option<String>,
    user: Option<String>,
    parent_dataset: Option<String>,
    bind_roots: Option<Vec<String>>,
    bridge_subnet: Option<String>,
    allow_host_network: Option<bool>,
    allow_host_processes: Option<bool>,
    allow_host_devices: Option<bool>,
    capabilities_max: Option<Capabilities>,
    enable_forwarding: Option<bool>,
    devfs_ruleset: Option<u16>,
    pf_anchor: Option<String>,
    report_os_type: Option<String>,
    insecure_registries: Option<Vec<String>>,
    registry_mirrors: Option<Vec<String>>,
    registry_certs_dir: Option<String>,
    experimental: Option<bool>,
    log: Option<String>,
    stop_containers_on_exit: Option<bool>,
    tenant: Option<Vec<tenants::Table>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "capabilities_max must be a list of names or a mask")]
enum Capabilities {
    Names(Vec<String>),
    Mask(u64),
}

/// Reads and checks the file. In development mode there need be none.
///
/// # Errors
/// Why it cannot be used, in one line.
pub fn load(file: Option<&Path>, mode: &Mode) -> Result<Config, ConfigError> {
    let usual = match mode {
        Mode::Service => Some(Path::new(host::CONFIG_FILE)),
        Mode::Development { .. } => None,
    };
    let keys = file.or(usual).map(read).transpose()?.unwrap_or_default();
    fill_in(keys, mode)
}

/// The configuration of an empty file.
///
/// # Errors
/// None that a build with sound defaults could give.
pub fn defaults(mode: &Mode) -> Result<Config, ConfigError> {
    fill_in(Keys::default(), mode)
}

fn read(path: &Path) -> Result<Keys, ConfigError> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
        _ => ConfigError::Unreadable(path.to_owned(), error.to_string()),
    };
    let file = File::open(path).map_err(unreadable)?;
    // What was opened is judged, so that nothing can be put in its place between the check and the reading.
    let status = file.metadata().map_err(unreadable)?;
    if !status.is_file() {
        return Err(ConfigError::Unreadable(
            path.to_owned(),
            "is not a file".to_owned(),
        ));
    }
    if status.uid() != 0 {
        return Err(ConfigError::NotRoots(path.to_owned(), status.uid()));
    }
    if status.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(ConfigError::Writable(path.to_owned(), status.mode() & 0o7777));
    }
    let mut text = String::new();
    let length = file
        .take(CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if length as u64 > CONFIG_BYTES_MAX {
        let why = format!("is longer than {CONFIG_BYTES_MAX} bytes");
        return Err(ConfigError::Unreadable(path.to_owned(), why));
    }
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Keys, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        ConfigError::Syntax(path.to_owned(), line, error.message().replace('\n', ", "))
    })
}

fn fill_in(keys: Keys, mode: &Mode) -> Result<Config, ConfigError> {
    let defaults = Defaults::of(mode);
    if let Mode::Development { .. } = mode {
        for (key, value) in [("state_dir", &keys.state_dir), ("socket", &keys.socket)] {
            if value.is_some() {
                let what = "`cellblock dev` keeps everything below its directory; remove this key";
                return Err(ConfigError::Value(key, what.to_owned()));
            }
        }
    }
    let bind_roots = keys.bind_roots.unwrap_or(defaults.bind_roots);
    let bind_roots = bind_roots
        .into_iter()
        .map(|root| path("bind_roots", root))
        .collect::<Result<Vec<_>, _>>()?;
    let anchor = keys.pf_anchor.unwrap_or(defaults.anchor);
    Ok(Config {
        state_dir: path("state_dir", keys.state_dir.unwrap_or(defaults.state_dir))?,
        socket: path("socket", keys.socket.unwrap_or(defaults.socket))?,
        socket_group: account("socket_group", keys.socket_group.or(defaults.socket_group))?,
        user: account("user", keys.user.or(defaults.user))?,
        parent_dataset: dataset(
            keys.parent_dataset
                .unwrap_or_else(|| "zroot/cellblock".to_owned()),
        )?,
        bind_roots: Bounded::new(bind_roots)
            .map_err(|_| bad("bind_roots", format!("at most {POLICY_PATHS_MAX} paths")))?,
        bridge_subnet: subnet(keys.bridge_subnet.unwrap_or_else(|| "172.17.0.0/16".to_owned()))?,
        allow_host_network: keys.allow_host_network.unwrap_or(defaults.allow_host_network),
        allow_host_processes: keys.allow_host_processes.unwrap_or(defaults.allow_host_network),
        allow_host_devices: keys.allow_host_devices.unwrap_or(defaults.allow_host_network),
        capability_mask: capability_mask(keys.capabilities_max)?,
        enable_forwarding: keys.enable_forwarding.unwrap_or(defaults.enable_forwarding),
        devfs_ruleset: ruleset(keys.devfs_ruleset.unwrap_or(4200))?,
        anchor: anchor_name(&anchor)?,
        jail_prefix: label("jail_prefix", format!("{}-", defaults.instance))?,
        report_os_type: keys
            .report_os_type
            .map(|name| word("report_os_type", name))
            .transpose()?,
        insecure_registries: words("insecure_registries", keys.insecure_registries)?,
        registry_mirrors: words("registry_mirrors", keys.registry_mirrors)?,
        registry_certs_dir: keys
            .registry_certs_dir
            .map(|directory| path("registry_certs_dir", directory))
            .transpose()?,
        experimental: keys.experimental.unwrap_or(defaults.experimental),
        log: word("log", keys.log.unwrap_or_else(|| "info".to_owned()))?,
        stop_containers_on_exit: keys.stop_containers_on_exit.unwrap_or(true),
        tenants: tenants::read(keys.tenant.unwrap_or_default())?,
    })
}

/// The defaults in which the two modes differ.
struct Defaults {
    state_dir: String,
    socket: String,
    socket_group: Option<String>,
    user: Option<String>,
    bind_roots: Vec<String>,
    /// The same for the host's network, processes and devices.
    allow_host_network: bool,
    enable_forwarding: bool,
    experimental: bool,
    anchor: String,
    instance: String,
}

impl Defaults {
    fn of(mode: &Mode) -> Self {
        match mode {
            Mode::Service => Defaults {
                state_dir: host::STATE_DIR.to_owned(),
                socket: "/var/run/docker.sock".to_owned(),
                socket_group: Some("cellblock".to_owned()),
                user: Some("cellblock".to_owned()),
                bind_roots: Vec::new(),
                allow_host_network: false,
                enable_forwarding: false,
                experimental: false,
                anchor: "cellblock".to_owned(),
                instance: "cellblock".to_owned(),
            },
            Mode::Development { base, instance } => Defaults {
                state_dir: base.to_string(),
                socket: format!("{}/docker.sock", base.as_str().trim_end_matches('/')),
                socket_group: None,
                user: None,
                bind_roots: vec!["/".to_owned()],
                allow_host_network: true,
                enable_forwarding: true,
                experimental: true,
                anchor: if host::ANCHOR_PER_INSTANCE {
                    instance.clone()
                } else {
                    "cellblock".to_owned()
                },
                instance: instance.clone(),
            },
        }
    }
}

fn bad(key: &'static str, what: impl Display) -> ConfigError {
    ConfigError::Value(key, what.to_string())
}

fn path(key: &'static str, path: String) -> Result<HostPath, ConfigError> {
    HostPath::new(path.clone()).map_err(|why| bad(key, format!("{path:?}: {why}")))
}

fn label(key: &'static str, text: String) -> Result<Label, ConfigError> {
    Label::new(text.clone()).map_err(|why| bad(key, format!("{text:?}: {why}")))
}

fn words(key: &'static str, list: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    list.into_iter().flatten().map(|one| word(key, one)).collect()
}

/// A word of printable characters, since it becomes one argument of a program.
fn word(key: &'static str, text: String) -> Result<String, ConfigError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad(
            key,
            format!("{text:?}: must be printable characters without spaces"),
        ));
    }
    Ok(text)
}

fn account(key: &'static str, name: Option<String>) -> Result<Option<String>, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_name = |name: &str| {
        let first = name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
        first && name.len() <= ACCOUNT_NAME_BYTES_MAX && name.bytes().all(fits)
    };
    match name {
        Some(name) if !is_name(&name) => Err(bad(key, format!("{name:?}: is no name of an account"))),
        name => Ok(name),
    }
}

fn dataset(name: String) -> Result<Text<200>, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    let is_part =
        |part: &str| part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && part.bytes().all(fits);
    if !name.split('/').all(is_part) {
        return Err(bad(
            "parent_dataset",
            format!("{name:?}: is no name of a dataset, such as zroot/cellblock"),
        ));
    }
    Text::new(name).map_err(|why| bad("parent_dataset", why))
}

fn subnet(text: String) -> Result<String, ConfigError> {
    let is_network = text.split_once('/').is_some_and(|(address, bits)| {
        let bits = bits.parse::<u8>().ok().filter(|bits| SUBNET_BITS.contains(bits));
        let address = address.parse::<Ipv4Addr>().ok();
        address
            .zip(bits)
            .is_some_and(|(address, bits)| address.to_bits() & (u32::MAX >> bits) == 0)
    });
    if is_network {
        Ok(text)
    } else {
        let bits = format!("/{} to /{}", SUBNET_BITS.start(), SUBNET_BITS.end());
        Err(bad(
            "bridge_subnet",
            format!("{text:?}: must be an IPv4 network such as 172.17.0.0/16, {bits}"),
        ))
    }
}

fn capability_mask(setting: Option<Capabilities>) -> Result<u64, ConfigError> {
    let named = |name: &str| bad("capabilities_max", format!("{name:?}: is no capability"));
    match setting {
        None => capabilities::mask(capabilities::DEFAULT).map_err(named),
        Some(Capabilities::Names(names)) => {
            capabilities::mask(names.iter().map(String::as_str)).map_err(named)
        }
        Some(Capabilities::Mask(mask)) => Ok(mask),
    }
}

fn ruleset(number: u16) -> Result<u16, ConfigError> {
    match number {
        0 => Err(bad("devfs_ruleset", "0 would show every device of the host")),
        // The host's own sets (/etc/defaults/devfs.rules).
        1..=5 => Err(bad("devfs_ruleset", format!("{number} is one of the host's own"))),
        _ => Ok(number),
    }
}

fn anchor_name(name: &str) -> Result<Label, ConfigError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let first = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase());
    if !first || name.len() > ANCHOR_BYTES_MAX || !name.bytes().all(fits) {
        let rule = "a letter and then at most 19 lower-case letters, digits or '_'";
        return Err(bad("pf_anchor", format!("{name:?}: must be {rule}")));
    }
    label("pf_anchor", name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn development() -> Mode {
        Mode::Development {
            base: HostPath::new("/tmp/x").unwrap(),
            instance: "cb01234567".to_owned(),
        }
    }

    fn of(text: &str, mode: &Mode) -> Result<Config, ConfigError> {
        fill_in(parse(Path::new("test.toml"), text)?, mode)
    }

    fn complaint(text: &str) -> String {
        of(text, &Mode::Service).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let said = complaint("log = \"info\"\nbind_root = []\n");
        assert!(
            said.starts_with("test.toml:2: unknown field `bind_root`"),
            "{said}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_line() {
        assert!(complaint("\n\ndevfs_ruleset = \"4200\"").starts_with("test.toml:3: "));
        let said = complaint("capabilities_max = true");
        assert_eq!(
            said,
            "test.toml:1: capabilities_max must be a list of names or a mask"
        );
    }

    #[test]
    fn values_that_cannot_be_used_are_refused_with_their_key() {
        for (text, key) in [
            ("state_dir = \"var/db\"", "state_dir"),
            ("state_dir = \"/var/../db\"", "state_dir"),
            ("socket = \"docker.sock\"", "socket"),
            ("socket_group = \"a b\"", "socket_group"),
            ("user = \"\"", "user"),
            ("user = \"-x\"", "user"),
            ("parent_dataset = \"tank/a@b\"", "parent_dataset"),
            ("parent_dataset = \"tank//a\"", "parent_dataset"),
            ("parent_dataset = \"tank; reboot\"", "parent_dataset"),
            ("bind_roots = [\"/srv\", \"srv\"]", "bind_roots"),
            ("bridge_subnet = \"172.17.0.1/16\"", "bridge_subnet"),
            ("bridge_subnet = \"172.17.0.0\"", "bridge_subnet"),
            ("bridge_subnet = \"172.17.0.0/30\"", "bridge_subnet"),
            ("capabilities_max = [\"CHOWN\", \"GOD\"]", "capabilities_max"),
            ("devfs_ruleset = 0", "devfs_ruleset"),
            ("devfs_ruleset = 4", "devfs_ruleset"),
            ("pf_anchor = \"Cellblock\"", "pf_anchor"),
            ("pf_anchor = \"a/b\"", "pf_anchor"),
            ("report_os_type = \"\"", "report_os_type"),
            ("log = \"info debug\"", "log"),
        ] {
            let said = complaint(text);
            assert!(
                said.starts_with(&format!("configuration key {key}: ")),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn capabilities_are_taken_by_name_and_as_a_mask() {
        let mask = |text: &str| of(text, &Mode::Service).unwrap().capability_mask;
        assert_eq!(mask("capabilities_max = [\"CHOWN\", \"CAP_KILL\"]"), 0x21);
        assert_eq!(mask("capabilities_max = 0xa80425fb"), 0xa804_25fb);
        assert_eq!(mask("capabilities_max = []"), 0);
    }

    #[test]
    fn development_keeps_everything_below_its_directory() {
        let config = defaults(&development()).unwrap();
        assert_eq!(config.state_dir.as_str(), "/tmp/x");
        assert_eq!(config.socket.as_str(), "/tmp/x/docker.sock");
        assert_eq!(config.jail_prefix.as_str(), "cb01234567-");
        assert_eq!(config.bind_roots.as_slice(), [HostPath::new("/").unwrap()]);
        for text in ["state_dir = \"/srv\"", "socket = \"/srv/docker.sock\""] {
            let said = of(text, &development()).unwrap_err().to_string();
            assert!(said.contains("remove this key"), "{said}");
        }
    }

    #[test]
    fn the_service_lets_in_nothing_that_was_not_asked_for() {
        let config = defaults(&Mode::Service).unwrap();
        assert!(config.bind_roots.as_slice().is_empty());
        assert!(!config.allow_host_network);
        assert!(!config.enable_forwarding);
    }

    #[test]
    fn the_sample_states_every_key_with_its_default() {
        let sample = include_str!("../../../packaging/cellblock.toml.sample");
        let is_key = |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase());
        let stated: String = sample
            .lines()
            .map(|line| line.strip_prefix('#').unwrap_or(line))
            .filter(is_key)
            .collect::<Vec<_>>()
            .join("\n");
        // The sample is for FreeBSD.
        let stated = stated.replace("/var/db/cellblock", host::STATE_DIR);
        assert_eq!(of(&stated, &Mode::Service), defaults(&Mode::Service));
        let keys = format!("{:?}", Keys::default());
        for key in keys
            .split([' ', '{', ','])
            .filter_map(|word| word.strip_suffix(':'))
        {
            let is_stated = sample.contains(&format!("{key} = ")) || sample.contains(&format!("[[{key}]]"));
            assert!(is_stated, "{key}");
        }
        assert_eq!(of(sample, &Mode::Service), defaults(&Mode::Service));
    }

    #[test]
    fn only_a_file_that_nobody_but_root_can_write_is_read() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED only_a_file_that_nobody_but_root_can_write_is_read: needs root");
            return;
        }
        let path = std::env::temp_dir().join(format!("cb-config-{}.toml", std::process::id()));
        std::fs::write(&path, "log = \"debug\"\n").unwrap();
        let set_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = || load(Some(&path), &development());
        set_mode(0o644);
        assert_eq!(loaded().unwrap().log, "debug");
        for mode in [0o664, 0o646] {
            set_mode(mode);
            assert_eq!(loaded().unwrap_err(), ConfigError::Writable(path.clone(), mode));
        }
        set_mode(0o644);
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert_eq!(loaded().unwrap_err(), ConfigError::NotRoots(path.clone(), 65534));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(loaded().unwrap_err(), ConfigError::Missing(path.clone()));
        assert!(matches!(
            load(Some(Path::new("/tmp")), &development()),
            Err(ConfigError::Unreadable(..))
        ));
    }
}
