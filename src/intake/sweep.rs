//! Which pages to read, and when to stop: a pure state machine fed with what each page held.
//!
//! It follows the feed's own links, newest jobs first, and proves progress by job ids, never by counts or offsets.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;

use crate::source::{Cursor, Next};

/// How far behind the watermark a sweep reads on: jobs may show up in the list long after they started.
pub const LOOK_BACK: Duration = Duration::from_secs(6 * 3600);
/// The most pages of one sweep; at the default page size that is a list of a million jobs.
pub const PAGES: u32 = 10_000;
/// This many pages in a row without an unseen job end a sweep: the links lead nowhere new.
const STALE_PAGES: u32 = 2;

/// What a page held, as far as the sweep cares.
#[derive(Debug, Clone)]
pub struct PageFacts<'p> {
    /// The ids of its rows.
    pub ids: Vec<&'p str>,
    /// The oldest start among its rows.
    pub oldest_start: Option<Timestamp>,
    /// What the page names as its successor.
    pub next: &'p Next,
}

/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read on there.
    Read(Cursor),
    /// Everything the sweep set out to meet has been met.
    Complete,
    /// It can't go on, with jobs possibly unmet; why.
    Incomplete(String),
}

/// One pass over the list.
#[derive(Debug)]
pub struct Sweep {
    bound: Option<Timestamp>,
    pages: u32,
    stale: u32,
    seen: HashSet<String>,
}

impl Sweep {
    /// A sweep that reads back to [`LOOK_BACK`] before the watermark; without one, the whole list.
    #[must_use]
    pub fn new(watermark: Option<Timestamp>) -> Self {
        let bound = watermark.map(|at| at.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN));
        Self { bound, pages: 0, stale: 0, seen: HashSet::new() }
    }

    /// Whether a job has been met in this sweep.
    #[must_use]
    pub fn has_met(&self, id: &str) -> bool {
        self.seen.contains(id)
    }

    /// Takes note of a page and decides what follows.
    pub fn after(&mut self, page: &PageFacts<'_>) -> Step {
        self.pages += 1;
        let before = self.seen.len();
        self.seen.extend(page.ids.iter().map(|id| (*id).to_owned()));
        let progress = self.seen.len() > before;
        self.stale = if progress { 0 } else { self.stale + 1 };
        if let (Some(bound), Some(oldest)) = (self.bound, page.oldest_start)
            && oldest < bound
        {
            return Step::Complete;
        }
        match page.next {
            Next::None => Step::Complete,
            Next::Unusable(why) => Step::Incomplete(why.clone()),
            Next::Link(_) if self.stale >= STALE_PAGES => {
                Step::Incomplete(format!("the links lead to no further jobs after {} pages", self.pages))
            }
            Next::Link(_) if self.pages >= PAGES => Step::Incomplete(format!("the list is longer than {PAGES} pages")),
            Next::Link(link) => Step::Read(Cursor::Link(link.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn link(to: &str) -> Next {
        Next::Link(to.into())
    }

    #[track_caller]
    fn check(sweep: &mut Sweep, ids: &[&str], oldest: i64, next: &Next, expected: &Step) {
        let facts = PageFacts { ids: ids.to_vec(), oldest_start: Some(at(oldest)), next };
        assert_eq!(&sweep.after(&facts), expected);
    }

    #[test]
    fn without_a_watermark_it_reads_to_the_end_of_the_links() {
        let mut sweep = Sweep::new(None);
        check(&mut sweep, &["a", "b"], 100, &link("2"), &Step::Read(Cursor::Link("2".into())));
        check(&mut sweep, &["b", "c"], 50, &link("3"), &Step::Read(Cursor::Link("3".into())));
        check(&mut sweep, &["d"], 1, &Next::None, &Step::Complete);
        assert!(sweep.has_met("c") && !sweep.has_met("e"));
    }

    #[test]
    fn with_a_watermark_it_stops_once_past_the_look_back() {
        let mut sweep = Sweep::new(Some(at(100_000)));
        let bound = 100_000 - 6 * 3600;
        check(&mut sweep, &["a"], bound, &link("2"), &Step::Read(Cursor::Link("2".into())));
        check(&mut sweep, &["b"], bound - 1, &link("3"), &Step::Complete);
    }

    #[test]
    fn links_that_run_in_a_circle_are_told() {
        let mut sweep = Sweep::new(None);
        check(&mut sweep, &["a"], 9, &link("1"), &Step::Read(Cursor::Link("1".into())));
        check(&mut sweep, &["a"], 9, &link("1"), &Step::Read(Cursor::Link("1".into())));
        let why = "the links lead to no further jobs after 3 pages";
        check(&mut sweep, &["a"], 9, &link("1"), &Step::Incomplete(why.into()));
    }

    #[test]
    fn a_link_that_is_not_followed_leaves_it_incomplete() {
        let mut sweep = Sweep::new(None);
        check(&mut sweep, &["a"], 9, &Next::Unusable("elsewhere".into()), &Step::Incomplete("elsewhere".into()));
    }
}
