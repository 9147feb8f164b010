//! Options that are refused, each with its reason: nothing is accepted and ignored.

use crate::services::Failure;
use docker_api::containers::{ContainerConfig, CreateRequest};
use docker_api::host_config::HostConfig;
use protocol::handshake::HostOs;

/// The names of this host's only runtime, the default's first. Compose files and CI scripts name runc, whose namespaces,
/// control groups and mounts the Linux host makes itself; jails are no runc.
#[must_use]
pub fn runtimes(host: HostOs) -> &'static [&'static str] {
    match host {
        HostOs::Linux => &["runc", "io.containerd.runc.v2"],
        HostOs::FreeBsd => &["cellblock"],
    }
}

/// Refuses what dockerd would refuse and what this daemon cannot do yet.
///
/// # Errors
/// `Invalid` for a bad value (in dockerd's words), `Unsupported` for a good one that is not supported.
pub(super) fn check(request: &CreateRequest, host: HostOs) -> Result<(), Failure> {
    check_config(&request.config)?;
    check_modes(&request.host_config, host)?;
    if request
        .host_config
        .annotations
        .iter()
        .flatten()
        .any(|(name, _)| name.is_empty())
    {
        let text = "invalid Annotations: the empty string is not permitted as an annotation key";
        return Err(invalid(text));
    }
    super::openings::check(&request.config, &request.host_config)?;
    check_policies(&request.host_config, host)?;
    check_resources(&request.host_config)?;
    check_network_options(&request.host_config)?;
    check_security(&request.host_config)
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::Invalid(text.into())
}

/// The answer to an option that has a meaning which this daemon does not give it yet.
fn unsupported(what: &str) -> Result<(), Failure> {
    Err(Failure::Unsupported(format!(
        "{what} is not supported by cellblock yet"
    )))
}

fn check_config(config: &ContainerConfig) -> Result<(), Failure> {
    let bad_variable = |entry: &&String| entry.is_empty() || entry.starts_with('=');
    if let Some(bad) = config.env.iter().flatten().find(bad_variable) {
        return Err(invalid(format!("invalid environment variable: {bad}")));
    }
    let cwd = &config.working_dir;
    if !cwd.is_empty() && !cwd.starts_with('/') {
        let text = format!("the working directory '{cwd}' is invalid, it needs to be an absolute path");
        return Err(invalid(text));
    }
    if !config.stop_signal.is_empty() {
        super::stop::parse_signal(&config.stop_signal)
            .ok_or_else(|| invalid(format!("invalid signal: {}", config.stop_signal)))?;
    }
    config.healthcheck.as_ref().map_or(Ok(()), super::health::check)
}

fn check_modes(host: &HostConfig, os: HostOs) -> Result<(), Failure> {
    if os == HostOs::FreeBsd && matches!(host.ipc_mode.as_str(), "none" | "shareable") {
        let text = format!(
            "IPC mode {}: a jail's objects in memory are its own",
            host.ipc_mode
        );
        return Err(Failure::Unsupported(text));
    }
    if !host.userns_mode.is_empty() && host.userns_mode != "host" {
        return Err(invalid(format!(
            "invalid user namespace mode: {}",
            host.userns_mode
        )));
    }
    match host.cgroupns_mode.as_str() {
        "" | "private" => Ok(()),
        "host" => unsupported("cgroup namespace mode host"),
        other => Err(invalid(format!("invalid cgroup namespace mode: {other}"))),
    }
}

