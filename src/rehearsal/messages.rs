//! From what was raised to the messages that would have gone out: rules' limits, groups and roll-ups, in virtual time.
//!
//! It is what `intake` and `schedule` do over days, done at once: the same buckets, asked at the same instants. What each does at
//! an instant has an order here too: groups that have waited go out, then roll-ups that are ripe, then what is raised.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{Event, Raised};
use crate::{
    domain::{Name, NotificationKind},
    rules::{Limiter, Rule},
};

/// One message, the same for each of its rule's channels.
#[derive(Debug, Clone)]
pub struct Message {
    /// When it would have been made, in whole microseconds.
    pub at: Timestamp,
    /// What it is.
    pub kind: NotificationKind,
    /// The rule; it goes to its `notify`.
    pub rule: Arc<Rule>,
    /// What it carries: the places of its events among those given, in their order; one or more.
    pub carries: Vec<usize>,
}

/// The messages that events come to, in order of time. Each event is in exactly one; what waits at the last event goes out after it.
#[must_use]
pub fn messages(events: &[Event]) -> Vec<Message> {
    let mut sent = Vec::new();
    let mut desks: HashMap<&Name, Desk> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        match event {
            Event::Raised(raised) => {
                let desk = desks.entry(&raised.rule.name).or_insert_with(|| Desk::new(&raised.rule));
                desk.until(raised.at, &mut sent);
                desk.take(place, raised, &mut sent);
            }
            // A notice knows no limit: it is told once at its beginning and once at its end.
            Event::Missed(gap) | Event::Back(gap) => {
                let message = Message { at: gap.at, kind: NotificationKind::Notice, rule: Arc::clone(&gap.rule), carries: vec![place] };
                sent.push(message);
            }
        }
    }
    for desk in desks.values_mut() {
        desk.until(Timestamp::MAX, &mut sent);
    }
    sent.sort_by(|a, b| (a.at, a.carries.first()).cmp(&(b.at, b.carries.first())));
    sent
}

/// What waits of one rule.
struct Desk {
    rule: Arc<Rule>,
    limiter: Option<Limiter>,
    /// The groups that wait for more, by the instant at which they go out and by what their alerts share.
    groups: BTreeMap<(Timestamp, Arc<str>), Vec<usize>>,
    /// When the group of a key goes out.
    due: HashMap<Arc<str>, Timestamp>,
    /// What the limit holds, and when a message is to be had again.
    held: Option<(Timestamp, Vec<usize>)>,
}

impl Desk {
    fn new(rule: &Arc<Rule>) -> Self {
        let limiter = rule.limit.map(Limiter::new);
        Self { rule: Arc::clone(rule), limiter, groups: BTreeMap::new(), due: HashMap::new(), held: None }
    }

    /// Takes what is raised: it goes out, waits for others of its group, or is held.
    fn take(&mut self, place: usize, raised: &Raised, sent: &mut Vec<Message>) {
        match &self.rule.group {
            Some(group) => {
                let key: Arc<str> = group.key(&raised.job).into();
                let due = *self.due.entry(Arc::clone(&key)).or_insert_with(|| whole_micros(later(raised.at, group.wait)));
                self.groups.entry((due, key)).or_default().push(place);
            }
            None => self.offer(raised.at, NotificationKind::Alert, vec![place], sent),
        }
    }

    /// Lets everything out that goes out by an instant, in order.
    fn until(&mut self, now: Timestamp, sent: &mut Vec<Message>) {
        loop {
            let group = self.groups.first_key_value().map(|((due, _), _)| *due).filter(|due| *due <= now);
            let ripe = self.held.as_ref().map(|(ripe, _)| *ripe).filter(|ripe| *ripe <= now);
            match (group, ripe) {
                (None, None) => return,
                (Some(due), ripe) if ripe.is_none_or(|ripe| due <= ripe) => self.release_group(sent),
                (_, Some(ripe)) => self.roll_up(ripe, sent),
                (Some(_), None) => self.release_group(sent),
            }
        }
    }

    fn release_group(&mut self, sent: &mut Vec<Message>) {
        if let Some(((due, key), alerts)) = self.groups.pop_first() {
            self.due.remove(&key);
            self.offer(due, NotificationKind::Group, alerts, sent);
        }
    }

    /// A message: the limit lets it out, or its alerts are held. Behind held ones it is held as well.
    fn offer(&mut self, at: Timestamp, kind: NotificationKind, carries: Vec<usize>, sent: &mut Vec<Message>) {
        if let Some((_, held)) = &mut self.held {
            held.extend(carries);
            return;
        }
        match self.limiter.as_ref().map(|limiter| limiter.admit(at)) {
            None | Some(Ok(())) => sent.push(Message { at, kind, rule: Arc::clone(&self.rule), carries }),
            Some(Err(ripe)) => self.held = Some((whole_micros(ripe), carries)),
        }
    }

    /// Puts what is held into one message.
    fn roll_up(&mut self, now: Timestamp, sent: &mut Vec<Message>) {
        let Some((_, mut carries)) = self.held.take() else { return };
        if let Some(limiter) = &self.limiter {
            // It lets it out: it named this instant itself, and gave nothing to anyone since.
            let _ = limiter.admit(now);
        }
        carries.sort_unstable();
        sent.push(Message { at: now, kind: NotificationKind::RollUp, rule: Arc::clone(&self.rule), carries });
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Rounded up, so that who comes then is let through.
fn whole_micros(at: Timestamp) -> Timestamp {
    let nanos = at.as_nanosecond();
    let up = nanos.div_euclid(1_000) + i128::from(nanos.rem_euclid(1_000) > 0);
    Timestamp::from_nanosecond(up.saturating_mul(1_000)).unwrap_or(Timestamp::MAX)
}
