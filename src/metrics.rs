//! What is counted while the program runs, and how it is written for Prometheus.
//!
//! The sums of the accounting (jobs, alerts, notifications) are the store's, read at each scrape in one transaction; only what
//! a restart may forget is counted here.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

use crate::store::Tally;

/// The content type of what [`Metrics::text`] returns.
pub use prometheus_text::CONTENT_TYPE;

/// Upper bounds in seconds: from a loopback answer to the longest timeout a channel may have.
const DURATION_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    source: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    channel: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: String,
}

/// Every metric of one running program. A value, not a global: a test may run several programs.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    polls: Family<PollLabels, Counter>,
    last_success: Family<SourceLabels, Gauge>,
    open_jobs: Family<SourceLabels, Gauge>,
    gaps: Family<SourceLabels, Counter>,
    found_late: Family<SourceLabels, Counter>,
    unreadable: Family<SourceLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    durations: Family<ChannelLabels, Histogram>,
    reload_successful: Gauge,
    scrape: std::sync::Arc<Mutex<Scrape>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("jobrelay");
        let polls = Family::<PollLabels, Counter>::default();
        let last_success = Family::<SourceLabels, Gauge>::default();
        let open_jobs = Family::<SourceLabels, Gauge>::default();
        let gaps = Family::<SourceLabels, Counter>::default();
        let found_late = Family::<SourceLabels, Counter>::default();
        let unreadable = Family::<SourceLabels, Counter>::default();
        let attempts = Family::<AttemptLabels, Counter>::default();
        let durations = Family::<ChannelLabels, Histogram>::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        let reload_successful = Gauge::default();
        reload_successful.set(1);
        let build = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let scrape = std::sync::Arc::new(Mutex::new(Scrape::default()));
        registry.register("polls", "Polls of a source by how they ended", polls.clone());
        registry.register_with_unit(
            "source_last_success_timestamp",
            "When a poll of the source last ended well",
            Unit::Seconds,
            last_success.clone(),
        );
        registry.register("source_open_jobs", "Jobs of the source that have not ended", open_jobs.clone());
        registry.register("sweep_gaps", "Passes over the list begun again because rows may have slipped through", gaps.clone());
        registry.register("jobs_found_late", "Jobs that showed up later than the look-back reaches", found_late.clone());
        registry.register("rows_unreadable", "Rows of the list that could not be read, kept as they came", unreadable.clone());
        registry.register("delivery_attempts", "Attempts to send by what the channel answered", attempts.clone());
        registry.register_with_unit("delivery_duration", "How long attempts took", Unit::Seconds, durations.clone());
        registry.register("config_last_reload_successful", "1 if the config in use is the newest one read", reload_successful.clone());
        registry.register("build_info", "The version that runs", build);
        registry.register_collector(Box::new(Sums(std::sync::Arc::clone(&scrape))));
        Self { registry, polls, last_success, open_jobs, gaps, found_late, unreadable, attempts, durations, reload_successful, scrape }
    }

    /// Makes a source's and a channel's series exist before anything has happened, so that their absence means something.
    pub fn announce(&self, sources: &[String], channels: &[String]) {
        for source in sources {
            for outcome in ["complete", "incomplete", "failed"] {
                let _ = self.polls.get_or_create(&PollLabels { source: source.clone(), outcome });
            }
            let labels = SourceLabels { source: source.clone() };
            let _ = self.open_jobs.get_or_create(&labels);
            for counter in [&self.gaps, &self.found_late, &self.unreadable] {
                let _ = counter.get_or_create(&labels);
            }
        }
        for channel in channels {
            let _ = self.durations.get_or_create(&ChannelLabels { channel: channel.clone() });
        }
    }

    /// A poll ended.
    pub fn polled(&self, source: &str, outcome: &'static str) {
        self.polls.get_or_create(&PollLabels { source: source.to_owned(), outcome }).inc();
    }

    /// A poll ended well at `now`.
    pub fn succeeded(&self, source: &str, now: Timestamp) {
        self.last_success.get_or_create(&SourceLabels { source: source.to_owned() }).set(now.as_second());
    }

    /// How many jobs of a source have not ended.
    pub fn open_jobs(&self, source: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.open_jobs.get_or_create(&SourceLabels { source: source.to_owned() }).set(count);
    }

    /// A sweep began again so many times.
    pub fn gaps(&self, source: &str, count: u32) {
        self.gaps.get_or_create(&SourceLabels { source: source.to_owned() }).inc_by(u64::from(count));
    }

    /// A job showed up later than the look-back reaches.
    pub fn found_late(&self, source: &str) {
        self.found_late.get_or_create(&SourceLabels { source: source.to_owned() }).inc();
    }

    /// A row could not be read.
    pub fn unreadable(&self, source: &str) {
        self.unreadable.get_or_create(&SourceLabels { source: source.to_owned() }).inc();
    }

    /// An attempt to send ended.
    pub fn attempted(&self, channel: &str, outcome: &'static str, took: std::time::Duration) {
        self.attempts.get_or_create(&AttemptLabels { channel: channel.to_owned(), outcome }).inc();
        self.durations.get_or_create(&ChannelLabels { channel: channel.to_owned() }).observe(took.as_secs_f64());
    }

    /// Whether the newest config is the one in use.
    pub fn reloaded(&self, successful: bool) {
        self.reload_successful.set(i64::from(successful));
    }

    /// All of it in the Prometheus text format, with the store's sums and what is known of the troubles.
    #[must_use]
    pub fn text(&self, tally: Tally, troubles: Vec<TroubleGauge>) -> String {
        *self.scrape.lock().unwrap_or_else(PoisonError::into_inner) = Scrape { tally, troubles };
        let mut text = String::new();
        // Writing to a `String` does not fail; a label that can't be encoded would be a fault of ours, and costs the scrape.
        if let Err(error) = prometheus_text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics can't be written");
        }
        text
    }
}

