//! Which pages to read, and when to stop: a pure state machine fed with what each page held.
//!
//! The list is ordered by start, newest first, and moves while it is read: new jobs push rows down, deleted ones pull rows up.
//! A pass reads it in pages that overlap. Two pages that share an *anchor* (a row strictly newer than the first page's end, so
//! that no group of equal starts is cut unseen) cover every row that stood between their ends in both instants; a page
//! without one shows that rows may have slipped through, and the pass begins again with a wider overlap. By induction a
//! complete pass has met every row at or after its bound that stood in the list throughout. What `skip` counts is found out
//! by a probe. A list that can't be anchored (a handful of rows, equal starts, a feed that only knows links) is read until
//! two passes agree ([`collect`]).

mod collect;
mod paging;

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use jiff::Timestamp;

use crate::source::{Cursor, Next};
use collect::Collect;
pub use paging::Paging;
use paging::{Finding, finding, is_clear, probe};

/// The most pages of one sweep; at the default page size that is a list of a million jobs.
pub const PAGES: u32 = 10_000;
/// How many rows two pages share at first: as many may be deleted between two reads without a restart.
pub const OVERLAP: usize = 25;
/// How often a pass begins again before the sweep is called incomplete.
const RESTARTS: u32 = 8;
/// How often a probe is repeated before `skip` is taken to count rows, as the vendor's words have it.
const PROBES: u32 = 3;

/// One row of a page, as far as the sweep cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Stands for the id; of a row that can't be read, for the whole row.
    pub id: u64,
    /// Its start, where it has one.
    pub started: Option<Timestamp>,
}

/// What a page held.
#[derive(Debug, Clone)]
pub struct PageFacts {
    /// The rows, in the page's order.
    pub rows: Vec<Row>,
    /// What the page names as its successor.
    pub next: Next,
}

/// What to do after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read there.
    Read(Cursor),
    /// Everything the sweep set out to meet has been met.
    Complete,
    /// It can't go on, with jobs possibly unmet; why.
    Incomplete(String),
}

/// What a sweep sets out to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Read back to the rows that started before this; none means the whole list.
    pub bound: Option<Timestamp>,
    /// How many rows to ask for at a time.
    pub page_size: u32,
    /// What an earlier sweep found `skip` to count.
    pub paging: Option<Paging>,
    /// How many rows pages share; zero, which proves nothing, only shows a test what the overlap is for.
    pub overlap: usize,
}

/// One pass over the list, or as many as it takes.
#[derive(Debug)]
pub struct Sweep {
    plan: Plan,
    phase: Phase,
    /// The most rows that are worth asking for.
    most: usize,
    /// The most rows it has given at a time.
    largest: usize,
    overlap: usize,
    pages: u32,
    restarts: u32,
    probes: u32,
    /// What the last probe found.
    found: Option<Finding>,
    /// How often the list's end was not quite where it was expected.
    unaligned: u32,
    hasher: RandomState,
    met: HashSet<u64>,
    /// Whether the last head page named a successor that may be followed.
    linked: bool,
}

#[derive(Debug)]
enum Phase {
    /// The head page is awaited.
    Head,
    /// The answer of a probe is awaited.
    Probe(PageFacts),
    /// A page that overlaps the one before it is awaited.
    Anchored(Link),
    /// The page behind the last one is awaited, whatever it hangs on.
    Loose(usize),
    /// Passes are compared.
    Collect(Collect),
}

/// How the awaited page hangs on the one before it.
#[derive(Debug)]
struct Link {
    before: PageFacts,
    /// The offset of `before`.
    at: usize,
    /// The offset of the awaited page, and how many rows it was asked for.
    next: usize,
    asked: usize,
    /// How many rows they should share.
    shared: usize,
    /// Whether `before` was short: if the awaited page holds nothing behind it, the list has ended.
    confirms: bool,
}

impl Sweep {
    /// A sweep that has read nothing yet. It begins at the head. `hasher` makes the ids of rows.
    #[must_use]
    pub fn new(plan: Plan, hasher: RandomState) -> Self {
        Self {
            plan,
            phase: Phase::Head,
            most: plan.page_size.max(1) as usize,
            largest: 0,
            overlap: plan.overlap,
            pages: 0,
            restarts: 0,
            probes: 0,
            found: None,
            unaligned: 0,
            hasher,
            met: HashSet::new(),
            linked: false,
        }
    }

