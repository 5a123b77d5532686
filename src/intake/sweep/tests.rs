//! The sweep alone, against lists that move under it; the whole poller is driven in `model.rs`.

use proptest::prelude::*;

use super::*;

/// A feed that can be read like the real one.
#[derive(Clone, Debug)]
struct List {
    /// (id, start), newest first.
    rows: Vec<(u32, i64)>,
    clamp: usize,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Rows,
    Pages,
    Nothing,
    Links,
    /// No `skip`, and links that are made for one.
    Circle,
    /// Pages of the feed's own size, whatever `top` asks for.
    OwnPages,
}

impl List {
    fn new(rows: impl IntoIterator<Item = (u32, i64)>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|(id, start)| (std::cmp::Reverse(*start), *id));
        Self { rows, clamp: 1000, counts: Counts::Rows }
    }

    fn page(&self, sweep: &Sweep, at: &Cursor) -> PageFacts {
        let (offset, top) = match at {
            Cursor::Skip { skip, top } => {
                let few = if self.counts == Counts::Links { 10 } else { self.clamp };
                let top = if self.counts == Counts::OwnPages { 10 } else { (*top as usize).min(few) };
                let offset = match self.counts {
                    Counts::Rows => *skip as usize,
                    Counts::Pages | Counts::OwnPages => *skip as usize * top,
                    Counts::Nothing | Counts::Links | Counts::Circle => 0,
                };
                (offset, top)
            }
            Cursor::Link(_) if self.counts == Counts::Circle => (0, self.clamp.min(100)),
            Cursor::Link(link) => (link.parse().unwrap(), self.clamp.min(10)),
        };
        let rows: Vec<Row> = self
            .rows
            .iter()
            .skip(offset)
            .take(top)
            .map(|(id, start)| Row { id: sweep.hasher.hash_one(id.to_string()), started: Some(Timestamp::from_second(*start).unwrap()) })
            .collect();
        let behind = offset + rows.len();
        let next = if matches!(self.counts, Counts::Links | Counts::OwnPages | Counts::Circle) && behind < self.rows.len() {
            Next::Link(behind.to_string())
        } else {
            Next::None
        };
        PageFacts { rows, next }
    }
}

fn plan(bound: Option<i64>, page_size: u32) -> Plan {
    Plan { bound: bound.map(|at| Timestamp::from_second(at).unwrap()), page_size, paging: None, overlap: OVERLAP }
}

/// Reads a list that `change` may change before each page, to the end.
fn read(list: &mut List, plan: Plan, mut change: impl FnMut(u32, &mut List)) -> (Step, Sweep) {
    let mut sweep = Sweep::new(plan, RandomState::new());
    let mut at = sweep.head();
    for page in 0.. {
        change(page, list);
        let facts = list.page(&sweep, &at);
        match sweep.after(facts) {
            Step::Read(next) => at = next,
            end => return (end, sweep),
        }
    }
    unreachable!()
}

fn still(_: u32, _: &mut List) {}

#[track_caller]
fn check(list: &List, plan: Plan, expected: &Step, unmet: &[u32]) -> u32 {
    let (end, sweep) = read(&mut list.clone(), plan, still);
    assert_eq!(&end, expected);
    let missed: Vec<u32> = list.rows.iter().map(|(id, _)| *id).filter(|id| !sweep.has_met(&id.to_string())).collect();
    assert_eq!(missed, unmet);
    sweep.pages
}

fn spaced(n: u32) -> List {
    List::new((0..n).map(|id| (id, i64::from(id) * 60)))
}

#[test]
fn a_still_list_is_met_whole_whatever_its_length_and_however_it_is_paged() {
    for n in [0, 1, 2, 3, 4, 5, 37, 99, 100, 101, 250, 1_000] {
        for counts in [Counts::Rows, Counts::Pages, Counts::Links] {
            for clamp in [1_000, 100, 37] {
                let list = List { clamp, counts, ..spaced(n) };
                check(&list, plan(None, 100), &Step::Complete, &[]);
            }
        }
    }
}

