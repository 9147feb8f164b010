//! A kernel for tests: keeps names, and answers the operations as OpenZFS does.
#![forbid(unsafe_code)]

use super::command::Command;
use super::zfs::{Kernel, Operation, properties};
use crate::nvlist::{List, Value};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Result;

/// Datasets and snapshots by whole name, each with its origin (empty without one), and the mounted ones.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) held: RefCell<BTreeMap<String, String>>,
    pub(super) mounted: RefCell<Vec<String>>,
    pub(super) asked: RefCell<Vec<(Operation, String)>>,
    /// Properties that were set, with their values.
    pub(super) set: RefCell<Vec<(String, u64)>>,
}

impl Fake {
    pub(super) fn add(&self, name: &str, origin: &str) -> Result<()> {
        let mut held = self.held.borrow_mut();
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
        let held = self.held.borrow();
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
        let mut held = self.held.borrow_mut();
        if held.values().any(|origin| origin == name) {
            return Err(Errno::EXIST.into());
        }
        let snapshots = format!("{name}@");
        let in_use = self.mounted.borrow().iter().any(|mounted| mounted == name);
        if in_use || held.keys().any(|other| other.starts_with(&snapshots)) {
            return Err(Errno::BUSY.into());
        }
        held.remove(name).map(drop).ok_or_else(|| Errno::NOENT.into())
    }

    fn stats(&self, command: &mut Command) -> Result<List> {
        let held = self.held.borrow();
        command.set_origin(held.get(command.name()).ok_or(Errno::NOENT)?);
        let property = |number| Value::List(List::new().with("value", Value::U64(number)));
        let names = ["used", "referenced", "available"].into_iter().zip(1..);
        Ok(names.fold(List::new(), |list, (name, number)| {
            list.with(name, property(number))
        }))
    }
}

impl Kernel for Fake {
    fn call(&self, operation: Operation, command: &mut Command, input: Option<&List>) -> Result<List> {
        let name = command.name().to_owned();
        self.asked.borrow_mut().push((operation, name.clone()));
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
            Operation::SetProperties => {
                let given = input.iter().flat_map(List::iter);
                let numbers = given.map(|(name, value)| match value {
                    Value::U64(number) => (name.to_owned(), *number),
                    other => panic!("{other:?}"),
                });
                self.set.borrow_mut().extend(numbers);
            }
        }
        Ok(List::new())
    }
}
