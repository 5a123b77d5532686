//! Reading a list that can't be anchored: pass after pass, until two agree.
//!
//! Weaker than anchors: a row that comes and goes within one pass can fool it. The full reconciliations make up for that.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{PageFacts, paging::Paging, reaches};
use crate::source::{Cursor, Next};

/// How many passes are compared before the sweep is called incomplete.
const PASSES: u32 = 8;
/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read there.
    Read(Cursor),
    /// Begin another pass.
    Head,
    /// Two passes agree.
    Complete,
    /// They do not; why.
    Incomplete(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Skip,
    Links,
}

/// Passes under way.
#[derive(Debug)]
pub struct Collect {
    by: By,
    bound: Option<Timestamp>,
    before: Option<Vec<u64>>,
    passes: u32,
    /// This pass so far: the rows within the bound, in order, none twice.
    ids: Vec<u64>,
    met: HashSet<u64>,
    /// How many rows lie before the next page, and the first row of the first.
    offset: usize,
    first: Option<u64>,
    /// Whether a link led back to where a pass had begun.
    led_back: bool,
    /// The page before, how many rows of it the next one shares, and how many that is asked for.
    page: Vec<u64>,
    shared: usize,
    asked: usize,
    /// The most rows the feed has given at a time.
    largest: usize,
}

impl Collect {
    /// Passes by `skip`.
    pub fn by_skip(bound: Option<Timestamp>) -> Self {
        Self {
            by: By::Skip,
            bound,
            before: None,
            passes: 0,
            ids: Vec::new(),
            met: HashSet::new(),
            offset: 0,
            first: None,
            led_back: false,
            page: Vec::new(),
            shared: 0,
            asked: usize::MAX,
            largest: 0,
        }
    }

    /// Passes along the feed's own links.
    pub fn by_links(bound: Option<Timestamp>) -> Self {
        Self { by: By::Links, ..Self::by_skip(bound) }
    }

    /// Takes note of a page and decides what follows. `most` is how many rows are asked for at a time.
    pub fn after(&mut self, page: &PageFacts, paging: Paging, most: usize) -> Step {
        let asked = std::mem::replace(&mut self.asked, most);
        self.largest = self.largest.max(page.rows.len());
        let here: Vec<u64> = page.rows.iter().map(|row| row.id).collect();
        let shown = here.len();
        let before = std::mem::replace(&mut self.page, here);
        // A page that holds nothing behind the last row met, though it had room for more, is the end.
        let ends = self.page.is_empty() || (self.page.last() == before.last() && shown < asked.min(self.largest));
        if self.by == By::Skip && self.offset > 0 && shown > 0 && self.page.first() == self.first.as_ref() {
            return self.without_skip(shown < most);
        }
        // Pages by `skip` share a row or more: another one in its place means that rows moved, and the pass proves nothing.
        let expected = before.len().checked_sub(self.shared).and_then(|at| before.get(at));
        if self.by == By::Skip && self.shared > 0 && expected != self.page.first() {
            return self.end_of_pass(false);
        }
        if self.by == By::Links {
            if self.first.is_some_and(|first| self.page.contains(&first)) {
                // As where links are made for a `skip` that the feed does not take; or so many rows came in at the head.
                self.led_back = true;
                return self.end_of_pass(false);
            }
            self.first = self.first.or(self.page.first().copied());
        }
        let mut fresh = false;
        for row in &page.rows {
            if self.met.insert(row.id) {
                fresh = true;
                let within = match (row.started, self.bound) {
                    (Some(start), Some(bound)) => start >= bound,
                    _ => true,
                };
                if within {
                    self.ids.push(row.id);
                }
            }
        }
        let circle = self.by == By::Links && !fresh;
        if ends || circle || reaches(page, self.bound) {
            return self.end_of_pass(true);
        }
        match (self.by, &page.next) {
            (By::Links, Next::Link(link)) => Step::Read(Cursor::Link(link.clone())),
            (By::Links, Next::None) => self.end_of_pass(true),
            (By::Links, Next::Unusable(why)) => Step::Incomplete(format!("a next page can't be followed: {why}")),
            (By::Skip, _) => {
                if self.offset == 0 {
                    self.first = self.page.first().copied();
                }
                // One shared row, where there is more than one, keeps a deleted row from opening a gap unseen by the comparison.
                let (end, shared) = (self.offset + shown, usize::from(shown > 1));
                // Where pages are counted, asking for more rows than the feed gives would lead elsewhere.
                let most = if paging == Paging::Pages { most.min(self.largest) } else { most };
                let Some(request) = paging.onward(end, shared, shared, most).or_else(|| paging.onward(end, 0, 0, most)) else {
                    return Step::Incomplete(format!("the feed gives {} rows at a time: too few to go on", self.largest));
                };
                self.offset = request.at;
                self.asked = request.asked;
                self.shared = end - request.at;
                Step::Read(request.cursor)
            }
        }
    }

    /// The feed shows its head page whatever is skipped.
    fn without_skip(&mut self, short: bool) -> Step {
        if short {
            // Shorter than asked for: it is the list.
            return self.end_of_pass(true);
        }
        Step::Incomplete(format!("the feed takes no `skip`: only its newest {} jobs can be read", self.page.len()))
    }

    fn end_of_pass(&mut self, clean: bool) -> Step {
        let ids = std::mem::take(&mut self.ids);
        self.met.clear();
        self.page.clear();
        self.offset = 0;
        self.shared = 0;
        self.first = None;
        // Rows that came in at the head since the pass before do not matter: that pass's rows must stand behind them unchanged.
        if clean && self.before.as_ref().is_some_and(|before| ids.ends_with(before)) {
            return Step::Complete;
        }
        self.passes += 1;
        if self.passes >= PASSES && self.led_back {
            return Step::Incomplete(
                "the feed takes no `skip`, and its next page leads back to the first: only its newest jobs can be read".into(),
            );
        }
        if self.passes >= PASSES {
            return Step::Incomplete(format!("the list can't be anchored, and no two of {PASSES} passes agree"));
        }
        self.before = clean.then_some(ids);
        Step::Head
    }
}
