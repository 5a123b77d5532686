//! The loops that one config asks for, from the moment it takes effect until another takes its place.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{NEVER, Premises, STOP_WITHIN};
use crate::{
    channel::{Channel, Tools},
    config::{CHANNEL_DOWN_AFTER, ChannelConfig, Config, DigestConfig, NoticesConfig, SourceConfig},
    delivery::Courier,
    digest::{Plan, Scope},
    domain::Name,
    health::Topic,
    intake::{Habits, Intake, Limits},
    rules::RuleSet,
    schedule::{Digests, MissingJobs, Notices, Patience, Planned, RollUps},
    server::{ChannelInUse, InUse, SourceInUse},
    source::Feed,
    wake::Wake,
};

/// A config whose sources and channels are made, and have opened nothing yet.
pub struct Prepared {
    sources: Vec<(SourceConfig, Arc<dyn Feed>)>,
    channels: Vec<(ChannelConfig, Arc<dyn Channel>)>,
    rules: Arc<RuleSet>,
    public_url: Option<String>,
    digests: Vec<DigestConfig>,
    notices: Option<NoticesConfig>,
    keep: Duration,
}

impl Prepared {
    /// Makes the sources and channels.
    ///
    /// # Errors
    /// What of the settings can't work on this machine, in one line without secrets.
    pub fn new(config: Config, premises: &Premises) -> Result<Self, String> {
        let public_url = config.server.public_url;
        let tools = Tools { http: premises.http.clone(), templates: config.templates, public_url: public_url.clone() };
        let source = |source: SourceConfig| {
            let feed = source.settings.connect(&source.name, &premises.http, &premises.clock);
            feed.map_err(|why| format!("source {}: {why}", source.name)).map(|feed| (source, feed))
        };
        let channel = |channel: ChannelConfig| {
            let live = channel.settings.connect(&channel.name, &channel.common, &tools);
            live.map_err(|why| format!("channel {}: {why}", channel.name)).map(|live| (channel, live))
        };
        Ok(Self {
            sources: config.sources.into_iter().map(source).collect::<Result<_, _>>()?,
            channels: config.channels.into_iter().map(channel).collect::<Result<_, _>>()?,
            rules: config.rules,
            public_url,
            digests: config.digests,
            notices: config.notices,
            keep: config.storage.keep,
        })
    }
}

impl Prepared {
    /// The version of its rules.
    pub fn rules_version(&self) -> &str {
        self.rules.version()
    }
}

/// Loops at work.
pub struct Shift {
    /// The loops; none ends by itself.
    pub loops: JoinSet<()>,
    /// What the server's answers need of it.
    pub in_use: Arc<InUse>,
    stop: CancellationToken,
}

