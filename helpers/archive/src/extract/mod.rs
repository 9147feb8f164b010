//! Applying a tar stream to a tree.
//!
//! Entries are applied one by one as the stream comes, the later over the earlier. Names are judged first ([`name`]), then
//! whiteouts ([`whiteout`]), then the entry is made in its place ([`place`]). Modification times of directories are set at
//! the end, since everything made in a directory changes it.
//!
//! Not done: FreeBSD's file flags (`SCHILY.fflags`) are not set on either host.

mod name;
mod place;
mod whiteout;

pub(crate) use whiteout::PREFIX as WHITEOUT_PREFIX;

use crate::error::{bad, failed, refused};
use crate::tar::{Entry, Kind, Reader, Time};
use crate::tree::open_beneath;
use crate::worker::Tally;
use helper_runtime::beneath::{Last, Root};
use protocol::Answer;
use protocol::archive::{Extract, Whiteouts};
use rustix::fs::{Timespec, Timestamps, futimens};
use rustix::io::Errno;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use whiteout::{Made, Mark};

/// How much content is copied at once, in bytes: two pipe buffers of Linux.
const COPY_BYTES: usize = 128 * 1024;

/// Applies a stream to the tree at `root`. What was done before a failure stays.
///
/// # Errors
/// `BadContent` where the archive is at fault, else what the host says.
pub(crate) fn extract(root: &Root, request: &Extract, stream: impl Read) -> Answer<Tally> {
    let asked = Path::new(request.path.as_str());
    let lost = failed("openat", asked);
    root.open_dir(asked)
        .map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOTDIR) => bad("extraction point is not a directory"),
            Some(_) | None => lost(error),
        })?;
    let extraction = Extraction {
        root,
        base: root.resolve(asked, Last::Follow).map_err(lost)?,
        request,
        made: (request.whiteouts == Whiteouts::Apply).then(Made::default),
        directories: Vec::new(),
        tally: Tally::default(),
        buffer: vec![0; COPY_BYTES],
    };
    extraction.run(Reader::new(stream))
}

/// One stream being applied.
struct Extraction<'a> {
    root: &'a Root,
    /// The directory that names are relative to, as a path in the root without links.
    base: PathBuf,
    request: &'a Extract,
    /// What the stream has made so far, where whiteouts mean something.
    made: Option<Made>,
    /// Directories whose times are still to be set.
    directories: Vec<(PathBuf, Time)>,
    tally: Tally,
    buffer: Vec<u8>,
}

impl Extraction<'_> {
    fn run(mut self, mut reader: Reader<impl Read>) -> Answer<Tally> {
        while let Some(entry) = reader.next()? {
            self.count(&entry)?;
            let name = name::clean(&entry.name)?;
            if self.made.is_none() {
                self.apply(&mut reader, &entry, &name)?;
                continue;
            }
            match whiteout::mark(&name)? {
                None => self.apply(&mut reader, &entry, &name)?,
                Some(Mark::Metadata) => {}
                Some(Mark::Remove { directory, name }) => self.remove(&directory, &name)?,
                Some(Mark::Opaque { directory }) => self.make_opaque(&directory)?,
            }
        }
        self.set_directory_times()?;
        reader.drain()?;
        Ok(self.tally)
    }

    /// Counts the entry, before anything of it is done.
    fn count(&mut self, entry: &Entry) -> Answer<()> {
        let (tally, request) = (&mut self.tally, self.request);
        tally.entries += 1;
        // A sparse file counts as what it would be read as.
        tally.content_bytes = tally.content_bytes.saturating_add(entry.size);
        let exceeded = |limit, what| Err(bad(format!("archive exceeds the limit of {limit} {what}")));
        if tally.entries > request.entries_max {
            return exceeded(request.entries_max, "entries");
        }
        if tally.content_bytes > request.content_bytes_max {
            return exceeded(request.content_bytes_max, "bytes of files");
        }
        Ok(())
    }

    /// The path in the root of a name in the archive.
    fn inside(&self, name: &Path) -> PathBuf {
        // Joining an empty name would leave a trailing slash.
        self.base.components().chain(name.components()).collect()
    }

    fn apply(&mut self, reader: &mut Reader<impl Read>, entry: &Entry, name: &Path) -> Answer<()> {
        match (name.file_name(), entry.kind) {
            (Some(last), _) => self.place(reader, entry, name, last)?,
            (None, Kind::Directory) => self.apply_to_base(entry)?,
            (None, _) => return Err(name::invalid(&entry.name)),
        }
        if let Some(made) = &mut self.made {
            made.insert(name);
        }
        if entry.kind == Kind::Directory && (self.made.is_some() || name.file_name().is_some()) {
            self.directories.push((self.inside(name), entry.modified));
        }
        Ok(())
    }

    /// `./` in a layer is the container's root directory. In a user's archive it is the directory the user named, which
    /// stays as it is, as dockerd has it.
    fn apply_to_base(&self, entry: &Entry) -> Answer<()> {
        if self.made.is_none() {
            return Ok(());
        }
        let base = self
            .root
            .open_dir(&self.base)
            .map_err(failed("openat", &self.base))?;
        self.set_metadata(base.as_fd(), entry, Path::new("."))
    }

    fn set_directory_times(&self) -> Answer<()> {
        for (path, time) in &self.directories {
            // One that was replaced or removed meanwhile has no time left to set.
            if let Ok(Some(directory)) = open_beneath(self.root, path) {
                futimens(&directory, &timestamps(*time)).map_err(refused("utimensat", path))?;
            }
        }
        Ok(())
    }
}

/// Access time follows modification time: archives seldom hold one.
fn timestamps(time: Time) -> Timestamps {
    let time = Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
