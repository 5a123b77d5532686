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

    /// What is built into the program: the repository's `templates/alert/`.
    #[must_use]
    pub const fn built_in(self) -> &'static str {
        match self {
            Self::Slack => include_str!("../../templates/alert/slack.json.hbs"),
            Self::Teams => include_str!("../../templates/alert/teams.json.hbs"),
            Self::EmailSubject => include_str!("../../templates/alert/email.subject.hbs"),
            Self::EmailHtml => include_str!("../../templates/alert/email.html.hbs"),
            Self::EmailText => include_str!("../../templates/alert/email.txt.hbs"),
            Self::Webhook => include_str!("../../templates/alert/webhook.json.hbs"),
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
