//! What the feed's `skip` counts, and how to ask for an offset under each meaning: pure functions.

use crate::source::Cursor;

/// How a list is paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// `skip` counts rows, as the vendor's words have it.
    Rows,
    /// `skip` counts pages of `top` rows, as the vendor's sample has it.
    Pages,
}

/// What a probe tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// `skip` counts this.
    Counts(Paging),
    /// The answer begins as if nothing were skipped.
    Ignored,
    /// The answer lies behind all rows of the head page, or is empty: so it does where pages are counted, but also where many
    /// new rows came in meanwhile.
    Beyond,
    /// The list moved too much to tell.
    Unclear,
}

/// The most rows a probe skips: as many may come or go at the head between two reads without fooling it.
const PROBE_ROWS: usize = 10;

/// The probe of a list whose head page holds `rows` rows, at least two: `skip` and `top` are chosen so that the two meanings
/// of `skip` lead to clearly different places.
#[must_use]
pub fn probe(rows: usize) -> (u32, u32) {
    let skip = narrow((rows / 2).clamp(1, PROBE_ROWS));
    (skip, skip.max(2))
}

/// Whether one probe of a list whose head page holds `rows` rows tells the meanings of `skip` apart though a few rows come or go.
#[must_use]
pub const fn is_clear(rows: usize) -> bool {
    rows / 2 >= PROBE_ROWS
}

/// Reads a probe's answer: where in the head page, of `rows` rows, each of its rows stands.
#[must_use]
pub fn finding(rows: usize, answer: &[Option<usize>]) -> Finding {
    let (skip, top) = probe(rows);
    let (as_rows, as_pages) = (skip as usize, skip as usize * top as usize);
    match answer.first() {
        Some(Some(0)) => Finding::Ignored,
        Some(Some(at)) if at.abs_diff(as_rows) <= at.abs_diff(as_pages) => Finding::Counts(Paging::Rows),
        Some(Some(_)) => Finding::Counts(Paging::Pages),
        // Wholly behind the head page, or behind the list's end: only counting pages leads that far.
        Some(None) | None if as_pages >= rows && answer.iter().all(Option::is_none) => Finding::Beyond,
        Some(None) | None => Finding::Unclear,
    }
}

/// A request for the rows behind those read so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to read.
    pub cursor: Cursor,
    /// The offset its answer begins at.
    pub at: usize,
    /// How many rows it asks for.
    pub asked: usize,
}

impl Paging {
    /// The request for at most `most` rows that goes on where `end` rows have been read, sharing `wanted` of them, or where that
    /// would lead nowhere, at least `least`. None if no request does.
    #[must_use]
    pub fn onward(self, end: usize, wanted: usize, least: usize, most: usize) -> Option<Request> {
        let most = most.max(1);
        let progress = |request: &Request| (request.at + request.asked).saturating_sub(end);
        match self {
            Self::Rows => {
                let at = end.saturating_sub(wanted);
                Some(Request { cursor: Cursor::Skip { skip: narrow(at), top: narrow(most) }, at, asked: most })
            }
            Self::Pages => {
                let ample = whole_pages(end.saturating_sub(wanted), most).filter(|request| progress(request) * 4 >= most);
                ample.or_else(|| whole_pages(end.saturating_sub(least), most)).filter(|request| progress(request) > 0)
            }
        }
    }
}

/// Of the ways to lay whole pages of half to all of `most` rows before `offset`, the one that reaches farthest behind it.
fn whole_pages(offset: usize, most: usize) -> Option<Request> {
    let fewest = offset.div_ceil(most);
    let ways = (fewest.max(1)..=fewest.saturating_mul(2).min(offset)).map(|pages| (pages, offset / pages));
    let (pages, asked) = ways.max_by_key(|(pages, rows)| (pages + 1) * rows)?;
    Some(Request { cursor: Cursor::Skip { skip: narrow(pages), top: narrow(asked) }, at: pages * asked, asked })
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_probe_tells_the_meanings_apart() {
        for rows in 2..200 {
            let (skip, top) = probe(rows);
            let (skip, top) = (skip as usize, top as usize);
            let answer = |offset: usize| (offset..rows.min(offset + top)).map(Some).collect::<Vec<_>>();
            assert_eq!(finding(rows, &answer(skip)), Finding::Counts(Paging::Rows), "{rows}");
            let pages = if skip * top >= rows { Finding::Beyond } else { Finding::Counts(Paging::Pages) };
            assert_eq!(finding(rows, &answer(skip * top)), pages, "{rows}");
            assert_eq!(finding(rows, &answer(0)), Finding::Ignored, "{rows}");
        }
    }

    #[test]
    fn a_few_rows_that_come_or_go_do_not_fool_it() {
        for moved in 0..5 {
            assert_eq!(finding(300, &[Some(10 - moved)]), Finding::Counts(Paging::Rows));
            assert_eq!(finding(300, &[Some(10 + moved)]), Finding::Counts(Paging::Rows));
            assert_eq!(finding(300, &[Some(100 - moved)]), Finding::Counts(Paging::Pages));
        }
        assert_eq!(finding(300, &[None]), Finding::Unclear);
        assert_eq!(finding(4, &[None, Some(0)]), Finding::Unclear);
    }

    proptest! {
        #[test]
        fn a_request_shares_what_it_must_and_goes_on(end in 2usize..100_000, most in 1usize..1_001, wanted in 1usize..60, least in 1usize..4) {
            let (wanted, least) = (wanted.clamp(least, end), least.min(end));
            for paging in [Paging::Rows, Paging::Pages] {
                let Some(Request { cursor, at, asked }) = paging.onward(end, wanted, least, most) else {
                    prop_assert!(paging == Paging::Pages && (most < 50 || end < 2 * most), "{} {}", end, most);
                    continue;
                };
                let Cursor::Skip { skip, top } = cursor else { panic!("a link") };
                let (skip, top) = (skip as usize, top as usize);
                prop_assert_eq!((at, asked), (if paging == Paging::Rows { skip } else { skip * top }, top));
                prop_assert!(asked >= 1 && asked <= most && at + least <= end);
                prop_assert!(paging == Paging::Rows || at + asked > end);
            }
        }
    }
}
