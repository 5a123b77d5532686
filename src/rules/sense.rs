//! Conditions that are read, and surely not meant: those that never hold, and those that leave nothing out.

use crate::{
    document::{Fault, Faults, Node, Place, Value, text_list},
    domain::State,
};

use super::{
    codes::Field,
    condition::{CONDITIONS, Lane},
    possible::Possible,
    when::{Answer, When, key_of},
};

/// Whose conditions they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// A rule's.
    Rule,
    /// A digest's, which is of jobs that ended.
    Digest,
}

impl Of {
    /// Why none of the jobs that conditions may match, if any, is one that is asked about, with what to do. They name `running`, or
    /// do not.
    fn never(self, possible: Option<&Possible<'_>>, names_running: bool) -> Option<Why> {
        let Some(possible) = possible else { return Some(("its conditions exclude each other", None)) };
        match self {
            _ if !possible.only_runs() => None,
            Self::Rule if names_running => None,
            Self::Rule => {
                Some(("it names no state, so it judges jobs that have ended, and asks for one that runs", Some("add `state: running`")))
            }
            Self::Digest => Some((
                "a digest is of jobs that ended, and this asks for those that run",
                Some("name how they ended, as in `state: failed`; a rule with `state: running` tells of jobs that run"),
            )),
        }
    }
}

/// What is wrong, and what to do about it.
type Why = (&'static str, Option<&'static str>);

/// Warns of what makes no sense in conditions that were read without a fault: `when` as it stands at `node`, under the key at `key`.
pub(super) fn check(key: &Place, node: &Node, when: &When, of: Of, faults: &mut Faults) {
    if when.streak_of_all() {
        let fault =
            Fault::warning(&key_of(node, "streak").place, "this streak is of jobs that ended in any state, for the rule names none");
        faults.push(fault.hint("name the states, as in `state: failed`"));
    }
    let possible = Possible::of(when);
    let never = of.never(possible.as_ref(), when.watches_running());
    if let Some((why, hint)) = never.or_else(|| previous_against_streak(when)) {
        let what = if of == Of::Rule { "this rule can never match" } else { "no job can ever be in this digest" };
        push(key, format!("{what}: {why}"), hint, faults);
        return;
    }
    if of == Of::Digest {
        running_in_digest(node, when, faults);
    }
    let is_empty = matches!(&node.value, Value::Map(entries) if entries.is_empty());
    if !is_empty && Possible::any().within(when, true).is_none() {
        let what = "these conditions leave no job out: whatever a job is, they hold";
        push(key, what, Some("mend them, or write `when: {}` to mean every job that ends"), faults);
        return;
    }
    if of == Of::Rule && possible.is_some_and(|possible| told_too_soon(when, &possible)) {
        let what = "this alerts as soon as a job is seen running, and is silent when that job ends: a rule alerts once on a job";
        push(key, what, Some("leave `running` out, add a `duration`, or make two rules of it"), faults);
    }
    branches(node, when, (&Possible::any(), false), of, faults);
}

/// Whether jobs that run match as well as jobs that end, whatever their age: what it would say of the end is never said.
fn told_too_soon(when: &When, possible: &Possible<'_>) -> bool {
    let has = |state: State| possible.codes(Field::State).has(Some(&state.code()));
    let has_an_end = || State::ALL.iter().any(|state| *state != State::Running && has(*state));
    when.watches_running() && when.is_fixed() && has(State::Running) && has_an_end()
}

fn push(place: &Place, what: impl Into<String>, hint: Option<&'static str>, faults: &mut Faults) {
    let mut fault = Fault::warning(place, what);
    fault.hint = hint.map(str::to_owned);
    faults.push(fault);
}

