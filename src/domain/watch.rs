//! What people have been told of jobs that are awaited.

use jiff::Timestamp;

/// What people have been told of a watch for a job, and is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// That it can't be told whether a job came that was due at this instant.
    CannotTell(Timestamp),
    /// That no job came that was due at this instant.
    Missing(Timestamp),
}
