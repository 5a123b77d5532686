//! Whether an awaited job came: a table of moments, and what holds for every history.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::Told,
    rules::{Missing, Standing, Watch},
};

fn missing(with: &str) -> (RuleSet, Faults) {
    let text = format!("rules:\n  - name: r\n    missing: {{ profile: \"nightly *\", {with} }}\n    notify: oncall\n");
    read_files(&[file("r.yaml", &text)])
}

/// Every 100 s, with 10 s of grace.
fn hundred_and_ten() -> Arc<crate::rules::Rule> {
    Arc::clone(&missing("every: 100s, grace: 10s").0.rules()[0])
}

fn at(second: i64) -> Timestamp {
    now().checked_add(jiff::SignedDuration::from_secs(second)).unwrap()
}

fn watch(last: Option<i64>, complete: Option<i64>, dark: Option<i64>, told: Told) -> Watch {
    Watch { last: last.map(at), began: at(0), complete: complete.map(at), dark: dark.map(at), told }
}

#[track_caller]
fn check(watch: &Watch, now: i64, standing: Standing, again: Option<i64>) {
    let rule = hundred_and_ten();
    let missing = rule.missing().unwrap();
    assert_eq!(missing.judge(watch, at(now)), standing);
    assert_eq!(missing.look_again(watch, at(now)), again.map(at));
}

#[test]
fn nothing_is_missing_before_it_is_due_and_the_list_was_read_since() {
    let watch = |last, complete| watch(last, complete, None, Told::Nothing);
    check(&watch(None, None), 109, Standing::Fine { due: at(110) }, Some(110));
    check(&watch(None, None), 110, Standing::Unread { due: at(110) }, None);
    check(&watch(None, Some(109)), 500, Standing::Unread { due: at(110) }, None);
    check(&watch(None, Some(110)), 110, Standing::Missing { due: at(110) }, Some(110));
    // The last end counts, also one from before the watch began: what is missing already is told at once.
    check(&watch(Some(50), Some(159)), 159, Standing::Fine { due: at(160) }, Some(160));
    check(&watch(Some(-60), Some(50)), 50, Standing::Missing { due: at(50) }, Some(50));
    // The clock of the service runs ahead of ours.
    check(&watch(None, Some(110)), 90, Standing::Missing { due: at(110) }, Some(90));
}

#[test]
fn while_the_source_is_dark_it_can_not_be_told_which_of_the_two_it_is() {
    let watch = |last, complete, dark, told| watch(last, complete, dark, told);
    let due = at(110);
    check(&watch(None, Some(60), Some(70), Told::Nothing), 109, Standing::Fine { due }, Some(110));
    check(&watch(None, Some(60), Some(70), Told::Nothing), 110, Standing::CannotTell { due }, Some(110));
    check(&watch(None, Some(60), Some(130), Told::Nothing), 120, Standing::Unread { due }, Some(130));
    check(&watch(None, Some(60), Some(70), Told::CannotTell(due)), 900, Standing::Told, None);
    // Back, and the job came, or did not.
    check(&watch(Some(105), Some(920), None, Told::CannotTell(due)), 920, Standing::Back { due, came: at(105) }, Some(920));
    check(&watch(None, Some(920), None, Told::CannotTell(due)), 920, Standing::Missing { due }, Some(920));
    // Read once after it was due, and dark again: it did not come in time.
    check(&watch(None, Some(110), Some(111), Told::Nothing), 300, Standing::Missing { due }, Some(300));
}

#[test]
fn a_gap_that_was_told_ends_with_the_next_job_that_comes() {
    let due = at(110);
    check(&watch(None, Some(500), None, Told::Missing(due)), 500, Standing::Told, None);
    check(&watch(None, Some(300), Some(310), Told::Missing(due)), 500, Standing::Told, None);
    check(&watch(Some(480), Some(500), None, Told::Missing(due)), 500, Standing::Back { due, came: at(480) }, Some(500));
    check(&watch(Some(480), Some(500), None, Told::Nothing), 500, Standing::Fine { due: at(590) }, Some(590));
    // One that ended in time after all, and got into the list late.
    check(&watch(Some(40), Some(140), None, Told::Missing(due)), 140, Standing::Back { due, came: at(40) }, Some(140));
}

#[test]
fn a_job_counts_by_its_end_whatever_came_of_it_unless_it_was_skipped() {
    let rule = hundred_and_ten();
    let missing = rule.missing().unwrap();
    for state in State::ALL {
        let counts = !matches!(state, State::Running | State::Skipped);
        assert_eq!(missing.counts(&job(*state, "Nightly sites", 60)), counts.then(now), "{state:?}");
    }
    assert_eq!(missing.counts(&job(State::Finished, "weekly sites", 60)), None);
    let endless = Job { finished: None, ..job(State::Finished, "nightly", 60) };
    assert_eq!(missing.counts(&Job { profile: "nightly x".into(), ..endless }), Some(at(-60)));
}

#[test]
fn a_rule_may_name_the_sources_it_waits_at() {
    let (rules, faults) = missing("every: 1d, source: [fabrikam, fabrikam]");
    assert!(lines(&faults)[0].contains("the source `fabrikam` stands here a second time"), "{:?}", lines(&faults));
    let missing_rule = rules.rules()[0].missing().unwrap();
    assert_eq!(missing_rule.sources, [Name::from("fabrikam")]);
    assert_eq!(missing_rule.counts(&job(State::Failed, "nightly x", 1)), None);
    assert!(missing_rule.counts(&Job { source: "fabrikam".into(), ..job(State::Failed, "nightly x", 1) }).is_some());
    let (_, faults) = missing("every: 1d, source: fabricam");
    assert!(lines(&faults).iter().any(|line| line.contains("did you mean `fabrikam`?")), "{:?}", lines(&faults));
}

