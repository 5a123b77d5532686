//! Letting old jobs go, so that the store does not grow for ever, without ever letting one come back as news.

use jiff::Timestamp;

use super::{Intake, sweep::Sweep};
use crate::store::{OldJob, SourceRecord, StoreError};

/// How many old jobs are looked at in one query.
const LOOKED_AT: u32 = 1_000;
/// How many prunings follow one sweep; what is left has its turn after the next.
const PRUNINGS: usize = 50;

impl Intake {
    /// After a complete sweep of the whole list: notes which old jobs it still met, and lets those go that are long ended,
    /// settled, and absent for the second time.
    pub(super) async fn let_go(&self, sweep: &Sweep, record: SourceRecord, began: Timestamp) -> Result<SourceRecord, StoreError> {
        let Ok(before) = began.checked_sub(self.keep) else { return Ok(record) };
        let mut place = OldJob::default();
        loop {
            let (ids, end) = self.store.old_jobs(&self.name, before, place, LOOKED_AT).await?;
            if ids.is_empty() {
                break;
            }
            let listed = ids.into_iter().map(|id| (sweep.has_met(&id), id)).map(|(met, id)| (id, met)).collect();
            self.store.note_listed(&self.name, listed).await?;
            place = end;
        }
        let mut gone = 0;
        for _ in 0..PRUNINGS {
            let pruned = self.store.prune(&self.name, before).await?;
            gone += pruned.jobs;
            if !pruned.more {
                break;
            }
        }
        if gone == 0 {
            return Ok(record);
        }
        tracing::info!(source = %self.name, jobs = gone, ended_before = %before, "old jobs are let go");
        Ok(SourceRecord { pruned: record.pruned.max(Some(before)), ..record })
    }
}
