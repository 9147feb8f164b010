//! Every operation of the Engine API (1.51), and what each takes. The requests that are made from it are wrong in one way each.

/// What an operation's path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// Nothing.
    Nothing,
    /// A container.
    Container,
    /// An image.
    Image,
    /// An exec.
    Exec,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// A plugin.
    Plugin,
    /// Anything of a swarm, and the swarm itself: this daemon is in none.
    Swarm,
}

/// What an operation reads from its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// A JSON object.
    Json,
    /// A tar archive.
    Tar,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    /// `{}` stands for the object's name.
    pub(crate) path: &'static str,
    pub(crate) object: Object,
    pub(crate) body: Body,
    /// Arguments that are whole numbers.
    pub(crate) numbers: &'static [&'static str],
    /// Whether it takes filters and refuses those that it does not know.
    pub(crate) filters: bool,
}

const fn plain(method: &'static str, path: &'static str, object: Object) -> Operation {
    Operation {
        method,
        path,
        object,
        body: Body::Empty,
        numbers: &[],
        filters: false,
    }
}

const fn json(method: &'static str, path: &'static str, object: Object) -> Operation {
    Operation {
        body: Body::Json,
        ..plain(method, path, object)
    }
}

const fn tar(method: &'static str, path: &'static str, object: Object) -> Operation {
    Operation {
        body: Body::Tar,
        ..plain(method, path, object)
    }
}

const fn filtered(method: &'static str, path: &'static str) -> Operation {
    Operation {
        filters: true,
        ..plain(method, path, Object::Nothing)
    }
}

const fn numbered(
    method: &'static str,
    path: &'static str,
    object: Object,
    numbers: &'static [&'static str],
) -> Operation {
    Operation {
        numbers,
        ..plain(method, path, object)
    }
}

use Object::{Container, Exec, Image, Network, Nothing, Plugin, Swarm, Volume};

/// All of them.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        numbers: &["limit"],
        ..filtered("GET", "/containers/json")
    },
    json("POST", "/containers/create", Nothing),
    plain("GET", "/containers/{}/json", Container),
    plain("GET", "/containers/{}/top", Container),
    numbered(
        "GET",
        "/containers/{}/logs?stdout=1",
        Container,
        &["since", "until"],
    ),
    plain("GET", "/containers/{}/changes", Container),
    plain("GET", "/containers/{}/export", Container),
    plain("GET", "/containers/{}/stats?stream=0", Container),
    numbered("POST", "/containers/{}/resize?h=1&w=1", Container, &["h", "w"]),
    plain("POST", "/containers/{}/start", Container),
    numbered("POST", "/containers/{}/stop", Container, &["t"]),
    numbered("POST", "/containers/{}/restart", Container, &["t"]),
    plain("POST", "/containers/{}/kill", Container),
    json("POST", "/containers/{}/update", Container),
    plain("POST", "/containers/{}/rename?name=other", Container),
    plain("POST", "/containers/{}/pause", Container),
    plain("POST", "/containers/{}/unpause", Container),
    plain("POST", "/containers/{}/attach?stdout=1", Container),
    plain("GET", "/containers/{}/attach/ws?stdout=1", Container),
    plain("POST", "/containers/{}/wait", Container),
    plain("DELETE", "/containers/{}", Container),
    plain("HEAD", "/containers/{}/archive?path=/", Container),
    plain("GET", "/containers/{}/archive?path=/", Container),
    tar("PUT", "/containers/{}/archive?path=/", Container),
    filtered("POST", "/containers/prune"),
    json("POST", "/containers/{}/exec", Container),
    json("POST", "/exec/{}/start", Exec),
    numbered("POST", "/exec/{}/resize?h=1&w=1", Exec, &["h", "w"]),
    plain("GET", "/exec/{}/json", Exec),
    filtered("GET", "/images/json"),
    tar("POST", "/build", Nothing),
    filtered("POST", "/build/prune"),
    plain("POST", "/images/create?fromImage=127.0.0.1:1/none", Nothing),
    plain("GET", "/images/{}/json", Image),
    plain("GET", "/images/{}/history", Image),
    // That there is no such image is told in the stream.
    plain("POST", "/images/{}/push", Nothing),
    plain("POST", "/images/{}/tag?repo=x", Image),
    plain("DELETE", "/images/{}", Image),
    filtered("GET", "/images/search?term=x"),
    filtered("POST", "/images/prune"),
    json("POST", "/commit?container={}", Container),
    plain("GET", "/images/{}/get", Image),
    plain("GET", "/images/get?names={}", Image),
    tar("POST", "/images/load", Nothing),
    plain("GET", "/distribution/127.0.0.1:1/{}/json", Nothing),
    json("POST", "/auth", Nothing),
    plain("GET", "/info", Nothing),
    plain("GET", "/version", Nothing),
    plain("GET", "/_ping", Nothing),
    plain("HEAD", "/_ping", Nothing),
    numbered("GET", "/events?since=1&until=2", Nothing, &["since", "until"]),
    plain("GET", "/system/df", Nothing),
    filtered("GET", "/volumes"),
    json("POST", "/volumes/create", Nothing),
    plain("GET", "/volumes/{}", Volume),
    plain("DELETE", "/volumes/{}", Volume),
    filtered("POST", "/volumes/prune"),
    filtered("GET", "/networks"),
    plain("GET", "/networks/{}", Network),
    plain("DELETE", "/networks/{}", Network),
    json("POST", "/networks/create", Nothing),
    json("POST", "/networks/{}/connect", Network),
    json("POST", "/networks/{}/disconnect", Network),
    filtered("POST", "/networks/prune"),
    plain("GET", "/plugins", Nothing),
    plain("GET", "/plugins/{}/json", Plugin),
    plain("DELETE", "/plugins/{}", Plugin),
    numbered("POST", "/plugins/{}/enable", Plugin, &["timeout"]),
    plain("POST", "/plugins/{}/disable", Plugin),
    json("POST", "/plugins/{}/set", Plugin),
    plain("GET", "/nodes", Swarm),
    plain("GET", "/nodes/{}", Swarm),
    plain("DELETE", "/nodes/{}", Swarm),
    plain("GET", "/swarm", Swarm),
    plain("GET", "/swarm/unlockkey", Swarm),
    plain("GET", "/services", Swarm),
    plain("GET", "/services/{}", Swarm),
    plain("DELETE", "/services/{}", Swarm),
    plain("GET", "/tasks", Swarm),
    plain("GET", "/tasks/{}", Swarm),
    plain("GET", "/secrets", Swarm),
    plain("GET", "/secrets/{}", Swarm),
    plain("DELETE", "/secrets/{}", Swarm),
    plain("GET", "/configs", Swarm),
    plain("GET", "/configs/{}", Swarm),
    plain("DELETE", "/configs/{}", Swarm),
];
