//! The front's side of every request: judge it, have the hand do it, say what came of it.

use crate::{hand, order, policy};
use helper_runtime::pair::{Done, Hand};
use helper_runtime::serve::{Reply, Service};
use protocol::codec::{Decode, decode};
use protocol::handshake::{HelperKind, HostFacts};
use protocol::jail::{Request, Response};
use protocol::limits::COMMAND_LINE_BYTES_MAX;
use protocol::names::Text;
use protocol::policy::JailPolicy;
use protocol::{Answer, ErrorCode, HelperError};
use std::os::fd::{AsFd, OwnedFd};

/// The unprivileged half.
#[derive(Debug)]
pub(crate) struct Front {
    policy: JailPolicy,
    hand: Hand,
    facts: HostFacts,
}

impl Front {
    pub(crate) fn new(policy: JailPolicy, hand: Hand, facts: HostFacts) -> Self {
        Front { policy, hand, facts }
    }
}

impl Service for Front {
    type Request = Request;
    type Response = Response;
    const KIND: HelperKind = HelperKind::Jail;

    fn is_finished(&self) -> bool {
        self.hand.is_gone()
    }

    fn facts(&self) -> HostFacts {
        self.facts.clone()
    }

    fn descriptors(request: &Request) -> usize {
        hand::descriptors(request)
    }

    fn describe(request: &Request) -> (&'static str, String) {
        match request {
            Request::Create(spec) => ("create", spec.jail.to_string()),
            Request::OpenNetwork { jail } => ("open-network", jail.to_string()),
            Request::Launch { jail, process } => {
                // A program's name may be as long as an order; an audit line may not.
                let name = process.argv.as_slice().first().map_or("", |text| text.as_str());
                let name = Text::<COMMAND_LINE_BYTES_MAX>::cut(name);
                ("launch", format!("{jail} {} {}", process.uid, name.as_str()))
            }
            Request::Signal { jail, target, signal } => ("signal", format!("{jail} {target:?} {signal}")),
            Request::Remove { jail } => ("remove", jail.to_string()),
            Request::Processes { jail } => ("processes", jail.to_string()),
            Request::List { after: _ } => ("list", String::new()),
            Request::Pause { jail } => ("pause", jail.to_string()),
            Request::Resume { jail } => ("resume", jail.to_string()),
            Request::Limit { jail, limits: _ } => ("limit", jail.to_string()),
            Request::Usage { jail } => ("usage", jail.to_string()),
        }
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Answer<Reply<Response>> {
        policy::judge(&self.policy, &request)?;
        let order = order::write(&request)?;
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let Done { values, block, fds } = self.hand.call(&order, &borrowed)?;
        let response = match request {
            Request::Create(_) => Response::Created { jid: id(values[0])? },
            Request::Launch { .. } => Response::Launched { pid: id(values[0])? },
            Request::Usage { .. } => Response::Usage(listed(&block)?),
            Request::Processes { .. } => Response::Processes(listed(&block)?),
            Request::List { .. } => Response::Jails(listed(&block)?),
            _ => Response::Done,
        };
        Ok(Reply { response, fds })
    }
}

fn id(value: i64) -> Answer<i32> {
    i32::try_from(value)
        .map_err(|_| HelperError::new(ErrorCode::System, "the hand answered with an odd number"))
}

fn listed<T: Decode<()>>(block: &[u8]) -> Answer<T> {
    decode(block).map_err(|error| HelperError::new(ErrorCode::System, error.to_string()))
}
