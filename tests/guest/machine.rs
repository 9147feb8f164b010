//! A FreeBSD guest under QEMU: boots from an image that is never changed, gets the programs on a disk of their own.
//!
//! The image is any FreeBSD 14 or later that boots by BIOS with its console on the first serial port and lets root log in there
//! without a password. It needs pf with our three anchor lines, and ZFS.

use crate::console::Console;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names the image. Without it nothing is booted.
const IMAGE: &str = "CELLBLOCK_GUEST";

/// Names the folder with the programs built for FreeBSD; the default is where `.ci/freebsd-cross build --release` puts them.
const PROGRAMS: &str = "CELLBLOCK_GUEST_PROGRAMS";
const PROGRAMS_DEFAULT: &str = "target/freebsd/x86_64-unknown-freebsd/release";

/// What asks and answers in the guest's networks, within the folder of the programs.
const PROBE: &str = "examples/probe";

/// The accelerator that QEMU is told to use; software emulation works everywhere.
const ACCELERATOR: &str = "CELLBLOCK_GUEST_ACCEL";
const ACCELERATOR_DEFAULT: &str = "tcg,thread=multi";

/// Size of the disk for the pool, in bytes. It is sparse.
const POOL_BYTES: u64 = 8 << 30;

/// The port in the guest behind which the API socket is.
const API_PORT: u16 = 2375;

/// The ports in the guest that a container publishes: TCP and UDP.
const PUBLISHED_TCP: u16 = 8080;
const PUBLISHED_UDP: u16 = 5353;

/// A running guest. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Machine {
    qemu: Child,
    folder: PathBuf,
    /// The shell of root's in it.
    pub(crate) console: Console,
    /// The port on this host's loopback that leads to the API.
    pub(crate) api_port: u16,
    published: (u16, u16),
}

/// What the test needs and may not be there.
#[derive(Debug)]
pub(crate) struct Ingredients {
    image: PathBuf,
    programs: PathBuf,
}

impl Ingredients {
    /// # Errors
    /// A sentence saying what is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let image = std::env::var_os(IMAGE).map(PathBuf::from);
        let image = image.ok_or_else(|| format!("set {IMAGE} to a FreeBSD disk image"))?;
        if !image.is_file() {
            return Err(format!("{IMAGE}={}: no such image", image.display()));
        }
        for program in ["qemu-system-x86_64", "docker"] {
            let found = Command::new(program).arg("--version").output();
            found.map_err(|_| format!("needs {program}"))?;
        }
        let programs = std::env::var_os(PROGRAMS).map(PathBuf::from);
        let programs = programs.unwrap_or_else(|| system_tests::repository::root().join(PROGRAMS_DEFAULT));
        let mut wanted = system_tests::programs::PROGRAMS.iter().chain([&PROBE]);
        if !wanted.all(|program| programs.join(program).is_file()) {
            let folder = programs.display();
            return Err(format!(
                "no programs in {folder}: run .ci/freebsd-cross build --release --bins --example probe"
            ));
        }
        Ok(Ingredients { image, programs })
    }
}

impl Machine {
    /// Boots and logs in.
    pub(crate) fn boot(from: &Ingredients) -> Machine {
        let folder = std::env::temp_dir().join(format!("cb-guest-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let payload = folder.join("payload.tar");
        pack(from, &payload);
        let pool = folder.join("pool.raw");
        File::create(&pool).unwrap().set_len(POOL_BYTES).unwrap();
        let serial = folder.join("serial");
        let log = File::create(folder.join("console.log")).unwrap();
        let api_port = free_port();
        let published = (free_port(), free_udp_port());
        let accelerator = std::env::var(ACCELERATOR).unwrap_or_else(|_| ACCELERATOR_DEFAULT.to_owned());
        let disk = |path: &Path, more: &str| format!("file={},if=virtio,{more}", path.display());
        let qemu = Command::new("qemu-system-x86_64")
            .args([
                "-M",
                "q35",
                "-cpu",
                "max",
                "-smp",
                "2",
                "-m",
                "4096",
                "-accel",
                &accelerator,
            ])
            .args(["-display", "none", "-monitor", "none"])
            .args([
                "-chardev",
                &format!("socket,id=s0,path={},server=on,wait=off", serial.display()),
            ])
            .args(["-serial", "chardev:s0"])
            .args([
                "-drive",
                &disk(
                    &from.image,
                    &format!("format={},snapshot=on", format_of(&from.image)),
                ),
            ])
            .args(["-drive", &disk(&payload, "format=raw,readonly=on")])
            .args(["-drive", &disk(&pool, "format=raw,cache=unsafe")])
            .args([
                "-netdev",
                &format!(
                    "user,id=n0,hostfwd=tcp:127.0.0.1:{api_port}-:{API_PORT},hostfwd=tcp:127.0.0.1:{}-:{PUBLISHED_TCP},hostfwd=udp:127.0.0.1:{}-:{PUBLISHED_UDP}",
                    published.0, published.1
                ),
            ])
            .args(["-device", "virtio-net-pci,netdev=n0"])
            .args([
                "-object",
                "rng-random,id=r0,filename=/dev/urandom",
                "-device",
                "virtio-rng-pci,rng=r0",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        // From here on whatever fails ends the guest.
        let qemu = scopeguard(qemu);
        let console = Console::open(&serial, log);
        Machine {
            qemu: qemu.keep(),
            folder,
            console,
            api_port,
            published,
        }
    }

    /// The ports on this host's loopback that lead to the guest's own 8080 (TCP) and 5353 (UDP).
    pub(crate) fn published(&self) -> (u16, u16) {
        self.published
    }

    /// Where the console's log and the forwarded socket lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(&mut self.qemu);
        if std::thread::panicking() {
            eprintln!("the guest's console is in {}/console.log", self.folder.display());
            let _ = std::fs::remove_file(self.folder.join("pool.raw"));
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Ends a process that is not wanted any more unless it is kept.
struct Unwanted(Option<Child>);

fn scopeguard(child: Child) -> Unwanted {
    Unwanted(Some(child))
}

impl Unwanted {
    fn keep(mut self) -> Child {
        self.0.take().unwrap()
    }
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(end);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The programs, and the script for rc(8) with its paths filled in, as one archive that is a disk too.
fn pack(from: &Ingredients, payload: &Path) {
    let mut tar = Command::new("tar");
    tar.arg("-cf")
        .arg(payload)
        .arg("-C")
        .arg(&from.programs)
        .args(system_tests::programs::PROGRAMS)
        .arg("-C")
        .arg(from.programs.join(PROBE).parent().unwrap())
        .arg("probe");
    let script = system_tests::repository::root().join("packaging/port/files");
    if script.join("cellblockd.in").is_file() {
        tar.arg("-C").arg(script).arg("cellblockd.in");
    }
    let packed = tar.status().unwrap();
    assert!(packed.success(), "tar: {packed}");
}

fn format_of(image: &Path) -> &'static str {
    use std::io::Read;
    let mut magic = [0; 4];
    let read = File::open(image).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_ok() && &magic == b"QFI\xfb" {
        "qcow2"
    } else {
        "raw"
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
