//! Single turns that rules which look at the past may take.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{
    domain::{Job, State},
    intake::model::{
        desk::{Desk, Scene, job},
        in_virtual_time, rules_of,
    },
    rules::RuleSet,
    source::FeedError,
};

const DAY: i64 = 86_400;

fn streak() -> Arc<RuleSet> {
    rules_of("rules:\n- { name: streak, when: { state: failed, streak: '>= 2' }, notify: [hook] }\n")
}

/// An old list of other profiles, of so many pages.
fn old(pages: i64) -> impl Iterator<Item = Job> {
    (0..pages * 100).map(|n| Job {
        profile: format!("other {}", n % 7),
        ..job(format!("Old{n:05}"), State::Finished, -DAY - n * 60, Some(-DAY - n * 60 + 30))
    })
}

fn failed(id: &str, finished: i64) -> Job {
    job(id, State::Failed, finished - 60, Some(finished))
}

/// Only the first page can be read while the switch is on.
fn first_page_only(desk: &Desk) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&on);
    let mut last = -60;
    desk.fails(move |second| {
        let first = second - last >= 40;
        last = if first { second } else { last };
        (!first && switch.load(Ordering::Relaxed)).then(|| FeedError::Unavailable("HTTP 503".into()))
    });
    on
}

#[test]
fn an_end_between_two_pages_waits_for_what_the_first_may_have_hidden() {
    in_virtual_time(async {
        let running = [job("A", State::Running, -60, None), job("J", State::Running, -9 * DAY, None), failed("P", -600)];
        let mut scene = Scene::new(Desk::new(old(8).chain(running)), streak());
        let (desk, asked) = (Arc::clone(&scene.desk), AtomicUsize::new(0));
        scene.desk.fails(move |second| {
            // The first page shows A running; before the last shows J, both have ended, A first.
            if asked.fetch_add(1, Ordering::Relaxed) == 6 {
                desk.put(job("A", State::Finished, -60, Some(second)));
                desk.put(job("J", State::Failed, -9 * DAY, Some(second)));
            }
            None
        });
        scene.start().await;
        scene.pass(600).await;
        scene.told(&[]);
        let now = scene.desk.second();
        scene.desk.put(failed("K", now));
        scene.pass(90).await;
        scene.told(&[("streak", "K", 1)]);
    });
}

#[test]
fn an_end_waits_five_minutes_for_a_list_that_is_not_read_whole_and_no_longer() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(3)), streak());
        scene.start().await;
        scene.pass(300).await;
        let down = first_page_only(&scene.desk);
        // Starting anew, it reads the whole list.
        scene.start().await;
        let now = scene.desk.second();
        scene.desk.put(failed("A", now - 9));
        scene.desk.put(failed("B", now - 8));
        scene.pass(240).await;
        scene.told(&[]);
        // What waits outlives the program, and a new run of the job.
        scene.start().await;
        scene.pass(60).await;
        scene.told(&[]);
        scene.pass(330).await;
        scene.told(&[("streak", "B", 1)]);
        let now = scene.desk.second();
        scene.desk.put(failed("C", now));
        scene.pass(120).await;
        scene.told(&[("streak", "B", 1)]);
        scene.desk.put(job("C", State::Running, now - 60, None));
        scene.pass(120).await;
        scene.told(&[("streak", "B", 1), ("streak", "C", 1)]);
        down.store(false, Ordering::Relaxed);
        scene.pass(600).await;
        scene.told(&[("streak", "B", 1), ("streak", "C", 1)]);
    });
}

#[test]
fn an_end_that_waits_while_the_rules_change_is_judged_by_all_the_new_ones() {
    in_virtual_time(async {
        let mut scene = Scene::new(Desk::new(old(3)), streak());
        scene.start().await;
        scene.pass(300).await;
        let down = first_page_only(&scene.desk);
        scene.start().await;
        let now = scene.desk.second();
        scene.desk.put(failed("A", now));
        scene.pass(90).await;
        // The rule no longer looks back: without the mark no one would ever judge by it.
        scene.rules = rules_of("rules:\n- { name: streak, when: { state: failed }, notify: [hook] }\n");
        down.store(false, Ordering::Relaxed);
        scene.start().await;
        scene.pass(90).await;
        scene.told(&[("streak", "A", 1)]);
        assert_eq!(scene.store.waiting(), 0);
    });
}

#[test]
fn a_scan_that_runs_longer_than_usual_is_told_of_once_in_time() {
    in_virtual_time(async {
        let rules = rules_of(
            "rules:\n\
             - { name: slow, when: { state: [running, finished], slower_than_usual: { factor: 2, over: 5 } }, notify: [hook] }\n",
        );
        let usual = (1..9).map(|n| job(format!("Usual{n}"), State::Finished, -n * DAY, Some(-n * DAY + 600)));
        let mut scene = Scene::new(Desk::new(usual), rules);
        scene.start().await;
        scene.pass(300).await;
        let now = scene.desk.second();
        scene.desk.put(job("Scan", State::Running, now, None));
        scene.pass(1_180).await;
        scene.told(&[]);
        let asked = scene.store.pasts_asked();
        scene.pass(120).await;
        scene.told(&[("slow", "Scan", 1)]);
        scene.pass(600).await;
        assert_eq!(scene.store.pasts_asked(), asked, "nothing has ended: the past is the same");
        let end = scene.desk.second();
        scene.desk.put(job("Scan", State::Finished, now, Some(end)));
        scene.desk.put(job("Quick", State::Finished, end - 600, Some(end)));
        scene.start().await;
        scene.pass(300).await;
        scene.told(&[("slow", "Scan", 1)]);
    });
}
