//! Everything that is tested from outside: the real program, real HTTP and SMTP on loopback, a real database.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod api;
mod backlog;
mod bombs;
mod canary;
mod channels;
mod cli;
mod common;
mod config;
mod crash;
mod delivery;
mod demo;
mod digests;
mod explain;
mod looking_back;
mod mail;
mod missing;
mod notices;
mod preview;
mod readme;
mod relay;
mod reload;
mod replay;
mod rule_tests;
mod rules_page;
mod source;
mod store;
mod store_faults;
mod upstream;
mod validators;
