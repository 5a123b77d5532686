//! `previous`: the state of the profile's job that ended before this one.

use crate::{
    document::{Fault, Faults, Node},
    domain::{Job, State},
};

use super::{
    Known,
    codes::{self, Field},
    condition::{Facts, Lane, Test},
    past::Need,
    when::When,
};

/// One of these states.
#[derive(Debug)]
struct OneOf(Vec<i64>);

impl Test for OneOf {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        facts.past.jobs().next().is_some_and(|job| self.0.contains(&job.state.code()))
    }

    fn wanted(&self) -> String {
        codes::names(Field::State, &self.0)
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        facts.past.jobs().next().map_or_else(
            || "no job of this profile ended before it".to_owned(),
            |Job { state, id, finished, .. }| {
                let end = finished.map(|end| format!(" {}", end.strftime("%Y-%m-%d %H:%M"))).unwrap_or_default();
                format!("{}{end} ({id})", state.name())
            },
        )
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Previous(&self.0)
    }

    fn need(&self) -> Option<Need> {
        Some(Need::jobs(1))
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let codes = codes::list(Field::State, node, faults)?;
    if codes.contains(&State::Running.code()) {
        let (what, hint) = if codes.len() == 1 {
            ("the job before it has ended: it is never `running`, so this never holds", "name how it ended, as in `previous: failed`")
        } else {
            ("the job before it has ended: it is never `running`", "leave `running` out")
        };
        faults.push(Fault::warning(&node.place, what).hint(hint));
    }
    Some(Box::new(OneOf(codes)))
}