#[test]
fn pages_of_the_feeds_own_size_are_met_along_its_links() {
    for n in [15, 30, 101, 1_000] {
        for page_size in [10, 50, 1_000] {
            let pages = check(&List { counts: Counts::OwnPages, ..spaced(n) }, plan(None, page_size), &Step::Complete, &[]);
            assert!(pages <= 2 * n.div_ceil(10) + 30, "{pages} pages");
        }
    }
}

#[test]
fn equal_starts_are_met_whole() {
    for n in [2, 3, 150, 1_000] {
        check(&List::new((0..n).map(|id| (id, 7))), plan(None, 100), &Step::Complete, &[]);
        check(&List::new((0..n).map(|id| (id, i64::from(id / 40)))), plan(None, 100), &Step::Complete, &[]);
    }
}

#[test]
fn ten_thousand_equal_starts_are_met_whole_or_it_is_said_that_they_were_not() {
    for (clamp, page_size) in [(1_000, 1_000), (37, 1_000), (100, 100)] {
        for counts in [Counts::Rows, Counts::Pages, Counts::Nothing] {
            // One that takes no `skip`, gives less than was asked for and names no next page can't be told from a short list.
            let clamp = if counts == Counts::Nothing { page_size as usize } else { clamp };
            let mut list = List { clamp, counts, ..List::new((0..10_000).map(|id| (id, 7))) };
            let (end, sweep) = read(&mut list, plan(None, page_size), still);
            let unmet = list.rows.iter().filter(|(id, _)| !sweep.has_met(&id.to_string())).count();
            assert!(unmet == 0 || matches!(end, Step::Incomplete(_)), "{counts:?}, {clamp} at a time: {unmet} not met, and nobody knows");
            assert!(counts == Counts::Nothing || end == Step::Complete, "{counts:?}, {clamp} at a time: {end:?}");
        }
    }
}

#[test]
fn a_service_that_gives_fewer_and_fewer_rows_at_a_time_is_read_whole() {
    for (page_size, counts) in [(1_000, Counts::Rows), (100, Counts::Rows), (1_000, Counts::Pages), (100, Counts::Pages)] {
        let mut list = List { counts, ..spaced(2_000) };
        let (end, sweep) = read(&mut list, plan(None, page_size), |page, list| list.clamp = if page < 5 { 100 } else { 37 });
        let unmet = list.rows.iter().filter(|(id, _)| !sweep.has_met(&id.to_string())).count();
        assert!(unmet == 0 || matches!(end, Step::Incomplete(_)), "{counts:?}: {unmet} not met, and nobody knows");
        assert!(counts == Counts::Pages || end == Step::Complete, "{counts:?}: {end:?}");
    }
}

#[test]
fn a_bound_ends_it_early() {
    let list = spaced(1_000);
    let pages = check(&list, plan(Some(900 * 60), 100), &Step::Complete, &(0..825u32).rev().collect::<Vec<_>>());
    // The head page, the probe, and the page that reaches behind the bound.
    assert_eq!(pages, 3);
}

#[test]
fn a_short_list_costs_one_page_more_once_its_paging_is_known() {
    let known = Plan { paging: Some(Paging::Rows), ..plan(None, 100) };
    assert_eq!(check(&spaced(40), known, &Step::Complete, &[]), 2);
}

#[test]
fn a_feed_that_ignores_skip_is_complete_only_within_one_short_page() {
    let ignoring = |n| List { counts: Counts::Nothing, ..spaced(n) };
    check(&ignoring(40), plan(None, 100), &Step::Complete, &[]);
    let (end, _) = read(&mut ignoring(140), plan(None, 100), still);
    assert!(matches!(end, Step::Incomplete(why) if why.contains("takes no `skip`")));
    // Its links may not take it either.
    for clamp in [1_000, 37] {
        let (end, _) = read(&mut List { counts: Counts::Circle, clamp, ..spaced(140) }, plan(None, 100), still);
        assert!(matches!(&end, Step::Incomplete(why) if why.contains("leads back to the first")), "{clamp}: {end:?}");
    }
    // As it also is when it begins to ignore it later.
    let (end, _) = read(&mut ignoring(140), Plan { paging: Some(Paging::Rows), ..plan(None, 100) }, still);
    assert!(matches!(end, Step::Incomplete(_)), "{end:?}");
}

