//! What channels have accepted, from the acceptance until the next commit: a file that costs one short write a message.
//!
//! A message must be on record before the next one is sent, or the death of the process would repeat more than the one in
//! flight. A commit for each would be the dearest part of a delivery; a line at the end of a file survives the process just as
//! well. The writer puts the lines into the database with whatever it commits next, and a start puts in what a killed process
//! left. A power cut may undo lines as it may undo the last commits of settled messages: those are sent again, and nothing is
//! lost.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    domain::TargetEnd,
    store::{Settlement, Verdict},
};

/// Past this many bytes the file is emptied, once all its lines are in the database.
const EMPTIED_AT: u64 = 256 * 1024;
/// The most that is read of a file that a killed process left: far more than [`EMPTIED_AT`] and one burst.
const READ_MOST: u64 = 64 * 1024 * 1024;

/// One accepted message. The key tells it from a later one that was given the same number in a restored database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The notification's number.
    pub id: i64,
    /// Its key.
    pub key: String,
    /// When it was accepted.
    pub now: Timestamp,
    /// What the channel answered.
    pub answer: String,
    /// The recipients' own answers, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetEnd>,
}

/// How an acceptance stands on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is the first that waits to be put into the database: the writer does not know of it.
    First,
    /// Others wait, and it goes with them.
    Behind,
}

/// The file, and those of its lines that are not yet in the database.
#[derive(Debug)]
pub struct Ledger(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    bytes: u64,
    waiting: Vec<Accepted>,
    /// The keys of what is claimed and not yet settled, by number.
    claimed: HashMap<i64, String>,
}

impl Ledger {
    /// Opens the file; with the lines that a killed process left in it, which wait to be put into the database.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = super::file::own().create(true).read(true).write(true).open(path)?;
        let mut text = String::new();
        // A line cut short by the death of the process was of a message that counts as still in flight.
        let _ = Read::by_ref(&mut file).take(READ_MOST).read_to_string(&mut text);
        let waiting = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self(Mutex::new(Inner { file, bytes, waiting, claimed: HashMap::new() })))
    }

    /// Takes note of the keys of what was claimed.
    pub fn claimed(&self, keys: impl Iterator<Item = (i64, String)>) {
        self.inner().claimed.extend(keys);
    }

    /// Forgets what was claimed and is settled in another way.
    pub fn settled_otherwise(&self, id: i64) {
        self.inner().claimed.remove(&id);
    }

    /// Puts an acceptance on record; none where that can't be, and the database must do it.
    pub fn record(&self, settlement: &Settlement) -> Option<Recorded> {
        // How a channel stands it has no words for.
        if settlement.verdict != Verdict::Delivered || settlement.line.is_some() {
            return None;
        }
        let mut inner = self.inner();
        let key = inner.claimed.remove(&settlement.id)?;
        let accepted = Accepted {
            id: settlement.id,
            key,
            now: settlement.now,
            answer: settlement.answer.clone(),
            targets: settlement.targets.clone(),
        };
        let mut line = serde_json::to_vec(&accepted).ok()?;
        line.push(b'\n');
        if inner.file.write_all(&line).is_err() {
            // Half a line would spoil the next one.
            let bytes = inner.bytes;
            let _ = inner.file.set_len(bytes);
            let _ = inner.file.seek(SeekFrom::Start(bytes));
            inner.claimed.insert(accepted.id, accepted.key);
            return None;
        }
        inner.bytes += line.len() as u64;
        inner.waiting.push(accepted);
        Some(if inner.waiting.len() == 1 { Recorded::First } else { Recorded::Behind })
    }

    /// Whether anything is not yet in the database.
    pub fn has_waiting(&self) -> bool {
        !self.inner().waiting.is_empty()
    }

    /// What is not yet in the database.
    pub fn waiting(&self) -> Vec<Accepted> {
        self.inner().waiting.clone()
    }

    /// The first `count` of those are in the database.
    pub fn entered(&self, count: usize) {
        let mut inner = self.inner();
        let count = count.min(inner.waiting.len());
        inner.waiting.drain(..count);
        if inner.waiting.is_empty() && inner.bytes > EMPTIED_AT {
            inner.empty();
        }
    }

    /// Empties the file if nothing in it waits: at the end of the program.
    pub fn close(&self) {
        let mut inner = self.inner();
        if inner.waiting.is_empty() {
            inner.empty();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn empty(&mut self) {
        // Lines that stay although they are in the database do no harm: they settle nothing twice.
        if self.file.set_len(0).is_ok() && self.file.seek(SeekFrom::Start(0)).is_ok() {
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settlement(id: i64) -> Settlement {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let answer = "ok\nor so".into();
        Settlement { id, verdict: Verdict::Delivered, now, attempted: true, answer, targets: Vec::new(), line: None, fallback: None }
    }

    #[test]
    fn what_was_accepted_is_there_after_the_death_of_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store-sent");
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.record(&settlement(1)), None, "nothing claimed, nothing recorded");
        ledger.claimed([(1, "msg_a".to_owned()), (2, "msg_b".to_owned())].into_iter());
        assert_eq!([1, 2].map(|id| ledger.record(&settlement(id))), [Some(Recorded::First), Some(Recorded::Behind)]);
        let left = Ledger::open(&path).unwrap().waiting();
        assert_eq!(left, ledger.waiting());
        assert_eq!(left.iter().map(|accepted| accepted.key.as_str()).collect::<Vec<_>>(), ["msg_a", "msg_b"]);
        ledger.entered(1);
        assert_eq!(ledger.waiting().len(), 1);
        ledger.close();
        assert_eq!(Ledger::open(&path).unwrap().waiting().len(), 2, "a file with a line that waits is not emptied");
        ledger.entered(1);
        ledger.close();
        assert_eq!(Ledger::open(&path).unwrap().waiting().len(), 0);
    }

    #[test]
    fn a_line_cut_short_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store-sent");
        let ledger = Ledger::open(&path).unwrap();
        ledger.claimed([(1, "msg_a".to_owned()), (2, "msg_b".to_owned())].into_iter());
        assert_eq!([1, 2].map(|id| ledger.record(&settlement(id))), [Some(Recorded::First), Some(Recorded::Behind)]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().waiting().len(), 1);
    }
}