/// A streak says something of the job before: it ended in one of the rule's states, or it did not.
fn previous_against_streak(when: &When) -> Option<Why> {
    let demands = || when.demands().into_iter().filter_map(|part| if let When::Is(leaf) = part { Some(leaf.test.lane()) } else { None });
    let before = demands().find_map(|lane| if let Lane::Previous(codes) = lane { Some(codes) } else { None })?;
    let (least, most) = demands().find_map(|lane| if let Lane::Streak(least, most) = lane { Some((least, most)) } else { None })?;
    let in_states = |code: i64| {
        let by_state = |leaf: &super::when::Leaf| match leaf.test.lane() {
            Lane::Code(Field::State, codes) => Some(codes.contains(&code)),
            _ => None,
        };
        when.answer(false, &by_state) != Answer::No
    };
    if least > 1 && !before.iter().any(|code| in_states(*code)) {
        let why = "by its `streak` the job before ended in one of the rule's states, and by `previous` in another";
        return Some((why, Some("leave one of the two out")));
    }
    if most == Some(1) && before.iter().all(|code| in_states(*code)) {
        let why = "by its `streak` the job before ended in none of the rule's states, and by `previous` in one of them";
        return Some((why, Some("leave one of the two out")));
    }
    None
}

/// The parts of a mapping of conditions beside the values that they were read from, in the order of the reader.
fn parts<'n, 't>(node: &'n Node, when: &'t When) -> Vec<(&'static str, &'n Node, &'t When)> {
    let keys = CONDITIONS.iter().map(|condition| condition.key).chain(["any", "all", "not"]);
    let written: Vec<(&'static str, &Node)> = keys.filter_map(|key| Some((key, node.peek(key)?))).collect();
    // One alone stands for itself.
    let read: Vec<&When> = match when {
        When::All(parts) if written.len() != 1 => parts.iter().collect(),
        only => vec![only],
    };
    if read.len() == written.len() {
        written.into_iter().zip(read).map(|((key, node), part)| (key, node, part)).collect()
    } else {
        Vec::new()
    }
}

/// Warns of branches of an `any` that never hold, or always do. `around` is what stands around them: the jobs that may come so far, and
/// whether `running` is named there.
fn branches(node: &Node, when: &When, around: (&Possible<'_>, bool), of: Of, faults: &mut Faults) {
    let parts = parts(node, when);
    let mut plain = when.demands().into_iter().filter(|part| matches!(part, When::Is(_) | When::Not(_)));
    let Some(context) = plain.try_fold(around.0.clone(), |context, part| context.within(part, false)) else { return };
    for (at, (key, node, part)) in parts.iter().enumerate() {
        let (Value::List(items), When::Any(list) | When::All(list)) = (&node.value, part) else { continue };
        let beside = |(other, (.., part)): (usize, &(&str, &Node, &When))| other != at && part.watches_running();
        let named = around.1 || parts.iter().enumerate().any(beside);
        for (item, branch) in items.iter().zip(list) {
            if *key == "all" {
                branches(item, branch, (&context, named || part.watches_running()), of, faults);
                continue;
            }
            let within = context.clone().within(branch, false);
            if let Some((why, hint)) = of.never(within.as_ref(), named || branch.watches_running()) {
                push(&item.place, format!("this branch can never match: {why}"), hint, faults);
            } else if context.clone().within(branch, true).is_none() {
                let what = "this branch leaves no job out, and so neither does the `any` that it stands in";
                push(&item.place, what, Some("mend it, or remove the whole `any`"), faults);
            } else {
                branches(item, branch, (&context, named), of, faults);
            }
        }
    }
}

/// Warns of `running` among the states of a digest, where it asks for others too.
fn running_in_digest(node: &Node, when: &When, faults: &mut Faults) {
    for (key, node, part) in parts(node, when) {
        match (key, &node.value, part) {
            ("state", Value::List(items), _) if items.len() > 1 => {
                let running = State::Running.code();
                for (item, written) in text_list(node, &mut Faults::default()) {
                    if Field::State.parse(&written) == Some(running) {
                        let fault = Fault::warning(&item.place, "a digest is of jobs that ended: none in it is ever `running`");
                        faults.push(fault.hint("leave `running` out"));
                    }
                }
            }
            ("any" | "all", Value::List(items), When::Any(list) | When::All(list)) => {
                items.iter().zip(list).for_each(|(item, branch)| running_in_digest(item, branch, faults));
            }
            _ => {}
        }
    }
}
