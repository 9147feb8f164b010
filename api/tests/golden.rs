//! Answers of dockerd 28.5.2, captured from a test daemon with made-up images: each is read into our type and
//! printed back to an equal JSON value, so that no field is lost, invented, or written as `null` where dockerd
//! writes nothing.

#![allow(clippy::expect_used, reason = "a broken expectation is a failed test")]

use docker_api::{
    build_image, containers, error, events, exec, image_config, images, networks, stats, system, volumes,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// Reads a capture, prints it back and compares.
fn printed_differences<T: DeserializeOwned + Serialize>(name: &str) -> (T, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let captured: Value = serde_json::from_str(&text).expect("a capture is JSON");
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let printed = serde_json::to_value(&read).expect("plain data");
    let mut differences = Vec::new();
    compare("", &captured, &printed, &mut differences);
    (read, differences)
}

/// Demands that nothing differs.
fn prints_back<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let (read, differences) = printed_differences(name);
    assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
    read
}

/// Lists where two values differ, since two whole inspect answers side by side help nobody.
fn compare(at: &str, captured: &Value, printed: &Value, differences: &mut Vec<String>) {
    match (captured, printed) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                match right.get(key) {
                    Some(other) => compare(&format!("{at}/{key}"), value, other, differences),
                    None => differences.push(format!("{at}/{key}: lost {value}")),
                }
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                differences.push(format!("{at}/{key}: invented {value}"));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (value, other)) in left.iter().zip(right).enumerate() {
                compare(&format!("{at}/{index}"), value, other, differences);
            }
        }
        (left, right) if left == right => {}
        (left, right) => differences.push(format!("{at}: {left} became {right}")),
    }
}

#[test]
fn the_daemon_prints_back() {
    let version: system::Version = prints_back("version");
    assert_eq!(
        (version.api_version.as_str(), version.min_api_version.as_str()),
        ("1.51", "1.24")
    );
    prints_back::<system::Info>("info");
    // dockerd's df alone writes null for an image without digests; its list, and ours in both, an empty list.
    let (usage, mut differences) = printed_differences::<system::DiskUsage>("system_df");
    differences.retain(|difference| {
        !difference.ends_with("/RepoDigests: null became []")
            && !difference.ends_with("/RepoTags: null became []")
    });
    assert!(differences.is_empty(), "{differences:?}");
    assert!(usage.images.is_some_and(|images| !images.is_empty()));
    prints_back::<Vec<events::EventMessage>>("events");
    let error: error::ErrorBody = prints_back("error");
    assert_eq!(error.message, error::no_such_container("nope"));
}

#[test]
fn container_answers_print_back() {
    prints_back::<containers::CreateResponse>("container_create");
    for name in ["created", "running", "exited", "healthy", "defaults"] {
        prints_back::<containers::ContainerInspect>(&format!("container_inspect_{name}"));
    }
    prints_back::<Vec<containers::ContainerSummary>>("container_list");
    prints_back::<containers::TopResponse>("container_top");
    prints_back::<Vec<containers::ChangeItem>>("container_changes");
    prints_back::<containers::UpdateResponse>("container_update");
    let wait: containers::WaitResponse = prints_back("container_wait");
    assert_eq!((wait.status_code, wait.error), (3, None));
    prints_back::<stats::StatsResponse>("container_stats");
    prints_back::<stats::StatsResponse>("container_stats_exited");
    prints_back::<containers::ContainersPruneReport>("containers_prune");
}

#[test]
fn dockerds_defaults_are_ours() {
    let seen: containers::ContainerInspect = prints_back("container_inspect_defaults");
    let mut ours = docker_api::host_config::HostConfig::default();
    ours.fill_defaults();
    // These depend on the host or on its runtime, and are the daemon's own.
    let mut theirs = seen.host_config;
    theirs.masked_paths = None;
    theirs.readonly_paths = None;
    theirs.runtime.clear();
    theirs.cgroupns_mode.clear();
    theirs.oom_kill_disable = None;
    assert_eq!(ours, theirs);
}

#[test]
fn a_create_request_is_read_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/request_create.json");
    let text = std::fs::read_to_string(path).expect("a capture");
    let sent: Value = serde_json::from_str(&text).expect("JSON");
    let read: containers::CreateRequest = serde_json::from_str(&text).expect("a create request");
    let printed = serde_json::to_value(&read).expect("plain data");
    // The request leaves unset fields out, so only what was sent is compared.
    let mut differences = Vec::new();
    compare("", &sent, &printed, &mut differences);
    differences.retain(|difference| !difference.contains(": invented "));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn exec_answers_print_back() {
    prints_back::<exec::IdResponse>("exec_create");
    for name in ["created", "running", "exited"] {
        prints_back::<exec::ExecInspect>(&format!("exec_inspect_{name}"));
    }
}

#[test]
fn image_answers_print_back() {
    prints_back::<images::ImageInspect>("image_inspect");
    prints_back::<images::ImageInspect>("image_inspect_built");
    let old: images::ImageInspect = prints_back("image_inspect_1_44");
    assert_eq!(
        old.config.expect("a configuration").before_1_50,
        Some(images::LegacyConfigFields::default())
    );
    prints_back::<Vec<images::ImageSummary>>("image_list");
    prints_back::<Vec<images::HistoryItem>>("image_history");
    prints_back::<Vec<images::HistoryItem>>("image_history_built");
    prints_back::<Vec<images::DeleteItem>>("image_delete");
    prints_back::<images::ImagesPruneReport>("images_prune");
    prints_back::<Vec<images::ProgressLine>>("pull_lines");
    prints_back::<Vec<images::ProgressLine>>("load_lines");
    prints_back::<Vec<build_image::ProgressLine>>("build_lines");
}

#[test]
fn image_archives_print_back() {
    // The classic builder leaves its own container and that container's settings in the file.
    let (file, mut differences) = printed_differences::<image_config::ImageConfigFile>("image_config_file");
    let of_the_builder = [
        "/container:",
        "/container_config:",
        "/config/Hostname:",
        "/config/Domainname:",
        "/config/Image:",
        "/config/AttachStdin:",
        "/config/AttachStdout:",
        "/config/AttachStderr:",
        "/config/Tty:",
        "/config/OpenStdin:",
        "/config/StdinOnce:",
    ];
    differences.retain(|difference| !of_the_builder.iter().any(|field| difference.starts_with(field)));
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(file.rootfs.diff_ids.len(), 3);
    prints_back::<Vec<image_config::ArchiveManifestItem>>("archive_manifest");
    prints_back::<image_config::ImageIndex>("oci_index");
    prints_back::<image_config::ImageManifest>("oci_manifest");
    prints_back::<image_config::OciLayout>("oci_layout");
}

#[test]
fn network_and_volume_answers_print_back() {
    prints_back::<networks::NetworkCreateResponse>("network_create");
    prints_back::<networks::NetworkInspect>("network_inspect");
    prints_back::<Vec<networks::NetworkSummary>>("network_list");
    prints_back::<volumes::Volume>("volume_create");
    prints_back::<volumes::VolumeList>("volume_list");
    prints_back::<networks::NetworksPruneReport>("networks_prune");
    prints_back::<volumes::VolumesPruneReport>("volumes_prune");
}