impl Shift {
    /// Starts the loops, each where its predecessor stopped: what limits, paces and breakers must remember is in the store.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn begin(prepared: Prepared, premises: &Premises) -> Result<Self, String> {
        let Premises { store, watches, tellings, clock, metrics, health, memory, .. } = premises;
        let sources: Vec<Name> = prepared.sources.iter().map(|(source, _)| source.name.clone()).collect();
        let channels: Vec<Name> = prepared.channels.iter().map(|(channel, _)| channel.name.clone()).collect();
        let fallbacks =
            prepared.channels.iter().filter_map(|(channel, _)| Some((channel.name.clone(), channel.fallback.clone()?))).collect();
        metrics.announce(&texts(&sources), &texts(&channels));
        let topics = topics(&sources, &channels, premises).await?;
        let wake = Arc::new(Wake::for_channels(channels.iter().cloned()));
        let limits = Arc::new(Limits::recalled(&prepared.rules, &**store).await.map_err(|error| error.to_string())?);
        let in_use = Arc::new(in_use(&prepared, &wake));
        let stop = CancellationToken::new();
        let mut loops = JoinSet::new();
        let (many, rules) = (sources.len(), prepared.rules.rules().len());
        let polled: Vec<(Name, Duration)> = prepared.sources.iter().map(|(source, _)| (source.name.clone(), source.poll_every)).collect();
        for (source, feed) in prepared.sources {
            let intake = Intake {
                feed,
                name: source.name,
                poll_every: source.poll_every,
                start: source.start,
                keep: prepared.keep,
                habits: Habits::default(),
                rules: Arc::clone(&prepared.rules),
                limits: Arc::clone(&limits),
                store: Arc::clone(store),
                memory: memory.clone(),
                clock: Arc::clone(clock),
                metrics: Arc::clone(metrics),
                health: Arc::clone(health),
                wake: Arc::clone(&wake),
            };
            loops.spawn(intake.run(stop.clone()));
        }
        for (channel, live) in prepared.channels {
            let line = store.line(&channel.name).await.map_err(|error| error.to_string())?;
            let courier = Courier {
                channel: live,
                name: channel.name,
                rate: channel.rate,
                give_up_after: channel.give_up_after,
                fallback: channel.fallback,
                line,
                store: Arc::clone(store),
                clock: Arc::clone(clock),
                metrics: Arc::clone(metrics),
                health: Arc::clone(health),
                wake: Arc::clone(&wake),
            };
            loops.spawn(courier.recalled().run(stop.clone()));
        }
        let (notify, patience) = match prepared.notices {
            Some(notices) => {
                (notices.notify, Patience { source_down: notices.source_down_after, channel_down: notices.channel_down_after })
            }
            None => (Vec::new(), Patience { source_down: NEVER, channel_down: CHANNEL_DOWN_AFTER }),
        };
        let notices = Notices {
            health: Arc::clone(health),
            store: Arc::clone(store),
            tellings: Arc::clone(tellings),
            clock: Arc::clone(clock),
            topics,
            notify,
            fallbacks,
            patience,
            wake: Arc::clone(&wake),
        };
        loops.spawn(notices.run(stop.clone()));
        let missing = MissingJobs {
            rules: prepared.rules,
            sources,
            health: Arc::clone(health),
            store: Arc::clone(watches),
            clock: Arc::clone(clock),
            wake: Arc::clone(&wake),
        };
        loops.spawn(missing.run(stop.clone()));
        let planned = prepared.digests.into_iter().map(|digest| planned(digest, &polled)).collect();
        let digests =
            Digests { planned, health: Arc::clone(health), store: Arc::clone(store), clock: Arc::clone(clock), wake: Arc::clone(&wake) };
        loops.spawn(digests.run(stop.clone()));
        let roll_ups = RollUps { limits, store: Arc::clone(store), clock: Arc::clone(clock), channels, wake };
        loops.spawn(roll_ups.run(stop.clone()));
        tracing::info!(version = env!("CARGO_PKG_VERSION"), sources = many, rules, "jobrelay runs");
        Ok(Self { loops, in_use, stop })
    }

    /// No loops: for whoever is told to stop between two configs.
    pub fn none() -> Self {
        Self { loops: JoinSet::new(), in_use: Arc::default(), stop: CancellationToken::new() }
    }

    /// Ends the loops; sends under way are finished and recorded first.
    pub async fn end(mut self) {
        self.stop.cancel();
        let finished = tokio::time::timeout(STOP_WITHIN, async { while self.loops.join_next().await.is_some() {} }).await;
        if finished.is_err() {
            tracing::warn!("a send was still under way after {}s; it is tried again at the next start", STOP_WITHIN.as_secs());
            self.loops.shutdown().await;
        }
    }
}

/// All there is to tell of, and only that on the board. Alerts may wait for channels that the config no longer has, renamed or
/// taken out: nothing sends those, so it is said.
async fn topics(sources: &[Name], channels: &[Name], premises: &Premises) -> Result<Vec<Topic>, String> {
    let pending = premises.store.tally().await.map_err(|error| error.to_string())?.pending;
    let gone = pending.into_iter().filter(|(name, alerts)| *alerts > 0 && !channels.iter().any(|channel| channel.as_str() == name));
    let gone: Vec<(Name, u64)> = gone.map(|(name, alerts)| (name.as_str().into(), alerts)).collect();
    let mut topics = Topic::all(sources, channels);
    topics.extend(gone.iter().map(|(name, _)| Topic::ChannelGone(name.clone())));
    premises.health.keep(&topics);
    for channel in channels {
        premises.health.fine(&Topic::ChannelGone(channel.clone()));
    }
    for (channel, alerts) in gone {
        tracing::warn!(%channel, alerts, "alerts wait for a channel that the config no longer has: nothing sends them until it has one of this name again");
        let why = if alerts == 1 { "1 alert waits".to_owned() } else { format!("{alerts} alerts wait") };
        premises.health.trouble(Topic::ChannelGone(channel), &why, premises.clock.now());
    }
    Ok(topics)
}

fn in_use(prepared: &Prepared, wake: &Arc<Wake>) -> InUse {
    let source =
        |(source, _): &(SourceConfig, _)| SourceInUse { name: source.name.clone(), kind: source.kind, poll_every: source.poll_every };
    let channel = |(channel, live): &(ChannelConfig, Arc<dyn Channel>)| ChannelInUse {
        name: channel.name.clone(),
        kind: channel.kind,
        leads_to: channel.settings.leads_to(),
        rate: channel.rate,
        fallback: channel.fallback.clone(),
        live: Arc::clone(live),
    };
    InUse {
        sources: prepared.sources.iter().map(source).collect(),
        channels: prepared.channels.iter().map(channel).collect(),
        rules: Arc::clone(&prepared.rules),
        // Checked when the config was read.
        public_url: prepared.public_url.as_deref().and_then(|url| url.parse().ok()),
        wake: Arc::clone(wake),
    }
}

fn planned(digest: DigestConfig, sources: &[(Name, Duration)]) -> Planned {
    Planned {
        scope: Scope { name: digest.name, sources: sources.to_vec(), when: digest.when, zone: digest.timezone.clone() },
        plan: Plan { schedule: digest.schedule, zone: digest.timezone },
        notify: digest.notify,
        skip_empty: digest.skip_empty,
    }
}

fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
