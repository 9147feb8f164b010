//! How a request travels from the front to the hand, and from the hand to a waiting first process, as a fixed-size order.
//!
//! Reading an order back goes through the same checked names as reading a frame, so a hand whose front was taken over
//! still sees only good names. Whether the request is allowed is [`crate::policy`]'s to say, once more. A jail to be made
//! and its limits travel as the protocol encodes them, in the block, where their types bound them.

use crate::policy::argument_bytes;
use helper_runtime::order::{BadOrder, Order};
use protocol::codec::{Decode, Encode, decode, encode};
use protocol::jail::{ProcessSpec, Request, Rlimit, Role, SignalTarget, Stdio};
use protocol::limits::{ARGUMENT_BLOCK_BYTES_MAX, ARGUMENTS_MAX};
use protocol::names::{Bounded, JailName, Label, Text};
use protocol::{Answer, ErrorCode, HelperError};

const CREATE: u32 = 1;
const OPEN_NETWORK: u32 = 2;
const LAUNCH: u32 = 3;
const SIGNAL: u32 = 4;
const REMOVE: u32 = 5;
const PROCESSES: u32 = 6;
const LIST: u32 = 7;
const PAUSE: u32 = 8;
const RESUME: u32 = 9;
const LIMIT: u32 = 10;
const USAGE: u32 = 11;

/// Text 0 of every order: the jail's name; for a listing the name after which it begins, or nothing.
const JAIL: usize = 0;
/// Launch: working directory, `5,100,…`, `nofile=1024:4096 …`.
const CWD: usize = 1;
const GROUPS: usize = 2;
const RLIMITS: usize = 3;

/// Writes the order for a request.
///
/// # Errors
/// `BadContent` where a text or the arguments do not fit.
pub(crate) fn write(request: &Request) -> Answer<Order> {
    fill(request).map_err(|bad| HelperError::new(ErrorCode::BadContent, bad.0))
}

/// Reads the request back.
///
/// # Errors
/// `BadContent` for anything that [`write`] would not have written.
pub(crate) fn read(order: &Order) -> Answer<Request> {
    parse(order).map_err(|bad| HelperError::new(ErrorCode::BadContent, bad.0))
}

type Fit<T> = Result<T, BadOrder>;

fn fill(request: &Request) -> Fit<Order> {
    match request {
        Request::Create(spec) => {
            let mut order = named(CREATE, &spec.jail)?;
            order.set_block(encoded(&**spec)?)?;
            Ok(order)
        }
        Request::OpenNetwork { jail } => named(OPEN_NETWORK, jail),
        Request::Launch { jail, process } => fill_launch(named(LAUNCH, jail)?, process),
        Request::Signal { jail, target, signal } => {
            let mut order = named(SIGNAL, jail)?;
            order.numbers[0] = u64::from(*signal);
            order.numbers[1] = match target {
                SignalTarget::First => 0,
                SignalTarget::Everyone => u64::MAX,
                SignalTarget::Process(pid) => small(*pid)?,
            };
            Ok(order)
        }
        Request::Remove { jail } => named(REMOVE, jail),
        Request::Processes { jail } => named(PROCESSES, jail),
        Request::List { after: Some(jail) } => named(LIST, jail),
        Request::List { after: None } => Ok(Order::new(LIST)),
        Request::Pause { jail } => named(PAUSE, jail),
        Request::Resume { jail } => named(RESUME, jail),
        Request::Limit { jail, limits } => {
            let mut order = named(LIMIT, jail)?;
            order.set_block(encoded(&**limits)?)?;
            Ok(order)
        }
        Request::Usage { jail } => named(USAGE, jail),
    }
}

fn encoded(list: &impl Encode) -> Fit<Vec<u8>> {
    encode(list).map_err(|_| BadOrder("a list does not fit an order"))
}

fn decoded<T: Decode<()>>(block: &[u8]) -> Fit<T> {
    decode(block).map_err(|_| BadOrder("a list that cannot be read"))
}

fn named(operation: u32, jail: &JailName) -> Fit<Order> {
    let mut order = Order::new(operation);
    order.set_text(JAIL, jail.as_str())?;
    Ok(order)
}

fn fill_launch(mut order: Order, process: &ProcessSpec) -> Fit<Order> {
    order.set_text(CWD, process.cwd.as_str())?;
    let groups: Vec<String> = process.groups.as_slice().iter().map(u32::to_string).collect();
    order.set_text(GROUPS, &groups.join(","))?;
    let limit = |limit: &Rlimit| format!("{}={}:{}", limit.name, limit.soft, limit.hard);
    let rlimits: Vec<String> = process.rlimits.as_slice().iter().map(limit).collect();
    order.set_text(RLIMITS, &rlimits.join(" "))?;
    let (terminal, rows, columns) = match process.stdio {
        Stdio::Pipes => (0, 0, 0),
        Stdio::Terminal { rows, columns } => (1, rows, columns),
    };
    order.numbers[..12].copy_from_slice(&[
        u64::from(process.role == Role::Further),
        process.argv.as_slice().len() as u64,
        process.env.as_slice().len() as u64,
        u64::from(process.uid),
        u64::from(process.gid),
        terminal,
        u64::from(rows),
        u64::from(columns),
        capability_mask(process)?,
        u64::from(process.no_new_privileges),
        u64::from(process.init),
        i64::from(process.oom_score).cast_unsigned(),
    ]);
    let size = argument_bytes(process);
    if size > ARGUMENT_BLOCK_BYTES_MAX {
        return Err(BadOrder("arguments and environment are too long"));
    }
    let mut block = Vec::with_capacity(size);
    for text in process.argv.as_slice().iter().chain(process.env.as_slice()) {
        block.extend_from_slice(text.as_str().as_bytes());
        block.push(0);
    }
    order.set_block(block)?;
    Ok(order)
}

