//! The parts of a set, and where each one's values land.

/// One way of saying a message: a file in a set's folder, and how its values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// `slack.json.hbs`
    Slack,
    /// `teams.json.hbs`
    Teams,
    /// `email.subject.hbs`
    EmailSubject,
    /// `email.html.hbs`
    EmailHtml,
    /// `email.txt.hbs`
    EmailText,
    /// `webhook.json.hbs`
    Webhook,
}

/// What a value is written into, which decides how it is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Landing {
    /// A JSON string that Slack reads as its `mrkdwn`.
    SlackJson,
    /// A JSON string that Teams reads as Markdown.
    CardJson,
    /// A JSON string that is data.
    Json,
    /// HTML text or a quoted attribute.
    Html,
    /// A header's single line.
    Line,
    /// Plain text.
    Text,
}

impl Part {
    /// Every part.
    pub const ALL: &'static [Self] = &[Self::Slack, Self::Teams, Self::EmailSubject, Self::EmailHtml, Self::EmailText, Self::Webhook];

    /// The file's name in a set's folder.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Slack => "slack.json.hbs",
            Self::Teams => "teams.json.hbs",
            Self::EmailSubject => "email.subject.hbs",
            Self::EmailHtml => "email.html.hbs",
            Self::EmailText => "email.txt.hbs",
            Self::Webhook => "webhook.json.hbs",
        }
    }

    /// The part of a file's name.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|part| part.file() == name)
    }

    pub(super) const fn landing(self) -> Landing {
        match self {
            Self::Slack => Landing::SlackJson,
            Self::Teams => Landing::CardJson,
            Self::EmailSubject => Landing::Line,
            Self::EmailHtml => Landing::Html,
            Self::EmailText => Landing::Text,
            Self::Webhook => Landing::Json,
        }
    }

    /// What is built into the program for a set: the repository's `templates/SET/`. A set of the user's own has none.
    #[must_use]
    pub const fn built_in(self, set: BuiltIn) -> &'static str {
        let [slack, teams, subject, html, text, webhook] = set.texts();
        match self {
            Self::Slack => slack,
            Self::Teams => teams,
            Self::EmailSubject => subject,
            Self::EmailHtml => html,
            Self::EmailText => text,
            Self::Webhook => webhook,
        }
    }
}

/// The texts of one folder of the repository's `templates/`, in the order of [`Part::ALL`].
macro_rules! texts {
    ($set:literal) => {
        [
            include_str!(concat!("../../templates/", $set, "/slack.json.hbs")),
            include_str!(concat!("../../templates/", $set, "/teams.json.hbs")),
            include_str!(concat!("../../templates/", $set, "/email.subject.hbs")),
            include_str!(concat!("../../templates/", $set, "/email.html.hbs")),
            include_str!(concat!("../../templates/", $set, "/email.txt.hbs")),
            include_str!(concat!("../../templates/", $set, "/webhook.json.hbs")),
        ]
    };
}

/// A set that is built into the program, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuiltIn {
    /// Alerts and roll-ups, where neither a rule nor a channel names another set.
    Alert,
    /// Digests, always.
    Digest,
    /// Notices, always.
    Notice,
}

impl BuiltIn {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Alert, Self::Digest, Self::Notice];

    /// The set's name, and its folder's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Digest => "digest",
            Self::Notice => "notice",
        }
    }

    /// The built-in set whose parts stand in for those that a set lacks: its own, or that of alerts.
    #[must_use]
    pub fn behind(set: &str) -> Self {
        Self::ALL.iter().copied().find(|built_in| built_in.name() == set).unwrap_or(Self::Alert)
    }

    /// The set of a name, if it is one that messages of its own are always in: neither a rule nor a channel may ask for it.
    #[must_use]
    pub fn of_its_own(set: &str) -> Option<Self> {
        [Self::Digest, Self::Notice].into_iter().find(|built_in| built_in.name() == set)
    }

    const fn texts(self) -> [&'static str; 6] {
        match self {
            Self::Alert => texts!("alert"),
            Self::Digest => texts!("digest"),
            Self::Notice => texts!("notice"),
        }
    }
}

impl Landing {
    pub(super) const ALL: &'static [Self] = &[Self::SlackJson, Self::CardJson, Self::Json, Self::Html, Self::Line, Self::Text];

    /// Whether the whole must be one JSON document.
    pub(super) const fn is_json(self) -> bool {
        matches!(self, Self::SlackJson | Self::CardJson | Self::Json)
    }
}
