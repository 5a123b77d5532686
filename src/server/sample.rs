//! `POST /api/v1/channels/{name}/test`: one sample alert, as `send` sends it, and what the channel answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde::Serialize;
use tokio::time::Instant;

use super::{Server, endpoints::TEST, in_use::ChannelInUse, lists::within, problem::Problem, query::Query};
use crate::{
    channel::sample,
    domain::{Job, Name, Outcome, Target, format_duration},
    store::JobFilter,
};

/// From one sample to the next on a channel, at least: samples go out beside what the channel's own pace lets pass.
const EVERY: Duration = Duration::from_secs(10);
/// How long all recipients together may take to answer.
const WITHIN: Duration = Duration::from_secs(60);

/// When each channel was last sent a sample.
#[derive(Debug, Default)]
pub struct Samples(Mutex<HashMap<Name, Instant>>);

impl Samples {
    /// Whether a channel may be sent one now, which counts as sent; else how long to wait.
    fn begin(&self, channel: &Name, every: Duration, now: Instant) -> Result<(), Duration> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = last.get(channel).map_or(Duration::ZERO, |last| (*last + every).saturating_duration_since(now));
        if !wait.is_zero() {
            return Err(wait);
        }
        last.insert(channel.clone(), now);
        Ok(())
    }
}

/// What came of a sample.
#[derive(Debug, Serialize)]
pub struct Answered {
    channel: Name,
    /// Whether every recipient accepted it.
    delivered: bool,
    answers: Vec<Recipient>,
}

/// One recipient, and what it answered.
#[derive(Debug, Serialize)]
struct Recipient {
    /// A mail's address; none for the other kinds, which have one recipient.
    to: Option<String>,
    outcome: &'static str,
    answer: String,
}

impl From<(Target, Outcome)> for Recipient {
    fn from((target, outcome): (Target, Outcome)) -> Self {
        let to = Some(target.0).filter(|to| !to.is_empty());
        Self { to, outcome: outcome.word(), answer: outcome.answer().to_owned() }
    }
}

/// Sends a sample, and waits for the answer. Nothing of it is recorded.
pub async fn test(State(server): State<Arc<Server>>, Path(name): Path<String>, RawQuery(raw): RawQuery) -> Result<Json<Answered>, Problem> {
    let query = Query::read(raw.as_deref(), &TEST)?;
    server.is_serving()?;
    let in_use = server.in_use();
    let unknown = || Problem::unknown(StatusCode::NOT_FOUND, "channel", &name, in_use.channel_names());
    let channel = in_use.channel(&name).ok_or_else(unknown)?;
    let rule = match query.text("rule") {
        Some(rule) => {
            let found = in_use.rules.rules().iter().find(|known| known.name.as_str() == rule);
            let unknown = || Problem::unknown(StatusCode::BAD_REQUEST, "enabled rule", rule, in_use.rule_names());
            (*found.ok_or_else(unknown)?.facts).clone()
        }
        None => sample::rule(),
    };
    let job = match query.text("job") {
        Some(id) => stored(&server, id).await?,
        None => sample::job(in_use.sources.first().map(|source| &source.name), server.clock.now()),
    };
    wait_for_the_channel(&server, channel).await?;
    let notification = sample::notification(channel.name.clone(), &rule, job, server.clock.now());
    let sent = tokio::time::timeout(WITHIN, sample::send(&*channel.live, &notification, || server.clock.now())).await;
    let Ok(sent) = sent else {
        let error = format!("not every recipient answered within {}; some may have got the sample", format_duration(WITHIN));
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, error));
    };
    let outcomes = sent.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    let delivered = outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Delivered { .. }));
    tracing::info!(channel = %channel.name, delivered, "a sample was sent: asked for by the API");
    Ok(Json(Answered { channel: channel.name.clone(), delivered, answers: outcomes.into_iter().map(Recipient::from).collect() }))
}

async fn stored(server: &Server, id: &str) -> Result<Job, Problem> {
    let filter = JobFilter { id: Some(id.to_owned()), limit: 1, ..JobFilter::default() };
    let row = within(server.store.jobs(filter)).await?.into_iter().next();
    row.map(|row| Job::from(row.job)).ok_or_else(|| Problem::unknown(StatusCode::BAD_REQUEST, "job", id, []))
}

/// No sample goes out before the channel's own `Retry-After` has passed, nor too soon after another.
async fn wait_for_the_channel(server: &Server, channel: &ChannelInUse) -> Result<(), Problem> {
    let name = &channel.name;
    let refused = |why: &str, wait: Duration| Problem {
        retry_after: Some(wait),
        ..Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("{why}: try again in {}", format_duration(wait.max(Duration::from_secs(1)))))
    };
    let asked = within(server.store.line(name)).await?.asked;
    let left = asked.and_then(|asked| Duration::try_from(asked.duration_since(server.clock.now())).ok());
    if let Some(left) = left.filter(|left| !left.is_zero()) {
        return Err(refused(&format!("the channel `{name}` asked to be left alone"), left));
    }
    let every = channel.interval().max(EVERY);
    let begun = server.samples.begin(name, every, Instant::now());
    begun.map_err(|wait| refused(&format!("the channel `{name}` takes a sample every {}", format_duration(every)), wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_channel_gets_no_sample_too_soon_and_another_channel_its_own() {
        let samples = Samples::default();
        let (slack, teams) = (Name::from("slack"), Name::from("teams"));
        let begin = |channel, every| samples.begin(channel, Duration::from_secs(every), Instant::now());
        assert_eq!((begin(&slack, 10), begin(&slack, 10), begin(&teams, 10)), (Ok(()), Err(Duration::from_secs(10)), Ok(())));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(begin(&slack, 10), Err(Duration::from_secs(1)));
        // Of a slow channel, its own interval counts.
        assert_eq!(begin(&slack, 720), Err(Duration::from_secs(711)));
        tokio::time::advance(Duration::from_secs(711)).await;
        assert_eq!((begin(&slack, 720), begin(&slack, 720)), (Ok(()), Err(Duration::from_secs(720))));
    }
}
