//! What came of the day, read from the program's own store.

use std::{collections::BTreeMap, path::Path};

use super::{
    screen::heading,
    view::canvas::{Colour, Line, Style},
};
use crate::{
    domain::{Ending, NotificationKind, State},
    store::{DeliveryFilter, Store, StoreError},
};

/// How many deliveries are looked through for roll-ups: more than many days bring.
const DELIVERIES: u32 = 10_000;

/// How many messages each stand-in took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// By Slack.
    pub slack: u64,
    /// By Teams.
    pub teams: u64,
    /// By the mail server.
    pub mail: u64,
    /// By the webhook's receiver.
    pub webhook: u64,
}

/// What the store says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    days: i64,
    expected: u64,
    jobs: BTreeMap<String, u64>,
    alerts: BTreeMap<String, u64>,
    pending: u64,
    dead: u64,
    roll_ups: u64,
    rolled_up: u64,
}

/// Reads it; in so many days, `expected` jobs are to end.
///
/// # Errors
/// The store could not be read.
pub async fn read(store: &dyn Store, days: i64, expected: usize) -> Result<Summary, StoreError> {
    let tally = store.tally().await?;
    let deliveries = store.deliveries(DeliveryFilter { limit: DELIVERIES, ..DeliveryFilter::default() }).await?;
    let roll_ups: Vec<u64> =
        deliveries.iter().filter(|delivery| delivery.kind == NotificationKind::RollUp.name()).map(|delivery| delivery.alerts).collect();
    let mut jobs: BTreeMap<String, u64> = BTreeMap::new();
    for ((_, state), n) in &tally.jobs {
        *jobs.entry(state.clone()).or_default() += n;
    }
    Ok(Summary {
        days,
        expected: u64::try_from(expected).unwrap_or(u64::MAX),
        jobs,
        pending: tally.pending.values().sum(),
        dead: tally.ended.iter().filter(|((_, ending), _)| *ending == Ending::Dead).map(|(_, n)| n).sum(),
        alerts: tally.alerts,
        roll_ups: u64::try_from(roll_ups.len()).unwrap_or(u64::MAX),
        rolled_up: roll_ups.iter().sum(),
    })
}

impl Summary {
    /// Whether every job that was to end has been judged, and every alert has ended.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.jobs.values().sum::<u64>() >= self.expected && self.pending == 0
    }

    /// Whether anything was given up.
    #[must_use]
    pub const fn has_dead(&self) -> bool {
        self.dead > 0
    }

    /// The summary as it is shown.
    #[must_use]
    pub fn lines(&self, sent: &Sent, index: &Path, width: usize) -> Vec<Line> {
        let states: Vec<String> = State::ALL
            .iter()
            .filter_map(|state| Some((state, self.jobs.get(state.name().as_ref())?)))
            .map(|(state, n)| format!("{n} {}", state.label().to_lowercase()))
            .collect();
        let rules: Vec<String> = self.alerts.iter().map(|(rule, n)| format!("{n} {rule}")).collect();
        let messages = sent.slack + sent.teams + sent.mail + sent.webhook;
        let channels =
            format!("{messages}: {} to Slack, {} to Teams, {} by mail, {} to the webhook", sent.slack, sent.teams, sent.mail, sent.webhook);
        let roll_ups = format!("{} messages in place of the {} that a rule's limit held back", self.roll_ups, self.rolled_up);
        let mut facts = vec![
            ("Jobs", format!("{} ended: {}", self.jobs.values().sum::<u64>(), states.join(", "))),
            ("Alerts", format!("{}: {}", self.alerts.values().sum::<u64>(), rules.join(", "))),
            ("Messages", channels),
            ("Roll-ups", roll_ups),
        ];
        let undelivered = self.pending + self.dead;
        if undelivered == 0 {
            facts.push(("Delivered", "everything".into()));
        }
        facts.push(("Mails", index.display().to_string()));
        facts.push(("Next", "jobrelay init    writes a config to start from".into()));
        let name = if self.days > 1 { format!("{} days in sum", self.days) } else { "The day in sum".into() };
        let mut lines = vec![Line::default(), heading(&name, "", "", width)];
        for (name, value) in facts {
            lines.extend(fact(name, &value, Style::PLAIN, width));
        }
        if undelivered > 0 {
            let style = Style::BOLD.in_colour(Colour::RED);
            let words = format!("{} still on their way, {} given up (counted in alerts)", self.pending, self.dead);
            lines.extend(fact("Undelivered", &words, style, width));
        }
        lines
    }
}

fn fact(name: &str, value: &str, style: Style, width: usize) -> Vec<Line> {
    let label = format!("  {name:<13}");
    let indent = label.len();
    let values = Line::of(value, style).wrapped(width.saturating_sub(indent));
    values
        .into_iter()
        .enumerate()
        .map(|(at, value)| {
            let mut line = Line::of(if at == 0 { &label } else { "               " }, Style::DIM);
            line.extend(value);
            line
        })
        .collect()
}
