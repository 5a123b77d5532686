//! What every kind of channel is: settings that can be read and checked, and a live end that takes messages.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    document::{Faults, Fields, Keys},
    domain::{Name, Notification, Outcome, Target},
    http::Http,
    template::Templates,
};

/// One kind of channel: a line in [`super::KINDS`].
pub struct Kind {
    /// The word after `kind:`.
    pub name: &'static str,
    /// A commented example of its settings, as `init` writes it below `channels:` (without the channel's name).
    pub example: &'static str,
    /// The keys that are this kind's own, for the schema; what `read` takes, and nothing else.
    pub keys: Keys,
    /// Reads the settings that are this kind's own; the keys every channel takes are read before, unknown ones told after.
    pub read: fn(&mut Fields<'_>, &mut Faults) -> Option<Box<dyn Settings>>,
}

/// The valid settings of one channel, not yet connected to anything.
pub trait Settings: fmt::Debug + Send + Sync {
    /// The rate used where the config names none: the channel's published limit.
    fn default_rate(&self) -> Rate;

    /// Where it sends, as far as may be shown: nothing of it is secret.
    fn leads_to(&self) -> String;

    /// Makes the live channel. Opens no connection yet.
    ///
    /// # Errors
    /// What of the settings can't work on this machine, in one line without secrets.
    fn connect(&self, name: &Name, common: &Common, tools: &Tools) -> Result<Arc<dyn Channel>, String>;
}

/// What every channel takes beside its kind's own settings.
#[derive(Debug, Clone)]
pub struct Common {
    /// The template set where a rule names none.
    pub template: String,
    /// The whole time one attempt may take.
    pub timeout: Duration,
}

/// What a channel needs of the program.
#[derive(Clone)]
pub struct Tools {
    /// The one HTTP client.
    pub http: Http,
    /// Every template set.
    pub templates: Arc<Templates>,
    /// The console's address (`server.public_url`), for links; none leaves links out.
    pub public_url: Option<String>,
}

/// How many messages a channel may be sent in how much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// `rate: unlimited`.
    Unlimited,
    /// At most `messages` in any window of `per`, evenly paced.
    Limited {
        /// At least 1.
        messages: u32,
        /// More than zero.
        per: Duration,
    },
}

/// Which words a message is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wording {
    /// The set that the rule or the channel asks for.
    Configured,
    /// The built-in set, with a line that says why the configured one was not used.
    BuiltIn {
        /// What was wrong with the configured one, in one line.
        why: String,
    },
}

/// A rendered message, within the channel's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The body of an HTTP request.
    Json(String),
    /// The parts of a mail.
    Mail {
        /// One line.
        subject: String,
        /// The HTML part.
        html: String,
        /// The text part, which says everything.
        text: String,
        /// The picture that the HTML part shows under [`crate::template::PICTURE`], a PNG; none where it shows none.
        picture: Option<Vec<u8>>,
        /// What the conversation is about: mails of one channel with the same text here are shown as one thread.
        thread: String,
    },
}

/// What is on the outside of a message.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The notification's key, the same for each attempt.
    pub key: &'a str,
    /// The recipient.
    pub target: &'a Target,
    /// The time of this attempt (signed, and written as a mail's date).
    pub now: Timestamp,
}

/// The live end of a channel. One implementation a kind; one contract suite over all.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Its recipients: every address of a mail channel; one nameless target for the other kinds. Never empty.
    fn targets(&self) -> Vec<Target>;

    /// Puts a notification into words, dropping whole jobs from the list until it is within the channel's limits.
    ///
    /// # Errors
    /// The template failed, or what it made is not what the channel takes; in one line. With [`Wording::BuiltIn`] this does
    /// not happen for any notification.
    fn compose(&self, notification: &Notification, wording: &Wording, now: Timestamp) -> Result<Payload, String>;

    /// How many of a roll-up's alerts its message names, from the first on, where it is in the built-in words and people read it; none
    /// where what is for this channel is told one by one, however much waits: a machine reads it, or the words are the user's own.
    fn names(&self, _notification: &Notification, _now: Timestamp) -> Option<usize> {
        None
    }

    /// Whether [`Wording::Configured`] puts this notification into words of the user's own, so that a refusal may lie in them.
    fn is_customised(&self, notification: &Notification) -> bool;

    /// One attempt for one recipient, within the channel's timeout.
    async fn send(&self, payload: &Payload, envelope: Envelope<'_>) -> Outcome;

    /// Says hello without sending anything, where the kind can (`check --connect`): mail servers are greeted. `now` dates a token
    /// that is asked for.
    ///
    /// # Errors
    /// Why it did not answer, in one line without secrets.
    async fn greet(&self, _now: Timestamp) -> Result<(), String> {
        Ok(())
    }
}
