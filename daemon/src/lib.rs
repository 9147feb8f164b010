//! The unprivileged daemon, in the order in which a request flows through it.
//!
//! [`edge`] takes HTTP and speaks Docker; [`kernel`] wires and supervises; [`services`] own what exists; [`store`] remembers what
//! was wished; [`transport`] asks the helpers. Requests go only in this order, news comes back only as events.
#![forbid(unsafe_code)]

pub mod config;
pub mod edge;
pub mod kernel;
pub mod services;
pub mod store;
pub mod tenants;
pub mod transport;