#[test]
fn rows_that_vanish_between_pages_are_noticed_and_nothing_is_missed() {
    // The anchored rows and more go: rows 100 to 139 of the list stand where the first page ended.
    let mut list = spaced(400);
    let kept: Vec<(u32, i64)> = list.rows.iter().enumerate().filter(|(at, _)| !(60..100).contains(at)).map(|(_, row)| *row).collect();
    let known = Plan { paging: Some(Paging::Rows), ..plan(None, 100) };
    let (end, sweep) = read(&mut list, known, |page, list| {
        if page == 1 {
            list.rows.clone_from(&kept);
        }
    });
    assert_eq!((end, sweep.gaps()), (Step::Complete, 1));
    assert!(kept.iter().all(|(id, _)| sweep.has_met(&id.to_string())));
    // Without the overlap, the same change hides rows and nobody knows.
    let mut list = spaced(400);
    let (end, sweep) = read(&mut list, Plan { overlap: 0, ..known }, |page, list| {
        if page == 1 {
            list.rows.clone_from(&kept);
        }
    });
    assert_eq!(end, Step::Complete);
    assert!(kept.iter().any(|(id, _)| !sweep.has_met(&id.to_string())));
}

#[test]
fn a_list_that_never_holds_still_is_incomplete_and_says_so() {
    let mut list = spaced(4_000);
    let known = Plan { paging: Some(Paging::Rows), ..plan(None, 100) };
    let (end, sweep) = read(&mut list, known, |_, list| _ = list.rows.drain(..list.rows.len().min(99)));
    assert!(matches!(end, Step::Incomplete(why) if why.contains("8 passes")));
    assert_eq!(sweep.gaps(), 9);
}

/// One change to a list between two reads: rows come in at the head, or go from anywhere.
#[derive(Clone, Debug)]
enum Change {
    None,
    Come(u32),
    Go(Vec<prop::sample::Index>),
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => Just(Change::None),
        1 => (1u32..60).prop_map(Change::Come),
        1 => prop::collection::vec(any::<prop::sample::Index>(), 1..60).prop_map(Change::Go),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_complete_sweep_has_met_every_row_that_stood_throughout(
        n in 0u32..600,
        tie in 1u32..5,
        clamp in prop_oneof![Just(1_000usize), Just(100), Just(37), 3usize..100],
        pages in any::<bool>(),
        page_size in prop_oneof![Just(100u32), Just(1_000), 3u32..200],
        bound in prop::option::of(0i64..600),
        script in prop::collection::vec(changes(), 0..40),
    ) {
        let counts = if pages { Counts::Pages } else { Counts::Rows };
        let mut list = List { clamp, counts, ..List::new((0..n).map(|id| (id, i64::from(id / tie) * 60))) };
        let original = list.rows.clone();
        let mut gone: HashSet<u32> = HashSet::new();
        let mut newest = n;
        let (end, sweep) = read(&mut list, plan(bound.map(|at| at * 60), page_size), |page, list| {
            match script.get(page as usize) {
                Some(Change::Come(count)) => for _ in 0..*count {
                    list.rows.insert(0, (newest, i64::from(newest) * 60));
                    newest += 1;
                },
                Some(Change::Go(which)) => for index in which {
                    if !list.rows.is_empty() {
                        let at = index.index(list.rows.len());
                        gone.insert(list.rows.remove(at).0);
                    }
                },
                Some(Change::None) | None => {}
            }
        });
        if end == Step::Complete {
            for (id, start) in original {
                let due = bound.is_none_or(|bound| start >= bound * 60) && !gone.contains(&id);
                prop_assert!(!due || sweep.has_met(&id.to_string()), "row {} of start {} was not met", id, start);
            }
        }
    }
}
