//! Images that are built, saved, loaded and described.

use crate::story::Story;

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
    story.docker("rmi built");
}
