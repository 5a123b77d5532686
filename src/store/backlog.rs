//! What is asked of the store where more waits for a channel than it takes in good time: a backlog goes out in roll-ups.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Name, Notification};

/// How much waits for a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// How many messages, as far as they were counted.
    pub waiting: u64,
    /// The place of the last of them all in the line.
    pub last: i64,
}

/// What may be folded into one roll-up, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foldable {
    /// The numbers of the messages, in the order of the line.
    pub messages: Vec<i64>,
    /// The roll-up that would carry them. It has no number yet.
    pub roll_up: Notification,
}

/// What begins a channel's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Front {
    /// Nothing up to that place waits and is due.
    Past,
    /// A message that goes out as it is.
    Alone,
    /// One that can be folded with others behind it; at least two in all.
    Together(Box<Foldable>),
}

/// Which front of a line is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontQuery {
    /// The channel.
    pub channel: Name,
    /// The place up to which the line is looked at.
    pub last: i64,
    /// How many alerts one message may carry.
    pub most: u32,
    /// The present.
    pub now: Timestamp,
}

/// Backlogs. Every method that writes is one transaction. A store that keeps no lines has none.
#[async_trait]
pub trait Backlogs: Send + Sync {
    /// How many messages wait for a channel, counted up to `most`.
    async fn depth(&self, _channel: &Name, _most: u64) -> Result<Depth, StoreError> {
        Ok(Depth::default())
    }

    /// The first of a channel's line, with what may be folded with it: messages of one rule with the same facts, that were never
    /// handed out and stand in no other's place.
    async fn front(&self, _query: FrontQuery) -> Result<Front, StoreError> {
        Ok(Front::Past)
    }

    /// Folds these messages into one roll-up, which stands where the first of them stood; how many alerts it carries. Those that
    /// were handed out or have ended meanwhile are passed over; where fewer than two are left, nothing is done. Durable against a
    /// power cut, after which a message that had been sent would go out under another id.
    async fn fold(&self, _messages: Vec<i64>, _now: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}
