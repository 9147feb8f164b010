//! One value per variant of every enum of the wire, for the tests of the contract.
//!
//! [`message!`] takes a table of variants with their samples, in the order of the enum's declaration, and makes from it
//! both a `match` without a wildcard and the list of samples. So a new variant does not compile until it has a row, and
//! a row cannot exist without a sample. That a sample is of the variant of its row, that rows stand in wire order, and
//! that no enum was forgotten is tested in `round_trip.rs`.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

mod archive;
mod jail;
mod mount;
mod net;
mod session;
mod zfs;

use protocol::codec::{Decode, Encode, decode, encode};
use protocol::names::{Bounded, DatasetName, HostPath, Label, MountName, RelPath, Text};
use protocol::{Answer, Ask, CodecError, Principal};
use std::fmt::Debug;

/// An enum of the wire with its samples.
pub(crate) trait Message: Clone + Debug + PartialEq + Encode + Decode<()> + 'static {
    /// Module and name, such as `zfs::Request`.
    const NAME: &'static str;

    /// The name of this value's variant.
    fn variant(&self) -> &'static str;

    /// One value per variant with the variant's name, in wire order.
    fn samples() -> Vec<(&'static str, Self)>;
}

/// Implements [`Message`] from a table of variants and their samples.
macro_rules! message {
    ($type:ty, $name:literal { $($variant:ident => $sample:expr,)+ }) => {
        impl crate::samples::Message for $type {
            const NAME: &'static str = $name;

            fn variant(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                }
            }

            fn samples() -> Vec<(&'static str, Self)> {
                vec![$((stringify!($variant), $sample),)+]
            }
        }
    };
}
pub(crate) use message;

/// Something to be done with each enum of the wire.
pub(crate) trait Visitor {
    /// Does it with one.
    fn visit<T: Message>(&mut self);
}

/// Shows every enum of the wire to `visitor`.
pub(crate) fn visit_all(visitor: &mut impl Visitor) {
    visitor.visit::<protocol::handshake::HelperKind>();
    visitor.visit::<protocol::handshake::Welcome>();
    visitor.visit::<protocol::handshake::HostOs>();
    visitor.visit::<protocol::ErrorCode>();
    visitor.visit::<protocol::policy::Policy>();
    visitor.visit::<protocol::keeper::ToLauncher>();
    visitor.visit::<protocol::keeper::ToDaemon>();
    visitor.visit::<protocol::zfs::Request>();
    visitor.visit::<protocol::zfs::Response>();
    visitor.visit::<protocol::zfs::Compression>();
    visitor.visit::<protocol::jail::Request>();
    visitor.visit::<protocol::jail::Network>();
    visitor.visit::<protocol::jail::Space>();
    visitor.visit::<protocol::jail::Role>();
    visitor.visit::<protocol::jail::Stdio>();
    visitor.visit::<protocol::jail::SignalTarget>();
    visitor.visit::<protocol::jail::Throttled>();
    visitor.visit::<protocol::jail::Response>();
    visitor.visit::<protocol::net::Request>();
    visitor.visit::<protocol::net::Transport>();
    visitor.visit::<protocol::net::Response>();
    visitor.visit::<protocol::mount::Request>();
    visitor.visit::<protocol::mount::BindSource>();
    visitor.visit::<protocol::mount::MissingSource>();
    visitor.visit::<protocol::mount::Join>();
    visitor.visit::<protocol::mount::Access>();
    visitor.visit::<protocol::mount::Flavour>();
    visitor.visit::<protocol::mount::Response>();
    visitor.visit::<protocol::archive::Request>();
    visitor.visit::<protocol::archive::Whiteouts>();
    visitor.visit::<protocol::archive::Replace>();
    visitor.visit::<protocol::archive::Owner>();
    visitor.visit::<protocol::archive::Response>();
    visitor.visit::<protocol::archive::FileKind>();
    visitor.visit::<protocol::archive::Outcome>();
}

/// A message type with its samples as bytes.
pub(crate) struct Wire {
    /// Such as `zfs::Request` or `Ask<zfs::Request>`.
    pub(crate) name: String,
    /// Each sample's variant and bytes, in wire order.
    pub(crate) samples: Vec<(&'static str, Vec<u8>)>,
    /// Decodes, and encodes what came out.
    pub(crate) reencode: fn(&[u8]) -> Result<Vec<u8>, CodecError>,
}

impl Wire {
    fn of<T: Encode + Decode<()>>(name: String, samples: Vec<(&'static str, T)>) -> Self {
        let samples = samples
            .into_iter()
            .map(|(variant, sample)| (variant, encode(&sample).expect("a sample fits a frame")))
            .collect();
        Wire {
            name,
            samples,
            reencode: |bytes| encode(&decode::<T>(bytes)?),
        }
    }
}

/// Every enum of the wire by itself.
pub(crate) fn bare_wires() -> Vec<Wire> {
    struct Bare(Vec<Wire>);
    impl Visitor for Bare {
        fn visit<T: Message>(&mut self) {
            self.0.push(Wire::of(T::NAME.to_owned(), T::samples()));
        }
    }
    let mut bare = Bare(Vec::new());
    visit_all(&mut bare);
    bare.0
}

/// Every enum of the wire as it stands in a request and in an answer.
pub(crate) fn wrapped_wires() -> Vec<Wire> {
    struct Wrapped(Vec<Wire>);
    impl Visitor for Wrapped {
        fn visit<T: Message>(&mut self) {
            let asks = T::samples().into_iter().map(|(name, value)| (name, ask(value)));
            let answers = T::samples()
                .into_iter()
                .map(|(name, value)| (name, Answer::Ok(value)));
            self.0.push(Wire::of(format!("Ask<{}>", T::NAME), asks.collect()));
            self.0
                .push(Wire::of(format!("Answer<{}>", T::NAME), answers.collect()));
        }
    }
    let mut wrapped = Wrapped(Vec::new());
    visit_all(&mut wrapped);
    wrapped.0
}

/// A request on somebody's behalf.
pub(crate) fn ask<R>(request: R) -> Ask<R> {
    let by = Principal {
        tenant: label("default"),
        subject: label("uid:1001"),
    };
    Ask { by, request }
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("sample text")
}

fn list<T, const MAX: usize>(items: impl IntoIterator<Item = T>) -> Bounded<T, MAX> {
    Bounded::new(items.into_iter().collect()).expect("sample list")
}

fn dataset(name: &str) -> DatasetName {
    DatasetName::new(name).expect("sample dataset")
}

fn mount_name(name: &str) -> MountName {
    MountName::new(name).expect("sample mount name")
}

fn path(path: &str) -> RelPath {
    RelPath::new(path).expect("sample path")
}

fn host_path(path: &str) -> HostPath {
    HostPath::new(path).expect("sample host path")
}

fn label(text: &str) -> Label {
    Label::new(text).expect("sample label")
}