/// What is known of one trouble of the watch itself: there are as many as the config's sources and channels allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubleGauge {
    /// What kind of trouble.
    pub kind: &'static str,
    /// The source or channel; empty where it is neither's.
    pub name: String,
    /// Whether it lasts.
    pub lasts: bool,
}

/// What is handed over for one scrape.
#[derive(Debug, Default)]
struct Scrape {
    tally: Tally,
    troubles: Vec<TroubleGauge>,
}

/// The store's sums and the troubles, as they were handed over for this scrape.
#[derive(Debug)]
struct Sums(std::sync::Arc<Mutex<Scrape>>);

impl Collector for Sums {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let scrape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = &scrape.tally;
        let mut jobs = encoder.encode_descriptor("jobs", "Jobs newly final, by state", None, MetricType::Counter)?;
        for ((source, state), n) in &tally.jobs {
            ConstCounter::new(*n).encode(jobs.encode_family(&[("source", source.as_str()), ("state", state.as_str())])?)?;
        }
        let mut alerts = encoder.encode_descriptor("alerts", "Alerts raised, by rule", None, MetricType::Counter)?;
        for (rule, n) in &tally.alerts {
            ConstCounter::new(*n).encode(alerts.encode_family(&[("rule", rule.as_str())])?)?;
        }
        let help = "Alerts that ended on a channel, by how";
        let mut ended = encoder.encode_descriptor("notifications", help, None, MetricType::Counter)?;
        for ((channel, ending), n) in &tally.ended {
            ConstCounter::new(*n).encode(ended.encode_family(&[("channel", channel.as_str()), ("outcome", ending.name())])?)?;
        }
        let help = "Alerts that have not ended on a channel";
        let mut pending = encoder.encode_descriptor("notifications_pending", help, None, MetricType::Gauge)?;
        for (channel, n) in &tally.pending {
            let n = i64::try_from(*n).unwrap_or(i64::MAX);
            ConstGauge::new(n).encode(pending.encode_family(&[("channel", channel.as_str())])?)?;
        }
        let help = "1 while the watch itself is in this trouble, 0 once it is known not to be";
        let mut troubles = encoder.encode_descriptor("trouble", help, None, MetricType::Gauge)?;
        for trouble in &scrape.troubles {
            let labels = [("kind", trouble.kind), ("name", trouble.name.as_str())];
            ConstGauge::new(i64::from(trouble.lasts)).encode(troubles.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
