//! Pages as they were last read, so that one that comes again byte for byte is known without a look at its rows.
//!
//! That leaves nothing out: a page is kept only once none of its rows is new, which is to say that to take it in would do nothing; and
//! it is known again only as long as nothing else of the source has been taken in since. What time does to jobs (a scan that runs too
//! long) goes by what is held of the open ones, and never by a page.

use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;

use super::{
    Intake,
    sweep::{PageFacts, Row},
};
use crate::{
    domain::Job,
    source::{BadRow, Cursor, FeedError, Found, Page, Print},
};

/// The most rows kept of one source, some 30 bytes each: those of two pages of the largest size. Past that, pages are read anew.
const ROWS_KEPT: usize = 2_000;

/// A page as far as a turn cares, apart from its jobs.
#[derive(Debug, Clone)]
pub struct Glance {
    pub facts: PageFacts,
    pub newest_start: Option<Timestamp>,
    pub newest_end: Option<Timestamp>,
    /// The id of its first job.
    pub sample: Option<String>,
    /// Whether a row of it can't be read.
    pub unreadable: bool,
}

/// What was found at a place in the list.
pub struct Sight {
    /// The server's own time of answering, where it told one.
    pub served_at: Option<Timestamp>,
    pub glance: Glance,
    /// The page's print and its rows; none of a page that is known.
    pub rows: Option<(Print, Vec<Result<Job, BadRow>>)>,
}

struct Kept {
    at: Cursor,
    print: Print,
    glance: Glance,
}

/// The pages kept of one source.
#[derive(Default)]
pub struct Pages {
    /// Makes the ids of rows, in every sweep the same.
    pub hasher: RandomState,
    kept: Vec<Kept>,
    /// How many changes of the source had been taken in by then.
    changes: u64,
}

impl Pages {
    /// Keeps a page of which nothing was new.
    pub fn keep(&mut self, at: &Cursor, print: Print, glance: Glance, changes: u64) {
        if self.changes != changes {
            self.kept.clear();
            self.changes = changes;
        }
        self.kept.retain(|kept| kept.at != *at);
        let rows: usize = self.kept.iter().map(|kept| kept.glance.facts.rows.len()).sum();
        if rows + glance.facts.rows.len() <= ROWS_KEPT {
            self.kept.push(Kept { at: at.clone(), print, glance });
        }
    }

    /// The page that is known at a place, where `changes` have been taken in of the source in all.
    fn known(&self, at: &Cursor, changes: u64) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.at == *at && self.changes == changes)
    }

    fn sight(&self, page: Page) -> Sight {
        let jobs = || page.rows.iter().flatten();
        let glance = Glance {
            facts: facts(&page, &self.hasher),
            newest_start: jobs().filter_map(|job| job.started).max(),
            newest_end: jobs().filter_map(|job| job.finished).max(),
            sample: jobs().next().map(|job| job.id.clone()),
            unreadable: page.rows.iter().any(Result::is_err),
        };
        Sight { served_at: page.served_at, glance, rows: Some((page.print, page.rows)) }
    }
}

impl Intake {
    /// Looks at a place in the list; `changes` as for [`Pages::known`].
    pub(super) async fn look(&self, pages: &Pages, at: &Cursor, changes: u64) -> Result<Sight, FeedError> {
        let kept = pages.known(at, changes);
        match (self.feed.page_unless(at, kept.map(|kept| kept.print)).await?, kept) {
            (Found::Page(page), _) => Ok(pages.sight(page)),
            (Found::Known { served_at }, Some(kept)) => Ok(Sight { served_at, glance: kept.glance.clone(), rows: None }),
            (Found::Known { .. }, None) => Err(FeedError::Malformed("the page is said to be known, and is not".into())),
        }
    }
}

/// What a page holds, for a sweep.
pub fn facts(page: &Page, hasher: &RandomState) -> PageFacts {
    let row = |row: &Result<Job, BadRow>| match row {
        Ok(job) => Row { id: hasher.hash_one(&job.id), started: job.started },
        Err(bad) => Row { id: hasher.hash_one(&bad.raw), started: None },
    };
    PageFacts { rows: page.rows.iter().map(row).collect(), next: page.next.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Next;

    fn at(skip: u32) -> Cursor {
        Cursor::Skip { skip, top: 1_000 }
    }

    #[test]
    fn a_page_is_kept_until_anything_of_the_source_changes_and_as_long_as_there_is_room() {
        let mut pages = Pages::default();
        let glance = |rows: usize| Glance {
            facts: PageFacts { rows: vec![Row { id: 7, started: None }; rows], next: Next::None },
            newest_start: None,
            newest_end: None,
            sample: None,
            unreadable: false,
        };
        let keep = |pages: &mut Pages, skip: u32, body: &str, rows: usize, changes: u64| {
            pages.keep(&at(skip), Print::of(body.as_bytes()), glance(rows), changes);
        };
        let known = |pages: &Pages, skip: u32, changes: u64| pages.known(&at(skip), changes).map(|kept| kept.print);
        keep(&mut pages, 0, "a", 1_000, 5);
        keep(&mut pages, 975, "b", 1_000, 5);
        keep(&mut pages, 1_950, "c", 1, 5);
        let print = |body: &str| Some(Print::of(body.as_bytes()));
        assert_eq!([0, 975, 1_950].map(|skip| known(&pages, skip, 5)), [print("a"), print("b"), None], "the third has no room");
        assert_eq!(known(&pages, 0, 6), None);
        keep(&mut pages, 975, "B", 500, 5);
        keep(&mut pages, 1_950, "c", 500, 5);
        assert_eq!([0, 975, 1_950].map(|skip| known(&pages, skip, 5)), [print("a"), print("B"), print("c")]);
        keep(&mut pages, 975, "b", 1_000, 6);
        assert_eq!([0, 975].map(|skip| known(&pages, skip, 6)), [None, print("b")], "what was kept before the change is gone");
    }
}
