//! `GET /info`.

use super::State;
use super::body::json;
use super::error::ApiError;
use super::system::VERSION;
use crate::services::clock;
use crate::services::containers::inspect::driver_name;
use crate::services::containers::runtimes;
use crate::services::images::RegistrySettings;
use crate::services::volumes::DRIVER;
use axum::Router;
use axum::extract::{Extension, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use docker_api::system::{
    FirewallInfo, IndexInfo, Info, PluginsInfo, RegistryConfig, RuntimeInfo, SwarmInfo,
};
use docker_api::version::ApiVersion;
use ipnet::IpNet;
use protocol::Principal;
use protocol::handshake::HostOs;

/// The registry that logins default to.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// From this version on it is told what filters packets.
const HAS_FIREWALL: ApiVersion = ApiVersion::new(1, 49);

/// From this version on it is not told whether bridged packets are filtered, which dockerd never does any more.
const LEAVES_OUT_NETFILTER: ApiVersion = ApiVersion::new(1, 50);

/// The file that is there where control groups are mounted as version 2 alone (cgroups(7)).
const UNIFIED_CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";

/// The paths of this file.
pub(super) fn routes() -> Router<State> {
    Router::new().route("/info", get(info))
}

async fn info(
    Shared(state): Shared<State>,
    Extension(by): Extension<Principal>,
    Extension(version): Extension<ApiVersion>,
) -> Result<Response, ApiError> {
    let containers = state.containers.all(&by).await?;
    let count = |word: &str| {
        let those = containers
            .iter()
            .filter(|container| container.status_word() == word);
        i64::try_from(those.count()).unwrap_or(i64::MAX)
    };
    let all = i64::try_from(containers.len()).unwrap_or(i64::MAX);
    let (running, paused) = (count("running") + count("restarting"), count("paused"));
    let images = state.images.all(&by).await?.len();
    let shown = Info {
        id: state.installation.to_string(),
        containers: all,
        containers_running: running,
        containers_paused: paused,
        containers_stopped: all - running - paused,
        images: i64::try_from(images).unwrap_or(i64::MAX),
        docker_root_dir: state.settings.root_dir.display().to_string(),
        experimental_build: state.settings.experimental,
        server_version: VERSION.to_owned(),
        system_time: clock::text(clock::now_ns()),
        n_events_listener: i64::try_from(state.bus.listeners()).unwrap_or(i64::MAX),
        bridge_nf_iptables: (version < LEAVES_OUT_NETFILTER).then_some(false),
        bridge_nf_ip6tables: (version < LEAVES_OUT_NETFILTER).then_some(false),
        firewall_backend: (version >= HAS_FIREWALL).then(|| firewall(state.os())),
        ..parts(&state, host(&state))
    };
    Ok(json(StatusCode::OK, &shown))
}

fn firewall(os: HostOs) -> FirewallInfo {
    let driver = match os {
        HostOs::FreeBsd => "pf",
        HostOs::Linux => "nftables",
    };
    FirewallInfo {
        driver: driver.to_owned(),
        info: None,
    }
}

/// What the host is.
fn host(state: &State) -> Info {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let limits = state.host().is_some_and(|facts| facts.enforces_limits);
    let (cgroup_driver, cgroup_version) = match state.os() {
        // dockerd's rule: version 2 is what has its controllers at the top.
        HostOs::Linux if std::path::Path::new(UNIFIED_CONTROLLERS).exists() => ("cgroupfs", "2"),
        HostOs::Linux => ("cgroupfs", "1"),
        HostOs::FreeBsd => ("none", ""),
    };
    Info {
        kernel_version: text(uname.release()),
        operating_system: format!("{} {}", text(uname.sysname()), text(uname.release())),
        os_version: text(uname.release()),
        os_type: state.os_type(),
        architecture: text(uname.machine()),
        name: text(uname.nodename()),
        ncpu: i64::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1),
        mem_total: i64::try_from(state.settings.memory_bytes).unwrap_or(i64::MAX),
        ipv4_forwarding: true,
        memory_limit: limits,
        swap_limit: limits,
        cpu_cfs_period: limits,
        cpu_cfs_quota: limits,
        // rctl knows no weights.
        cpu_shares: limits && state.os() == HostOs::Linux,
        cpu_set: limits,
        pids_limit: limits,
        cgroup_driver: cgroup_driver.to_owned(),
        cgroup_version: cgroup_version.to_owned(),
        n_fd: open_descriptors(),
        n_goroutines: i64::try_from(tokio::runtime::Handle::current().metrics().num_alive_tasks())
            .unwrap_or(i64::MAX),
        ..Info::default()
    }
}