/// The capabilities of a process as a bit mask by number.
pub(crate) fn capability_mask(process: &ProcessSpec) -> Fit<u64> {
    let bit = |number: &u8| {
        1u64.checked_shl(u32::from(*number))
            .ok_or(BadOrder("capability out of range"))
    };
    process
        .capabilities
        .as_slice()
        .iter()
        .try_fold(0, |mask, number| Ok(mask | bit(number)?))
}

fn parse(order: &Order) -> Fit<Request> {
    let jail = || JailName::new(order.text(JAIL)?).map_err(|bad| BadOrder(bad.0));
    match order.operation {
        CREATE => Ok(Request::Create(decoded(order.block())?)),
        OPEN_NETWORK => Ok(Request::OpenNetwork { jail: jail()? }),
        LAUNCH => Ok(Request::Launch {
            jail: jail()?,
            process: Box::new(parse_launch(order)?),
        }),
        SIGNAL => Ok(Request::Signal {
            jail: jail()?,
            target: match order.numbers[1] {
                0 => SignalTarget::First,
                u64::MAX => SignalTarget::Everyone,
                pid => SignalTarget::Process(small(pid)?),
            },
            signal: small(order.numbers[0])?,
        }),
        REMOVE => Ok(Request::Remove { jail: jail()? }),
        PROCESSES => Ok(Request::Processes { jail: jail()? }),
        LIST if order.text(JAIL)?.is_empty() => Ok(Request::List { after: None }),
        LIST => Ok(Request::List { after: Some(jail()?) }),
        PAUSE => Ok(Request::Pause { jail: jail()? }),
        RESUME => Ok(Request::Resume { jail: jail()? }),
        LIMIT => Ok(Request::Limit {
            jail: jail()?,
            limits: decoded(order.block())?,
        }),
        USAGE => Ok(Request::Usage { jail: jail()? }),
        _ => Err(BadOrder("no such operation")),
    }
}

fn parse_launch(order: &Order) -> Fit<ProcessSpec> {
    let [
        role,
        argc,
        envc,
        uid,
        gid,
        terminal,
        rows,
        columns,
        capabilities,
        no_new_privileges,
        init,
        oom_score,
        ..,
    ] = order.numbers;
    let mut texts = parse_block(order.block())?;
    let argc: usize = small(argc)?;
    let envc: usize = small(envc)?;
    if argc > ARGUMENTS_MAX || envc > ARGUMENTS_MAX || texts.len() != argc + envc {
        return Err(BadOrder("number of arguments differs"));
    }
    let env = texts.split_off(argc);
    let on_terminal = Stdio::Terminal {
        rows: small(rows)?,
        columns: small(columns)?,
    };
    Ok(ProcessSpec {
        role: choose(role, [Role::First, Role::Further])?,
        argv: bounded(texts)?,
        env: bounded(env)?,
        cwd: Text::new(order.text(CWD)?).map_err(|bad| BadOrder(bad.0))?,
        uid: small(uid)?,
        gid: small(gid)?,
        groups: bounded(words(order.text(GROUPS)?, ',').map(number).collect::<Fit<_>>()?)?,
        stdio: choose(terminal, [Stdio::Pipes, on_terminal])?,
        rlimits: bounded(
            words(order.text(RLIMITS)?, ' ')
                .map(parse_rlimit)
                .collect::<Fit<_>>()?,
        )?,
        capabilities: bounded((0..64).filter(|bit| capabilities & (1 << bit) != 0).collect())?,
        no_new_privileges: choose(no_new_privileges, [false, true])?,
        init: choose(init, [false, true])?,
        oom_score: i16::try_from(oom_score.cast_signed()).map_err(|_| BadOrder("number out of range"))?,
    })
}

fn parse_block(block: &[u8]) -> Fit<Vec<Text<ARGUMENT_BLOCK_BYTES_MAX>>> {
    let Some(body) = block.strip_suffix(&[0]) else {
        return if block.is_empty() {
            Ok(Vec::new())
        } else {
            Err(BadOrder("argument without an end"))
        };
    };
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| BadOrder("argument is not UTF-8"))?;
        Text::new(text).map_err(|bad| BadOrder(bad.0))
    };
    body.split(|byte| *byte == 0).map(text).collect()
}

