//! One question, answered from what the asker may know. Pure.

use super::{Names, View};
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;

/// How long an answer may be kept, in seconds: containers come and go, but dockerd's own answers live so long.
const TTL_S: u32 = 600;

/// Bytes of an answer over UDP for an asker that says nothing (RFC 1035).
const UDP_BYTES_MIN: u16 = 512;

/// What to do with a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send this.
    Answer(Vec<u8>),
    /// Ask these servers; where none answers, send this.
    Forward(Vec<IpAddr>, Vec<u8>),
    /// It is no question.
    Drop,
}

/// Judges one message. `round` changes which of several addresses comes first.
pub(super) fn judge(bytes: &[u8], view: &View, is_udp: bool, round: usize) -> Verdict {
    let Ok(question) = Message::from_vec(bytes) else {
        return Verdict::Drop;
    };
    if question.metadata.message_type != MessageType::Query {
        return Verdict::Drop;
    }
    let [asked] = question.queries.as_slice() else {
        return failed(&question, ResponseCode::FormErr);
    };
    if question.metadata.op_code != OpCode::Query {
        return failed(&question, ResponseCode::NotImp);
    }
    let name = asked.name.to_ascii().to_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    if asked.query_class == DNSClass::IN
        && let Some(records) = records(view, &asked.name, name, asked.query_type, round)
    {
        let mut answer = reply(&question, ResponseCode::NoError);
        answer.add_answers(records);
        return match packed(&answer, is_udp.then(|| question.max_payload().max(UDP_BYTES_MIN))) {
            Some(bytes) => Verdict::Answer(bytes),
            None => failed(&question, ResponseCode::ServFail),
        };
    }
    match &view.upstream {
        None => failed(&question, ResponseCode::ServFail),
        Some(servers) => match packed(&reply(&question, ResponseCode::ServFail), None) {
            Some(bytes) => Verdict::Forward(servers.clone(), bytes),
            None => Verdict::Drop,
        },
    }
}

/// The records of a name that some member has, perhaps none of the asked type; nothing for other names.
fn records(view: &View, owner: &Name, name: &str, kind: RecordType, round: usize) -> Option<Vec<Record>> {
    if kind == RecordType::PTR {
        let pointed = pointed(owner)?;
        let target = view.networks.iter().find_map(|names| name_of(names, pointed))?;
        let target = Name::from_ascii(target).ok()?;
        return Some(vec![Record::from_rdata(
            owner.clone(),
            TTL_S,
            RData::PTR(PTR(target)),
        )]);
    }
    let mut addresses = view.networks.iter().find_map(|names| addresses_of(names, name))?;
    if !addresses.is_empty() {
        let first = round % addresses.len();
        addresses.rotate_left(first);
    }
    let record = |address: IpAddr| match (address, kind) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(v6))),
        _ => None,
    };
    let data = addresses.into_iter().filter_map(record);
    Some(
        data.map(|data| Record::from_rdata(owner.clone(), TTL_S, data))
            .collect(),
    )
}

/// Every address of the members that a name means: alone, or with the network's name behind it.
fn addresses_of(names: &Names, name: &str) -> Option<Vec<IpAddr>> {
    let short = name
        .strip_suffix(&names.network)
        .and_then(|rest| rest.strip_suffix('.'));
    let linked = names
        .links
        .iter()
        .find(|(alias, _)| alias == name)
        .map(|(_, member)| member.as_str());
    [linked, Some(name), short]
        .into_iter()
        .flatten()
        .find_map(|wanted| {
            let members = names
                .members
                .iter()
                .filter(|(known, _)| known.iter().any(|one| one == wanted));
            let addresses: Vec<IpAddr> = members.flat_map(|(_, addresses)| addresses).copied().collect();
            (!addresses.is_empty()).then_some(addresses)
        })
}

fn name_of(names: &Names, address: IpAddr) -> Option<String> {
    let (known, _) = names
        .members
        .iter()
        .find(|(_, addresses)| addresses.contains(&address))?;
    Some(format!("{}.{}.", known.first()?, names.network))
}

/// The address that a reverse name means: `2.0.17.172.in-addr.arpa`, and nibbles below `ip6.arpa`.
fn pointed(name: &Name) -> Option<IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

fn reply(question: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_queries(question.queries.iter().cloned());
    reply
}

fn failed(question: &Message, code: ResponseCode) -> Verdict {
    packed(&reply(question, code), None).map_or(Verdict::Drop, Verdict::Answer)
}

