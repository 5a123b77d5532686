//! What is told, and when, of lists that take one odd turn each: in virtual time, with the whole poller.

use std::{sync::Arc, time::Duration};

use super::{
    POLL_EVERY,
    desk::{Desk, Scene, Search, at, job},
    every_end, in_virtual_time, rules_of,
};
use crate::{domain::State, rules::RuleSet, source::FeedError};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const YEARS: i64 = 10 * 365 * DAY;
/// Within a period and what a sweep takes, an end is told.
const SOON: u64 = POLL_EVERY.as_secs() + 30;

/// Rules that tell the states apart, and one for scans that run too long.
fn by_state() -> Arc<RuleSet> {
    rules_of(
        "rules:\n\
         - { name: failed, when: { state: failed }, notify: [hook] }\n\
         - { name: finished, when: { state: finished }, notify: [hook] }\n\
         - { name: stuck, when: { state: running, duration: '> 24h' }, notify: [hook] }\n",
    )
}

/// An old list without surprises, so that reading it takes a few pages.
fn old(count: i64) -> impl Iterator<Item = crate::domain::Job> {
    (0..count).map(|n| job(format!("Old{n:05}"), State::Finished, -DAY - n * 60, Some(-DAY - n * 60 + 30)))
}

#[test]
fn a_scan_of_ten_days_is_told_within_a_period_of_its_end_beneath_20_000_newer_jobs() {
    for search in [Search::Works, Search::FindsNothing, Search::IsIgnored] {
        in_virtual_time(async {
            let newer = (0..20_000).map(|n| job(format!("New{n:05}"), State::Finished, -n * 43 - 60, Some(-n * 43 - 30)));
            let long = job("Long", State::Running, -10 * DAY, None);
            let desk = Desk::new(newer.chain([long])).with(search);
            let mut scene = Scene::new(desk, every_end());
            scene.start().await;
            scene.pass(5 * 60).await;
            scene.told(&[]);
            let now = scene.desk.second();
            scene.desk.put(job("Long", State::Failed, -10 * DAY, Some(now)));
            // Without `search`, the sweep itself reaches as far back as the job: 200 pages and more.
            scene.pass(if search == Search::Works { SOON } else { 3 * SOON }).await;
            scene.told(&[("every-end", "Long", 1)]);
        });
    }
}

#[test]
fn a_row_that_shows_up_late_is_told_within_a_period_and_one_later_than_the_look_back_by_the_next_whole_reading() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(400)), every_end());
        scene.start().await;
        scene.pass(10 * HOUR.unsigned_abs()).await;
        let now = scene.desk.second();
        // Enough rows, within the look-back and behind it, that no page shows the latest one by chance.
        for n in 0..400 {
            scene.desk.put(job(format!("Job{n:03}"), State::Skipped, now - n * 60, Some(now - n * 60 + 30)));
        }
        scene.pass(SOON).await;
        let told = |scene: &Scene, id: &str| scene.store.told().iter().any(|(_, told, _)| told == id);
        for late in [5 * 60, 5 * HOUR] {
            let id = format!("Late{late}");
            scene.desk.put(job(id.clone(), State::Failed, now - late, Some(now - late + 30)));
            scene.pass(SOON).await;
            assert!(told(&scene, &id), "{late} s late");
        }
        scene.desk.put(job("Latest", State::Failed, now - 9 * HOUR, Some(now - 8 * HOUR)));
        scene.pass(SOON).await;
        assert!(!told(&scene, "Latest"), "it was met by chance: this test shows nothing");
        scene.pass(6 * HOUR.unsigned_abs()).await;
        assert!(told(&scene, "Latest"));
    });
}

#[test]
fn a_scan_stuck_for_sixty_days_is_told_of_once_costs_little_and_its_end_is_told() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(300).chain([job("Stuck", State::Running, -60, None)])), by_state());
        scene.poll_every = Duration::from_secs(3600);
        scene.start().await;
        for day in 0..60 {
            let now = scene.desk.second();
            scene.desk.put(job(format!("Daily{day:02}"), State::Skipped, now, Some(now)));
            if day == 30 {
                // A restart in between makes no difference.
                scene.start().await;
            }
            scene.pass(DAY.unsigned_abs()).await;
        }
        scene.told(&[("stuck", "Stuck", 1)]);
        let polls = 60 * 24;
        let asked = scene.desk.asked().len();
        // A page and a look-up each time, and four times a day the whole list.
        assert!(asked < polls * 2 + 60 * 4 * 8, "{asked} requests for {polls} polls");
        let now = scene.desk.second();
        scene.desk.put(job("Stuck", State::Failed, -60, Some(now)));
        scene.pass(2 * 3600).await;
        scene.told(&[("failed", "Stuck", 1), ("stuck", "Stuck", 1)]);
    });
}

