//! The demo: a simulated tenant behind real HTTP, stand-ins for the channels, and the real program between them.

mod clock;
mod mail;
mod script;
mod stand_ins;
mod tenant;
pub mod view;
