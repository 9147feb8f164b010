//! The FreeBSD half: ioctl(2) on sockets opened before capability mode, pfctl(8) for rules.
//!
//! The modules if_bridge, if_epair and pf must be loaded; nothing here loads one. pf.conf(5) must call our anchors.
//! [`wire`] and [`rules`] hold no system calls and are built and tested on every host.

pub mod rules;
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
    Host, RULE_PROGRAM_MISSING, descriptors, forget_programs, forward_ipv6, is_unsupported, list_program,
    no_rules, rule_program, says_nothing_loaded,
};
#[cfg(target_os = "freebsd")]
pub use rules::names as loaded;
#[cfg(target_os = "freebsd")]
pub use sandbox::{confine_front, confine_hand};
