//! The keys of rule files and of their parts, for the schema.

use crate::document::{DURATION_PAIR, Form, Key, Keys};

use super::{GroupBy, condition::CONDITIONS, past::PAST_MOST, slower, words};

/// The keys of a rule file.
pub const FILE: Keys = Keys::new(&[&[Key::new(
    "rules",
    "the rules, each judged on its own; order means nothing",
    Form::OrNothing(&Form::List(&Form::Mapping(&RULE))),
    &["[{ name: scan-failed, when: { state: failed }, notify: oncall }]"],
)
.required()]]);

/// The keys of one rule.
pub const RULE: Keys = Keys {
    lists: &[&[
        Key::new("name", "unique among all rules; alerts are known by it", Form::Text, &["scan-failed"]).required(),
        Key::new("description", "what it is for, in your words: shown in every message", Form::Text, &["A scan failed."]),
        Key::new(
            "when",
            "the conditions, all of which must hold; `{}` matches every job that ends",
            Form::Defined("when"),
            &["{ state: failed }"],
        ),
        Key::new(
            "missing",
            "in place of `when`: tells when no such job has finished in time",
            Form::Mapping(&MISSING),
            &["{ profile: \"nightly *\", every: 24h, grace: 30m }"],
        ),
        Key::new("severity", "how urgent; warning where nothing is said", Form::Word(words::severities), &["critical"]),
        Key::new("notify", "the channels that get its messages", Form::OneOrMany(&Form::Text), &["[oncall]"]).required(),
        Key::new(
            "limit",
            "a bucket of so many messages, refilled evenly over the time; what exceeds it goes out as one roll-up",
            Form::Like(&[LIMIT]),
            &["5 per 1h"],
        ),
        Key::new(
            "group",
            "one message for alerts that are alike and come together",
            Form::Mapping(&GROUP),
            &["{ by: [source, profile], wait: 1m }"],
        ),
        Key::new("labels", "texts of your own; `runbook` is shown as a link", Form::Named(&Form::Text), &["{ team: collaboration }"]),
        Key::new("template", "the template set its messages are written with, in place of the channel's", Form::Text, &["alert"]),
        Key::new("enabled", "`false` rests it", Form::Boolean, &["true"]),
    ]],
    one_of: &[&["when", "missing"]],
};

const LIMIT: &str = concat!(r"^\s*[0-9]+\s*per\s*(?:second|minute|hour|day|", r"(?:[0-9]+(?:ms|[smhdw])\s*)+", r")\s*$");

const GROUP: Keys = Keys::new(&[&[
    Key::new("by", "what must be alike", Form::OneOrMany(&Form::Word(group_words)), &["[source, profile]"]).required(),
    Key::new("wait", "how long the first one waits for others; 1m where nothing is said", Form::Duration, &["1m"]),
]]);

const MISSING: Keys = Keys::new(&[&[
    Key::new(
        "profile",
        "the scan profiles that are waited for: a glob, or /a regular expression/",
        Form::OneOrMany(&Form::Text),
        &["\"nightly *\""],
    )
    .required(),
    Key::new("every", "the longest time from one job's end to the next one's", Form::Duration, &["24h"]).required(),
    Key::new("grace", "how much longer to wait before saying so", Form::Duration, &["30m"]),
    Key::new("source", "only jobs of these sources", Form::OneOrMany(&Form::Text), &["contoso"]),
]]);

const FINISHED: Keys = Keys::new(&[&[
    Key::new("days", "days of the week, or spans of them", Form::OneOrMany(&Form::Like(&[DAYS])), &["[mon, tue]", "sat-sun"]),
    Key::new(
        "between",
        "from the first time of day up to the second, over midnight if that is earlier",
        Form::Like(&[BETWEEN]),
        &["\"22:00-06:00\""],
    ),
    Key::new("timezone", "whose clock it is; UTC where nothing is said", Form::Text, &["Europe/Zurich"]),
]]);

const DAYS: &str = r"^\s*(?:mon|tue|wed|thu|fri|sat|sun|monday|tuesday|wednesday|thursday|friday|saturday|sunday)(?:\s*-\s*(?:mon|tue|wed|thu|fri|sat|sun|monday|tuesday|wednesday|thursday|friday|saturday|sunday))?\s*$";
const BETWEEN: &str = r"^\s*[0-9]{1,2}:[0-9]{2}\s*-\s*[0-9]{1,2}:[0-9]{2}\s*$";
const STREAK: &str = r"^\s*(?:>=|>|<=|<|==|=)?\s*[0-9]+\s*$|^\s*[0-9]+\s*\.\.\s*[0-9]+\s*$";

const LENGTH: &[Form] = &[Form::Integer(1, PAST_MOST as i64), Form::Like(&[STREAK])];

const COUNT: Keys = Keys::new(&[&[
    Key::new("at_least", "how many, this job among them", Form::Integer(1, PAST_MOST as i64), &["3"]).required(),
    Key::new("within", "in how long a time before this job's end", Form::Duration, &["24h"]).required(),
]]);

const SLOWER: Keys = Keys::new(&[&[
    Key::new("factor", "how many times the median duration", Form::Factor(slower::FACTOR_MOST), &["2"]).required(),
    Key::new("over", "of how many of the profile's last finished jobs", Form::Integer(1, slower::OVER_MOST as i64), &["20"]),
    Key::new("at_least", "no job that is shorter is slow; 1m where nothing is said", Form::Duration, &["1m"]),
]]);

const ANY: Key =
    Key::new("any", "one of these must hold", Form::List(&Form::Defined("when")), &["[{ state: failed }, { profile: \"nightly *\" }]"]);
const ALL: Key =
    Key::new("all", "all of these must hold", Form::List(&Form::Defined("when")), &["[{ state: failed }, { profile: \"nightly *\" }]"]);
const NOT: Key = Key::new("not", "this must not hold", Form::Defined("when"), &["{ profile: \"test *\" }"]);

/// What may stand under `when`: the table of conditions, and the three that nest.
#[must_use]
pub fn when_keys() -> Vec<Key> {
    let condition = |condition: &super::Condition| {
        Key::new(condition.key, condition.meaning, form(condition.key).unwrap_or(Form::Text), condition.examples)
    };
    CONDITIONS.iter().map(condition).chain([ANY, ALL, NOT]).collect()
}

/// What a condition's value looks like.
fn form(key: &str) -> Option<Form> {
    Some(match key {
        "state" | "previous" => Form::OneOrMany(&Form::Code(words::states)),
        "type" => Form::OneOrMany(&Form::Code(words::types)),
        "category" => Form::OneOrMany(&Form::Code(words::categories)),
        "source" | "profile" => Form::OneOrMany(&Form::Text),
        "duration" => Form::OneOrMany(&Form::Like(DURATION_PAIR)),
        "finished" => Form::OneOrMany(&Form::Mapping(&FINISHED)),
        "streak" => Form::Either(LENGTH),
        "count" => Form::Mapping(&COUNT),
        "slower_than_usual" => Form::Mapping(&SLOWER),
        "expr" => Form::Text,
        _ => return None,
    })
}

fn group_words() -> Vec<String> {
    GroupBy::ALL.iter().map(|(word, _)| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_a_form() {
        for condition in CONDITIONS {
            assert!(form(condition.key).is_some(), "what does a value of `{}` look like?", condition.key);
        }
    }
}
