//! `RUN`: a container of the image so far, its output as it comes, and what it changed as a layer.

use super::output::{Decoder, Output};
use super::{BuildError, Deps};
use crate::services::containers::RemoveHow;
use crate::services::processes::hub::{Chunk, Wanted};
use docker_api::build_image::BuildQuery;
use docker_api::containers::{ContainerConfig, CreateRequest, HealthConfig, WaitCondition};
use docker_api::host_config::HostConfig;
use docker_api::image_config::ImageConfig;
use docker_api::stream::StreamKind;
use protocol::Principal;
use tokio::sync::mpsc;

/// The request that makes a step's container.
pub(super) fn request(
    query: &BuildQuery,
    image_id: &str,
    config: &ImageConfig,
    command: Vec<String>,
    runs: Option<Vec<String>>,
) -> CreateRequest {
    let config = config.clone();
    let entrypoint = match &runs {
        // The image's own is not wanted in front of the command.
        Some(_) => Some(vec![String::new()]),
        None => config.entrypoint,
    };
    CreateRequest {
        config: ContainerConfig {
            image: image_id.to_owned(),
            user: config.user,
            exposed_ports: config.exposed_ports,
            env: runs.or(config.env),
            cmd: Some(command),
            entrypoint,
            volumes: config.volumes,
            working_dir: config.working_dir,
            labels: config.labels,
            stop_signal: config.stop_signal,
            on_build: config.on_build,
            shell: config.shell,
            // A health check means nothing for a step, also the image's.
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            ..ContainerConfig::default()
        },
        host_config: HostConfig {
            network_mode: query.network_mode.clone(),
            shm_size: query.shm_bytes,
            memory: query.memory_bytes,
            memory_swap: query.memory_swap_bytes,
            cpu_shares: query.cpu_shares,
            cpu_period: query.cpu_period,
            cpu_quota: query.cpu_quota,
            cpuset_cpus: query.cpuset_cpus.clone(),
            cpuset_mems: query.cpuset_mems.clone(),
            cgroup_parent: query.cgroup_parent.clone(),
            ulimits: Some(query.ulimits.clone()).filter(|limits| !limits.is_empty()),
            extra_hosts: Some(query.extra_hosts.clone()).filter(|hosts| !hosts.is_empty()),
            ..HostConfig::default()
        },
        networking_config: None,
    }
}

/// Runs a container to its end and passes its output on.
///
/// # Errors
/// [`BuildError::Exited`] where it fails, [`BuildError::Cancelled`] where the client goes away: then the container is removed.
pub(super) async fn to_its_end(
    deps: &Deps,
    by: &Principal,
    id: &str,
    command: &[String],
    output: &mut Output,
) -> Result<(), BuildError> {
    let hub = deps.containers.hub(id).await?;
    // Joined before the start, so that nothing is missed.
    let mut attachment = hub.attach(Wanted {
        stdout: true,
        stderr: true,
    });
    let over = deps.containers.wait(by, id, WaitCondition::NextExit).await?;
    deps.containers.start(by, id).await?;
    let gone = output.gone();
    let told = tokio::select! {
        told = async {
            pass_on(&mut attachment.output, output).await?;
            Ok::<_, BuildError>(over.await)
        } => told,
        () = gone => Err(BuildError::Cancelled),
    };
    let (code, error) = match told {
        Ok(told) => told,
        Err(cancelled) => {
            let how = RemoveHow {
                force: true,
                volumes: true,
            };
            if let Err(error) = deps.containers.remove(by, id, how).await {
                tracing::warn!(%error, container = id, "the container of a cancelled build was not removed");
            }
            return Err(cancelled);
        }
    };
    if code == 0 {
        return Ok(());
    }
    let mut message = format!(
        "The command '{}' returned a non-zero code: {code}",
        command.join(" ")
    );
    if !error.is_empty() {
        message = format!("{message}: {error}");
    }
    Err(BuildError::Exited { message, code })
}

async fn pass_on(chunks: &mut mpsc::Receiver<Chunk>, output: &mut Output) -> Result<(), BuildError> {
    let (mut plain, mut red) = (Decoder::default(), Decoder::default());
    while let Some(chunk) = chunks.recv().await {
        match chunk.kind {
            StreamKind::Stdin | StreamKind::Stdout => output.text(&plain.text(&chunk.bytes)).await?,
            StreamKind::Stderr | StreamKind::SystemError => output.red(&red.text(&chunk.bytes)).await?,
        }
    }
    output.text(&plain.rest()).await?;
    output.red(&red.rest()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steps_container_is_made_of_the_configuration_so_far() {
        let own = |text: &str| Some(vec![text.to_owned()]);
        let config = ImageConfig {
            user: "u".to_owned(),
            env: own("A=1"),
            entrypoint: own("/e"),
            cmd: own("c"),
            working_dir: "/w".to_owned(),
            ..ImageConfig::default()
        };
        let query = BuildQuery::parse([("networkmode", "none"), ("extrahosts", "a:1.2.3.4")]).unwrap();
        let run = request(&query, "sha256:1", &config, vec!["x".to_owned()], own("B=2"));
        assert_eq!(
            (run.config.entrypoint, run.config.env, run.config.cmd),
            (own(""), own("B=2"), own("x"))
        );
        assert_eq!(
            (run.config.image.as_str(), run.config.user.as_str()),
            ("sha256:1", "u")
        );
        assert_eq!(run.host_config.network_mode, "none");
        assert_eq!(run.host_config.extra_hosts, own("a:1.2.3.4"));
        let nop = request(&query, "", &config, vec!["#(nop) ".to_owned()], None);
        assert_eq!((nop.config.entrypoint, nop.config.env), (own("/e"), own("A=1")));
    }

    #[tokio::test]
    async fn standard_error_is_red() {
        let (to, mut lines) = mpsc::channel(8);
        let (sender, mut chunks) = mpsc::channel(8);
        for (kind, bytes) in [
            (StreamKind::Stdout, &b"a\xc3"[..]),
            (StreamKind::Stderr, b"e"),
            (StreamKind::Stdout, b"\xa9"),
        ] {
            sender
                .send(Chunk {
                    kind,
                    bytes: bytes::Bytes::from_static(bytes),
                })
                .await
                .unwrap();
        }
        drop(sender);
        let mut output = Output::new(to, false);
        pass_on(&mut chunks, &mut output).await.unwrap();
        drop(output);
        let mut told = Vec::new();
        while let Some(line) = lines.recv().await {
            told.push(line.stream);
        }
        assert_eq!(told, ["a", "\u{1b}[91me\u{1b}[0m", "é"]);
    }
}
