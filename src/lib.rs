//! jobrelay watches `AvePoint` scan jobs and tells the right people when one needs them.
//!
//! ```text
//!  source ──sweep──▶ intake ──one transaction──▶ ┌ jobs · alerts · notifications ┐ ──claim──▶ delivery ──▶ channel
//!  (poll a feed)     (new? final? which rules?)   └──────────  store  ────────────┘            (pace, render, send, settle)
//!                                                       ▲            │
//!  schedule (roll-ups, digests, missing scans, notices) ┘            server · cli read the same store
//! ```
//!
//! The left loop is fast and transactional, the right one slow and patient. They meet in the store only.

pub mod app;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod digest;
pub mod document;
pub mod domain;
pub mod failpoint;
pub mod health;
pub mod http;
pub mod intake;
pub mod metrics;
pub mod oauth;
pub mod preview;
pub mod rehearsal;
pub mod rules;
pub mod schedule;
pub mod schema;
pub mod server;
pub mod source;
pub mod store;
pub mod template;
pub mod wake;
