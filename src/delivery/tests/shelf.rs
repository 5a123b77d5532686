//! What a courier needs of a store, in memory; the rest it never asks for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::stubs::store_of_a_courier;
use crate::{
    domain::{Notification, NotificationKind, RuleFacts, Severity, TargetEnd},
    store::{Backlogs, Claim, DigestStore, GaveUp, Line, Overdue, Settlement, Verdict},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Delivered,
    Dead,
}

#[derive(Debug)]
struct Row {
    state: State,
    created: Timestamp,
    due: Timestamp,
    attempts: u32,
    waited: Duration,
    stamp: Option<Duration>,
    ended: Vec<TargetEnd>,
    answer: Option<String>,
}

#[derive(Default)]
struct Tables {
    rows: BTreeMap<i64, Row>,
    line: Line,
}

/// One channel's notifications.
#[derive(Default)]
pub struct Shelf(Mutex<Tables>);

impl Shelf {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }

    /// Makes so many notifications, numbered on.
    pub fn add(&self, count: i64, now: Timestamp) {
        let mut tables = self.tables();
        let next = tables.rows.last_key_value().map_or(1, |(id, _)| id + 1);
        for id in next..next + count {
            let (state, waited, stamp) = (State::Pending, Duration::ZERO, None);
            tables.rows.insert(id, Row { state, created: now, due: now, attempts: 0, waited, stamp, ended: Vec::new(), answer: None });
        }
    }

    /// `deliveries retry`, as another program does it.
    pub fn retry(&self) {
        self.tables().line.due = None;
    }

    fn count(&self, state: State) -> usize {
        self.tables().rows.values().filter(|row| row.state == state).count()
    }

    pub fn dead(&self) -> usize {
        self.count(State::Dead)
    }

    pub fn delivered(&self) -> usize {
        self.count(State::Delivered)
    }

    /// The answers of the dead.
    pub fn answers(&self) -> Vec<Option<String>> {
        self.tables().rows.values().filter(|row| row.state == State::Dead).map(|row| row.answer.clone()).collect()
    }
}

impl Tables {
    fn stamp(&mut self, aged: Duration) {
        for row in self.rows.values_mut().filter(|row| row.state == State::Pending) {
            row.stamp.get_or_insert(aged);
        }
    }
}

fn notification(id: i64, row: &Row) -> Notification {
    Notification {
        id,
        key: format!("msg_{id}"),
        channel: "a".into(),
        kind: NotificationKind::Alert,
        rule: RuleFacts {
            name: "r".into(),
            description: String::new(),
            severity: Severity::default(),
            labels: BTreeMap::new(),
            template: None,
        },
        alerts: Vec::new(),
        notice: None,
        digest: None,
        undelivered: None,
        total: 1,
        backlog: false,
        created: row.created,
        attempts: row.attempts,
        waited: row.waited,
        ended: row.ended.clone(),
    }
}

impl DigestStore for Shelf {}

impl Backlogs for Shelf {}

store_of_a_courier! { Shelf {
    async fn line(&self, _: &Name) -> Result<Line, StoreError> {
        Ok(self.tables().line.clone())
    }

    async fn claim(&self, _: &Name, now: Timestamp, most: u32) -> Result<Claim, StoreError> {
        let tables = self.tables();
        let farthest = now + SignedDuration::from_hours(25);
        let is_due = |row: &Row| row.due <= now || row.due <= row.created || row.due > farthest;
        let pending = || tables.rows.iter().filter(|(_, row)| row.state == State::Pending);
        if pending().next().is_none() {
            return Ok(Claim::Empty);
        }
        if let Some(due) = tables.line.due.filter(|due| *due > now) {
            return Ok(Claim::NotBefore(due));
        }
        let ready: Vec<Notification> =
            pending().filter(|(_, row)| is_due(row)).take(most as usize).map(|(id, row)| notification(*id, row)).collect();
        let first = pending().map(|(_, row)| row.due).min().unwrap_or(now);
        Ok(if ready.is_empty() { Claim::NotBefore(first) } else { Claim::Ready(ready) })
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let row = tables.rows.get_mut(&settlement.id).unwrap();
        assert_eq!(row.state, State::Pending, "settled twice");
        row.attempts += u32::from(settlement.attempted);
        row.answer = Some(settlement.answer);
        if !settlement.targets.is_empty() {
            row.ended = settlement.targets;
        }
        match settlement.verdict {
            Verdict::Delivered => row.state = State::Delivered,
            Verdict::Dead => row.state = State::Dead,
            Verdict::Aside(due) => {
                row.waited += Duration::try_from(due.duration_since(settlement.now)).unwrap_or_default();
                row.due = due;
            }
            Verdict::Waits | Verdict::Underway => {}
        }
        if let Some(line) = settlement.line {
            let sent = line.sent.or(tables.line.sent);
            tables.line = Line { sent, ..line };
            if tables.line.failed > 0 {
                let aged = tables.line.aged;
                tables.stamp(aged);
            }
        }
        Ok(())
    }

    async fn give_up(&self, overdue: Overdue) -> Result<GaveUp, StoreError> {
        let mut tables = self.tables();
        tables.line.aged = overdue.aged;
        tables.stamp(overdue.aged);
        let mut messages = 0;
        let mut next: Option<Duration> = None;
        for row in tables.rows.values_mut().filter(|row| row.state == State::Pending) {
            let left = (row.stamp.unwrap() + overdue.give_up_after).saturating_sub(overdue.aged);
            if left.is_zero() {
                row.state = if row.ended.iter().any(|end| end.accepted) { State::Delivered } else { State::Dead };
                row.answer = Some(overdue.answer.clone());
                messages += 1;
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        Ok(GaveUp { messages, next })
    }
}}
