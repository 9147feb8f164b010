//! `cargo demo`: builds everything, starts the daemon and its helpers in a temporary folder, builds an image FROM scratch
//! through the API, runs it, shows what ran where, and takes everything away again.
//!
//! It speaks Docker's API through a client library that others wrote, so no docker command is needed.

#![forbid(unsafe_code)]

mod payload;
mod table;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptions,
    StartContainerOptions, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use std::process::ExitCode;
use std::time::Instant;
use system_tests::engine::Engine;
use system_tests::programs;

/// How long one answer of the API may take, in seconds.
const ANSWER_SECONDS: u64 = 60;

/// Name of the image.
const IMAGE: &str = "demo:latest";

/// Name of the container.
const CONTAINER: &str = "demo";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("cargo demo needs root, since it starts containers: run it as root, or with sudo");
        return ExitCode::FAILURE;
    }
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The steps, each under a line that says what comes.
struct Steps(Instant);

impl Steps {
    fn next(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.0.elapsed().as_secs_f32());
    }
}

fn demo() -> Result<()> {
    let steps = Steps(Instant::now());
    steps.next("building the seven programs: cargo build --workspace --bins --release");
    programs::build_visibly()?;
    steps.next("building the payload, a static program: tests/payload/hello.rs");
    let context = payload::context()?;
    let engine = Engine::start("demo")?;
    steps.next(&format!("started: cellblock dev {}", engine.dir().display()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ran = runtime.block_on(talk(&engine, &steps, context));
    // Whatever happened, nothing stays.
    engine.stop();
    let processes = ran?;
    steps.next("stopped; no process, mount, interface or file of it is left");
    println!("\nWhat ran where:\n\n{processes}");
    Ok(())
}

async fn talk(engine: &Engine, steps: &Steps, context: Vec<u8>) -> Result<String> {
    let socket = engine.socket();
    let docker = Docker::connect_with_unix(&socket.to_string_lossy(), ANSWER_SECONDS, API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    let version = docker.version().await?;
    let platform = version.platform.map(|platform| platform.name).unwrap_or_default();
    steps.next(&format!(
        "the API answers: {platform} {}",
        version.version.unwrap_or_default()
    ));
    steps.next(&format!("POST /build: {IMAGE} from tests/payload/Dockerfile"));
    build(&docker, context).await?;
    steps.next("POST /containers/create, start");
    create(&docker).await?;
    docker
        .start_container(CONTAINER, None::<StartContainerOptions>)
        .await?;
    let table = output(&docker, engine).await?;
    let code = exit_code(&docker).await?;
    steps.next(&format!("the container has ended with code {code}"));
    docker
        .remove_container(CONTAINER, None::<RemoveContainerOptions>)
        .await?;
    if code == 0 {
        Ok(table)
    } else {
        Err(format!("the container ended with code {code}").into())
    }
}

async fn build(docker: &Docker, context: Vec<u8>) -> Result<()> {
    let options = BuildImageOptionsBuilder::new().t(IMAGE).rm(true).build();
    let mut progress = docker.build_image(options, None, Some(body_full(Bytes::from(context))));
    while let Some(line) = progress.try_next().await? {
        if let Some(detail) = line.error_detail {
            return Err(detail.message.unwrap_or_default().into());
        }
        let text = line.stream.unwrap_or_default();
        if !text.trim().is_empty() {
            println!("          {}", text.trim_end());
        }
    }
    Ok(())
}

async fn create(docker: &Docker) -> Result<()> {
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        hostname: Some("inside".to_owned()),
        // A demo needs no packet filter.
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(CONTAINER).build();
    docker.create_container(Some(options), body).await?;
    Ok(())
}

/// Shows what the container prints, and looks at the processes while it runs.
async fn output(docker: &Docker, engine: &Engine) -> Result<String> {
    let options = LogsOptionsBuilder::new()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .build();
    let mut lines = docker.logs(CONTAINER, Some(options));
    let mut table = None;
    while let Some(line) = lines.try_next().await? {
        let (LogOutput::StdOut { message } | LogOutput::StdErr { message } | LogOutput::Console { message }) =
            line
        else {
            continue;
        };
        print!("          | {}", String::from_utf8_lossy(&message));
        if table.is_none() {
            let state = docker
                .inspect_container(
                    CONTAINER,
                    None::<bollard::query_parameters::InspectContainerOptions>,
                )
                .await?
                .state;
            let container = state
                .and_then(|state| state.pid)
                .and_then(|pid| u32::try_from(pid).ok());
            table = Some(table::of(engine.launcher(), container));
        }
    }
    table.ok_or_else(|| "the container printed nothing".into())
}

async fn exit_code(docker: &Docker) -> Result<i64> {
    let mut waiting = docker.wait_container(CONTAINER, None::<WaitContainerOptions>);
    match waiting.next().await {
        Some(Ok(ended)) => Ok(ended.status_code),
        // The client makes an error of any other code than 0.
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(error)) => Err(error.into()),
        None => Err("the daemon did not say how the container ended".into()),
    }
}
