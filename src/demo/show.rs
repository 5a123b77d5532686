//! What is seen: the day's narration, and each message as it arrives.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Speed,
    clock::SimulatedClock,
    pages::Pages,
    screen::Screen,
    script::{Played, Script},
    stand_ins::Arrived,
    summary::{self, Sent, Summary},
    tenant::Tenant,
    view::{
        self, Letter,
        canvas::{Colour, Line, Style},
    },
};
use crate::{
    domain::{State, format_duration},
    store::{Store, StoreError},
};

/// How long the first of some messages waits for the others, so that they are shown by channel and not as they race.
const GATHER: Duration = Duration::from_millis(200);
/// How often it looks whether everything is delivered, once the day is over.
const LOOK: Duration = Duration::from_millis(50);
/// How long after the day's end it waits for that.
const SETTLE_WITHIN: Duration = Duration::from_secs(20);

/// Why the show ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The day is over, and what it brought is delivered or will not be.
    DayOver,
    /// A person ended it.
    Stopped,
    /// Nobody reads the messages any more.
    ReaderGone,
}

/// Something that happens in the tenant.
enum Event {
    Day,
    Started(Played),
    Ended(Played),
}

/// The show.
pub struct Show {
    screen: Screen,
    pages: Pages,
    script: Script,
    clock: Arc<SimulatedClock>,
    desk: UnboundedReceiver<(Timestamp, Arrived)>,
    gathered: Vec<(Timestamp, Arrived)>,
    due: Option<Instant>,
    sent: Sent,
    /// The days whose events are in line or past.
    days: i64,
    events: VecDeque<(Timestamp, Event)>,
}

/// Says what is about to be seen.
pub fn announce(screen: &mut Screen, pages: &Pages, tenant: &Tenant, speed: Speed, once: bool) {
    let day = format_duration(Duration::from_secs_f64(60.0 / speed.get()));
    let until = if once { "it ends by itself" } else { "Ctrl-C ends it" };
    let fact = |name: &str, value: &str| Line::of(&format!("  {name:<8}"), Style::DIM).and(value, Style::PLAIN);
    screen.narrate(
        &Line::of("jobrelay demo", Style::BOLD).and(&format!("  a day of the simulated tenant contoso in {day}; {until}"), Style::PLAIN),
    );
    screen.narrate(&fact("tenant", &format!("starting … simulated tenant on {}", tenant.url())));
    screen.narrate(&fact("readers", "stand-ins for Slack, Teams, a mail server and a webhook, on loopback as well"));
    screen.narrate(&fact("mails", &format!("as their readers see them, in {}", pages.index().display())));
}

impl Show {
    /// A show of the days of a script.
    #[must_use]
    pub fn new(
        screen: Screen,
        pages: Pages,
        script: Script,
        clock: Arc<SimulatedClock>,
        desk: UnboundedReceiver<(Timestamp, Arrived)>,
    ) -> Self {
        let (gathered, due, sent) = (Vec::new(), None, Sent::default());
        Self { screen, pages, script, clock, desk, gathered, due, sent, days: 0, events: VecDeque::new() }
    }

