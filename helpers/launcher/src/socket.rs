//! The API socket: bound here, since only root may put it where it belongs; the daemon listens on it.

use crate::layout::about;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Longest path of a socket, in bytes: `sun_path` is 104 with its NUL on FreeBSD, 108 on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// A bound and listening API socket.
#[derive(Debug)]
pub struct ApiSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, so that only it is removed.
    file: (u64, u64),
}

impl ApiSocket {
    /// Binds the socket for root and a group. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// `AddrInUse` where something else has the path, `InvalidInput` for a path that is too long, else what the system says.
    pub fn bind(path: &Path, gid: u32) -> Result<Self> {
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let why =
                format!("a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes; choose a shorter one");
            return Err(about(path)(Error::new(ErrorKind::InvalidInput, why)));
        }
        make_way(path)?;
        // Nobody else may connect in the moment before the group is set.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = listener.map_err(about(path))?;
        chown(path, Some(0), Some(gid)).map_err(about(path))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(about(path))?;
        let status = std::fs::symlink_metadata(path).map_err(about(path))?;
        Ok(ApiSocket {
            listener,
            path: path.to_owned(),
            file: (status.dev(), status.ino()),
        })
    }

    /// Another descriptor of the socket, for the daemon.
    ///
    /// # Errors
    /// What fcntl(2) gives.
    pub fn descriptor(&self) -> Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Removes the file, unless another one has taken its place.
    pub fn remove(self) {
        let is_ours = |status: std::fs::Metadata| (status.dev(), status.ino()) == self.file;
        if std::fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // A socket file without a listener harms nobody; the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn make_way(path: &Path) -> Result<()> {
    let in_use = |what: &str| about(path)(Error::new(ErrorKind::AddrInUse, what.to_owned()));
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(about(path)(error)),
        Ok(status) if !status.file_type().is_socket() => return Err(in_use("is there and is no socket")),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(about(path))
        }
        Err(error) => Err(about(path)(error)),
        Ok(_) => Err(in_use("another program serves this socket")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("cb-{}-{name}.sock", std::process::id()))
    }

    fn is_root(test: &str) -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            println!("SKIPPED {test}: needs root");
        }
        root
    }

    #[test]
    fn a_socket_that_another_program_serves_is_left_alone() {
        let path = place("served");
        let _other = UnixListener::bind(&path).unwrap();
        assert_eq!(
            ApiSocket::bind(&path, 0).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        assert!(UnixStream::connect(&path).is_ok());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = place("file");
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(
            ApiSocket::bind(&path, 0).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_with_the_limit() {
        let said = ApiSocket::bind(&place(&"x".repeat(100)), 0)
            .unwrap_err()
            .to_string();
        assert!(said.contains("at most 103 bytes"), "{said}");
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_open_to_its_group_only() {
        if !is_root("a_socket_left_behind_is_replaced_and_open_to_its_group_only") {
            return;
        }
        let path = place("left");
        drop(UnixListener::bind(&path).unwrap());
        let socket = ApiSocket::bind(&path, 64713).unwrap();
        let status = std::fs::metadata(&path).unwrap();
        assert_eq!(
            (status.mode() & 0o7777, status.uid(), status.gid()),
            (0o660, 0, 64713)
        );
        assert!(UnixStream::connect(&path).is_ok());
        socket.remove();
        assert!(!path.exists());
    }
}
