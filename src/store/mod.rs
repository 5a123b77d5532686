//! The store: jobs, alerts and notifications on disk. The two loops of the program meet here and nowhere else.
//!
//! [`Store`] is what the program asks for; [`sqlite`] is one way to give it. A second backend implements the same trait and
//! passes the same suite (`tests/it/store.rs`).

mod backlog;
mod contract;
mod digests;
mod lists;
mod overview;
mod past;
pub mod sqlite;
mod story;
mod tellings;
mod watches;

pub use backlog::{Backlogs, Depth, Foldable, Front, FrontQuery};
pub use contract::{
    Claim, Gather, Gathering, GaveUp, Intake, JobChange, Known, Line, NewAlert, OldJob, OpenJob, Overdue, Pruned, Retry, RollUp,
    Settlement, SourceRecord, Store, StoreError, Tally, Verdict,
};
pub use digests::{DigestEnd, DigestState, DigestStore, EachEnded, Ended, HistoryAsk, PollStretch, Polls, Standing};
pub use lists::{AlertFilter, AlertRow, DeliveryFilter, JobFilter, JobPlace, JobRow};
pub use overview::{Overview, Overviews};
pub use past::{LaterQuery, Moment, PastQuery, Unjudged};
pub use story::{Message, Raised, Sought, Stage, Stories, Story, Way};
pub use tellings::Tellings;
pub use watches::{LastEnd, RuleNotice, RunningJob, WatchChange, WatchRow, Watches};
