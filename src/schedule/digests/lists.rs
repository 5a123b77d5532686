//! What a digest waits for, where nobody looked for a while: that the lists are read first.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{domain::Name, health::Reading};

/// How long one that is due waits for lists to be read. One that takes longer belongs to the next digest, and the coverage of this one tells.
const PATIENCE: Duration = Duration::from_secs(120);

/// The digests that are due and wait.
#[derive(Debug, Default)]
pub(super) struct Lists {
    waiting: BTreeMap<Name, Since>,
}

/// Since when one waits, and how often each list had been read by then.
#[derive(Debug)]
struct Since {
    at: Instant,
    read: BTreeMap<Name, u64>,
}

impl Lists {
    /// Whether a digest that is due is to wait until these sources' lists have been read: once since the start, and once more since
    /// it was seen to be due, where it is `overdue`. What ended while the program or the machine stood still is told in it then, and
    /// not a period later. A source that can't be read is not waited for.
    pub(super) fn are_awaited(
        &mut self,
        digest: &Name,
        overdue: bool,
        sources: &[(Name, Duration)],
        readings: &BTreeMap<Name, Reading>,
    ) -> bool {
        let waiting = self.waiting.entry(digest.clone()).or_insert_with(|| {
            let read = readings.iter().filter(|_| overdue).map(|(source, reading)| (source.clone(), reading.readings)).collect();
            Since { at: Instant::now(), read }
        });
        let is_read = |source: &Name| {
            let before = waiting.read.get(source).copied().unwrap_or_default();
            // Right after a machine wakes, the first try may find no network yet.
            readings.get(source).is_some_and(|now| now.readings > before && (now.failed == 0 || now.is_dark()))
        };
        let awaited = waiting.at.elapsed() < PATIENCE && !sources.iter().all(|(source, _)| is_read(source));
        if !awaited {
            self.waiting.remove(digest);
        }
        awaited
    }
}
