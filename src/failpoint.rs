//! Named places at which a test makes the program die at once, as by `kill -9`: no destructor runs and nothing is flushed.
//!
//! One place is armed for the life of the process, by `run` from the variable [`VARIABLE`], which is read there and nowhere
//! else. Only builds with debug assertions know of it: in a release build [`pass`] is nothing, and the variable means nothing.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// The environment variable that arms a place: `NAME` or `NAME:N`, to die when it is passed the Nth time.
pub const VARIABLE: &str = "JOBRELAY_FAILPOINT";

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal;)+) => {
        /// A place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $point,)+
        }

        impl Point {
            /// Every place.
            pub const ALL: &'static [Self] = &[$(Self::$point),+];

            /// Its name in [`VARIABLE`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A step of a migration is written and not committed.
    MigrationWritten = "migration-written";
    /// A step of a migration is committed, and the next one is not begun.
    MigrationCommitted = "migration-committed";
    /// A page is judged, and nothing of it is written.
    PageJudged = "page-judged";
    /// A page is written and not committed.
    PageWritten = "page-written";
    /// A page is on disk, and nobody has been told.
    PageCommitted = "page-committed";
    /// A sweep has met all it set out to meet, and that is not written down.
    SweepEnding = "sweep-ending";
    /// A channel's worker is about to ask for work.
    Claiming = "claiming";
    /// The claim is written and not committed.
    ClaimWritten = "claim-written";
    /// The work is claimed, and nothing of it is sent.
    Claimed = "claimed";
    /// A message is about to be sent.
    Sending = "sending";
    /// The channel has answered, and the answer is not recorded.
    Sent = "sent";
    /// The answer is written and not committed.
    SettleWritten = "settle-written";
    /// The answer is on record.
    Settled = "settled";
    /// A rule's limit lets a roll-up out, and nothing of it is written.
    RollingUp = "rolling-up";
    /// A roll-up is written and not committed.
    RollUpWritten = "roll-up-written";
    /// A roll-up is on disk, and nobody has been told.
    RollUpCommitted = "roll-up-committed";
    /// A part of a backlog is folded into a roll-up, which is written and not committed.
    BacklogWritten = "backlog-written";
    /// Such a roll-up is on disk, and nobody has been told.
    BacklogFolded = "backlog-folded";
    /// A digest is due, and nothing of it is done.
    DigestDue = "digest-due";
    /// A digest's period is closed, and what it says is not reckoned.
    DigestClosed = "digest-closed";
    /// What a digest says is reckoned, and nothing of it is written.
    DigestReckoned = "digest-reckoned";
    /// A digest is written and not committed.
    DigestWritten = "digest-written";
    /// A digest is on disk, and nobody has been told.
    DigestCommitted = "digest-committed";
    /// What became of watches for missing jobs is written and not committed.
    WatchWritten = "watch-written";
    /// What became of them is on disk, and nobody has been told.
    WatchCommitted = "watch-committed";
    /// A group of writes is committed, and none of those who wait for it has been told.
    GroupCommitted = "group-committed";
}

struct Armed {
    point: Point,
    /// How often it may be passed yet.
    left: AtomicU64,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms a place, once in the life of the process.
///
/// # Errors
/// The text names no place, or one is armed already.
pub fn arm(text: &str) -> Result<(), String> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    let point = Point::ALL.iter().find(|point| point.name() == name);
    let (Some(point), Ok(count @ 1..)) = (point, count.parse::<u64>()) else {
        let names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        return Err(format!(
            "{VARIABLE}: `{text}` is no place to die at: write one of {}, and how often it is passed behind a colon",
            names.join(", ")
        ));
    };
    ARMED.set(Armed { point: *point, left: AtomicU64::new(count) }).map_err(|_| format!("{VARIABLE}: a place is armed already"))?;
    tracing::warn!(place = name, passes = count, "a test will kill this process");
    Ok(())
}

/// Dies here, if this is the place armed and its count is up.
#[inline]
pub fn pass(point: Point) {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Some(armed) = ARMED.get().filter(|armed| armed.point == point)
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
