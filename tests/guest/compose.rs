//! A project of three services: what each needs is healthy before it starts, and finds it by its name.

use crate::ports;
use crate::story::Story;
use std::path::PathBuf;
use std::process::Command;
use system_tests::docker::{eventually, words};

/// Names the program, where it is in none of [`PLACES`].
const COMPOSE: &str = "CELLBLOCK_COMPOSE";

/// Where packages put the plugin, which runs without the docker command too.
const PLACES: [&str; 3] = [
    "/usr/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
];

/// The database keeps a row in a volume, the cache keeps what the database said, the web says what the cache does. Listening is
/// healthy: a question would be answered to the check, and `nc` answers once.
const PROJECT: &str = r#"
name: shop
x-listens: &listens {interval: 1s, timeout: 5s, retries: 30}
services:
  web:
    image: base
    command: ["sh", "-c", "while :; do nc -d -N -w 5 cache 6379 | nc -N -l 80; done"]
    ports: ["8080:80"]
    networks: [front]
    healthcheck: {<<: *listens, test: "netstat -an -p tcp | grep -q '[.]80 .*LISTEN'"}
    depends_on: {cache: {condition: service_healthy}}
  cache:
    image: base
    command: ["sh", "-c", "nc -d -N -w 5 database 5432 > /row; while :; do nc -N -l 6379 < /row; done"]
    networks: [front, back]
    healthcheck: {<<: *listens, test: "grep -q kept /row"}
    depends_on: {database: {condition: service_healthy}}
  database:
    image: base
    command: ["sh", "-c", "echo kept by $$HOSTNAME >> /data/row; while :; do nc -N -l 5432 < /data/row; done"]
    hostname: database
    networks: {back: {aliases: [db]}}
    volumes: ["rows:/data"]
    healthcheck: {<<: *listens, test: ["CMD", "sh", "-c", "netstat -an -p tcp | grep -q '[.]5432 .*LISTEN'"]}
networks: {front: {}, back: {internal: true}}
volumes: {rows: {}}
"#;

/// The program and the project.
struct Compose {
    program: PathBuf,
    project: PathBuf,
}

impl Compose {
    /// Runs a command of it, which must succeed, and shows it.
    #[track_caller]
    fn run(&self, story: &Story, line: &str) -> String {
        let mut command = Command::new(&self.program);
        command.arg("-f").arg(&self.project).args(words(line));
        story.set_environment(&mut command);
        let output = command.output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        println!("$ docker compose {line}\n{out}");
        assert!(output.status.success(), "docker compose {line}: {err}");
        out
    }
}

fn find() -> Result<PathBuf, String> {
    let named = std::env::var_os(COMPOSE).map(PathBuf::from);
    let mut places = named.into_iter().chain(PLACES.map(PathBuf::from));
    let found = places.find(|place| place.is_file());
    found.ok_or_else(|| format!("needs docker compose in its usual place or {COMPOSE}"))
}

pub(crate) fn starts_each_service_when_what_it_needs_is_healthy(story: &mut Story) {
    let program = match find() {
        Ok(program) => program,
        Err(why) => return system_tests::skipped("compose in the guest", &why),
    };
    let project = story.machine.folder().join("compose.yaml");
    std::fs::write(&project, PROJECT).unwrap();
    let compose = Compose { program, project };
    compose.run(story, "up --detach --wait --wait-timeout 120 --quiet-pull");
    let health = compose.run(story, "ps --format '{{.Service}} {{.Health}}'");
    let mut health: Vec<&str> = health.lines().collect();
    health.sort_unstable();
    assert_eq!(health, ["cache healthy", "database healthy", "web healthy"]);
    let (tcp, _) = story.machine.published();
    eventually("the row comes from the database through the cache", || {
        ports::ask_tcp(tcp) == "kept by database\n"
    });
    // The web has no network in common with the database; the cache has, under both names.
    let found = compose.run(story, "exec -T cache getent hosts db");
    assert!(found.contains("db"), "{found}");
    compose.run(story, "exec -T web sh -c '! getent hosts database'");
    compose.run(story, "up --detach --wait --force-recreate --no-deps database");
    let rows = compose.run(story, "exec -T database cat /data/row");
    assert_eq!(rows, "kept by database\nkept by database");
    compose.run(story, "down --volumes --timeout 0");
    assert_eq!(
        story.docker("volume ls -q --filter label=com.docker.compose.project=shop"),
        ""
    );
}
