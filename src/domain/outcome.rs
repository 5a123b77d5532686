//! What came of one attempt to deliver: a closed set of answers, the same for every channel.

use std::time::Duration;

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The channel took the message; `answer` is what it said.
    Delivered {
        /// The channel's answer, short and free of secrets.
        answer: String,
    },
    /// Nothing was decided: the same message is to be tried again.
    Retry {
        /// The least wait the channel asked for.
        after: Option<Duration>,
        /// Why, short and free of secrets.
        why: String,
    },
    /// The channel will not take it.
    Refused {
        /// Whether the fault is the message's or the whole channel's.
        what: Refusal,
        /// The channel's answer, short and free of secrets.
        why: String,
    },
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This message is malformed, or this one recipient is not to be had: it goes to the dead letters, the next one may pass.
    Message,
    /// The channel itself is gone or closed to us (a deleted webhook, a wrong password): everything for it is held.
    Channel,
}

impl Outcome {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Retry { .. } => "retry",
            Self::Refused { what: Refusal::Message, .. } => "message_refused",
            Self::Refused { what: Refusal::Channel, .. } => "channel_refused",
        }
    }

    /// What the channel said, or why there was no answer.
    #[must_use]
    pub fn answer(&self) -> &str {
        match self {
            Self::Delivered { answer } => answer,
            Self::Retry { why, .. } | Self::Refused { why, .. } => why,
        }
    }
}
