//! The first line of a message about jobs, the same in every channel: what became of which scan. A phone shows little more.

use std::borrow::Cow;

use crate::domain::{Alert, JobType, State};

/// States in the order in which they are told: what wants someone stands first. Any other state comes behind these.
const ORDER: [State; 6] = [State::Failed, State::FinishedWithException, State::Running, State::Stopped, State::Skipped, State::Finished];

/// "Scan failed: nightly sites", "3 scans: 2 failed, 1 stopped". Of more jobs than are at hand, `count` in all, only their number
/// is told. None where there is no job.
pub fn headline(alerts: &[Alert], count: u64, rule: &str) -> Option<String> {
    let first = &alerts.first()?.job;
    if count > alerts.len() as u64 {
        return Some(format!("{count} {}: {rule}", noun(alerts)));
    }
    let profile = if first.profile.trim().is_empty() { "a profile without a name" } else { &first.profile };
    let same_profile = alerts.iter().all(|alert| alert.job.profile == first.profile);
    if alerts.iter().all(|alert| alert.job.state == first.state) {
        let state = words(first.state);
        let who = match alerts {
            [_] if first.kind == Some(JobType::BatchImport) => "Batch import".to_owned(),
            [_] => "Scan".to_owned(),
            several => format!("{} {}", several.len(), noun(several)),
        };
        return Some(if same_profile { format!("{who} {state}: {profile}") } else { format!("{who} {state}") });
    }
    let mut states: Vec<(usize, State)> = Vec::new();
    for alert in alerts {
        match states.iter_mut().find(|(_, state)| *state == alert.job.state) {
            Some((n, _)) => *n += 1,
            None => states.push((1, alert.job.state)),
        }
    }
    states.sort_by_key(|(_, state)| ORDER.iter().position(|other| other == state).unwrap_or(ORDER.len()));
    let states: Vec<String> = states.into_iter().map(|(n, state)| format!("{n} {}", words(state))).collect();
    let of = if same_profile { format!(" of {profile}") } else { String::new() };
    Some(format!("{} {}{of}: {}", alerts.len(), noun(alerts), states.join(", ")))
}

/// The tenant they are of, or how many tenants; none where not all of them are at hand.
pub fn origin(alerts: &[Alert], count: u64) -> Option<String> {
    let mut sources: Vec<&str> = alerts.iter().map(|alert| alert.job.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    match sources[..] {
        _ if count > alerts.len() as u64 => None,
        [] => None,
        [one] => Some(one.to_owned()),
        _ => Some(format!("{} sources", sources.len())),
    }
}

fn noun(alerts: &[Alert]) -> &'static str {
    let imports = alerts.iter().filter(|alert| alert.job.kind == Some(JobType::BatchImport)).count();
    match imports {
        0 => "scans",
        n if n == alerts.len() => "batch imports",
        _ => "jobs",
    }
}

fn words(state: State) -> Cow<'static, str> {
    match state {
        State::Running => "still running".into(),
        State::Finished => "finished".into(),
        State::Failed => "failed".into(),
        State::FinishedWithException => "finished with exceptions".into(),
        State::Skipped => "skipped".into(),
        State::Stopped => "stopped".into(),
        State::Unknown(code) => format!("in the unknown state {code}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Job, template::samples};

    fn alerts(jobs: &[(&str, &str, State, JobType)]) -> Vec<Alert> {
        let sample = samples().swap_remove(0).1.alerts.swap_remove(0);
        let job = |(source, profile, state, kind): &(&str, &str, State, JobType)| Job {
            source: (*source).into(),
            profile: (*profile).to_owned(),
            state: *state,
            kind: Some(*kind),
            ..sample.job.clone()
        };
        jobs.iter().map(|of| Alert { job: job(of), ..sample.clone() }).collect()
    }

    #[test]
    fn the_first_line_says_what_became_of_which_scan() {
        use State::{Failed, Finished, FinishedWithException, Running, Unknown};
        const SCAN: JobType = JobType::Microsoft365;
        const IMPORT: JobType = JobType::BatchImport;
        let check = |jobs: &[(&str, &str, State, JobType)], more: u64, expected: &str, of: Option<&str>| {
            let alerts = alerts(jobs);
            let count = alerts.len() as u64 + more;
            assert_eq!(headline(&alerts, count, "scan-failed").as_deref(), Some(expected));
            assert_eq!(origin(&alerts, count).as_deref(), of);
        };
        let a = Some("a");
        check(&[("a", "sites", Failed, SCAN)], 0, "Scan failed: sites", a);
        check(&[("a", "sites", Running, SCAN)], 0, "Scan still running: sites", a);
        check(&[("a", " ", Finished, SCAN)], 0, "Scan finished: a profile without a name", a);
        check(&[("a", "sites", Unknown(6), SCAN)], 0, "Scan in the unknown state 6: sites", a);
        check(&[("a", "users", FinishedWithException, IMPORT)], 0, "Batch import finished with exceptions: users", a);
        check(&[("a", "sites", Failed, SCAN), ("a", "sites", Failed, SCAN)], 0, "2 scans failed: sites", a);
        check(&[("a", "sites", Failed, SCAN), ("b", "mail", Failed, SCAN)], 0, "2 scans failed", Some("2 sources"));
        let mixed = [("a", "sites", Finished, SCAN), ("a", "mail", Failed, SCAN), ("a", "x", Failed, IMPORT)];
        check(&mixed, 0, "3 jobs: 2 failed, 1 finished", a);
        check(&mixed, 40, "43 jobs: scan-failed", None);
        let same = [("a", "sites", Unknown(6), SCAN), ("a", "sites", Failed, SCAN)];
        check(&same, 0, "2 scans of sites: 1 failed, 1 in the unknown state 6", a);
        assert_eq!((headline(&[], 0, "r"), origin(&[], 0)), (None, None));
    }
}
