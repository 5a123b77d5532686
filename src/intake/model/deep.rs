//! More scans run deep in the list than one turn looks up, in virtual time, with the whole poller.

use std::time::Duration;

use super::{
    desk::{Desk, Scene, Search, at, job},
    every_end, in_virtual_time, rules_of,
};
use crate::{
    domain::{Job, Name, State},
    source::FeedError,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Within a period, a sweep and its look-ups, an end is told.
const SOON: u64 = 60 + 30;

/// A long list of jobs that ended, newest first.
fn newer(count: i64) -> impl Iterator<Item = Job> {
    (0..count).map(|n| job(format!("New{n:05}"), State::Finished, -60 - n * 28, Some(-30 - n * 28)))
}

/// One of which a turn reads the head alone: all of it is older than the look-back.
fn quiet(count: i64) -> impl Iterator<Item = Job> {
    (0..count).map(|n| job(format!("Old{n:05}"), State::Finished, -DAY - n * 60, Some(-DAY - n * 60 + 30)))
}

/// Scans that run since days ago, beneath all of those.
fn deep(count: i64) -> impl Iterator<Item = Job> {
    (0..count).map(|n| running(n, State::Running, None))
}

fn running(n: i64, state: State, finished: Option<i64>) -> Job {
    job(format!("Deep{n:03}"), state, -10 * DAY - n * 60, finished)
}

fn end_all(scene: &Scene, count: i64) {
    let now = scene.desk.second();
    for n in 0..count {
        scene.desk.put(running(n, State::Failed, Some(now)));
    }
}

#[test]
fn as_many_as_one_turn_looks_up_are_told_within_a_period_of_their_ends() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(newer(20_000).chain(deep(90))), every_end());
        scene.start().await;
        // Between two turns; before the one after the next one, all is told.
        scene.pass(5 * 60 + 40).await;
        end_all(&scene, 90);
        scene.pass(60).await;
        assert_eq!(scene.store.told().len(), 90);
    });
}

#[test]
fn where_more_run_than_the_list_has_pages_the_list_is_read() {
    for search in [Search::Works, Search::FindsNothing, Search::IsIgnored] {
        in_virtual_time(async {
            let mut scene = Scene::new(Desk::new(newer(3_000).chain(deep(300))).with(search), every_end());
            scene.start().await;
            scene.pass(5 * 60).await;
            end_all(&scene, 300);
            scene.pass(SOON).await;
            assert_eq!(scene.store.told().len(), 300, "{search:?}");
        });
    }
}

#[test]
fn nothing_counts_as_known_before_every_job_that_runs_was_looked_at() {
    for (count, search, fails) in [(270, Search::Works, false), (270, Search::Works, true), (30, Search::IsIgnored, false)] {
        in_virtual_time(async {
            let mut scene = Scene::new(Desk::new(newer(30_000).chain(deep(count))).with(search), every_end());
            scene.start().await;
            scene.pass(20 * 60).await;
            if fails {
                // So many a turn, and then it asks for patience.
                let mut asked = 0;
                scene.desk.fails_look_ups(move |_| {
                    asked += 1;
                    (asked % 40 == 0).then(|| FeedError::Throttled { after: Some(Duration::from_secs(70)), why: "HTTP 429".into() })
                });
            }
            let source = Name::from("contoso");
            let known = |scene: &Scene| scene.health.readings()[&source].complete;
            assert!(known(&scene).is_some());
            let ended = scene.desk.second();
            end_all(&scene, count);
            let mut waited = 0;
            while scene.store.told().len() < usize::try_from(count).unwrap() {
                assert!(known(&scene) <= Some(at(ended)), "{} of {count} ends are known", scene.store.told().len());
                scene.pass(1).await;
                waited += 1;
            }
            // With 100 look-ups a turn three turns do, with 39 a turn of 70 s seven.
            assert!(waited <= if fails { 8 * 80 } else { 4 * 60 + 30 }, "{waited} s");
            scene.pass(3 * SOON).await;
            assert!(known(&scene) > Some(at(ended)), "what is known goes on from there");
        });
    }
}

