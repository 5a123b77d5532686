//! Templates: sets of Handlebars files, one for each way of saying a message.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use crate::{document::Faults, domain::Notification};

/// One way of saying a message: a file in a set's folder, and how its values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// Every template set: the built-in ones, and the user's files in their place.
#[derive(Debug, Default)]
pub struct Templates;

impl Templates {
    /// The built-in sets alone.
    #[must_use]
    pub fn built_in() -> Self {
        Self
    }

    /// The built-in sets with the user's files below `folder` in their place, file by file. A folder that is not there is
    /// none. Every template that does not compile, or that fails on sample data, is told with its place.
    #[must_use]
    pub fn load(_folder: &Path, _faults: &mut Faults) -> Self {
        Self
    }

    /// The names of all sets: `alert` and the user's own.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether a part of a set is a file of the user's.
    #[must_use]
    pub fn is_users(&self, _set: &str, _part: Part) -> bool {
        false
    }

    /// Renders one part of a set.
    ///
    /// # Errors
    /// There is no such set, or the template failed: file, line and variable, in one line.
    pub fn render(&self, _set: &str, _part: Part, _view: &Value) -> Result<String, String> {
        Err("no templates yet".into())
    }
}

/// What templates see of a notification whose first `shown` alerts are named: `rule`, `jobs`, `job`, `count`, `left_out`,
/// `rolled_up`, `link`, `now`, and `trouble` (why the configured words were not used, else null).
#[must_use]
pub fn view(_notification: &Notification, _shown: usize, _now: Timestamp, _public_url: Option<&str>, _trouble: Option<&str>) -> Value {
    Value::Null
}