/// The message's bytes; one that is too long for its way is cut and says so.
fn packed(message: &Message, bytes_max: Option<u16>) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    match bytes_max {
        Some(limit) if bytes.len() > usize::from(limit) => message.truncate().to_vec().ok(),
        _ => Some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    fn view(upstream: bool) -> View {
        let member = |names: &[&str], addresses: &[&str]| {
            (
                names.iter().map(|name| (*name).to_owned()).collect(),
                addresses.iter().map(|address| address.parse().unwrap()).collect(),
            )
        };
        let front = Names {
            network: "front".to_owned(),
            members: vec![
                member(&["web-1", "web"], &["10.0.0.2", "fd00::2"]),
                member(&["web-2", "web"], &["10.0.0.3"]),
            ],
            links: vec![("db".to_owned(), "web-2".to_owned())],
        };
        View {
            networks: vec![front],
            upstream: upstream.then(|| vec!["192.0.2.53".parse().unwrap()]),
        }
    }

    fn ask(
        name: &str,
        kind: RecordType,
        round: usize,
        upstream: bool,
    ) -> Result<(ResponseCode, Vec<String>), Verdict> {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        match judge(&question.to_vec().unwrap(), &view(upstream), true, round) {
            Verdict::Answer(bytes) => {
                let answer = Message::from_vec(&bytes).unwrap();
                assert_eq!(answer.metadata.id, question.metadata.id);
                let data = answer
                    .answers
                    .iter()
                    .map(|record| record.data.to_string())
                    .collect();
                Ok((answer.metadata.response_code, data))
            }
            other => Err(other),
        }
    }

    fn found(name: &str, kind: RecordType) -> Vec<String> {
        let (code, data) = ask(name, kind, 0, true).unwrap();
        assert_eq!(code, ResponseCode::NoError);
        data
    }

    #[test]
    fn members_are_found_by_every_name_in_any_case() {
        assert_eq!(found("web-1.", RecordType::A), ["10.0.0.2"]);
        assert_eq!(found("WEB-1.Front.", RecordType::A), ["10.0.0.2"]);
        assert_eq!(found("db.", RecordType::A), ["10.0.0.3"], "the asker's own link");
        assert_eq!(
            found("web-2.", RecordType::AAAA),
            [""; 0],
            "known, but without such an address"
        );
    }

    #[test]
    fn a_name_of_several_members_has_every_address_in_turn() {
        assert_eq!(found("web.", RecordType::A), ["10.0.0.2", "10.0.0.3"]);
        let (_, data) = ask("web.", RecordType::A, 2, true).unwrap();
        assert_eq!(data, ["10.0.0.3", "10.0.0.2"]);
    }

    #[test]
    fn addresses_lead_back_to_names() {
        assert_eq!(found("3.0.0.10.in-addr.arpa.", RecordType::PTR), ["web-2.front."]);
        let v6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
        assert_eq!(found(v6, RecordType::PTR), ["web-1.front."]);
    }

    #[test]
    fn other_names_are_asked_elsewhere_or_fail_where_there_is_no_way_out() {
        for name in ["example.org.", "other.", "9.0.0.10.in-addr.arpa."] {
            let kind = if name.ends_with("arpa.") {
                RecordType::PTR
            } else {
                RecordType::A
            };
            assert!(
                matches!(ask(name, kind, 0, true), Err(Verdict::Forward(servers, _)) if servers.len() == 1)
            );
            assert_eq!(
                ask(name, kind, 0, false),
                Ok((ResponseCode::ServFail, Vec::new()))
            );
        }
    }

    #[test]
    fn what_is_no_question_is_dropped() {
        assert_eq!(judge(b"zz", &view(true), true, 0), Verdict::Drop);
        let answer = Message::response(1, OpCode::Query).to_vec().unwrap();
        assert_eq!(judge(&answer, &view(true), true, 0), Verdict::Drop);
    }

    #[test]
    fn an_answer_that_is_too_long_for_a_datagram_says_so() {
        let addresses = (0..100).map(|d| IpAddr::from([10, 0, 1, d])).collect();
        let names = Names {
            network: "n".to_owned(),
            members: vec![(vec!["many".to_owned()], addresses)],
            links: Vec::new(),
        };
        let view = View {
            networks: vec![names],
            upstream: None,
        };
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii("many.").unwrap(), RecordType::A));
        let asked = question.to_vec().unwrap();
        let Verdict::Answer(cut) = judge(&asked, &view, true, 0) else {
            panic!()
        };
        assert!(cut.len() <= 512 && Message::from_vec(&cut).unwrap().metadata.truncation);
        let Verdict::Answer(whole) = judge(&asked, &view, false, 0) else {
            panic!()
        };
        assert_eq!(Message::from_vec(&whole).unwrap().answers.len(), 100);
    }
}
