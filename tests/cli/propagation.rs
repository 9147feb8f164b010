//! `-v a:b:rshared` and `rslave`: what the host mounts later below a bind's source.

use crate::folder::Folder;
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::docker;

fn system(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory that is a mount of its own; unmounted with what is mounted right below it.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, propagation: &str) -> Mount {
        system("mount", &["--bind", text(&path), text(&path)]);
        let mount = Mount(path);
        system("mount", &[propagation, text(&mount.0)]);
        mount
    }

    /// Mounts a memory file system with a file in it below.
    fn add(&self, name: &str) {
        let below = self.0.join(name);
        std::fs::create_dir_all(&below).unwrap();
        system("mount", &["-t", "tmpfs", "tmpfs", text(&below)]);
        std::fs::write(below.join("file"), "seen").unwrap();
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).join("file").exists()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut below: Vec<PathBuf> = std::fs::read_dir(&self.0)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        below.push(self.0.clone());
        for path in below {
            let _ = Command::new("umount").arg(path).output();
        }
    }
}

#[test]
fn later_mounts_of_the_host_reach_a_bind_that_is_joined_to_them_and_outlive_it() {
    let docker = docker!();
    let folder = Folder::new("propagation");
    folder.write("shared/x", "");
    let shared = Mount::new(folder.path("shared"), "--make-shared");
    let source = text(&shared.0);
    docker.ok(&format!(
        "run -d --name pp-1 -v {source}:/a:rshared -v {source}:/b base sleep 600"
    ));
    docker.ok(&format!(
        "run -d --name pp-2 --mount type=bind,src={source},dst=/a,bind-propagation=rslave base sleep 600"
    ));
    shared.add("later");
    for name in ["pp-1", "pp-2"] {
        assert_eq!(
            docker.ok(&format!("exec {name} cat /a/later/file")),
            "seen",
            "{name}"
        );
    }
    assert_eq!(
        docker.ok("exec pp-1 ls /b/later"),
        "",
        "a private bind shows a later mount"
    );
    let told =
        docker.ok("inspect --format '{{range .Mounts}}{{.Destination}} {{.Propagation}} {{end}}' pp-1 pp-2");
    for words in ["/a rshared", "/b rprivate", "/a rslave"] {
        assert!(told.contains(words), "{told}");
    }
    docker.ok("stop -t 0 pp-1 pp-2");
    assert!(shared.has("later"), "the host's mount went with the container");
    docker.ok("start pp-1");
    assert_eq!(docker.ok("exec pp-1 cat /a/later/file"), "seen");
    docker.ok("rm -f pp-1 pp-2");
    assert!(shared.has("later"), "the host's mount went with the container");
}

#[test]
fn a_source_that_cannot_be_joined_is_refused_at_the_start() {
    let docker = docker!();
    let folder = Folder::new("propagation-private");
    folder.write("private/x", "");
    let private = Mount::new(folder.path("private"), "--make-private");
    let source = text(&private.0);
    for (mode, kind) in [("shared", "shared"), ("rslave", "shared or slave")] {
        let refused = docker.fails(125, &format!("run --rm -v {source}:/a:{mode} base true"));
        let words = format!("path {source} is mounted on {source} but it is not a {kind} mount");
        assert!(refused.contains(&words), "{refused}");
    }
}