#[test]
fn a_job_that_is_gone_from_the_list_is_not_looked_for_for_ever() {
    for search in [Search::Works, Search::FindsNothing, Search::IsIgnored] {
        in_virtual_time(async {
            let list = old(1_000).chain([job("Gone", State::Running, -9 * DAY, None)]);
            let mut scene = Scene::new(Desk::new(list).with(search), every_end());
            scene.poll_every = Duration::from_secs(600);
            scene.start().await;
            scene.pass(HOUR.unsigned_abs()).await;
            assert_eq!(scene.store.open(), 1);
            scene.desk.remove("Gone");
            scene.pass(30 * HOUR.unsigned_abs()).await;
            assert_eq!(scene.store.open(), 0, "{search:?}");
            let asked = scene.desk.asked().len();
            scene.pass(2 * HOUR.unsigned_abs()).await;
            assert!(scene.desk.asked().len() - asked < 100, "{search:?}: {} requests in two hours", scene.desk.asked().len() - asked);
        });
    }
}

#[test]
fn a_source_that_first_answers_late_costs_no_end_since_the_start() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new([job("Before", State::Failed, -100, Some(-10))]), every_end());
        // An hour ahead of the machine: the server's time is what counts.
        scene.desk.sleep_through(HOUR);
        scene.desk.set_local_clock_ahead(0);
        scene.desk.put(job("JustBefore", State::Failed, HOUR - 100, Some(HOUR - 10)));
        scene.desk.fails(|second| (second < 1_800).then(|| FeedError::Unavailable("HTTP 503".into())));
        scene.start().await;
        scene.pass(600).await;
        scene.desk.put(job("Meanwhile", State::Failed, HOUR + 60, Some(HOUR + 500)));
        scene.pass(1_200 + SOON).await;
        scene.told(&[("every-end", "Meanwhile", 1)]);
    });
}

#[test]
fn a_start_in_the_far_future_or_none_hides_no_later_job() {
    in_virtual_time(async {
        let mut nameless = job("Nameless", State::Running, 0, None);
        nameless.started = None;
        let far = [job("Future", State::Finished, 70 * 365 * DAY, Some(-HOUR)), job("Ahead", State::Running, 3 * HOUR, None), nameless];
        let mut scene = Scene::new(Desk::new(old(400).chain(far)), every_end());
        scene.start().await;
        scene.pass(600).await;
        let mut expected = Vec::new();
        for n in 0..6 {
            let now = scene.desk.second();
            let id = format!("Job{n}");
            scene.desk.put(job(id.clone(), State::Failed, now - 20, Some(now)));
            scene.pass(SOON).await;
            expected.push(("every-end".to_owned(), id, 1));
            assert_eq!(scene.store.told(), expected);
            assert!(scene.store.watermark().unwrap() <= at(scene.desk.second()), "the watermark is ahead of the server's time");
        }
        let mut nameless = job("Nameless", State::Failed, 0, Some(scene.desk.second()));
        nameless.started = None;
        scene.desk.put(nameless);
        scene.pass(SOON).await;
        assert!(scene.store.told().iter().any(|(_, id, _)| id == "Nameless"));
    });
}

#[test]
fn three_days_of_trouble_make_no_storm_and_lose_nothing() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(400)), every_end());
        scene.start().await;
        scene.pass(600).await;
        let (from, until) = (scene.desk.second(), scene.desk.second() + 3 * DAY);
        scene.desk.fails(move |second| (second < until).then(|| FeedError::Unavailable("HTTP 503: <html>Sorry</html>".into())));
        for n in 0..200 {
            scene.desk.put(job(format!("Job{n:03}"), State::Failed, from + n * 1_000, Some(from + n * 1_000 + 60)));
        }
        scene.pass(3 * DAY.unsigned_abs() - 60).await;
        scene.told(&[]);
        let tries = scene.desk.asked().iter().filter(|second| **second >= from).count();
        assert!(tries <= usize::try_from(3 * DAY / 60).unwrap() + 1, "{tries} tries in three days");
        scene.pass(SOON + 60).await;
        assert_eq!(scene.store.told().len(), 200);
    });
}

#[test]
fn no_request_comes_earlier_than_the_service_asked_for() {
    // At the head of the list and in the middle of a sweep; waits that a sweep sits out, and longer ones.
    for (failing, wait) in [(1, 7), (1, 120), (1, 4_000), (3, 7), (3, 120), (3, 121), (3, 4_000)] {
        in_virtual_time(async move {
            let mut scene = Scene::new(Desk::new(old(900)), every_end());
            let mut asked = 0;
            scene.desk.fails(move |_| {
                asked += 1;
                let after = Some(Duration::from_secs(wait));
                (asked == failing).then(|| FeedError::Throttled { after, why: "HTTP 429".into() })
            });
            scene.start().await;
            scene.pass(2 * wait + 300).await;
            let asked = scene.desk.asked();
            let pause = asked[failing] - asked[failing - 1];
            assert!(pause.unsigned_abs() >= wait, "asked for {wait} s at request {failing}, waited {pause} s");
            assert!(pause.unsigned_abs() <= wait + POLL_EVERY.as_secs() + 1, "asked for {wait} s, but waited {pause} s");
            assert!(scene.store.has_baseline(), "the list was read after all");
        });
    }
    // Asked for patience without a time, it keeps its usual pace.
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(50)), every_end());
        scene.desk.fails(|second| (second < 3_600).then(|| FeedError::Throttled { after: None, why: "HTTP 429".into() }));
        scene.start().await;
        scene.pass(3_500).await;
        assert!(scene.desk.asked().windows(2).all(|pair| pair[1] - pair[0] >= 59), "{:?}", scene.desk.asked());
    });
}