#[test]
fn a_job_that_was_gone_and_runs_on_is_told_of_within_a_period_of_its_end() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(quiet(3_000).chain(deep(1))), every_end());
        scene.poll_every = Duration::from_secs(600);
        scene.start().await;
        scene.pass(HOUR.unsigned_abs()).await;
        scene.desk.remove("Deep000");
        scene.pass(24 * HOUR.unsigned_abs()).await;
        assert_eq!(scene.store.open(), 0);
        scene.desk.put(running(0, State::Running, None));
        scene.pass(7 * HOUR.unsigned_abs()).await;
        assert_eq!(scene.store.open(), 1);
        end_all(&scene, 1);
        scene.pass(600 + SOON).await;
        assert_eq!(scene.store.told().len(), 1);
    });
}

#[test]
fn a_search_that_passes_over_what_is_deep_in_the_list_is_found_out() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(quiet(3_000).chain(deep(3))).with(Search::FindsTheNewest), every_end());
        scene.start().await;
        scene.pass(600).await;
        let (source, ended) = (Name::from("contoso"), scene.desk.second());
        end_all(&scene, 3);
        scene.pass(SOON).await;
        assert_eq!(scene.store.told().len(), 3);
        assert!(scene.health.readings()[&source].complete > Some(at(ended)));
    });
    // Nor is anything known by it before: here, what runs ends between the first reading of the list and the first look-up.
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(quiet(3_000).chain(deep(3))).with(Search::FindsTheNewest), every_end());
        scene.start().await;
        scene.pass(50).await;
        let (source, ended) = (Name::from("contoso"), scene.desk.second());
        end_all(&scene, 3);
        while scene.store.told().len() < 3 {
            assert!(scene.health.readings()[&source].complete <= Some(at(ended)));
            scene.pass(1).await;
            assert!(scene.desk.second() - ended < 300);
        }
    });
}

#[test]
fn a_few_long_scans_do_not_have_each_turn_read_days_of_the_list() {
    in_virtual_time(async {
        let long = |state, finished| job("Long", state, -40 * HOUR, finished);
        let mut scene = Scene::new(Desk::new(newer(10_000).chain([long(State::Running, None)])), every_end());
        scene.start().await;
        scene.pass(600).await;
        let asked = scene.desk.asked().len();
        scene.pass(HOUR.unsigned_abs()).await;
        // Six hours of the list are ten pages or so; forty were seventy.
        assert!(scene.desk.asked().len() - asked < 60 * 20, "{} requests in an hour", scene.desk.asked().len() - asked);
        let now = scene.desk.second();
        scene.desk.put(long(State::Failed, Some(now)));
        scene.pass(SOON).await;
        scene.told(&[("every-end", "Long", 1)]);
    });
}

#[test]
fn one_look_up_that_fails_does_not_have_the_list_read_for_hours() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(quiet(3_000).chain(deep(3))), every_end());
        scene.start().await;
        scene.pass(600).await;
        let mut failed = 0;
        scene.desk.fails_look_ups(move |_| {
            failed += 1;
            (failed == 2).then(|| FeedError::Unavailable("HTTP 503".into()))
        });
        let asked = scene.desk.asked().len();
        scene.pass(HOUR.unsigned_abs()).await;
        // A few pages and three look-ups a turn.
        assert!(scene.desk.asked().len() - asked < 60 * 10, "{} requests in an hour", scene.desk.asked().len() - asked);
        end_all(&scene, 3);
        scene.pass(SOON).await;
        assert_eq!(scene.store.told().len(), 3);
    });
}

#[test]
fn a_scan_that_ended_before_it_ran_too_long_is_no_alarm_however_late_its_turn_comes() {
    let stuck = rules_of("rules:\n- { name: stuck, when: { state: running, duration: '> 241h' }, notify: [hook] }\n");
    in_virtual_time(async {
        let scan = |n: i64, state, finished| job(format!("Deep{n:03}"), state, -10 * DAY + n * 20, finished);
        let list = newer(30_000).chain((0..270).map(|n| scan(n, State::Running, None)));
        let mut scene = Scene::new(Desk::new(list), stuck);
        scene.start().await;
        // From an hour on, one each 20 s would have run too long; all but three end within the minute before.
        for minute in 0..160 {
            let now = scene.desk.second();
            for n in (0..270).filter(|n| n % 100 != 7) {
                if (1..=60).contains(&(HOUR + n * 20 - now)) {
                    scene.desk.put(scan(n, State::Finished, Some(now)));
                }
            }
            if minute == 90 {
                scene.start().await;
            }
            scene.pass(60).await;
        }
        scene.told(&[("stuck", "Deep007", 1), ("stuck", "Deep107", 1), ("stuck", "Deep207", 1)]);
        assert_eq!(scene.store.open(), 3);
    });
}
