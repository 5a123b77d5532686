//! A backlog: more waits for a channel than it takes in good time. It is told in roll-ups, made from the front of the line one after
//! the other, so that whatever is new need not stand behind thousands of messages.

use std::time::Duration;

use super::{CLAIM, Courier, Standing, breaker::Moment};
use crate::{
    channel::Rate,
    domain::Notification,
    store::{Front, FrontQuery, StoreError},
};

/// What is told within this time is no backlog.
const IN_GOOD_TIME: Duration = Duration::from_secs(120);
/// So many messages are none, however slow the channel.
const FEW: u64 = 50;
/// How many alerts one roll-up of a backlog carries at most: as many as a mail names, and more than a chat does.
const CARRIES_MOST: u32 = 200;
/// How much one message has room for is measured anew with every so manieth roll-up; in between, as much is taken to fit as in the last.
const MEASURED_EVERY: u64 = 8;
/// What a channel is sent within this time is claimed at once: what is claimed is out of a roll-up's reach.
const CLAIM_FOR: Duration = Duration::from_secs(5);

/// How many messages must wait to be a backlog, for a channel that takes one in this time; none where it takes any number.
#[must_use]
fn least(interval: Duration) -> Option<u64> {
    let in_good_time = IN_GOOD_TIME.as_nanos().checked_div(interval.as_nanos())?;
    Some(u64::try_from(in_good_time).unwrap_or(u64::MAX).max(FEW).saturating_add(1))
}

/// How many messages are claimed at once for a channel of this pace.
#[must_use]
fn claimed_at_once(interval: Duration) -> u32 {
    let soon = CLAIM_FOR.as_nanos().checked_div(interval.as_nanos()).unwrap_or(u128::MAX);
    u32::try_from(soon).unwrap_or(u32::MAX).clamp(1, CLAIM)
}

/// How many alerts a roll-up may carry if it has `carried` of them and its channel names so many of `measured`, a tenth more: all,
/// or so many fewer. The tenth is for words that grow later: how long ago each job ended is said when the message is sent.
#[must_use]
fn room(carried: usize, measured: usize, named: usize) -> usize {
    if named >= measured { carried } else { (named * 10 / 11).min(carried.saturating_sub(1)) }
}

/// The roll-up with its first alerts once more behind the others, a tenth of them.
fn with_a_tenth_more(roll_up: &Notification) -> Notification {
    let more = roll_up.alerts.len().div_ceil(10);
    let mut longer = roll_up.clone();
    longer.alerts.extend(roll_up.alerts.iter().take(more).cloned());
    longer.total = longer.alerts.len() as u64;
    longer
}

/// A backlog that is being told.
pub struct Behind {
    /// The place up to which it reaches.
    last: i64,
    /// How many alerts the last roll-up had room for.
    room: u32,
    /// Roll-ups made of it, and the alerts in them.
    made: (u64, u64),
}

impl Courier {
    /// How many messages may be claimed now. Where a backlog waits, the first of the line is made a roll-up with what is alike
    /// behind it, and that is one.
    pub(super) async fn fold(&self, standing: &mut Standing, moment: Moment) -> Result<u32, StoreError> {
        let interval = self.time_each();
        let at_once = claimed_at_once(interval);
        let Some(least) = least(interval).filter(|_| standing.deep && !standing.breaker.is_shut()) else { return Ok(at_once) };
        if standing.behind.is_none() {
            let depth = self.store.depth(&self.name, least).await?;
            standing.behind = (depth.waiting >= least).then_some(Behind { last: depth.last, room: CARRIES_MOST, made: (0, 0) });
        }
        let Some(behind) = &mut standing.behind else { return Ok(at_once) };
        let mut most = if behind.made.0.is_multiple_of(MEASURED_EVERY) { CARRIES_MOST } else { behind.room };
        loop {
            let query = FrontQuery { channel: self.name.clone(), last: behind.last, most, now: moment.now };
            let found = match self.store.front(query).await? {
                Front::Together(found) => found,
                Front::Alone => return Ok(1),
                Front::Past => {
                    if let (messages @ 1.., alerts) = behind.made {
                        tracing::info!(channel = %self.name, alerts, messages, "the backlog has been told");
                    }
                    standing.behind = None;
                    return Ok(at_once);
                }
            };
            let measured = with_a_tenth_more(&found.roll_up);
            // Others may follow whose words are the program's own.
            let Some(named) = self.channel.names(&measured, moment.now) else { return Ok(at_once) };
            let carried = found.roll_up.alerts.len();
            let room = room(carried, measured.alerts.len(), named);
            if room < 2 {
                return Ok(1);
            }
            if room == carried {
                let alerts = self.store.fold(found.messages, moment.now).await?;
                if behind.made.0 == 0 {
                    tracing::info!(channel = %self.name, "more waits than the channel takes in {}s: it is told in roll-ups", IN_GOOD_TIME.as_secs());
                }
                behind.made = (behind.made.0 + 1, behind.made.1 + alerts);
                return Ok(1);
            }
            most = u32::try_from(room).unwrap_or(CARRIES_MOST);
            behind.room = most;
        }
    }

    /// How long the channel takes for one message: each recipient is sent one of its own.
    fn time_each(&self) -> Duration {
        let Rate::Limited { messages, per } = self.rate else { return Duration::ZERO };
        let recipients = u32::try_from(self.channel.targets().len()).unwrap_or(u32::MAX);
        (per / messages.max(1)).saturating_mul(recipients.max(1))
    }
}

#[cfg(test)]
mod tests;
