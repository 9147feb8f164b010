//! The root side: one order, one call to the host, one answer.
//!
//! The front has judged each request already. It is judged again here, because the front may have been taken over by
//! what it decoded: what this file lets through is the most that a hostile daemon can have.

use crate::host::Host;
use crate::policy::fail;
use crate::{order, policy};
use helper_runtime::order::Order;
use helper_runtime::pair::{ANSWER_BLOCK_BYTES_MAX, Done, Orders};
use protocol::codec::{Encode, encode};
use protocol::jail::{ProcessInfo, Request, Stdio};
use protocol::limits::{LIST_ITEMS_MAX, PROCESSES_MAX};
use protocol::names::Bounded;
use protocol::policy::JailPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// Descriptors that come with a process that has no terminal.
const STREAMS: usize = 3;

/// Takes orders to the end of the front.
pub(crate) fn obey_until_the_front_is_gone(orders: &Orders, policy: &JailPolicy, host: &Host) -> ExitCode {
    loop {
        let answer = match orders.next() {
            Ok(Some((order, fds))) => obey(policy, host, &order, fds),
            Ok(None) => return ExitCode::SUCCESS,
            Err(violation) => {
                helper_runtime::log::say(&format!("cellblock-jail: the front sent no order: {violation}"));
                return ExitCode::FAILURE;
            }
        };
        if orders.answer(answer).is_err() {
            // The front went away meanwhile; what was done is found again by its record.
            return ExitCode::SUCCESS;
        }
    }
}

fn obey(policy: &JailPolicy, host: &Host, order: &Order, fds: Vec<OwnedFd>) -> Answer<Done> {
    let request = order::read(order)?;
    policy::judge(policy, &request)?;
    if fds.len() != descriptors(&request) {
        return fail(
            ErrorCode::BadDescriptors,
            "wrong number of descriptors in an order",
        );
    }
    match request {
        Request::Create(spec) => host.create(&spec).map(|jid| with_fds(jid, Vec::new())),
        Request::OpenNetwork { jail } => host.open_network(&jail).map(|sockets| with_fds(0, sockets)),
        Request::Launch { jail, process } => host
            .launch(&jail, &process, fds)
            .map(|launched| with_fds(launched.pid, launched.fds)),
        Request::Signal { jail, target, signal } => {
            host.signal(&jail, target, signal).map(|()| Done::default())
        }
        Request::Remove { jail } => host.remove(&jail).map(|()| Done::default()),
        Request::Processes { jail } => listing(host.processes(&jail)?).map(with_block),
        Request::Pause { jail } => host.pause(&jail).map(|()| Done::default()),
        Request::Resume { jail } => host.resume(&jail).map(|()| Done::default()),
        Request::Limit { jail, limits } => host.limit(&jail, &limits).map(|()| Done::default()),
        Request::Usage { jail } => block(&host.usage(&jail)?).map(with_block),
        Request::List { after } => {
            let jails = host.list(after.as_ref())?;
            block(&Bounded::<_, LIST_ITEMS_MAX>::cut(jails)).map(with_block)
        }
    }
}

/// How many descriptors must come with a request.
pub(crate) fn descriptors(request: &Request) -> usize {
    match request {
        Request::Launch { process, .. } if process.stdio == Stdio::Pipes => STREAMS,
        _ => 0,
    }
}

fn with_block(block: Vec<u8>) -> Done {
    Done {
        block,
        ..Done::default()
    }
}

fn with_fds(value: i32, fds: Vec<OwnedFd>) -> Done {
    Done {
        values: [i64::from(value), 0, 0, 0],
        fds,
        ..Done::default()
    }
}

/// Encodes as many processes as an answer can hold; `top` is for people and says nothing of thousands.
fn listing(mut processes: Vec<ProcessInfo>) -> Answer<Vec<u8>> {
    processes.truncate(PROCESSES_MAX);
    loop {
        let bytes = block(&Bounded::<_, PROCESSES_MAX>::cut(processes.clone()))?;
        if bytes.len() <= ANSWER_BLOCK_BYTES_MAX {
            return Ok(bytes);
        }
        processes.truncate(processes.len() * 3 / 4);
    }
}

fn block(list: &impl Encode) -> Answer<Vec<u8>> {
    encode(list).map_err(|error| HelperError::new(ErrorCode::System, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{jail, policy, process};
    use protocol::jail::{JailSpec, Network};
    use protocol::limits::COMMAND_LINE_BYTES_MAX;
    use protocol::names::{HostPath, Label, Text};

    #[test]
    fn what_a_front_that_was_taken_over_lets_through_is_refused() {
        let records = std::env::temp_dir().join(format!("cb-hand-{}", std::process::id()));
        std::fs::create_dir(&records).unwrap();
        let path = |path: &str| HostPath::new(path).unwrap();
        let policy = JailPolicy {
            mount_root: path("/nowhere"),
            record_dir: path(records.to_str().unwrap()),
            ..policy()
        };
        let host = Host::open(&policy).unwrap();
        let shared = Request::Create(Box::new(JailSpec {
            network: Network::Host,
            ..jail()
        }));
        let mut mighty = process();
        mighty.capabilities = Bounded::new(vec![21]).unwrap();
        let mighty = Request::Launch {
            jail: jail().jail,
            process: Box::new(mighty),
        };
        for request in [shared, mighty] {
            let order = order::write(&request).unwrap();
            assert_eq!(
                obey(&policy, &host, &order, Vec::new()).unwrap_err().code,
                ErrorCode::Refused
            );
        }
        let order = order::write(&Request::Launch {
            jail: jail().jail,
            process: Box::new(process()),
        })
        .unwrap();
        let surplus = vec![std::fs::File::open("/dev/null").unwrap().into()];
        let refused = obey(&policy, &host, &order, surplus).unwrap_err();
        assert_eq!(refused.code, ErrorCode::BadDescriptors);
        std::fs::remove_dir(&records).unwrap();
    }

    #[test]
    fn a_listing_of_the_longest_processes_is_cut_to_fit_an_answer() {
        let process = |pid| ProcessInfo {
            pid,
            ppid: 1,
            uid: 0,
            started_s: 0,
            cpu_s: 0,
            terminal: Label::new("x".repeat(64)).unwrap(),
            command: Text::new("x".repeat(COMMAND_LINE_BYTES_MAX)).unwrap(),
        };
        let bytes = listing((0..1000).map(process).collect()).unwrap();
        assert!(bytes.len() <= ANSWER_BLOCK_BYTES_MAX);
        let back: Bounded<ProcessInfo, PROCESSES_MAX> = protocol::codec::decode(&bytes).unwrap();
        assert!(back.as_slice().len() > 200);
    }
}
