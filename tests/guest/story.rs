//! What the docker command does with containers on FreeBSD, step by step.

use crate::lacking;
use crate::machine::Machine;
use std::io::copy;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use system_tests::docker::{Docker, Ran};

/// Rounds of create, start, kill and remove after which nothing may be left.
const CYCLES: u32 = 50;

/// What of the guest's own base system becomes the image.
const BASE_SYSTEM: &str = "bin sbin lib libexec etc usr/bin usr/sbin usr/lib/*.so*";

/// Installs the programs and their configuration.
const INSTALLATION: [&str; 3] = [
    "mkdir -p /usr/local/sbin /usr/local/etc/cellblock /usr/local/etc/rc.d",
    "tar -C /usr/local/sbin -xf /dev/vtbd1",
    "printf 'parent_dataset = \"tank/cellblock\"\\nbind_roots = [\"/srv\"]\\ninsecure_registries = [\"10.0.2.0/24\"]\\n[[tenant]]\\nname = \"other\"\\nusers = [\"www\"]\\nbind_roots = [\"/srv\"]\\n' > /usr/local/etc/cellblock/cellblock.toml",
];

/// What the doctor asks for after that: the pool and IPv6 are the administrator's to decide, the rest is set up.
const PREPARATIONS: [&str; 3] = [
    "zpool create -f tank vtbd2",
    "/usr/local/sbin/cellblock setup --yes",
    "sysctl net.inet6.ip6.forwarding=1",
];

/// Starts it as rc(8) does.
const START: [&str; 3] = [
    "sed s,%%PREFIX%%,/usr/local,g /usr/local/sbin/cellblockd.in > /usr/local/etc/rc.d/cellblockd",
    "chmod 555 /usr/local/etc/rc.d/cellblockd && service cellblockd onestart",
    "echo 'docker 2375/tcp' >> /etc/services && echo 'docker stream tcp nowait/0/0 root /usr/bin/nc \
     nc -N -U /var/run/docker.sock' > /etc/inetd.conf",
];

/// Offers the socket on the port that is forwarded, once it is there.
pub(crate) const OFFER: [&str; 2] = [
    "inetd -R 0 -C 0 /etc/inetd.conf",
    "for i in $(jot 100); do [ -S /var/run/docker.sock ] && break; sleep 0.2; done; [ -S /var/run/docker.sock ]",
];

/// A guest in which Cellblock runs.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) machine: Machine,
    docker: Docker,
}

impl Story {
    /// Starts Cellblock in the guest.
    pub(crate) fn begin(machine: Machine) -> Story {
        let socket = machine.folder().join("docker.sock");
        forward(&socket, machine.api_port);
        let mut story = Story {
            machine,
            docker: Docker::new(&socket),
        };
        story.guest("uname -srm");
        for line in INSTALLATION {
            story.guest(line);
        }
        lacking::is_told_by_the_doctor(&mut story);
        for line in PREPARATIONS.iter().chain(&START).chain(&OFFER) {
            story.guest(line);
        }
        story.guest("/usr/local/sbin/cellblock doctor");
        story.docker("version --format '{{.Server.Platform.Name}} {{.Server.Os}}'");
        story
    }

    /// Runs a line in the guest, which must succeed, and shows it.
    #[track_caller]
    pub(crate) fn guest(&mut self, line: &str) -> String {
        let output = self.machine.console.ok(line);
        println!("guest# {line}\n{output}");
        output
    }

    /// Runs a line in the guest and shows it; gives how it ended.
    pub(crate) fn guest_ends(&mut self, line: &str) -> (i32, String) {
        let (code, output) = self.machine.console.run(&format!("{line} 2>&1"));
        println!("guest# {line}\n{output}\n[{code}]");
        (code, output)
    }

    /// What a line in the guest prints; it must succeed, and is not shown.
    #[track_caller]
    pub(crate) fn said(&mut self, line: &str) -> String {
        self.machine.console.ok(line)
    }

    /// Runs the docker command and does not show it.
    pub(crate) fn quiet(&self, line: &str) -> Ran {
        self.docker.run(line)
    }

    /// Runs the docker command, which must succeed, and shows it.
    #[track_caller]
    pub(crate) fn docker(&self, line: &str) -> String {
        let output = self.docker.ok(line);
        println!("$ docker {line}\n{output}");
        output
    }

