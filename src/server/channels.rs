//! `GET /api/v1/channels`: where messages go, and how each channel takes them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{RawQuery, State},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    InUse, Server,
    endpoints::CHANNELS,
    in_use::ChannelInUse,
    lists::{Page, within},
    problem::Problem,
    query::Ask,
    sources::is_wanted,
};
use crate::{
    channel,
    domain::{Ending, Name},
    health::{Topic, Trouble},
    store::{Line, Overview},
};

/// How a channel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// It takes messages, as far as is known.
    Working,
    /// It takes nothing, and what is for it waits.
    Down,
    /// It refuses everything, and what is for it is held.
    Refused,
    /// It is not in the config any more, and something waits for it.
    Gone,
}

const STANDINGS: &[(&str, Standing)] =
    &[("working", Standing::Working), ("down", Standing::Down), ("refused", Standing::Refused), ("gone", Standing::Gone)];

/// One channel, as the API tells of it.
#[derive(Debug, Serialize)]
struct ChannelRow {
    name: String,
    kind: Option<&'static str>,
    leads_to: Option<String>,
    rate: Option<String>,
    fallback: Option<Name>,
    standing: Standing,
    since: Option<Timestamp>,
    why: Option<String>,
    next_try: Option<Timestamp>,
    pending: u64,
    /// Each of the four, in the accounting's order.
    outcomes: Map<String, Value>,
}

/// Lists channels by name.
pub async fn channels(State(server): State<Arc<Server>>, RawQuery(raw): RawQuery) -> Result<Json<Page>, Problem> {
    let ask: Ask<String> = Ask::read(raw.as_deref(), &CHANNELS, server.clock.now())?;
    let kinds: Vec<&'static str> = channel::KINDS.iter().map(|kind| kind.name).collect();
    let kind = ask.filters.word("kind", &kinds)?;
    let standing = ask.filters.meaning("standing", STANDINGS)?;
    let overview = within(server.overviews.overview(Vec::new())).await?;
    let troubles = server.health.troubles();
    let in_use = server.in_use();
    let rows: Vec<ChannelRow> = named(&in_use, &overview)
        .into_iter()
        .filter(|(name, _)| is_wanted(name, &ask))
        .map(|(name, channel)| row(name, channel, &overview, &troubles))
        .filter(|row| kind.is_none_or(|kind| row.kind == Some(kind)))
        .filter(|row| standing.is_none_or(|standing| row.standing == standing))
        .take(ask.rows() as usize)
        .collect();
    Ok(Json(Page::of(&ask, &rows, |row| row.name.clone())?))
}

/// Every channel of the config, and every other that something waits for.
fn named<'u>(in_use: &'u InUse, overview: &'u Overview) -> BTreeMap<&'u str, Option<&'u ChannelInUse>> {
    let waits = overview.tally.pending.iter().filter(|(_, n)| **n > 0).map(|(name, _)| (name.as_str(), None));
    waits.chain(in_use.channels.iter().map(|channel| (channel.name.as_str(), Some(channel)))).collect()
}

fn row(name: &str, channel: Option<&ChannelInUse>, overview: &Overview, troubles: &BTreeMap<Topic, Trouble>) -> ChannelRow {
    let line = overview.lines.get(name);
    let standing = stands(channel, line);
    let trouble = line.filter(|line| line.failed > 0 && channel.is_some());
    let gone = troubles.get(&Topic::ChannelGone(Name::from(name))).filter(|_| channel.is_none());
    let ended = |ending: &Ending| {
        let count = overview.tally.ended.get(&(name.to_owned(), *ending)).copied().unwrap_or_default();
        (ending.name().to_owned(), count.into())
    };
    ChannelRow {
        name: name.to_owned(),
        kind: channel.map(|channel| channel.kind),
        leads_to: channel.map(|channel| channel.leads_to.clone()),
        rate: channel.map(ChannelInUse::rate_in_words),
        fallback: channel.and_then(|channel| channel.fallback.clone()),
        standing,
        since: trouble.and_then(|line| line.since).or(gone.map(|gone| gone.since)),
        why: trouble.map(|line| line.answer.clone()).or(gone.map(|gone| gone.why.clone())),
        next_try: trouble.and_then(|line| line.due.max(line.asked)),
        pending: overview.tally.pending.get(name).copied().unwrap_or_default(),
        outcomes: Ending::ALL.iter().map(ended).collect(),
    }
}

fn stands(channel: Option<&ChannelInUse>, line: Option<&Line>) -> Standing {
    match (channel, line) {
        (None, _) => Standing::Gone,
        (Some(_), Some(line)) if line.failed > 0 => {
            if line.refused {
                Standing::Refused
            } else {
                Standing::Down
            }
        }
        (Some(_), _) => Standing::Working,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standing_has_its_word() {
        for (word, standing) in STANDINGS {
            assert_eq!(serde_json::to_value(standing).unwrap(), *word);
        }
    }
}
