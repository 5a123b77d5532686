//! `GET /api/v1/rules`: the rules in use, and what came of them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{RawQuery, State},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Server,
    endpoints::RULES,
    lists::{Page, within},
    problem::Problem,
    query::{Ask, hint},
    sources::is_wanted,
};
use crate::{
    domain::{Name, Severity, format_exactly},
    rules::Rule,
    store::Overview,
};

/// The word of the key that makes a rule alert.
const KINDS: &[&str] = &["when", "missing"];

/// One rule, as the API tells of it.
#[derive(Debug, Serialize)]
struct RuleRow {
    name: String,
    description: String,
    kind: &'static str,
    severity: &'static str,
    enabled: bool,
    notify: Vec<Name>,
    limit: Option<String>,
    labels: BTreeMap<String, String>,
    alerts: u64,
    last_alert: Option<Timestamp>,
}

/// Lists rules by name, those at rest among them.
pub async fn rules(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Result<Json<Page>, Problem> {
    let ask: Ask<String> = Ask::read(raw.as_deref(), &RULES, server.clock.now())?;
    let kind = ask.filters.word("kind", KINDS)?;
    let severities: Vec<&'static str> = Severity::ALL.iter().map(|severity| severity.name()).collect();
    let severity = ask.filters.word("severity", &severities)?;
    let enabled: Option<bool> = ask.filters.parsed("enabled", "true or false", |text| text.parse().ok())?;
    let channel = ask.filters.text("channel");
    let in_use = server.in_use();
    let set = &in_use.rules;
    let all = set.rules().iter().map(|rule| (rule, true)).chain(set.resting().iter().map(|rule| (rule, false)));
    let mut wanted: Vec<(&Arc<Rule>, bool)> = all
        .filter(|(rule, is_enabled)| {
            is_wanted(&rule.name, &ask)
                && kind.is_none_or(|kind| kind_of(rule) == kind)
                && severity.is_none_or(|severity| rule.facts.severity.name() == severity)
                && enabled.is_none_or(|enabled| *is_enabled == enabled)
                && channel.is_none_or(|channel| rule.notify.iter().any(|name| name.as_str() == channel))
        })
        .collect();
    wanted.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    wanted.truncate(ask.rows() as usize);
    let names = wanted.iter().map(|(rule, _)| rule.name.clone()).collect();
    let overview = within(server.overviews.overview(names)).await?;
    let rows: Vec<RuleRow> = wanted.into_iter().map(|(rule, enabled)| row(rule, enabled, &overview)).collect();
    let page = Page::of(&ask, &rows, |row| row.name.clone())?.hinting([hint("channel", channel, in_use.channel_names())]);
    Ok(Json(Page { rules_version: Some(set.version().to_owned()), ..page }))
}

const fn kind_of(rule: &Rule) -> &'static str {
    if rule.missing().is_some() { "missing" } else { "when" }
}

fn row(rule: &Rule, enabled: bool, overview: &Overview) -> RuleRow {
    let name = rule.name.as_str();
    RuleRow {
        name: name.to_owned(),
        description: rule.facts.description.clone(),
        kind: kind_of(rule),
        severity: rule.facts.severity.name(),
        enabled,
        notify: rule.notify.clone(),
        limit: rule.limit.map(|limit| format!("{} per {}", limit.messages, format_exactly(limit.per))),
        labels: rule.facts.labels.clone(),
        alerts: overview.tally.alerts.get(name).copied().unwrap_or_default(),
        last_alert: overview.last_alerts.get(name).copied(),
    }
}
