//! The way of an alert to a channel, in words.

use jiff::Timestamp;
use serde::Serialize;

use super::account::{Facts, clock};
use crate::{
    domain::TargetEnd,
    store::{Line, Message, Stage, Way},
};

/// An alert on one of its channels.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// The channel.
    pub channel: String,
    /// `pending`, or one of the four endings.
    pub outcome: &'static str,
    /// How it stands, in one line.
    pub words: String,
    /// Why it waits, while it does.
    pub waits: Option<Wait>,
    /// Its own message.
    pub message: Message,
    /// The roll-up or group that carries it.
    pub carried_by: Option<Message>,
    /// What was sent to fallbacks in its place.
    pub instead: Vec<Instead>,
}

/// Why a message waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The reason.
    pub why: String,
    /// When the next step is due, as far as that is known.
    pub next: Option<Timestamp>,
}

/// A fallback's message.
#[derive(Debug, Clone, Serialize)]
pub struct Instead {
    /// How it stands, in one line.
    pub words: String,
    /// Why it waits, while it does.
    pub waits: Option<Wait>,
    /// The message.
    pub message: Message,
}

/// Whether a rule's limit holds the alert back.
pub fn is_held(way: &Way) -> bool {
    way.own.stage == Stage::Held
}

impl Delivery {
    /// How an alert of this rule stands on this channel.
    pub fn new(facts: &Facts<'_>, rule: &str, way: &Way) -> Self {
        let telling = way.telling();
        let waits = waits(facts, rule, &way.own, telling);
        let instead: Vec<Instead> = way
            .instead
            .iter()
            .map(|message| {
                let waits = waits_of(facts, rule, message);
                Instead { words: words(facts, message, &Stand::Alone, waits.as_ref()), waits, message: message.clone() }
            })
            .collect();
        let stand = way.carrier.as_ref().map_or(Stand::Alone, Stand::In);
        Self {
            channel: way.own.channel.clone(),
            outcome: outcome(way.own.stage),
            words: words(facts, telling, &stand, waits.as_ref()),
            waits,
            message: way.own.clone(),
            carried_by: way.carrier.clone(),
            instead,
        }
    }

    /// How it stands, and what went out in its place, a clause each.
    pub fn in_short(&self) -> impl Iterator<Item = String> {
        let instead = self.instead.iter().map(|instead| format!("in its place: {}", instead.words));
        std::iter::once(self.words.clone()).chain(instead)
    }

    /// The message that decides.
    pub fn telling(&self) -> &Message {
        self.carried_by.as_ref().unwrap_or(&self.message)
    }

    /// Its recipients that need no further attempt.
    pub fn recipients(&self) -> &[TargetEnd] {
        &self.telling().recipients
    }
}

const fn outcome(stage: Stage) -> &'static str {
    match stage {
        Stage::Delivered => "delivered",
        Stage::RolledUp => "rolled_up",
        Stage::Silenced => "silenced",
        Stage::Dead => "dead",
        Stage::Pending | Stage::Gathering | Stage::Held | Stage::Folded => "pending",
    }
}

/// Whether a message goes by itself.
enum Stand<'m> {
    Alone,
    In(&'m Message),
}

fn words(facts: &Facts<'_>, message: &Message, stand: &Stand<'_>, waits: Option<&Wait>) -> String {
    let channel = &message.channel;
    let within = match stand {
        Stand::Alone => String::new(),
        Stand::In(carrier) => {
            let kind = if carrier.kind == "group" { "a group" } else { "a roll-up" };
            let why = if carrier.backlog { " that waited for the channel" } else { "" };
            format!(" in {kind} of {}{why}", plural(carrier.alerts, "alert"))
        }
    };
    let at = message.ended.map(|at| format!(" {}", clock(at, facts.now))).unwrap_or_default();
    let answer = message.answer.as_deref().unwrap_or("no answer is recorded");
    match (message.stage, waits) {
        (Stage::Delivered | Stage::RolledUp, _) => format!("delivered to {channel}{within}{at}"),
        (Stage::Silenced, _) => format!("silenced on {channel}{at}"),
        (Stage::Dead, _) => format!("NOT delivered to {channel}{within}, given up{at}: {answer}"),
        (_, Some(wait)) => {
            let next = wait.next.map(|at| format!("; next {}", clock(at, facts.now))).unwrap_or_default();
            format!("{channel} waits{within}: {}{next}", wait.why)
        }
        (_, None) => format!("{channel} waits{within}"),
    }
}

pub fn plural(n: u64, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

fn waits(facts: &Facts<'_>, rule: &str, own: &Message, telling: &Message) -> Option<Wait> {
    match own.stage {
        Stage::Folded => waits_of(facts, rule, telling),
        _ => waits_of(facts, rule, own),
    }
}

/// Why a message waits; none where it has ended.
fn waits_of(facts: &Facts<'_>, rule: &str, message: &Message) -> Option<Wait> {
    match message.stage {
        stage if stage.is_over() => None,
        Stage::Gathering => {
            let why = match &message.gather {
                Some(alike) => format!("gathered with alerts alike in {alike}"),
                None => "gathered with others".to_owned(),
            };
            Some(Wait { why, next: Some(message.due) })
        }
        Stage::Held => Some(held(facts, rule)),
        _ => Some(pending(facts, message)),
    }
}

fn held(facts: &Facts<'_>, rule: &str) -> Wait {
    let limit = facts.rules.rules().iter().find(|known| *known.name == *rule).and_then(|rule| rule.limit);
    let why = match limit {
        Some(limit) => format!(
            "held back by the rule's limit, {} per {}; it goes out in a roll-up",
            limit.messages,
            crate::domain::format_duration(limit.per)
        ),
        None => "held back by a limit that the rule no longer has; it goes out in a roll-up".to_owned(),
    };
    Wait { why, next: facts.openings.get(rule).copied() }
}

fn pending(facts: &Facts<'_>, message: &Message) -> Wait {
    let channel = message.channel.as_str();
    let line = facts.story.lines.get(channel).cloned().unwrap_or_default();
    if !facts.channels.iter().any(|known| known.as_str() == channel) {
        return Wait { why: "the config has no such channel any more: nothing sends it".to_owned(), next: None };
    }
    let next = later(&line);
    if line.refused {
        let since = facts.story.refused.get(channel).map(|at| format!(" since {}", clock(*at, facts.now))).unwrap_or_default();
        return Wait { why: format!("the channel refuses every message{since}: {}", line.answer), next };
    }
    if line.failed > 0 {
        return Wait { why: format!("the last {} failed: {}", plural(line.failed.into(), "attempt"), line.answer), next };
    }
    if message.under_way {
        return Wait { why: "it is being sent at this moment".to_owned(), next: None };
    }
    if message.due > facts.now && message.due > message.created {
        let answer = message.answer.as_deref().unwrap_or("no answer is recorded");
        return Wait { why: format!("recipients asked for patience: {answer}"), next: Some(message.due) };
    }
    if let Some(asked) = line.asked.filter(|at| *at > facts.now) {
        return Wait { why: "the channel asked for patience".to_owned(), next: Some(asked) };
    }
    let why = match message.ahead {
        0 => "it is the next in line; should it stay so, look whether the service runs".to_owned(),
        n => format!("{} before it in line", if n == 1 { "1 message goes".to_owned() } else { format!("{n} messages go") }),
    };
    Wait { why, next: None }
}

/// When a channel in trouble is tried again.
fn later(line: &Line) -> Option<Timestamp> {
    line.due.max(line.asked)
}