/// dockerd's `ValidateRestartPolicy`.
pub(super) fn check_restart_policy(host: &HostConfig) -> Result<(), Failure> {
    let policy = &host.restart_policy;
    match policy.name.as_str() {
        "always" | "unless-stopped" | "no" | "" if policy.maximum_retry_count != 0 => Err(invalid(format!(
            "invalid restart policy: maximum retry count can {}",
            if policy.maximum_retry_count < 0 {
                "only be used with 'on-failure' and cannot be negative"
            } else {
                "only be used with 'on-failure'"
            }
        ))),
        "on-failure" if policy.maximum_retry_count < 0 => Err(invalid(
            "invalid restart policy: maximum retry count cannot be negative",
        )),
        "always" | "unless-stopped" | "on-failure" if host.auto_remove => {
            Err(invalid("can't create 'AutoRemove' container with restart policy"))
        }
        "always" | "unless-stopped" | "on-failure" | "no" | "" => Ok(()),
        other => Err(invalid(format!(
            "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ))),
    }
}

fn check_policies(host: &HostConfig, os: HostOs) -> Result<(), Failure> {
    check_restart_policy(host)?;
    super::logging::check(&host.log_config)?;
    match host.runtime.as_str() {
        "" => Ok(()),
        name if runtimes(os).contains(&name) => Ok(()),
        other => Err(invalid(format!("unknown or invalid runtime name: {other}"))),
    }
}

fn check_resources(host: &HostConfig) -> Result<(), Failure> {
    if host.shm_size < 0 {
        return Err(invalid("SHM size can not be less than 0"));
    }
    let limits = [
        (
            "--kernel-memory",
            host.kernel_memory != 0 || host.kernel_memory_tcp != 0,
        ),
        ("--oom-kill-disable", host.oom_kill_disable == Some(true)),
        ("--cpu-rt-period", host.cpu_realtime_period != 0),
        ("--cpu-rt-runtime", host.cpu_realtime_runtime != 0),
        (
            "--cgroup-parent",
            !host.cgroup_parent.is_empty() || !host.cgroup.is_empty(),
        ),
        ("--blkio-weight-device", some(host.blkio_weight_device.as_ref())),
        ("--cpu-count", host.cpu_count != 0),
        ("--cpu-percent", host.cpu_percent != 0),
        ("--io-maxiops", host.io_maximum_iops != 0),
        ("--io-maxbandwidth", host.io_maximum_bandwidth != 0),
        ("--isolation", !matches!(host.isolation.as_str(), "" | "default")),
        (
            "--storage-opt",
            host.storage_opt
                .as_ref()
                .is_some_and(|options| !options.is_empty()),
        ),
    ];
    first_set(&limits)
}

fn check_network_options(host: &HostConfig) -> Result<(), Failure> {
    if let Some(bad) = host
        .dns
        .iter()
        .flatten()
        .find(|text| text.parse::<std::net::IpAddr>().is_err())
    {
        return Err(invalid(format!("bad nameserver address {bad}")));
    }
    match host
        .extra_hosts
        .iter()
        .flatten()
        .find(|entry| super::files::parse_extra_host(entry).is_none())
    {
        Some(bad) => Err(invalid(format!("bad format for add-host: \"{bad}\""))),
        None => Ok(()),
    }
}

fn check_security(host: &HostConfig) -> Result<(), Failure> {
    for (flag, names) in [("CapAdd", &host.cap_add), ("CapDrop", &host.cap_drop)] {
        for name in names.iter().flatten() {
            super::process::capability(name)
                .map_err(|bad| invalid(format!("invalid {flag}: unknown capability: \"{bad}\"")))?;
        }
    }
    super::security::read(host.security_opt.as_ref())?;
    let options = [
        ("--privileged", host.privileged),
        ("--gpus", some(host.device_requests.as_ref())),
        ("a list of masked paths", host.masked_paths.is_some()),
        ("a list of read-only paths", host.readonly_paths.is_some()),
    ];
    first_set(&options)
}

fn some<T>(list: Option<&Vec<T>>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

fn first_set(options: &[(&str, bool)]) -> Result<(), Failure> {
    match options.iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => unsupported(name),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let request: CreateRequest = serde_json::from_str(json).unwrap();
        match check(&request, HostOs::Linux) {
            Ok(()) => "accepted".to_owned(),
            Err(Failure::Invalid(text)) => format!("invalid: {text}"),
            Err(Failure::Unsupported(text)) => format!("unsupported: {text}"),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn what_the_command_line_sends_for_a_plain_run_is_accepted() {
        let plain = r#"{"Image":"x","Env":["A=b","C"],"HostConfig":{"NetworkMode":"bridge","AutoRemove":true,
            "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,
            "MaskedPaths":null,"ReadonlyPaths":null,"Ulimits":[],"Isolation":"","CapAdd":["NET_ADMIN"]}}"#;
        assert_eq!(refusal(plain), "accepted");
    }

    #[test]
    fn refusals_use_dockerds_words_where_dockerd_refuses() {
        assert_eq!(
            refusal(r#"{"Env":["=x"]}"#),
            "invalid: invalid environment variable: =x"
        );
        assert_eq!(
            refusal(r#"{"WorkingDir":"rel"}"#),
            "invalid: the working directory 'rel' is invalid, it needs to be an absolute path"
        );
        assert_eq!(
            refusal(r#"{"HostConfig":{"CapAdd":["ZZ"]}}"#),
            "invalid: invalid CapAdd: unknown capability: \"CAP_ZZ\""
        );
        assert_eq!(
            refusal(r#"{"HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}"#),
            "invalid: can't create 'AutoRemove' container with restart policy"
        );
    }

    #[test]
    fn a_limit_that_would_not_be_enforced_is_refused() {
        assert_eq!(
            refusal(r#"{"HostConfig":{"OomKillDisable":true}}"#),
            "unsupported: --oom-kill-disable is not supported by cellblock yet"
        );
    }
}