    /// Plays until the day is over and settled, or someone ends it.
    ///
    /// # Errors
    /// A page could not be written, or the store not be read.
    pub async fn play(&mut self, store: &dyn Store, stop: &CancellationToken) -> Result<Ended, String> {
        let mut over: Option<Instant> = None;
        loop {
            if self.events.is_empty() {
                self.next_day();
            }
            let event = self.events.front().and_then(|(at, _)| self.clock.instant_of(*at));
            if event.is_none() && over.is_none() {
                over = Some(Instant::now() + SETTLE_WITHIN);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped),
                () = until(self.due) => self.show_gathered()?,
                () = until(event) => self.narrate_next(),
                Some(arrived) = self.desk.recv() => self.gather(arrived),
                () = tokio::time::sleep(LOOK), if over.is_some() => {
                    let settled = self.summary(store).await?.is_settled();
                    if (settled && self.gathered.is_empty() && self.desk.is_empty()) || over.is_some_and(|until| Instant::now() > until) {
                        return Ok(Ended::DayOver);
                    }
                }
            }
            if self.screen.is_gone() {
                return Ok(Ended::ReaderGone);
            }
        }
    }

    /// Shows what is left and the summary; whether everything that was scripted has been judged and delivered.
    ///
    /// # Errors
    /// A page could not be written, or the store not be read.
    pub async fn close(&mut self, store: &dyn Store) -> Result<bool, String> {
        while let Ok(arrived) = self.desk.try_recv() {
            self.gather(arrived);
        }
        self.show_gathered()?;
        let summary = self.summary(store).await?;
        let lines = summary.lines(&self.sent, &self.pages.index(), self.screen.width());
        self.screen.show(&lines);
        Ok(summary.is_settled() && !summary.has_dead())
    }

    async fn summary(&self, store: &dyn Store) -> Result<Summary, String> {
        let expected = (0..self.days).map(|day| self.script.day(day).len()).sum();
        summary::read(store, self.days, expected).await.map_err(|error: StoreError| error.to_string())
    }

    fn next_day(&mut self) {
        let jobs = self.script.day(self.days);
        if jobs.is_empty() {
            return;
        }
        let mut events = vec![(self.script.day_ends(self.days - 1), Event::Day)];
        for job in jobs {
            events.push((job.started, Event::Started(job.clone())));
            events.push((job.ends, Event::Ended(job)));
        }
        events.sort_by_key(|(at, _)| *at);
        self.events = events.into();
        self.days += 1;
    }

    fn narrate_next(&mut self) {
        let Some((at, event)) = self.events.pop_front() else { return };
        let line = match event {
            Event::Day => {
                self.screen.narrate(&Line::default());
                Line::of(&at.strftime("%A, %-d %B %Y").to_string(), Style::BOLD)
            }
            Event::Started(job) => narrated(at, "·", &format!("{} started", job.profile), Style::DIM),
            Event::Ended(job) => ending(at, &job),
        };
        self.screen.narrate(&line);
    }

    fn gather(&mut self, arrived: (Timestamp, Arrived)) {
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        self.gathered.push(arrived);
    }

    fn show_gathered(&mut self) -> Result<(), String> {
        self.due = None;
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.sort_by_key(|(_, arrived)| place(arrived));
        for (at, arrived) in gathered {
            self.show_one(at, arrived)?;
        }
        Ok(())
    }

    fn show_one(&mut self, at: Timestamp, arrived: Arrived) -> Result<(), String> {
        let time = clock_time(at);
        let width = self.screen.inner_width();
        match arrived {
            Arrived::Slack(message) => {
                self.sent.slack += 1;
                self.screen.message("Slack", "#m365-oncall", &time, view::slack(&message, width));
            }
            Arrived::Teams(message) => {
                self.sent.teams += 1;
                self.screen.message("Microsoft Teams", "Scan alerts", &time, view::teams(&message, width));
            }
            Arrived::Mail(envelope) => {
                self.sent.mail += 1;
                let Some(letter) = Letter::read(&envelope.data) else {
                    let lines = vec![Line::of("(what arrived is no mail)", Style::PLAIN.in_colour(Colour::RED))];
                    self.screen.message("Mail", &envelope.to.join(", "), &time, lines);
                    return Ok(());
                };
                let mut lines = view::mail(&letter, width);
                if let Some(path) = self.pages.add(&letter)? {
                    lines.push(Line::default());
                    lines.push(Line::of(&format!("as HTML: {}", path.display()), Style::DIM));
                }
                self.screen.message("Mail", &envelope.to.join(", "), &time, lines);
            }
            Arrived::Webhook(verified, body) => {
                self.sent.webhook += 1;
                let detail = headline(&body).unwrap_or("ticketing");
                self.screen.message("Webhook", detail, &time, view::webhook(&verified, &body, width));
            }
        }
        Ok(())
    }
}

/// The order in which messages that came together are shown.
const fn place(arrived: &Arrived) -> u8 {
    match arrived {
        Arrived::Slack(_) => 0,
        Arrived::Teams(_) => 1,
        Arrived::Mail(_) => 2,
        Arrived::Webhook(..) => 3,
    }
}

/// What a webhook's body says it is.
fn headline(body: &Value) -> Option<&str> {
    body["type"].as_str().or_else(|| body["event"].as_str())
}

fn ending(at: Timestamp, job: &Played) -> Line {
    let took = Duration::try_from(job.ends.duration_since(job.started)).unwrap_or_default();
    let took = format_duration(Duration::from_secs(took.as_secs() / 60 * 60));
    let (sign, words, style) = match job.end {
        State::Failed => ("✗", format!("failed after {took}"), Style::PLAIN.in_colour(Colour::RED)),
        State::FinishedWithException => ("!", format!("finished with exception after {took}"), Style::PLAIN.in_colour(Colour::AMBER)),
        State::Skipped => ("–", "skipped".into(), Style::DIM),
        State::Stopped => ("–", format!("stopped by a person after {took}"), Style::DIM),
        _ => ("✓", format!("finished after {took}"), Style::DIM),
    };
    narrated(at, sign, &format!("{} {words}", job.profile), style)
}

fn narrated(at: Timestamp, sign: &str, words: &str, style: Style) -> Line {
    Line::of(&format!("  {}  ", clock_time(at)), Style::DIM).and(&format!("{sign} {words}"), style)
}

fn clock_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string()
}

/// Waits until an instant; for ever if there is none.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
