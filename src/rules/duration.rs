//! `duration`: ranges such as `> 30m` and `10m..1h`.

use std::{
    ops::{Bound, RangeBounds},
    time::Duration,
};

use crate::{
    document::{Fault, Faults, Node, text_list},
    domain::{format_duration, format_exactly, parse_duration},
};

use super::{
    Known,
    condition::{Facts, Lane, Test, either, twice},
    when::When,
};

/// A range of durations, as it is written and as it is meant.
#[derive(Debug)]
pub(super) struct Span {
    written: String,
    pub least: Bound<Duration>,
    pub most: Bound<Duration>,
}

#[derive(Debug)]
struct OneOf(Vec<Span>);

impl OneOf {
    fn covers(&self, duration: Duration) -> bool {
        self.0.iter().any(|span| (span.least, span.most).contains(&duration))
    }

    /// In short, unless that would belie the verdict: a job of two hours and three seconds is no `2h` to who asks for `> 2h`.
    fn told(&self, duration: Duration) -> String {
        let short = format_duration(duration);
        let belied = parse_duration(&short).is_ok_and(|said| self.covers(said) != self.covers(duration));
        if belied { format_exactly(duration) } else { short }
    }
}

impl Test for OneOf {
    fn holds(&self, facts: &Facts<'_>, _: &When) -> bool {
        facts.job.duration(facts.now).is_some_and(|duration| self.covers(duration))
    }

    fn wanted(&self) -> String {
        either(self.0.iter().map(|span| &span.written))
    }

    fn found(&self, facts: &Facts<'_>, _: &When) -> String {
        facts.job.duration(facts.now).map_or_else(|| "unknown".to_owned(), |duration| self.told(duration))
    }

    fn lane(&self) -> Lane<'_> {
        Lane::Duration(&self.0)
    }
}

pub(super) fn read(node: &Node, _: &Known<'_>, faults: &mut Faults) -> Option<Box<dyn Test>> {
    let mut spans = Vec::new();
    for (item, written) in text_list(node, faults) {
        match span(&written) {
            Ok(span) => {
                if spans.iter().any(|known: &Span| known.written == span.written) {
                    twice(item, "range", &span.written, faults);
                }
                spans.push(span);
            }
            Err(why) => {
                let why = if item.filled { "the value filled in is no range of durations".to_owned() } else { why };
                faults.push(Fault::error(&item.place, why).hint("write \"> 30m\", \">= 1h30m\", \"< 10s\", \"<= 2h\" or \"10m..1h\""));
            }
        }
    }
    if !faults.any_error() && leave_nothing_out(&spans) {
        faults.push(Fault::warning(&node.place, "these ranges leave no duration out").hint("leave `duration` out, or mend one of them"));
    }
    (!spans.is_empty()).then(|| Box::new(OneOf(spans)) as Box<dyn Test>)
}

/// Whether every duration lies in one of these ranges: joined from zero on, they reach without end.
fn leave_nothing_out(spans: &[Span]) -> bool {
    // Up to here nothing is left out; the instant itself is in, or not.
    let (mut reached, mut included) = (Duration::ZERO, false);
    loop {
        let joins = |span: &&Span| match span.least {
            Bound::Unbounded => true,
            Bound::Included(from) => from <= reached,
            Bound::Excluded(from) => from < reached || (from == reached && included),
        };
        let mut further = None;
        for span in spans.iter().filter(joins) {
            match span.most {
                Bound::Unbounded => return true,
                Bound::Included(to) if (to, true) > (reached, included) => further = further.max(Some((to, true))),
                Bound::Excluded(to) if (to, false) > (reached, included) => further = further.max(Some((to, false))),
                Bound::Included(_) | Bound::Excluded(_) => {}
            }
        }
        let Some(next) = further else { return false };
        (reached, included) = next;
    }
}

fn span(written: &str) -> Result<Span, String> {
    let text = written.trim();
    let duration = |part: &str| {
        let missing = || format!("a duration is missing in `{text}`");
        if part.trim().is_empty() { Err(missing()) } else { parse_duration(part).map_err(|error| error.to_string()) }
    };
    let (least, most) = if let Some(rest) = text.strip_prefix(">=") {
        (Bound::Included(duration(rest)?), Bound::Unbounded)
    } else if let Some(rest) = text.strip_prefix('>') {
        (Bound::Excluded(duration(rest)?), Bound::Unbounded)
    } else if let Some(rest) = text.strip_prefix("<=") {
        (Bound::Unbounded, Bound::Included(duration(rest)?))
    } else if let Some(rest) = text.strip_prefix('<') {
        (Bound::Unbounded, Bound::Excluded(duration(rest)?))
    } else if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (duration(from)?, duration(to)?);
        if from > to {
            return Err(format!("the range `{text}` ends before it begins"));
        }
        (Bound::Included(from), Bound::Included(to))
    } else if parse_duration(text).is_ok() {
        return Err(format!("`{text}` says neither longer nor shorter"));
    } else {
        return Err(format!("`{text}` is no range of durations"));
    };
    Ok(Span { written: text.to_owned(), least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, yes: &[u64], no: &[u64]) {
        let span = span(written).unwrap();
        for secs in yes {
            assert!((span.least, span.most).contains(&Duration::from_secs(*secs)), "{written} must hold for {secs} s");
        }
        for secs in no {
            assert!(!(span.least, span.most).contains(&Duration::from_secs(*secs)), "{written} must not hold for {secs} s");
        }
    }

    #[test]
    fn every_form_of_the_table_is_read_with_its_ends() {
        check("> 30m", &[1_801], &[1_800, 0]);
        check(">30m", &[1_801], &[1_800]);
        check(">= 1h30m", &[5_400], &[5_399]);
        check("< 10s", &[0, 9], &[10]);
        check("<=2h", &[7_200], &[7_201]);
        check("10m..1h", &[600, 3_600], &[599, 3_601]);
        check(" 10m .. 1h ", &[600], &[599]);
        check("5s..5s", &[5], &[4, 6]);
    }

    #[test]
    fn what_is_told_of_a_duration_does_not_belie_the_verdict() {
        for (written, millis, told) in [
            ("> 2h", 7_203_000, "2h 3s"),
            ("> 2h", 7_200_000, "2h"),
            ("> 2h", 10_803_000, "3h"),
            ("<= 1d", 86_460_000, "1d 1m"),
            ("> 30m", 1_800_400, "30m 0.4s"),
            ("> 0s", 430, "0.4s"),
        ] {
            assert_eq!(OneOf(vec![span(written).unwrap()]).told(Duration::from_millis(millis)), told, "{written}");
        }
    }

    #[test]
    fn what_is_no_range_says_why() {
        for (written, part) in [
            ("30m", "neither longer nor shorter"),
            ("> 30", "is no duration"),
            ("=> 30m", "no range"),
            ("1h..10m", "ends before it begins"),
            ("..1h", "a duration is missing in `..1h`"),
            ("10m..", "a duration is missing"),
            (">", "a duration is missing"),
            ("> 30 m", "`30 m` is no duration"),
            ("", "no range"),
        ] {
            let why = span(written).unwrap_err();
            assert!(why.contains(part), "{written}: {why}");
        }
    }
}
