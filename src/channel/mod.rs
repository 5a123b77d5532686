//! The channels: one file a kind, one line in the list.

mod address;
mod contract;
mod email;
mod fit;
#[cfg(test)]
mod hostile;
mod picture;
mod post;
pub mod sample;
mod slack;
mod teams;
mod webhook;
mod words;

pub use contract::{Channel, Common, Envelope, Kind, Payload, Rate, Settings, Tools, Wording};
pub use fit::{Attempt, fit, names};
pub use picture::picture;

/// Every kind of channel. A new one is a file of its own, its line here, and its templates.
pub const KINDS: &[Kind] = &[slack::KIND, teams::KIND, email::KIND, webhook::KIND];
