//! The words of the product as plain types: no I/O, no clock, nothing that can wait.

mod alert;
mod code;
mod digest;
mod duration;
mod job;
mod name;
mod notification;
mod outcome;
mod secret;
mod severity;
mod since;
mod watch;

pub use alert::{Alert, AlertKey, RuleFacts};
pub use code::{Category, JobType, State};
pub use digest::{CategoryTotals, Coverage, Day, Digest, Failing, Listed, Newest, Recovered, Slow, SourceCoverage, Tenant, Totals, is_bad};
pub use duration::{DurationError, LONGEST, format_duration, format_exactly, parse_duration};
pub use job::{Job, JobView};
pub use name::Name;
pub use notification::{Delivery, Ending, Notice, Notification, NotificationKind, Target, TargetEnd, Undelivered};
pub use outcome::{Outcome, Refusal};
pub use secret::Secret;
pub use severity::Severity;
pub use since::{Since, Time, since, time};
pub use watch::Told;
