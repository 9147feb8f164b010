//! A base image out of the busybox that Debian's package busybox-static installs.

use crate::tarball::{Entry, Kind, Tarball};
use std::process::Command;
use std::sync::OnceLock;

/// Where the package puts it.
const PROGRAM: &str = "/bin/busybox";

/// Accounts inside: root, one user with a name, nobody.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    app:x:1000:1000:app:/home/app:/bin/sh\n\
    nobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\napp:x:1000:\nnogroup:x:65534:\n";

/// The image's root as a tar archive.
///
/// # Errors
/// A sentence saying what the host lacks.
pub fn root() -> Result<&'static [u8], &'static str> {
    static ROOT: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    ROOT.get_or_init(build).as_deref().map_err(String::as_str)
}

/// The program itself, for images of one layer each.
///
/// # Errors
/// A sentence saying what the host lacks.
pub fn program() -> Result<Vec<u8>, String> {
    let program = std::fs::read(PROGRAM).map_err(|_| format!("no {PROGRAM}: install busybox-static"))?;
    let loader = b"/lib64/ld-linux";
    if program
        .windows(loader.len())
        .take(4096)
        .any(|bytes| bytes == loader)
    {
        return Err(format!("{PROGRAM} is not static: install busybox-static"));
    }
    Ok(program)
}

fn build() -> Result<Vec<u8>, String> {
    let program = program()?;
    let listed = Command::new(PROGRAM)
        .arg("--list")
        .output()
        .map_err(|error| format!("{PROGRAM}: {error}"))?;
    let applets = String::from_utf8_lossy(&listed.stdout).into_owned();
    let shared = |name| Entry {
        mode: 0o1777,
        ..Entry::new(Kind::Directory, name)
    };
    let home = Entry {
        owner: (1000, 1000),
        ..Entry::new(Kind::Directory, "home/app/")
    };
    let mut image = Tarball::new();
    for directory in [
        "bin/", "dev/", "etc/", "home/", "proc/", "root/", "sys/", "usr/", "var/",
    ] {
        image = image.directory(directory);
    }
    image = image
        .entry(&shared("tmp/"))
        .entry(&home)
        .file("etc/passwd", PASSWD)
        .file("etc/group", GROUP)
        .program("bin/busybox", &program);
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        image = image.link(&format!("bin/{applet}"), "busybox");
    }
    Ok(image.finish())
}