    /// Runs the docker command with this as its standard input; it must succeed, and is shown.
    #[track_caller]
    pub(crate) fn fed(&self, line: &str, input: &[u8]) -> String {
        let ran = self.docker.with_input(line, input);
        println!("$ docker {line}\n{}{}[{}]", ran.out, ran.err, ran.code);
        assert_eq!(ran.code, 0, "docker {line}");
        ran.out
    }

    /// Runs the docker command, which must end so, and shows it.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, line: &str) -> Ran {
        let ran = self.ran(line);
        assert_eq!(ran.code, code, "docker {line}");
        ran
    }

    /// Runs the docker command and shows it.
    #[track_caller]
    pub(crate) fn ran(&self, line: &str) -> Ran {
        let ran = self.docker.run(line);
        println!("$ docker {line}\n{}{}[{}]", ran.out, ran.err, ran.code);
        ran
    }

    /// Points another program to the guest's daemon.
    pub(crate) fn set_environment(&self, command: &mut Command) {
        self.docker.set_environment(command);
    }

    pub(crate) fn an_image_is_made_from_the_base_system(&mut self) {
        // The docker command reads the archive from a container's file system only outside of the guest: so in the guest the
        // same request is sent by hand.
        self.guest(&format!(
            "cd / && tar -cf /tmp/base.tar {BASE_SYSTEM} && ls -l /tmp/base.tar"
        ));
        let request = "POST /images/create?fromSrc=-&repo=base HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\
                       Content-Type: application/x-tar\\r\\nContent-Length: ";
        self.guest(&format!(
            "printf '{request}%d\\r\\n\\r\\n' $(stat -f %z /tmp/base.tar) > /tmp/request"
        ));
        let answer = self.guest("cat /tmp/request /tmp/base.tar | nc -N -U /var/run/docker.sock");
        assert!(
            answer.contains("200 OK") && answer.contains("sha256:"),
            "{answer}"
        );
        assert!(self.docker("images").contains("base"));
    }

    pub(crate) fn a_program_runs_with_its_own_name_exit_code_and_terminal(&mut self) {
        let ran = self.ends(
            3,
            "run --hostname box --name first base sh -c 'hostname; uname -s; echo oops >&2; exit 3'",
        );
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("box\nFreeBSD\n", "oops\n"));
        assert_eq!(self.docker("logs first"), "box\nFreeBSD");
        assert_eq!(self.docker("run --rm -t base tty").trim_end(), "/dev/pts/0");
        assert_eq!(
            self.docker.with_input("run --rm -i base cat", b"through\n").out,
            "through\n"
        );
        assert!(
            self.ends(127, "run --rm base no-such-program")
                .err
                .contains("executable file not found")
        );
        self.ends(1, "run --rm --read-only base touch /file");
        self.docker("rm first");
    }

    pub(crate) fn a_service_is_looked_into_stopped_killed_and_restarted(&mut self) {
        let program = "trap \"echo bye; exit 9\" TERM; echo up; while :; do sleep 1; done";
        self.docker(&format!("run -d --name service base sh -c '{program}'"));
        assert!(self.docker("top service").contains("sleep 1"));
        assert_eq!(
            self.ends(4, "exec service sh -c 'hostname -s; exit 4'").out.len(),
            13
        );
        assert!(self.docker("exec -t service tty").starts_with("/dev/pts/"));
        self.docker("stop service");
        assert_eq!(self.docker("logs service"), "up\nbye");
        let state = "inspect --format '{{.State.Status}} {{.State.ExitCode}}' service";
        assert_eq!(self.docker(state), "exited 9");
        self.docker("start service");
        self.docker("restart -t 5 service");
        self.docker("kill service");
        self.docker("wait service");
        assert_eq!(self.docker(state), "exited 137");
        self.docker("rm service");
    }

    pub(crate) fn files_are_copied_in_and_out(&mut self) {
        self.docker("create --name files base cat /etc/note");
        let note = self.machine.folder().join("note");
        std::fs::write(&note, "copied\n").unwrap();
        self.docker(&format!("cp {} files:/etc/note", note.display()));
        assert_eq!(self.docker("start -a files"), "copied");
        let back = self.machine.folder().join("back");
        self.docker(&format!("cp files:/etc/note {}", back.display()));
        assert_eq!(std::fs::read_to_string(&back).unwrap(), "copied\n");
        self.docker("rm files");
    }

    pub(crate) fn containers_reach_each_other_and_the_outside(&mut self) {
        self.docker("run -d --name server base sh -c 'while :; do echo served | nc -l 8000; done'");
        let address = self.docker("inspect --format '{{.NetworkSettings.IPAddress}}' server");
        self.docker("run -d --name client base sleep 1000");
        let fetch = format!("exec client sh -c 'echo | nc -N -w 3 {address} 8000'");
        assert_eq!(self.docker(&fetch), "served");
        let ping = format!("ping -c 1 {address} | grep -c '1 packets received'");
        assert_eq!(self.guest(&ping), "1");
        // QEMU's own router is beyond the guest: this packet went through address translation.
        assert!(
            self.docker("run --rm base ping -c 1 10.0.2.2")
                .contains("1 packets received")
        );
        self.docker("rm -f server client");
    }

    pub(crate) fn mounts_are_what_was_asked_for(&mut self) {
        self.guest("mkdir -p /srv/shared && echo outside > /srv/shared/file && echo single > /srv/one");
        let both = self.docker("run --rm -v /srv/shared:/mnt/s -v /srv/one:/etc/one:ro base sh -c 'cat /mnt/s/file /etc/one; echo back > /mnt/s/back'");
        assert_eq!(both, "outside\nsingle");
        assert_eq!(self.guest("cat /srv/shared/back"), "back");
        self.docker("run --rm -v kept:/data base sh -c 'echo kept > /data/file'");
        assert_eq!(
            self.docker("run --rm -v kept:/data:ro base sh -c 'cat /data/file; touch /data/x 2>/dev/null || echo refused'"),
            "kept\nrefused"
        );
        assert_eq!(self.docker("run --rm --tmpfs /t:size=1m base sh -c 'dd if=/dev/zero of=/t/z bs=64k count=99 2>/dev/null || echo full'"), "full");
        let devices =
            self.docker("run --rm base sh -c 'ls /dev/mem /dev/zfs /dev/pf 2>&1 | grep -c \"No such file\"'");
        assert_eq!(devices, "3");
        // Only what the administrator named may be shown.
        self.ends(125, "run --rm -v /etc:/e base true");
    }

    pub(crate) fn cycles_leave_nothing_behind(&mut self) {
        for round in 1..=CYCLES {
            self.docker.ok(&format!("create --name c{round} base sleep 100"));
            self.docker.ok(&format!("start c{round}"));
            self.docker.ok(&format!("kill c{round}"));
            self.docker.ok(&format!("rm c{round}"));
        }
        println!("{CYCLES} times create, start, kill, rm");
        // A jail whose connections linger (TIME_WAIT) is a dying one for a minute.
        self.is_empty("jails", &settled("jls -d jid"));
        self.is_empty("mounts", "mount -p | grep /cellblock/mnt/ || true");
        self.is_empty("interfaces", "ifconfig -g epair || true");
        self.is_empty(
            "datasets",
            "zfs list -H -o name -r tank/cellblock | grep containers/ || true",
        );
        self.is_empty("limits", "rctl");
        self.is_empty(
            "translations",
            "pfctl -q -s state | grep -E '172\\.(1[7-9]|2|3)' || true",
        );
    }

    #[track_caller]
    pub(crate) fn is_empty(&mut self, what: &str, line: &str) {
        assert_eq!(self.guest(line), "", "{what} are left");
    }
}

/// Lets the guest wait until a line prints nothing, and print it then.
fn settled(line: &str) -> String {
    format!("for i in $(jot 60); do [ -z \"$({line})\" ] && break; sleep 2; done; {line} || true")
}

/// Offers the guest's API as a socket, which is how the docker command is used elsewhere.
fn forward(socket: &Path, port: u16) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                if let Ok(guest) = TcpStream::connect(("127.0.0.1", port)) {
                    relay(&client, &guest);
                }
            });
        }
    });
}

/// Passes bytes both ways until both have ended.
fn relay(client: &UnixStream, guest: &TcpStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, mut to) = (client, guest);
            let _ = copy(&mut from, &mut to);
            let _ = guest.shutdown(Shutdown::Write);
        });
        let (mut from, mut to) = (guest, client);
        let _ = copy(&mut from, &mut to);
        let _ = client.shutdown(Shutdown::Write);
    });
}
