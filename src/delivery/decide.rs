//! What becomes of a notification after an attempt: a pure decision.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use crate::{
    domain::{Outcome, Refusal, TargetEnd},
    store::Verdict,
};

/// What is known once an attempt has been made at every recipient that still needed one.
#[derive(Debug)]
pub struct Facts<'f> {
    /// The recipients that are done, now or before.
    pub ended: &'f [TargetEnd],
    /// What the others answered, in the order of asking; empty if all are done.
    pub open: &'f [Outcome],
    /// Attempts made, this one included.
    pub attempts: u32,
    /// How long it has waited between attempts.
    pub waited: Duration,
    /// How long it is tried.
    pub give_up_after: Duration,
    /// The present.
    pub now: Timestamp,
    /// Uniform in 0..1.
    pub chance: f64,
}

/// Decides, with the line that is kept as the channel's answer.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> (Verdict, String) {
    let refused_channel = facts.open.iter().find(|outcome| matches!(outcome, Outcome::Refused { what: Refusal::Channel, .. }));
    if let Some(outcome) = refused_channel {
        // Nothing held for a refused channel is given up: whoever mends the channel gets it.
        return (Verdict::Held(later(facts.now, backoff::until_probe(facts.chance))), outcome.answer().to_owned());
    }
    let Some(last) = facts.open.last() else {
        let accepted = facts.ended.iter().any(|end| end.accepted);
        return (if accepted { Verdict::Delivered } else { Verdict::Dead }, told(facts.ended));
    };
    if facts.waited >= facts.give_up_after {
        let accepted = facts.ended.iter().any(|end| end.accepted);
        let answer = format!("given up after {}: {}", crate::domain::format_duration(facts.give_up_after), last.answer());
        return (if accepted { Verdict::Delivered } else { Verdict::Dead }, answer);
    }
    let asked = facts.open.iter().filter_map(|outcome| if let Outcome::Retry { after, .. } = outcome { *after } else { None }).max();
    (Verdict::Again(later(facts.now, backoff::after_failure(facts.attempts, asked, facts.chance))), last.answer().to_owned())
}

/// The recipients' answers in one line: a refusal is named with its recipient, an acceptance told once.
fn told(ended: &[TargetEnd]) -> String {
    let refused = ended
        .iter()
        .filter(|end| !end.accepted)
        .map(|end| if end.target.is_empty() { end.answer.clone() } else { format!("{} refused: {}", end.target, end.answer) });
    let accepted = ended.iter().find(|end| end.accepted).map(|end| end.answer.clone());
    accepted.into_iter().chain(refused).collect::<Vec<_>>().join("; ")
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(target: &str, accepted: bool) -> TargetEnd {
        TargetEnd { target: target.into(), accepted, answer: if accepted { "250 ok".into() } else { "550 no such user".into() } }
    }

    fn retry(after: Option<u64>) -> Outcome {
        Outcome::Retry { after: after.map(Duration::from_secs), why: "HTTP 503".into() }
    }

    #[track_caller]
    fn check(ended: &[TargetEnd], open: &[Outcome], waited: u64, expected: Verdict, answer: &str) {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let facts = Facts {
            ended,
            open,
            attempts: 1,
            waited: Duration::from_secs(waited),
            give_up_after: Duration::from_secs(3_600),
            now,
            chance: 0.5,
        };
        assert_eq!(decide(&facts), (expected, answer.to_owned()));
    }

    fn at(second: i64) -> Verdict {
        Verdict::Again(Timestamp::from_second(1_000_000 + second).unwrap())
    }

    #[test]
    fn one_recipient_that_accepts_is_a_delivery() {
        check(&[end("", true)], &[], 0, Verdict::Delivered, "250 ok");
        check(&[end("a@x", true), end("b@x", false)], &[], 0, Verdict::Delivered, "250 ok; b@x refused: 550 no such user");
    }

    #[test]
    fn none_that_accepts_is_a_dead_letter() {
        check(&[end("", false)], &[], 0, Verdict::Dead, "550 no such user");
    }

    #[test]
    fn trouble_is_tried_again_not_before_it_was_asked_for() {
        check(&[], &[retry(None)], 0, at(5), "HTTP 503");
        check(&[], &[retry(Some(120))], 0, at(120), "HTTP 503");
        check(&[end("a@x", true)], &[retry(Some(7))], 0, at(7), "HTTP 503");
    }

    #[test]
    fn it_is_given_up_in_the_end_but_never_for_a_refused_channel() {
        check(&[], &[retry(None)], 3_600, Verdict::Dead, "given up after 1h: HTTP 503");
        let gone = Outcome::Refused { what: Refusal::Channel, why: "HTTP 404: no_service".into() };
        let probe = Verdict::Held(Timestamp::from_second(1_003_600).unwrap());
        check(&[], &[gone], 999_999, probe, "HTTP 404: no_service");
    }
}
