//! A small model of the outbox, and a check that a store does as it does over any history.

use std::collections::{BTreeMap, BTreeSet};

use jobrelay::store::{Front, FrontQuery};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

use super::*;

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const RULES: [&str; 2] = ["failed", "slow"];

#[derive(Debug, Clone)]
enum Step {
    /// Jobs by number, each with the same rule's alert to the channels of a bit mask.
    TakeIn {
        jobs: Vec<u8>,
        run: u32,
        rule: Index,
        channels: u8,
        held: bool,
    },
    RollUp(Index),
    /// The front of a line, up to so many alerts.
    Fold {
        channel: Index,
        most: u32,
    },
    Claim {
        channel: Index,
        most: u32,
    },
    /// Of all rows, or of those that are likely to be named.
    Settle {
        row: Index,
        likely: bool,
        ending: Ended,
    },
    RetryOne {
        row: Index,
        likely: bool,
    },
    RetryDead,
    Wait(i64),
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Ended {
    Delivered,
    Dead,
    /// The channel is in trouble for so long.
    Waits(i64),
    /// It waits aside for so long.
    Aside(i64),
    Underway,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => (prop::collection::vec(0u8..12, 1..5), 1u32..3, index(), 1u8..8, any::<bool>())
            .prop_map(|(jobs, run, rule, channels, held)| Step::TakeIn { jobs, run, rule, channels, held }),
        2 => index().prop_map(Step::RollUp),
        3 => (index(), 1u32..6).prop_map(|(channel, most)| Step::Fold { channel, most }),
        4 => (index(), 1u32..5).prop_map(|(channel, most)| Step::Claim { channel, most }),
        8 => (index(), prop::bool::weighted(0.8), prop_oneof![
                3 => Just(Ended::Delivered),
                2 => Just(Ended::Dead),
                2 => (0i64..90).prop_map(Ended::Waits),
                2 => (0i64..90).prop_map(Ended::Aside),
                1 => Just(Ended::Underway),
            ])
            .prop_map(|(row, likely, ending)| Step::Settle { row, likely, ending }),
        2 => (index(), prop::bool::weighted(0.8)).prop_map(|(row, likely)| Step::RetryOne { row, likely }),
        1 => Just(Step::RetryDead),
        3 => (1i64..60).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// Where a row stands; the words of the accounting come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Pending,
    Held,
    /// Into this row, a roll-up: stands as that does. A roll-up folded into another carries nothing any more.
    Folded(usize),
    Delivered,
    Dead,
}

#[derive(Debug, Clone)]
struct Row {
    channel: &'static str,
    rule: &'static str,
    /// The alert's job; none for a roll-up.
    job: Option<String>,
    standing: Standing,
    /// While later than now, it is passed over.
    due: i64,
    attempts: u32,
    /// Handed out and not settled since, or answered ever: it may have been taken.
    handed_out: bool,
    answered: bool,
    /// Of a roll-up of a backlog: the row in whose place it stands.
    place: Option<usize>,
}

#[derive(Debug, Default)]
struct Model {
    now: i64,
    alerts: BTreeSet<(String, u32, &'static str)>,
    rows: Vec<Row>,
    /// Before when a channel takes nothing.
    shut: BTreeMap<&'static str, i64>,
}

impl Row {
    fn new(channel: &'static str, rule: &'static str, due: i64) -> Self {
        Self { channel, rule, job: None, standing: Standing::Pending, due, attempts: 0, handed_out: false, answered: false, place: None }
    }
}

impl Model {
    fn take_in(&mut self, ids: &[String], run: u32, rule: &'static str, channels: &[&'static str], held: bool) {
        for id in ids {
            if !self.alerts.insert((id.clone(), run, rule)) {
                continue;
            }
            let standing = if held { Standing::Held } else { Standing::Pending };
            for channel in channels {
                let row = Row { job: Some(id.clone()), standing, ..Row::new(channel, rule, self.now) };
                self.rows.push(row);
            }
        }
    }

    fn roll_up(&mut self, rule: &'static str) -> RollUp {
        let mut made = RollUp { messages: 0, folded: 0 };
        for channel in CHANNELS {
            let held: Vec<usize> = self.all(|row| row.channel == channel && row.rule == rule && row.standing == Standing::Held);
            if held.is_empty() {
                continue;
            }
            made = RollUp { messages: made.messages + 1, folded: made.folded + held.len() };
            let message = self.rows.len();
            self.rows.push(Row::new(channel, rule, self.now));
            for at in held {
                self.rows[at].standing = Standing::Folded(message);
            }
        }
        made
    }

