//! A kernel for tests: keeps names, and answers the operations as OpenZFS does.
#![forbid(unsafe_code)]

use super::command::Command;
use super::copy::BEGIN_RECORD_BYTES;
use super::zfs::{Kernel, Operation, properties};
use crate::nvlist::{List, Value};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Result, Write};
use std::sync::Mutex;

/// Datasets and snapshots by whole name, each with its origin (empty without one), and the mounted ones.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) held: Mutex<BTreeMap<String, String>>,
    pub(super) mounted: Mutex<Vec<String>>,
    pub(super) asked: Mutex<Vec<(Operation, String)>>,
    /// Properties that were set, with their values.
    /// Whether nothing more can be received.
    pub(super) is_full: bool,
    pub(super) set: Mutex<Vec<(String, u64)>>,
}

impl Fake {
    pub(super) fn add(&self, name: &str, origin: &str) -> Result<()> {
        let mut held = self.held.lock().unwrap();
        let (above, _) = name.rsplit_once(['/', '@']).unwrap();
        if !held.contains_key(above) || !(origin.is_empty() || held.contains_key(origin)) {
            Err(Errno::NOENT.into())
        } else if held.insert(name.to_owned(), origin.to_owned()).is_some() {
            Err(Errno::EXIST.into())
        } else {
            Ok(())
        }
    }

    /// The `cookie`th name right below with this separator.
    fn next(&self, command: &mut Command, separator: char) -> Result<()> {
        let prefix = format!("{}{separator}", command.name());
        let held = self.held.lock().unwrap();
        let below = held.keys().filter(|name| {
            name.strip_prefix(&prefix)
                .is_some_and(|rest| !rest.contains(['/', '@']))
        });
        let found = below
            .rev()
            .nth(command.cookie() as usize)
            .ok_or(Errno::SRCH)?
            .clone();
        command.set_cookie(command.cookie() + 1);
        command.set_name(&found);
        Ok(())
    }

    fn destroy(&self, name: &str) -> Result<()> {
        let mut held = self.held.lock().unwrap();
        if held.values().any(|origin| origin == name) {
            return Err(Errno::EXIST.into());
        }
        let snapshots = format!("{name}@");
        let in_use = self.mounted.lock().unwrap().iter().any(|mounted| mounted == name);
        if in_use || held.keys().any(|other| other.starts_with(&snapshots)) {
            return Err(Errno::BUSY.into());
        }
        held.remove(name).map(drop).ok_or_else(|| Errno::NOENT.into())
    }

    fn rename(&self, name: &str, new: &str) -> Result<()> {
        if self.held.lock().unwrap().contains_key(new) {
            return Err(Errno::EXIST.into());
        }
        self.add(new, "")?;
        self.destroy(name)
    }

    /// The clone takes its origin's snapshot, and the origin becomes a clone of that.
    fn promote(&self, name: &str) -> Result<()> {
        let mut held = self.held.lock().unwrap();
        let old = held.insert(name.to_owned(), String::new()).ok_or(Errno::NOENT)?;
        let (origin, label) = old.split_once('@').ok_or(Errno::INVAL)?;
        held.remove(&old);
        let new = format!("{name}@{label}");
        held.insert(origin.to_owned(), new.clone());
        held.insert(new, String::new());
        Ok(())
    }

    fn stats(&self, command: &mut Command) -> Result<List> {
        let held = self.held.lock().unwrap();
        command.set_origin(held.get(command.name()).ok_or(Errno::NOENT)?);
        let property = |number| Value::List(List::new().with("value", Value::U64(number)));
        let names = ["used", "referenced", "available"].into_iter().zip(1..);
        Ok(names.fold(List::new(), |list, (name, number)| {
            list.with(name, property(number))
        }))
    }
}

/// What a stream begins with.
const BEGIN: [u8; BEGIN_RECORD_BYTES] = [7; BEGIN_RECORD_BYTES];

/// The descriptor that a call names, as the kernel finds it: by its number in this process.
fn descriptor(named: Option<&Value>, how: &OpenOptions) -> File {
    match named {
        Some(Value::I32(number)) => how.open(format!("/proc/self/fd/{number}")).unwrap(),
        other => panic!("{other:?}"),
    }
}

impl Kernel for Fake {
    fn call(&self, operation: Operation, command: &mut Command, input: Option<&List>) -> Result<List> {
        let name = command.name().to_owned();
        self.asked.lock().unwrap().push((operation, name.clone()));
        // What goes to the kernel is what comes out of the packing.
        let input = input.map(|list| List::decode(&list.encode()).unwrap());
        let value = |key| input.as_ref().and_then(|list| list.get(key));
        let named = || match value("snaps") {
            Some(Value::List(snaps)) => snaps.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        match operation {
            Operation::ObjsetStats => return self.stats(command),
            Operation::DatasetListNext => self.next(command, '/')?,
            Operation::SnapshotListNext => self.next(command, '@')?,
            Operation::Create => {
                assert_eq!(
                    (value("type"), value("props")),
                    (Some(&Value::I32(2)), Some(&properties()))
                );
                self.add(&name, "")?;
            }
            Operation::Clone => {
                assert_eq!(value("props"), Some(&properties()));
                let Some(Value::Text(origin)) = value("origin") else {
                    panic!("no origin")
                };
                self.add(&name, origin)?;
            }
            Operation::Snapshot => named().iter().try_for_each(|snapshot| self.add(snapshot, ""))?,
            Operation::DestroySnaps => named().iter().try_for_each(|snapshot| self.destroy(snapshot))?,
            Operation::Destroy => self.destroy(&name)?,
            Operation::Rename => self.rename(&name, command.value())?,
            Operation::Promote => self.promote(&name)?,
            Operation::Send => {
                assert!(self.held.lock().unwrap().contains_key(&name));
                let stream = [&BEGIN[..], b"the rest"].concat();
                descriptor(value("fd"), File::options().write(true)).write_all(&stream)?;
            }
            Operation::Receive => {
                let (begin, props) = (value("begin_record"), value("localprops"));
                assert_eq!(
                    (begin, props),
                    (Some(&Value::Bytes(BEGIN.to_vec())), Some(&properties()))
                );
                let mut rest = String::new();
                descriptor(value("input_fd"), File::options().read(true)).read_to_string(&mut rest)?;
                if rest != "the rest" || self.is_full {
                    return Err(Errno::NOSPC.into());
                }
                let Some(Value::Text(snapshot)) = value("snapname") else {
                    panic!("no snapshot")
                };
                self.add(&name, "")?;
                self.add(snapshot, "")?;
            }
            Operation::SetProperties => {
                let given = input.iter().flat_map(List::iter);
                let numbers = given.map(|(name, value)| match value {
                    Value::U64(number) => (name.to_owned(), *number),
                    other => panic!("{other:?}"),
                });
                self.set.lock().unwrap().extend(numbers);
            }
        }
        Ok(List::new())
    }
}
