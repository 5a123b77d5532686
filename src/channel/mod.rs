//! The channels: one file a kind, one line in the list.

mod contract;

pub use contract::{Channel, Common, Envelope, Kind, Payload, Rate, Settings, Tools, Wording};