    /// A channel's line, by place.
    fn line(&self, channel: &str) -> Vec<usize> {
        let mut line = self.all(|row| row.channel == channel && row.standing == Standing::Pending);
        line.sort_by_key(|at| self.rows[*at].place.unwrap_or(*at));
        line
    }

    fn carried(&self, at: usize) -> Vec<usize> {
        self.all(|row| row.standing == Standing::Folded(at) && row.job.is_some())
    }

    /// The rows at the front of a line that go into one roll-up.
    fn front(&self, channel: &str, most: u32) -> Vec<usize> {
        let free = |row: &Row| row.attempts == 0 && !row.handed_out && !row.answered && row.place.is_none();
        let due: Vec<usize> = self.line(channel).into_iter().filter(|at| self.rows[*at].due <= self.now).collect();
        let Some(first) = due.first().filter(|at| free(&self.rows[**at])) else { return Vec::new() };
        let mut left = most as usize;
        let alike = due.iter().filter(|at| free(&self.rows[**at]) && self.rows[**at].rule == self.rows[*first].rule);
        let fits = |at: &&usize| {
            let alerts = if self.rows[**at].job.is_some() { 1 } else { self.carried(**at).len() };
            let rest = left.checked_sub(alerts);
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let front: Vec<usize> = alike.take_while(fits).copied().collect();
        if front.len() < 2 { Vec::new() } else { front }
    }

    fn fold(&mut self, front: &[usize]) -> u64 {
        let Some(first) = front.first() else { return 0 };
        let made = self.rows.len();
        self.rows.push(Row { place: Some(*first), ..Row::new(self.rows[*first].channel, self.rows[*first].rule, self.now) });
        for at in front {
            for carried in self.all(|row| row.standing == Standing::Folded(*at)) {
                self.rows[carried].standing = Standing::Folded(made);
            }
            self.rows[*at].standing = Standing::Folded(made);
        }
        self.carried(made).len() as u64
    }

    fn all(&self, which: impl Fn(&Row) -> bool) -> Vec<usize> {
        (0..self.rows.len()).filter(|at| which(&self.rows[*at])).collect()
    }

    /// The rows a worker is given, by place.
    fn claim(&self, channel: &str, most: u32) -> Result<Vec<usize>, Option<i64>> {
        let line = self.line(channel);
        let due: Vec<usize> = line.iter().copied().filter(|at| self.rows[*at].due <= self.now).take(most as usize).collect();
        let shut = self.shut.get(channel).copied().filter(|due| *due > self.now);
        match (shut, line.iter().map(|at| self.rows[*at].due).min()) {
            (_, None) => Err(None),
            (None, Some(_)) if !due.is_empty() => Ok(due),
            (Some(shut), Some(_)) if !due.is_empty() => Err(Some(shut)),
            (shut, Some(first)) => Err(Some(first.max(shut.unwrap_or(first)))),
        }
    }

    fn settle(&mut self, at: usize, ending: Ended) {
        let now = self.now;
        let row = &mut self.rows[at];
        if row.standing != Standing::Pending {
            return;
        }
        row.attempts += 1;
        if !matches!(ending, Ended::Underway) {
            (row.handed_out, row.answered) = (false, true);
        }
        match ending {
            Ended::Delivered => row.standing = Standing::Delivered,
            Ended::Dead => row.standing = Standing::Dead,
            Ended::Waits(wait) => _ = self.shut.insert(row.channel, now + wait),
            Ended::Aside(wait) => row.due = now + wait,
            Ended::Underway => {}
        }
    }

    fn retry(&mut self, at: usize) -> usize {
        let at = if let Standing::Folded(message) = self.rows[at].standing { message } else { at };
        let now = self.now;
        let row = &mut self.rows[at];
        let open = matches!(row.standing, Standing::Pending | Standing::Dead);
        if open {
            *row = Row { standing: Standing::Pending, due: now, attempts: 0, handed_out: false, ..row.clone() };
            self.shut.remove(row.channel);
        }
        usize::from(open)
    }

    /// The word a list shows for a row; what is rolled up ends as its message does.
    fn outcome(&self, row: &Row) -> &'static str {
        match row.standing {
            Standing::Pending | Standing::Held => "pending",
            Standing::Delivered => "delivered",
            Standing::Dead => "dead",
            Standing::Folded(message) => match self.rows[message].standing {
                Standing::Delivered => "rolled_up",
                Standing::Dead => "dead",
                _ => "pending",
            },
        }
    }

