//! The keys of `jobrelay.yaml`, for the schema. What a kind of source or channel takes besides stands with the kind.

use crate::document::{Form, Key, Keys};

/// The keys of the file.
pub const FILE: Keys = Keys::new(&[&[
    Key::new("sources", "the tenants whose scan jobs are read, by names of your own", Form::Named(&Form::Defined("source")), &[])
        .required(),
    Key::new("channels", "who is told, by names of your own", Form::Named(&Form::Defined("channel")), &[]).required(),
    Key::new("digests", "summaries sent at set times, by names of your own", Form::OrNothing(&Form::Named(&Form::Mapping(&DIGEST))), &[]),
    Key::new(
        "notices",
        "who is told when the watch itself is in trouble",
        Form::Mapping(&NOTICES),
        &["{ notify: [oncall], source_down_after: 15m }"],
    ),
    Key::new("server", "health checks, metrics and the API", Form::Mapping(&SERVER), &["{ listen: 127.0.0.1:8080 }"]),
    Key::new("storage", "where jobs and messages are kept", Form::Mapping(&STORAGE), &["{ url: sqlite:jobrelay.db, keep: 90d }"]),
]]);

/// What every source takes beside `kind` and its kind's own.
pub const SOURCE: &[Key] = &[
    Key::new("poll_every", "how often the list is read, from 5s to 1h; 60s where nothing is said", Form::Duration, &["60s"]),
    Key::new(
        "start",
        "on the first run: `now` alerts on nothing that finished before it; a duration looks back so far",
        Form::Either(&[Form::Word(now), Form::Duration]),
        &["now", "24h"],
    ),
];

/// What every channel takes beside `kind` and its kind's own.
pub const CHANNEL: &[Key] = &[
    Key::new(
        "rate",
        "how fast messages go out; the service's published limit where nothing is said",
        Form::Like(RATE),
        &["1 per second", "5 per 10s", "unlimited"],
    ),
    Key::new("template", "the template set, where a rule names none", Form::Text, &["alert"]),
    Key::new("timeout", "for one attempt; 15s where nothing is said", Form::Duration, &["15s"]),
    Key::new("give_up_after", "how long a message is tried; 14d where nothing is said", Form::Duration, &["14d"]),
    Key::new("fallback", "the channel that gets what this one could not deliver", Form::Text, &["other"]),
];

fn now() -> Vec<String> {
    vec!["now".to_owned()]
}

const RATE: &[&str] = &[r"^\s*unlimited\s*$", r"^\s*[0-9]+\s+per\s+(?:second|minute|hour|day|(?:[0-9]+(?:ms|[smhdw])\s*)+)\s*$"];

const DIGEST: Keys = Keys::new(&[&[
    Key::new("schedule", "when it is due: minute, hour, day of month, month, day of week", Form::Text, &["\"0 8 * * mon-fri\""]).required(),
    Key::new("timezone", "whose clock that is; UTC where nothing is said", Form::Text, &["Europe/Zurich"]),
    Key::new("notify", "the channels that get it", Form::OneOrMany(&Form::Text), &["[oncall]"]).required(),
    Key::new(
        "when",
        "what it is about, by a rule's conditions; everything where nothing is said",
        Form::Defined("when"),
        &["{ state: failed }"],
    ),
    Key::new("skip_empty", "leave out a period in which nothing happened", Form::Boolean, &["true"]),
]]);

const NOTICES: Keys = Keys::new(&[&[
    Key::new("notify", "the channels that are told", Form::OneOrMany(&Form::Text), &["[oncall]"]).required(),
    Key::new("source_down_after", "how long a source may be unreadable first; 15m where nothing is said", Form::Duration, &["15m"]),
    Key::new("channel_down_after", "how long a channel may fail first", Form::Duration, &["15m"]),
]]);

const SERVER: Keys = Keys::new(&[&[
    Key::new(
        "listen",
        "an IP address and a port; 127.0.0.1:8080 where nothing is said, port 0 takes a free one",
        Form::Text,
        &["127.0.0.1:8080"],
    ),
    Key::new(
        "token",
        "at least 16 characters; required on any other than a loopback address",
        Form::Text,
        &["${JOBRELAY_TOKEN:-0123456789abcdef}"],
    ),
    Key::new("public_url", "where people reach it, for links in messages", Form::Text, &["https://jobrelay.contoso.example"]),
]]);

const STORAGE: Keys = Keys::new(&[&[
    Key::new("url", "the database; a relative path is relative to this file's folder", Form::Text, &["sqlite:jobrelay.db"]),
    Key::new("keep", "how long jobs that have ended are kept; 90d where nothing is said", Form::Duration, &["90d"]),
]]);