#[test]
fn every_profile_may_be_awaited() {
    let (rules, faults) = read_files(&[file("r.yaml", "rules:\n  - { name: r, missing: { profile: '*', every: 1h }, notify: oncall }\n")]);
    assert_eq!(lines(&faults), [""; 0]);
    assert!(rules.rules()[0].missing().unwrap().awaits("anything"));
}

#[test]
fn what_is_awaited_has_words_of_its_own() {
    let words = |with: &str| missing(with).0.rules()[0].missing().map(Missing::words).unwrap();
    let all = ["every: 1d", "every: 25h", "every: 1d, grace: 1s", "every: 1d, source: contoso", "every: 1d, source: fabrikam"].map(words);
    for (n, one) in all.iter().enumerate() {
        assert_eq!(all.iter().position(|other| other == one), Some(n), "{one}");
    }
    assert_eq!(words("every: 24h, grace: 0s"), all[0], "written otherwise, it is the same");
}

/// What is told over a history: jobs that end at these seconds, and looks at the list at those, some of which can't read it.
fn history(missing: &Missing, ends: &[i64], looks: &[(i64, bool)]) -> Vec<(i64, Standing)> {
    let mut watch = Watch { last: None, began: at(0), complete: None, dark: None, told: Told::Nothing };
    let mut notices = Vec::new();
    for (second, readable) in looks {
        if *readable {
            watch.complete = Some(at(*second));
            watch.last = watch.last.max(ends.iter().filter(|end| **end <= *second).max().map(|end| at(*end)));
            watch.dark = None;
        } else {
            watch.dark = watch.dark.or(Some(at(*second)));
        }
        while let Some(told) = missing.judge(&watch, at(*second)).told() {
            notices.push((*second, missing.judge(&watch, at(*second))));
            watch.told = told;
        }
    }
    notices
}

/// When the gaps begin that there are: 110 s after the watch began or a job ended, if no other ended until then.
fn gaps(ends: &[i64], until: i64) -> Vec<i64> {
    let mut dues: Vec<i64> = ends.iter().chain([&0]).map(|from| from + 110).filter(|due| *due <= until).collect();
    dues.retain(|due| !ends.iter().any(|end| (*due - 109..=*due).contains(end)));
    dues.sort_unstable();
    dues.dedup();
    dues
}

fn second(instant: Timestamp) -> i64 {
    instant.as_second() - now().as_second()
}

proptest! {
    #[test]
    fn each_gap_is_told_once_when_it_is_due_and_once_when_it_is_over(ends in prop::collection::vec(1..3_000_i64, 0..30)) {
        let rule = hundred_and_ten();
        let looks: Vec<(i64, bool)> = (0..3_200).map(|second| (second, true)).collect();
        let notices = history(rule.missing().unwrap(), &ends, &looks);
        let told: Vec<i64> = notices.iter().filter(|(_, one)| matches!(one, Standing::Missing { .. })).map(|(at, _)| *at).collect();
        prop_assert_eq!(&told, &gaps(&ends, 3_199));
        let over: Vec<i64> = notices.iter().filter(|(_, one)| matches!(one, Standing::Back { .. })).map(|(at, _)| *at).collect();
        let expected: Vec<i64> = told.iter().filter_map(|due| ends.iter().copied().filter(|end| end > due).min()).collect();
        prop_assert_eq!(over, expected);
    }

    #[test]
    fn however_late_the_list_is_read_nothing_is_told_wrongly_or_twice(
        ends in prop::collection::vec(1..3_000_i64, 0..30),
        steps in prop::collection::vec((1..400_i64, any::<bool>()), 1..60),
    ) {
        let rule = hundred_and_ten();
        let mut clock = 0;
        let looks: Vec<(i64, bool)> = steps.iter().map(|(step, readable)| { clock += step; (clock, *readable) }).collect();
        let notices = history(rule.missing().unwrap(), &ends, &looks);
        let mut open: Option<Told> = None;
        let mut last_due = i64::MIN;
        for (told_at, standing) in &notices {
            match standing {
                Standing::CannotTell { due } => {
                    prop_assert!(open.is_none() && second(*due) <= *told_at && second(*due) > last_due);
                    last_due = second(*due);
                    open = Some(Told::CannotTell(*due));
                }
                Standing::Missing { due } => {
                    prop_assert!(second(*due) <= *told_at);
                    // No job ended in the time that a job had.
                    prop_assert!(!ends.iter().any(|end| (second(*due) - 109..second(*due)).contains(end)), "{notices:?}");
                    prop_assert!(open == Some(Told::CannotTell(*due)) || (open.is_none() && second(*due) > last_due));
                    last_due = second(*due);
                    open = Some(Told::Missing(*due));
                }
                Standing::Back { due, came } => {
                    prop_assert!(matches!(open, Some(Told::CannotTell(gap) | Told::Missing(gap)) if gap == *due));
                    prop_assert!(ends.contains(&second(*came)) && second(*came) <= *told_at);
                    open = None;
                }
                other => prop_assert!(false, "{other:?} is nothing to tell"),
            }
        }
        // What was known at the last look and lasts is told; what is told and over is told to be over.
        if let Some((last, true)) = looks.last() {
            let newest = ends.iter().copied().filter(|end| end <= last).max().unwrap_or(0);
            prop_assert_eq!(matches!(open, Some(Told::Missing(_))), newest + 110 <= *last);
        }
    }
}