    /// The sums by channel and word, counted in alerts, zeros left out.
    fn sums(&self) -> BTreeMap<(String, &'static str), u64> {
        let mut sums = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.job.is_some()) {
            *sums.entry((row.channel.to_owned(), self.outcome(row))).or_default() += 1;
        }
        sums
    }
}

/// A store and the model of it, side by side.
struct Pair<'p> {
    place: &'p dyn Place,
    store: Option<Arc<dyn Store>>,
    model: Model,
    /// The store's numbers of the model's rows.
    ids: Vec<i64>,
}

impl Pair<'_> {
    fn store(&self) -> &dyn Store {
        &**self.store.as_ref().unwrap()
    }

    async fn run(&mut self, step: &Step) {
        let now = at(self.model.now);
        match step {
            Step::TakeIn { jobs, run, rule, channels, held } => {
                let rule = RULES[rule.index(RULES.len())];
                let channels: Vec<&str> =
                    CHANNELS.iter().enumerate().filter(|(at, _)| channels >> at & 1 == 1).map(|(_, name)| *name).collect();
                let ids: Vec<String> = jobs.iter().map(|n| format!("Scan-{n}")).collect();
                let jobs: Vec<Job> = ids.iter().map(|id| job(id, State::Failed)).collect();
                let raised = |job: &Job| NewAlert { held: *held, ..alert(rule, job, *run, &channels) };
                let intake = Intake {
                    source: "contoso".into(),
                    now,
                    jobs: jobs
                        .iter()
                        .map(|job| JobChange { job: Arc::new(job.clone()), run: *run, newly_final: true, unjudged: false })
                        .collect(),
                    alerts: jobs.iter().map(raised).collect(),
                    judged: Vec::new(),
                    rules_version: "".into(),
                    unreadable: Vec::new(),
                };
                self.store().take_in(intake).await.unwrap();
                self.model.take_in(&ids, *run, rule, &channels, *held);
            }
            Step::RollUp(rule) => {
                let rule = RULES[rule.index(RULES.len())];
                let made = self.store().roll_up(&rule.into(), now).await.unwrap();
                assert_eq!(made, self.model.roll_up(rule));
            }
            Step::Fold { channel, most } => {
                let channel = CHANNELS[channel.index(CHANNELS.len())];
                let front = self.model.front(channel, *most);
                let query = FrontQuery { channel: channel.into(), last: i64::MAX, most: *most, now };
                match self.store().front(query).await.unwrap() {
                    Front::Together(found) => {
                        let ids: Vec<i64> = front.iter().map(|at| self.ids[*at]).collect();
                        assert_eq!(found.messages, ids);
                        assert_eq!(self.store().fold(found.messages, now).await.unwrap(), self.model.fold(&front));
                    }
                    Front::Past | Front::Alone => assert_eq!(front, [0; 0]),
                }
            }
            Step::Claim { channel, most } => self.claim(CHANNELS[channel.index(CHANNELS.len())], *most).await,
            Step::Settle { row, likely, ending } => {
                let Some(row) = self.pick(*row, |row| !likely || row.standing == Standing::Pending) else { return };
                let verdict = match ending {
                    Ended::Delivered => Verdict::Delivered,
                    Ended::Dead => Verdict::Dead,
                    Ended::Waits(wait) => {
                        shut(self.store(), self.ids[row], now, trouble(1, self.model.now + wait, 0)).await;
                        return self.model.settle(row, *ending);
                    }
                    Ended::Aside(wait) => Verdict::Aside(at(self.model.now + wait)),
                    Ended::Underway => Verdict::Underway,
                };
                settle(self.store(), self.ids[row], now, verdict).await;
                self.model.settle(row, *ending);
            }
            Step::RetryOne { row, likely } => {
                let Some(row) = self.pick(*row, |row| !likely || row.standing == Standing::Dead) else { return };
                let sent = self.store().retry(Retry::One(self.ids[row]), now).await.unwrap();
                assert_eq!(sent, self.model.retry(row));
            }
            Step::RetryDead => {
                let sent = self.store().retry(Retry::Dead, now).await.unwrap();
                let dead = self.model.all(|row| row.standing == Standing::Dead);
                assert_eq!(sent, dead.len());
                for at in dead {
                    self.model.retry(at);
                }
            }
            Step::Wait(seconds) => self.model.now += seconds,
            Step::Restart => {
                self.store = None;
                self.store = Some(self.place.open().await);
            }
        }
    }

    fn pick(&self, index: Index, which: impl Fn(&Row) -> bool) -> Option<usize> {
        let rows = self.model.all(which);
        (!rows.is_empty()).then(|| rows[index.index(rows.len())])
    }

    async fn claim(&mut self, channel: &str, most: u32) {
        let given = self.store().claim(&channel.into(), at(self.model.now), most).await.unwrap();
        let expected = match self.model.claim(channel, most) {
            Err(None) => Claim::Empty,
            Err(Some(due)) => Claim::NotBefore(at(due)),
            Ok(rows) => {
                let Claim::Ready(batch) = given else { panic!("{given:?} where {rows:?} are due") };
                assert_eq!(batch.iter().map(|one| one.id).collect::<Vec<_>>(), rows.iter().map(|at| self.ids[*at]).collect::<Vec<_>>());
                for (one, at) in batch.iter().zip(rows) {
                    self.model.rows[at].handed_out = true;
                    let row = &self.model.rows[at];
                    let folded = self.model.carried(at);
                    let jobs: Vec<&String> = match &row.job {
                        Some(job) => vec![job],
                        None => folded.iter().filter_map(|at| self.model.rows[*at].job.as_ref()).collect(),
                    };
                    assert_eq!((jobs_of(one), one.attempts), (jobs.iter().map(|job| job.as_str()).collect(), row.attempts));
                    assert_eq!(one.total, jobs.len() as u64);
                }
                return;
            }
        };
        assert_eq!(given, expected);
    }

    /// What holds at every moment: the sums and the lists agree with the model, and with one another.
    async fn agree(&mut self) {
        let filter = DeliveryFilter { limit: 100_000, ..DeliveryFilter::default() };
        let mut listed = self.store().deliveries(filter).await.unwrap();
        listed.reverse();
        // Rows are numbered in the order of a channel's line; between channels, any order does.
        let mut ids = vec![0; self.model.rows.len()];
        for channel in CHANNELS {
            let rows = self.model.all(|row| row.channel == channel);
            let theirs: Vec<&Delivery> = listed.iter().filter(|delivery| delivery.channel == channel).collect();
            assert_eq!(theirs.len(), rows.len(), "rows of {channel}");
            for (row, delivery) in rows.iter().zip(theirs) {
                assert_eq!(delivery.outcome, self.model.outcome(&self.model.rows[*row]), "{delivery:?}");
                assert_eq!(delivery.due.is_some(), self.model.rows[*row].standing == Standing::Pending);
                ids[*row] = delivery.id;
            }
        }
        self.ids = ids;
        let tally = self.store().tally().await.unwrap();
        let mut sums = BTreeMap::new();
        for ((channel, ending), n) in tally.ended.iter().filter(|(_, n)| **n > 0) {
            sums.insert((channel.clone(), ending.name()), *n);
        }
        for (channel, n) in tally.pending.iter().filter(|(_, n)| **n > 0) {
            sums.insert((channel.clone(), "pending"), *n);
        }
        assert_eq!(sums, self.model.sums());
        let alerts: u64 = tally.alerts.values().sum();
        assert_eq!(alerts, self.model.alerts.len() as u64);
        let notified = self.model.rows.iter().filter(|row| row.job.is_some()).count();
        assert_eq!(sums.values().sum::<u64>(), notified as u64);
        let held: BTreeSet<&str> = self.model.rows.iter().filter(|row| row.standing == Standing::Held).map(|row| row.rule).collect();
        let rules = self.store().held_rules().await.unwrap();
        assert_eq!(rules.iter().map(Name::as_str).collect::<BTreeSet<_>>(), held);
    }
}

/// Runs histories against a fresh store each.
pub fn check(fresh: impl Fn() -> Box<dyn Place>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: 64, source_file: Some(file!()), ..ProptestConfig::default() };
    let histories = prop::collection::vec(step(), 1..60);
    let result = TestRunner::new(config).run(&histories, |history| {
        let place = fresh();
        runtime.block_on(async {
            let mut pair = Pair { place: &*place, store: Some(place.open().await), model: Model::default(), ids: Vec::new() };
            for step in &history {
                pair.run(step).await;
                pair.agree().await;
            }
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