fn parse_rlimit(word: &str) -> Fit<Rlimit> {
    let (name, values) = word.split_once('=').ok_or(BadOrder("resource limit"))?;
    let (soft, hard) = values.split_once(':').ok_or(BadOrder("resource limit"))?;
    let name = Label::new(name).map_err(|bad| BadOrder(bad.0))?;
    Ok(Rlimit {
        name,
        soft: number(soft)?,
        hard: number(hard)?,
    })
}

fn words(text: &str, between: char) -> impl Iterator<Item = &str> {
    text.split(between).filter(|word| !word.is_empty())
}

fn number<T: std::str::FromStr>(word: &str) -> Fit<T> {
    word.parse().map_err(|_| BadOrder("number"))
}

fn small<T: TryFrom<N>, N>(number: N) -> Fit<T> {
    T::try_from(number).map_err(|_| BadOrder("number out of range"))
}

fn choose<T: Copy>(number: u64, values: [T; 2]) -> Fit<T> {
    let index: usize = small(number)?;
    values.get(index).copied().ok_or(BadOrder("choice out of range"))
}

fn bounded<T, const MAX: usize>(items: Vec<T>) -> Fit<Bounded<T, MAX>> {
    Bounded::new(items).map_err(|bad| BadOrder(bad.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{jail, limits, process};
    use helper_runtime::order::FIXED_BYTES;
    use protocol::jail::{JailSpec, Network, Openings, Space, Sysctl};
    use protocol::mount::{Access, Flavour};
    use protocol::names::HostName;

    fn every_request() -> Vec<Request> {
        let name = || JailName::new("j1").unwrap();
        let process_with = |change: fn(&mut ProcessSpec)| {
            let mut process = process();
            change(&mut process);
            Request::Launch {
                jail: name(),
                process: Box::new(process),
            }
        };
        vec![
            Request::Create(Box::new(jail())),
            Request::Create(Box::new(JailSpec {
                network: Network::Host,
                root_access: Access::ReadOnly,
                flavour: Flavour::Linux,
                hostname: HostName::new("").unwrap(),
                shm_bytes: u64::MAX,
                sysctls: Bounded::new(vec![Sysctl {
                    name: Label::new("net.core.somaxconn").unwrap(),
                    value: Text::new("64").unwrap(),
                }])
                .unwrap(),
                openings: Openings {
                    processes: Space::Of(name()),
                    network_of: Some(name()),
                    ..Openings::default()
                },
                ..jail()
            })),
            Request::OpenNetwork { jail: name() },
            process_with(|_| ()),
            process_with(|process| {
                process.role = Role::Further;
                process.stdio = Stdio::Pipes;
                process.env = Bounded::default();
                process.groups = Bounded::default();
                process.rlimits = Bounded::default();
                process.capabilities = Bounded::new(vec![63]).unwrap();
                process.no_new_privileges = false;
                process.init = true;
                process.oom_score = -1000;
            }),
            Request::Signal {
                jail: name(),
                target: SignalTarget::First,
                signal: 9,
            },
            Request::Signal {
                jail: name(),
                target: SignalTarget::Everyone,
                signal: 64,
            },
            Request::Signal {
                jail: name(),
                target: SignalTarget::Process(4242),
                signal: 9,
            },
            Request::Remove { jail: name() },
            Request::Processes { jail: name() },
            Request::List { after: Some(name()) },
            Request::List { after: None },
            Request::Pause { jail: name() },
            Request::Resume { jail: name() },
            Request::Limit {
                jail: name(),
                limits: Box::new(limits()),
            },
            Request::Usage { jail: name() },
        ]
    }

    #[test]
    fn every_request_survives_its_order() {
        for request in every_request() {
            let bytes = write(&request).unwrap().to_bytes();
            assert_eq!(read(&Order::from_bytes(&bytes).unwrap()), Ok(request));
        }
    }

    #[test]
    fn an_order_changed_in_any_one_byte_is_never_read_as_another_kind_of_name() {
        for request in every_request() {
            let bytes = write(&request).unwrap().to_bytes();
            for at in 0..FIXED_BYTES.min(bytes.len()) {
                let mut changed = bytes.clone();
                changed[at] ^= b'/';
                let Ok(order) = Order::from_bytes(&changed) else {
                    continue;
                };
                if let Ok(Request::Create(spec)) = read(&order) {
                    assert!(!spec.root.as_str().contains('/') && !spec.jail.as_str().contains('/'));
                }
            }
        }
    }

    #[test]
    fn a_count_that_differs_from_the_block_is_refused() {
        let request = &every_request()[3];
        for place in [1, 2] {
            let mut order = write(request).unwrap();
            order.numbers[place] += 1;
            assert_eq!(
                read(&order).unwrap_err().detail.as_str(),
                "number of arguments differs"
            );
        }
    }

    #[test]
    fn an_argument_without_its_end_is_refused() {
        let mut order = write(&every_request()[3]).unwrap();
        let mut block = order.block().to_vec();
        block.pop();
        order.set_block(block).unwrap();
        assert!(read(&order).is_err());
    }

    #[test]
    fn an_unknown_operation_is_refused() {
        assert_eq!(read(&Order::new(99)).unwrap_err().code, ErrorCode::BadContent);
    }
}
