//! The channels: one file a kind, one line in the list.

mod contract;

pub use contract::{Channel, Common, Envelope, Kind, Payload, Rate, Settings, Tools, Wording};

/// Every kind of channel. A new one is a file of its own, its line here, and its templates.
pub const KINDS: &[Kind] = &[];
