//! Which process is a jail's first, for a helper that was started again: `record_dir/<jail>`.
//!
//! Files are reached by path, never by an open directory: jail_attach(2) refuses a process that has one.

use super::processes::{self, First};
use protocol::names::{HostPath, JailName};
use protocol::{Answer, HelperError};
use std::io::{ErrorKind, Result};
use std::path::PathBuf;

/// The directory of the records. Root's alone, so its paths are nobody else's to change.
#[derive(Debug)]
pub(super) struct Records(PathBuf);

impl Records {
    pub(super) fn new(directory: &HostPath) -> Self {
        Records(PathBuf::from(directory.as_str()))
    }

    /// Records this process as a jail's first, whole or not at all.
    pub(super) fn write_own(&self, jail: &JailName) -> Result<()> {
        let First { pid, started_us } = processes::own()?;
        let temporary = self.0.join(format!("{jail}.new"));
        std::fs::write(&temporary, format!("first {pid} {started_us}\n"))?;
        std::fs::rename(temporary, self.path(jail))
    }

    /// A jail's first process; `None` if none was started. What cannot be read names a process that never was: only a
    /// crash of the host leaves a broken file, and that ended every process.
    pub(super) fn read(&self, jail: &JailName) -> Answer<Option<First>> {
        match std::fs::read_to_string(self.path(jail)) {
            Ok(text) => Ok(Some(parse(&text).unwrap_or(First {
                pid: 0,
                started_us: 0,
            }))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HelperError::system("record", &error)),
        }
    }

    /// Removes every trace of a jail.
    pub(super) fn forget(&self, jail: &JailName) -> Answer<()> {
        for path in [self.0.join(format!("{jail}.new")), self.path(jail)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(HelperError::system("record", &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn path(&self, jail: &JailName) -> PathBuf {
        self.0.join(jail.as_str())
    }
}

fn parse(text: &str) -> Option<First> {
    let (pid, started) = text.trim_end().strip_prefix("first ")?.split_once(' ')?;
    Some(First {
        pid: pid.parse().ok()?,
        started_us: started.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_a_process_or_none_that_lives() {
        assert_eq!(
            parse("first 12 345\n"),
            Some(First {
                pid: 12,
                started_us: 345
            })
        );
        assert_eq!(parse("first 12"), None);
        assert_eq!(parse(""), None);
    }
}