/// One way a job may show itself, poll after poll, and what is told of it.
fn check_ends(shown: &[(State, Option<i64>)], expected: &[(&str, &str, u32)]) {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(200)), by_state());
        scene.start().await;
        scene.pass(SOON).await;
        let from = scene.desk.second();
        for (state, finished) in shown {
            scene.desk.put(job("Scan", *state, from - 60, finished.map(|at| from + at)));
            scene.pass(SOON).await;
        }
        scene.told(expected);
        // What was told is not told again by a program that starts anew.
        scene.start().await;
        scene.pass(SOON).await;
        scene.told(expected);
    });
}

#[test]
fn what_becomes_of_an_end_decides_whether_it_is_told_again() {
    let (run, fine, bad) = (|| (State::Running, None), |at| (State::Finished, Some(at)), |at| (State::Failed, Some(at)));
    check_ends(&[run(), fine(10)], &[("finished", "Scan", 1)]);
    check_ends(&[fine(10), fine(10)], &[("finished", "Scan", 1)]);
    check_ends(&[fine(10), fine(11)], &[("finished", "Scan", 1)]);
    check_ends(&[fine(10), bad(10)], &[("failed", "Scan", 1), ("finished", "Scan", 1)]);
    check_ends(&[fine(10), bad(10), fine(10), bad(10)], &[("failed", "Scan", 1), ("finished", "Scan", 1)]);
    check_ends(&[fine(10), run(), fine(90)], &[("finished", "Scan", 1), ("finished", "Scan", 2)]);
    // A run that began and ended unseen.
    check_ends(&[fine(10), fine(90)], &[("finished", "Scan", 1), ("finished", "Scan", 2)]);
    check_ends(&[bad(10), run(), fine(90)], &[("failed", "Scan", 1), ("finished", "Scan", 2)]);
    let flaps: Vec<_> = (0..100).flat_map(|n| [run(), bad(n * 10)]).collect();
    let told: Vec<_> = (1..=100).map(|run| ("failed", "Scan", run)).collect();
    check_ends(&flaps, &told);
}

#[test]
fn a_local_clock_that_is_years_off_makes_no_storm_no_stall_and_no_false_alarm() {
    in_virtual_time(async {
        let running = job("Running", State::Running, -60, None);
        let mut scene = Scene::new(Desk::new(old(400).chain([running])), by_state());
        scene.start().await;
        scene.pass(600).await;
        let mut expected = Vec::new();
        for (n, ahead) in [YEARS, -YEARS, 0, HOUR, -HOUR, 0, -YEARS, YEARS, 0].into_iter().enumerate() {
            scene.desk.set_local_clock_ahead(ahead);
            let before = scene.desk.asked().len();
            scene.pass(1_200).await;
            // Each turn takes a page or two, and few of them are of the whole list.
            let asked = scene.desk.asked().len() - before;
            assert!((20..60).contains(&asked), "{asked} requests in twenty polls with the clock {ahead} s ahead");
            let now = scene.desk.second();
            let id = format!("Job{n}");
            scene.desk.put(job(id.clone(), State::Failed, now - 20, Some(now)));
            scene.pass(SOON).await;
            expected.push(("failed".to_owned(), id, 1));
            assert_eq!(scene.store.told(), expected, "with the clock {ahead} s ahead");
            assert!(scene.store.watermark().unwrap() <= at(scene.desk.second()));
        }
        // A program that first starts with such a clock takes no old end for a new one.
        for ahead in [YEARS, -YEARS] {
            let mut scene = Scene::new(Desk::new(old(400)), by_state());
            scene.desk.set_local_clock_ahead(ahead);
            scene.start().await;
            scene.pass(600).await;
            scene.told(&[]);
            let now = scene.desk.second();
            scene.desk.put(job("Job", State::Failed, now - 20, Some(now)));
            scene.pass(SOON).await;
            scene.told(&[("failed", "Job", 1)]);
        }
    });
}

#[test]
fn a_machine_that_slept_reads_on_at_once_and_misses_nothing() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(400)), every_end());
        scene.start().await;
        scene.pass(600).await;
        let fell_asleep = scene.desk.second();
        scene.desk.sleep_through(8 * HOUR);
        for n in 0..150 {
            let started = fell_asleep + n * 180;
            scene.desk.put(job(format!("Job{n:03}"), State::Failed, started, Some(started + 60)));
        }
        let before = scene.desk.asked().len();
        scene.pass(SOON).await;
        assert_eq!(scene.store.told().len(), 150);
        assert!(scene.desk.asked().len() - before < 20, "{:?}", &scene.desk.asked()[before..]);
    });
}
