//! Small programs in a network: a server that answers with who was seen to ask, and a client that says what it heard.

use std::process::{Child, Command, Stdio};
use system_tests::docker::Docker;

/// Answers over TCP and UDP, both families, with the asker's address.
const SERVER: &str = r#"
use IO::Socket::IP; use Socket qw(getnameinfo NI_NUMERICHOST NI_NUMERICSERV);
my $port = shift;
sub who { my ($e, $h) = getnameinfo(shift, NI_NUMERICHOST | NI_NUMERICSERV); $h =~ s/^::ffff://; $h }
if (!fork) {
    my $udp = IO::Socket::IP->new(Proto => 'udp', LocalHost => '::', LocalPort => $port, V6Only => 0) or die "$@";
    while (1) { my $from = recv($udp, my $b, 99, 0); send($udp, who($from), 0, $from) if defined $from }
}
my $tcp = IO::Socket::IP->new(LocalHost => '::', LocalPort => $port, V6Only => 0, Listen => 9, ReuseAddr => 1) or die "$@";
while (1) { my $c = $tcp->accept or next; print $c who($c->peername); close $c }
"#;

/// Asks and prints the answer; nothing where none comes.
const CLIENT: &str = r#"
use IO::Socket::IP;
my ($proto, $host, $port) = @ARGV;
my $s = IO::Socket::IP->new(Proto => $proto, PeerHost => $host, PeerPort => $port, Timeout => 2) or exit 1;
$SIG{ALRM} = sub { exit 1 }; alarm 2;
if ($proto eq 'udp') { $s->send('x') or exit 1; defined $s->recv(my $b, 99) or exit 1; print $b }
else { local $/; print scalar <$s> }
"#;

/// Where a program runs.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In this host's own network.
    Host,
    /// In a named network namespace.
    Namespace(String),
    /// In a container's network.
    Container(u32),
}

impl Place {
    /// A running container.
    pub(crate) fn container(docker: &Docker, name: &str) -> Place {
        let pid = docker.ok(&format!("inspect --format '{{{{.State.Pid}}}}' {name}"));
        Place::Container(pid.parse().unwrap())
    }

    fn perl(&self, program: &str) -> Command {
        let namespace = match self {
            Place::Host => None,
            Place::Namespace(name) => Some(format!("--net=/run/netns/{name}")),
            Place::Container(pid) => Some(format!("--net=/proc/{pid}/ns/net")),
        };
        let mut command = match namespace {
            None => Command::new("perl"),
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(namespace).arg("perl");
                command
            }
        };
        command.args(["-e", program]);
        command
    }

    /// Starts the server.
    pub(crate) fn serve(&self, port: u16) -> Server {
        // A group of its own, so that its second process ends with it.
        let mut command = Command::new("setsid");
        let perl = self.perl(SERVER);
        command
            .arg(perl.get_program())
            .args(perl.get_args())
            .arg(port.to_string());
        Server(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Who the server saw when something here asked; none where nothing came back.
    pub(crate) fn ask(&self, protocol: &str, host: &str, port: u16) -> Option<String> {
        let ran = self
            .perl(CLIENT)
            .args([protocol, host, &port.to_string()])
            .output()
            .unwrap();
        let heard = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.success() && !heard.is_empty()).then_some(heard)
    }
}

/// A server that ends with the test.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg("--")
            .arg(format!("-{}", self.0.id()))
            .output();
        let _ = self.0.wait();
    }
}
