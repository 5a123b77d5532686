//! What happens by the clock, apart from polls and deliveries.

mod digests;
mod groups;
mod missing;
mod notices;
mod roll_ups;

use std::time::Duration;

pub use digests::{Digests, Planned};
pub use missing::MissingJobs;
pub use notices::{Notices, Patience};
pub use roll_ups::RollUps;

/// How long to wait when the store could not be written.
const STORE_RETRY: Duration = Duration::from_secs(1);