    /// Where every pass begins.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor::Skip { skip: 0, top: self.plan.page_size.max(1) }
    }

    /// Whether a job has been met in this sweep.
    #[must_use]
    pub fn has_met(&self, id: &str) -> bool {
        self.met.contains(&self.hasher.hash_one(id))
    }

    /// What `skip` was found to count, for the next sweep's plan.
    #[must_use]
    pub const fn paging(&self) -> Option<Paging> {
        self.plan.paging
    }

    /// How often rows may have slipped through, so that a pass began again.
    #[must_use]
    pub const fn gaps(&self) -> u32 {
        self.restarts
    }

    /// How many pages it has read.
    #[must_use]
    pub const fn pages(&self) -> u32 {
        self.pages
    }

    /// Takes note of the page read and decides what follows.
    pub fn after(&mut self, page: PageFacts) -> Step {
        self.pages += 1;
        self.largest = self.largest.max(page.rows.len());
        self.met.extend(page.rows.iter().map(|row| row.id));
        if self.pages >= PAGES {
            return Step::Incomplete(format!("the list is longer than {PAGES} pages"));
        }
        match std::mem::replace(&mut self.phase, Phase::Head) {
            Phase::Head => {
                self.linked = matches!(page.next, Next::Link(_));
                self.onward(page, 0, self.plan.page_size as usize)
            }
            Phase::Probe(head) => self.probed(head, &page),
            Phase::Anchored(link) => self.anchored(&link, page),
            Phase::Loose(_) if page.rows.is_empty() => Step::Complete,
            Phase::Loose(at) => self.onward(page, at, self.most),
            Phase::Collect(collect) => self.collected(collect, &page),
        }
    }

    /// What follows a page at an offset that is known to hang together with everything before it.
    fn onward(&mut self, page: PageFacts, at: usize, asked: usize) -> Step {
        if reaches(&page, self.plan.bound) {
            return Step::Complete;
        }
        let ties = ties(&page.rows);
        let anchored = page.rows.len() >= ties + 2 && anchors(&page.rows, at).next().is_some();
        if self.plan.paging.is_none() && at == 0 && page.rows.len() >= 2 {
            return self.probe(page);
        }
        if self.overlap == 0 {
            let at = at + page.rows.len();
            self.phase = Phase::Loose(at);
            return Step::Read(Cursor::Skip { skip: u32::try_from(at).unwrap_or(u32::MAX), top: self.plan.page_size });
        }
        if !anchored {
            return self.collect(Collect::by_skip(self.plan.bound));
        }
        let confirms = page.rows.len() < asked;
        // Half a page at most: a page of which most is shared hardly goes on.
        let wanted = if confirms { ties + 1 } else { self.overlap.min(self.most / 2).max(ties + 1) };
        let paging = self.plan.paging.unwrap_or(Paging::Rows);
        if paging == Paging::Pages && at == 0 {
            // Where pages are counted, asking for more rows than the feed gives would lead elsewhere.
            self.most = self.most.min(page.rows.len());
        }
        let end = at + page.rows.len();
        let Some(request) = paging.onward(end, wanted.min(page.rows.len() - 1), ties + 1, self.most) else {
            return self.collect(Collect::by_skip(self.plan.bound));
        };
        let link = Link { before: page, at, next: request.at, asked: request.asked, shared: end - request.at, confirms };
        self.phase = Phase::Anchored(link);
        Step::Read(request.cursor)
    }

    fn anchored(&mut self, link: &Link, page: PageFacts) -> Step {
        let same_start = page.rows.first().is_some_and(|row| link.before.rows.first().is_some_and(|first| first.id == row.id));
        if same_start && link.next != link.at {
            // The feed shows the same page whatever is skipped: what the probe found no longer holds.
            self.plan.paging = None;
            return self.again();
        }
        let here: HashSet<u64> = page.rows.iter().map(|row| row.id).collect();
        if !anchors(&link.before.rows, link.at).any(|row| here.contains(&row.id)) {
            return self.again();
        }
        if link.confirms {
            let known: HashSet<u64> = link.before.rows.iter().map(|row| row.id).collect();
            let last = page.rows.last().map(|row| row.id);
            let ends_there = last == link.before.rows.last().map(|row| row.id) || page.rows.len() < link.shared;
            // Short of what was asked for, and of what the feed has shown to give at a time.
            let short = page.rows.len() < link.asked.min(self.largest);
            if short && ends_there && last.is_some_and(|id| known.contains(&id)) {
                if aligned(link, &page) {
                    return Step::Complete;
                }
                // Rows moved just now; or `skip` counts something else than it seemed to.
                self.unaligned += 1;
                if self.unaligned > RESTARTS {
                    self.plan.paging = None;
                    return self.again();
                }
            }
            // The page before was short because the feed gives no more at a time, not because the list ended.
            let shown = if short { page.rows.len() } else { 0 };
            self.most = link.before.rows.len().max(shown).min(self.most);
        }
        self.onward(page, link.next, link.asked)
    }

    /// Rows may have slipped through: from the head again, with a wider overlap.
    fn again(&mut self) -> Step {
        self.restarts += 1;
        if self.restarts > RESTARTS && self.linked {
            // What `skip` and `top` lead to can't be made out: the feed's own links are left.
            return self.collect(Collect::by_links(self.plan.bound));
        }
        if self.restarts > RESTARTS {
            return Step::Incomplete(format!("the list changed too fast to be read whole: {RESTARTS} passes had gaps"));
        }
        self.overlap = (self.overlap * 2).min(self.most.saturating_sub(1)).max(1);
        self.phase = Phase::Head;
        Step::Read(self.head())
    }

    fn probe(&mut self, head: PageFacts) -> Step {
        let (skip, top) = probe(head.rows.len());
        self.phase = Phase::Probe(head);
        Step::Read(Cursor::Skip { skip, top })
    }

    fn probed(&mut self, head: PageFacts, page: &PageFacts) -> Step {
        let places: Vec<Option<usize>> = page.rows.iter().map(|row| head.rows.iter().position(|known| known.id == row.id)).collect();
        let found = finding(head.rows.len(), &places);
        self.probes += 1;
        // As many new rows as were skipped look like a `skip` ignored, more like one that leads far, and in a short list a
        // single one can turn rows into pages: only twice in a row, each time with a fresh head, is proof.
        let again = self.found.replace(found) == Some(found);
        let counts = match found {
            Finding::Counts(paging) if again || is_clear(head.rows.len()) => Some(paging),
            Finding::Beyond if again => Some(Paging::Pages),
            Finding::Ignored if again => return self.without_skip(&head),
            _ if self.probes >= PROBES => Some(Paging::Rows),
            _ => None,
        };
        self.plan.paging = counts;
        let (_, top) = probe(head.rows.len());
        if counts == Some(Paging::Pages) && page.rows.len() > top as usize && self.linked {
            // Pages of the feed's own size can't be made to overlap.
            return self.collect(Collect::by_links(self.plan.bound));
        }
        if counts.is_some() {
            return self.onward(head, 0, self.plan.page_size as usize);
        }
        self.phase = Phase::Head;
        Step::Read(self.head())
    }

    /// The feed takes no `skip`: its links are followed, if it has any.
    fn without_skip(&mut self, head: &PageFacts) -> Step {
        match &head.next {
            Next::Link(_) => self.collect(Collect::by_links(self.plan.bound)),
            // Fewer rows than asked for, and nothing said to follow: the page is the list.
            Next::None | Next::Unusable(_) if head.rows.len() < self.plan.page_size as usize => Step::Complete,
            Next::None => Step::Incomplete(format!(
                "the feed takes no `skip` and names no next page: only its newest {} jobs can be read",
                head.rows.len()
            )),
            Next::Unusable(why) => Step::Incomplete(format!("the feed takes no `skip`, and its next page can't be followed: {why}")),
        }
    }

    fn collect(&mut self, collect: Collect) -> Step {
        self.phase = Phase::Collect(collect);
        Step::Read(self.head())
    }

    fn collected(&mut self, mut collect: Collect, page: &PageFacts) -> Step {
        match collect.after(page, self.plan.paging.unwrap_or(Paging::Rows), self.plan.page_size as usize) {
            collect::Step::Read(cursor) => {
                self.phase = Phase::Collect(collect);
                Step::Read(cursor)
            }
            collect::Step::Head => self.collect(collect),
            collect::Step::Complete => Step::Complete,
            collect::Step::Incomplete(why) => Step::Incomplete(why),
        }
    }
}

