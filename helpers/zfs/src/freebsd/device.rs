//! `/dev/zfs` and what is left to the process that holds it.
#![forbid(unsafe_code)]

use super::command::Command;
use super::sys;
use super::zfs::{Kernel, Operation, Zfs};
use crate::nvlist::List;
use capsicum::Right;
use helper_runtime::sandbox::{Limit, enter};
use helper_runtime::startup::Inherited;
use protocol::policy::ZfsPolicy;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;

/// Room for what one call puts out, in bytes: all properties of one dataset take about 10 KiB, and user properties may
/// add some.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// The open device.
#[derive(Debug)]
pub struct Device(File);

impl Kernel for Device {
    fn call(&self, operation: Operation, command: &mut Command, input: Option<&List>) -> Result<List> {
        let input = input.map(List::encode).unwrap_or_default();
        let mut output = if operation.has_output() {
            vec![0; OUTPUT_BYTES_MAX]
        } else {
            Vec::new()
        };
        let filled = sys::request(self.0.as_fd(), operation.request(), command, &input, &mut output)?;
        if filled == 0 {
            return Ok(List::new());
        }
        List::decode(&output[..filled]).map_err(|bad| Error::new(ErrorKind::InvalidData, bad.0))
    }
}

/// Opens the device and checks that its ZFS is one whose structures are known here and that the parent is there.
///
/// # Errors
/// Where ZFS is not loaded, speaks another version, or has no such parent.
pub fn open(policy: &ZfsPolicy) -> Result<Zfs<Device>> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/zfs");
    let device = device.map_err(|e| Error::new(e.kind(), format!("/dev/zfs: {e} (is zfs loaded?)")))?;
    // The sysctl cannot be read in capability mode.
    let version = sys::kernel_ioctl_version()?;
    if version != sys::IOCTL_VERSION {
        let why = format!(
            "vfs.zfs.version.ioctl is {version}, this helper speaks {}",
            sys::IOCTL_VERSION
        );
        return Err(Error::new(ErrorKind::Unsupported, why));
    }
    Zfs::below(policy.parent.as_str(), Device(device))
        .map_err(|e| Error::other(format!("parent dataset {}: {e}", policy.parent.as_str())))
}

/// Cuts each descriptor to its use and enters capability mode.
///
/// # Errors
/// Where any part could not be applied; the helper must not go on.
pub fn confine(_policy: &ZfsPolicy, zfs: &Zfs<Device>, inherited: &Inherited) -> Result<()> {
    let operations = Operation::ALL.map(|operation| u64::from(operation.request()));
    let (input, output, log) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let nothing = |fd| Limit {
        fd,
        rights: &[],
        ioctls: &[],
    };
    enter(&[
        nothing(input.as_fd()),
        nothing(output.as_fd()),
        Limit {
            fd: log.as_fd(),
            rights: &[Right::Write],
            ioctls: &[],
        },
        Limit {
            fd: inherited.channel.as_fd(),
            rights: &[Right::Read, Right::Write, Right::Event],
            ioctls: &[],
        },
        Limit {
            fd: inherited.audit.file().as_fd(),
            rights: &[Right::Write],
            ioctls: &[],
        },
        Limit {
            fd: zfs.kernel().0.as_fd(),
            rights: &[Right::Ioctl],
            ioctls: &operations,
        },
    ])
}
