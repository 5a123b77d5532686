//! Rules as their users write them: read, judged, explained.

mod faults;
mod history;
mod index;
mod judging;
mod missing;
mod warnings;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Known, RuleSet, read};
use crate::{
    document::{Faults, Level, Node, Source, parse},
    domain::{Category, Job, JobType, Name, State},
};

pub(super) fn file(path: &str, text: &str) -> Node {
    let mut faults = Faults::default();
    let source = Source { path: PathBuf::from(path), text: text.to_owned() };
    parse(&Arc::new(source), &mut faults).unwrap_or_else(|| panic!("{text}: {faults:?}"))
}

pub(super) fn read_files(files: &[Node]) -> (RuleSet, Faults) {
    let mut faults = Faults::default();
    let names = |names: &[&str]| names.iter().map(Name::from).collect::<Vec<_>>();
    let known = Known {
        channels: &names(&["oncall", "scans", "admins"]),
        sources: &names(&["contoso", "fabrikam"]),
        template_sets: &["alert".to_owned(), "short".to_owned()],
    };
    let rules = read(files, &known, &mut faults);
    (rules, faults)
}

/// One rule with these conditions in flow style.
pub(super) fn rule(when: &str) -> (RuleSet, Faults) {
    read_files(&[file("r.yaml", &format!("rules:\n  - name: r\n    when: {when}\n    notify: oncall\n"))])
}

/// Every fault in one line: `file:line:column level: message (hint)`.
pub(super) fn lines(faults: &Faults) -> Vec<String> {
    let line = |f: &crate::document::Fault| {
        let level = if f.level == Level::Error { "error" } else { "warning" };
        let hint = f.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{}:{} {level}: {}{hint}", f.place.source.path.display(), f.place.line, f.place.column, f.message)
    };
    faults.sorted().into_iter().map(line).collect()
}

pub(super) fn now() -> Timestamp {
    "2024-09-26T12:00:00Z".parse().unwrap()
}

/// A job of contoso's in this state, begun so long before `now`; ended at `now` unless it runs.
pub(super) fn job(state: State, profile: &str, seconds: u64) -> Job {
    let started = now().checked_sub(Duration::from_secs(seconds)).unwrap();
    Job {
        source: Name::from("contoso"),
        id: "Scan1".into(),
        kind: Some(JobType::Microsoft365),
        state,
        started: Some(started),
        finished: (state != State::Running).then(now),
        profile: profile.into(),
        category: Some(Category::Microsoft365),
        extension: serde_json::Value::Null,
    }
}
