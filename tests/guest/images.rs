//! Images that are built, saved, loaded and described.

use crate::story::Story;
use system_tests::registry::{Access, Registry};

/// This machine's loopback, as the guest's network shows it (QEMU's user network).
const HERE: &str = "10.0.2.2";

const DOCKERFILE: &str =
    "FROM base\nENV WHO=world\nRUN echo hello $WHO > /etc/greeting\nCMD [\"cat\", \"/etc/greeting\"]\n";

pub(crate) fn are_built_saved_and_loaded(story: &mut Story) {
    let built = story.fed("build -t built -", DOCKERFILE.as_bytes());
    assert!(built.contains("Successfully tagged built:latest"), "{built}");
    assert_eq!(story.docker("run --rm built"), "hello world");
    let again = story.fed("build -t built -", DOCKERFILE.as_bytes());
    assert!(again.contains("Using cache"), "{again}");
    let history = story.docker("history --no-trunc --format '{{.CreatedBy}}' built");
    assert!(history.contains("echo hello $WHO"), "{history}");
    let id = story.docker("image inspect --format '{{.Id}} {{.Os}}' built");
    assert!(id.ends_with(" freebsd"), "{id}");
    let archive = story.machine.folder().join("built.tar");
    story.docker(&format!("save -o {} built", archive.display()));
    story.docker("rmi built");
    story.ends(1, "image inspect built");
    story.docker(&format!("load -i {}", archive.display()));
    assert_eq!(story.docker("image inspect --format '{{.Id}} {{.Os}}' built"), id);
    assert_eq!(story.docker("run --rm built"), "hello world");
    are_pushed_and_pulled(story);
    story.docker("rmi built");
}

fn are_pushed_and_pulled(story: &mut Story) {
    let registry = match Registry::start(Access::Anonymous) {
        Ok(registry) => registry,
        Err(why) => return system_tests::skipped("push and pull in the guest", &why),
    };
    let name = format!("{HERE}:{}/built", registry.port());
    story.docker(&format!("tag built {name}"));
    let pushed = story.docker(&format!("push {name}"));
    let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:"));
    let digest = digest.expect("a push names the digest").to_owned();
    let id = story.docker("image inspect --format '{{.Id}}' built");
    story.docker(&format!("rmi {name} built"));
    let pulled = story.docker(&format!("pull {name}"));
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    assert_eq!(
        story.docker(&format!("image inspect --format '{{{{.Id}}}}' {name}")),
        id
    );
    assert_eq!(story.docker(&format!("run --rm {name}")), "hello world");
    story.docker(&format!("tag {name} built"));
    story.docker(&format!("rmi {name}"));
}