/// Whether a page reaches behind the bound: its last row started before it, and the page keeps to the order that makes this
/// mean something.
fn reaches(page: &PageFacts, bound: Option<Timestamp>) -> bool {
    let Some(bound) = bound else { return false };
    let starts: Vec<Timestamp> = page.rows.iter().filter_map(|row| row.started).collect();
    starts.is_sorted_by(|newer, older| newer >= older) && starts.last().is_some_and(|last| *last < bound)
}

/// How many rows at the end of a page are not known to be strictly newer than its end.
fn ties(rows: &[Row]) -> usize {
    let last = rows.iter().rev().find_map(|row| row.started);
    rows.iter().rev().take_while(|row| row.started.is_none_or(|start| last.is_none_or(|last| start <= last))).count()
}

/// The rows that prove another page to hang together with this one: strictly newer than its last, and (but for the head page)
/// strictly older than its first.
fn anchors(rows: &[Row], at: usize) -> impl Iterator<Item = &Row> {
    let first = rows.iter().find_map(|row| row.started);
    let last = rows.iter().rev().find_map(|row| row.started);
    rows.iter().filter(move |row| match (row.started, last) {
        (Some(start), Some(last)) => start > last && (at == 0 || first.is_some_and(|first| start < first)),
        _ => false,
    })
}

/// Whether two pages share just the rows that their offsets say.
fn aligned(link: &Link, page: &PageFacts) -> bool {
    let id = |page: &PageFacts, at: usize| page.rows.get(at).map(|row| row.id);
    id(&link.before, link.next.saturating_sub(link.at)) == id(page, link.at.saturating_sub(link.next))
}

#[cfg(test)]
mod tests;
