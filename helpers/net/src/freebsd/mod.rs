//! The FreeBSD half: ioctl(2) on sockets opened before capability mode, pfctl(8) for rules.
//!
//! The modules if_bridge, if_epair and pf must be loaded; nothing here loads one. pf.conf(5) must call our anchors.
//! [`wire`] holds no system calls and is built and tested on every host.

pub mod wire;

#[cfg(target_os = "freebsd")]
mod host;
#[cfg(target_os = "freebsd")]
mod inside;
#[cfg(target_os = "freebsd")]
mod links;
#[cfg(target_os = "freebsd")]
mod sandbox;
#[cfg(target_os = "freebsd")]
mod sys;

#[cfg(target_os = "freebsd")]
pub use host::{
    HAS_IPV6, Host, RULE_PROGRAM_MISSING, descriptors, forward_ipv6, is_unsupported, no_rules, rule_program,
};
#[cfg(target_os = "freebsd")]
pub use sandbox::{confine_front, confine_hand};