/// Descriptors of the daemon; 0 where /dev/fd is not to be had.
fn open_descriptors() -> i64 {
    let count = std::fs::read_dir("/dev/fd").map_or(0, Iterator::count);
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What this engine is made of.
fn parts(state: &State, host: Info) -> Info {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let backend = state.helpers.zfs.0.facts();
    let backend = backend.map(|facts| ("Backend".to_owned(), facts.backend.as_str().to_owned()));
    let names = runtimes(state.os());
    let runtime = RuntimeInfo {
        path: "cellblock-jail".to_owned(),
        ..RuntimeInfo::default()
    };
    Info {
        driver: driver_name(state.os()).to_owned(),
        driver_status: backend.map(|backend| vec![backend]),
        plugins: PluginsInfo {
            volume: words(&[DRIVER]),
            network: words(&["bridge", "host", "null"]),
            authorization: None,
            log: words(&["json-file", "local", "none"]),
        },
        logging_driver: "json-file".to_owned(),
        index_server_address: DOCKER_HUB.to_owned(),
        registry_config: Some(registries(&state.settings.registries())),
        labels: Some(Vec::new()),
        runtimes: Some(
            names
                .iter()
                .map(|name| ((*name).to_owned(), runtime.clone()))
                .collect(),
        ),
        default_runtime: names[0].to_owned(),
        swarm: SwarmInfo {
            local_node_state: "inactive".to_owned(),
            ..SwarmInfo::default()
        },
        // Helpers and daemon may be restarted while containers run.
        live_restore_enabled: true,
        init_binary: String::new(),
        security_options: Some(security_options(state.os())),
        cdi_spec_dirs: Some(Vec::new()),
        ..host
    }
}

fn security_options(os: HostOs) -> Vec<String> {
    match os {
        HostOs::FreeBsd => vec!["name=jail".to_owned()],
        HostOs::Linux => vec!["name=cgroupns".to_owned()],
    }
}

/// Docker Hub, the registries of this host, which need no TLS, and what the administrator says about others.
fn registries(settings: &RegistrySettings) -> RegistryConfig {
    // dockerd shows mirrors with a slash at their end.
    let mirrors: Vec<String> = settings
        .mirrors
        .iter()
        .map(|mirror| format!("{}/", mirror.trim_end_matches('/')))
        .collect();
    let hub = IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: mirrors.clone(),
        official: true,
        secure: true,
    };
    let (networks, hosts): (Vec<&String>, Vec<&String>) = settings
        .insecure
        .iter()
        .partition(|entry| entry.parse::<IpNet>().is_ok());
    let insecure = hosts.into_iter().map(|host| IndexInfo {
        name: host.clone(),
        ..IndexInfo::default()
    });
    let own = ["127.0.0.0/8", "::1/128"].map(str::to_owned);
    RegistryConfig {
        index_configs: insecure
            .chain([hub])
            .map(|index| (index.name.clone(), index))
            .collect(),
        insecure_registry_cidrs: networks.into_iter().cloned().chain(own).collect(),
        mirrors: Some(mirrors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_administrator_says_about_registries_is_shown() {
        let settings = RegistrySettings {
            insecure: vec!["10.0.0.0/8".to_owned(), "lab:5000".to_owned()],
            mirrors: vec!["https://mirror.example.org".to_owned()],
            ..RegistrySettings::default()
        };
        let shown = registries(&settings);
        assert_eq!(
            shown.insecure_registry_cidrs,
            ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]
        );
        assert_eq!(
            shown.mirrors.as_deref(),
            Some(&["https://mirror.example.org/".to_owned()][..])
        );
        let index = |name: &str| &shown.index_configs[name];
        assert!(!index("lab:5000").secure && index("docker.io").secure);
        assert_eq!(index("docker.io").mirrors, shown.mirrors.clone().unwrap());
    }
}
