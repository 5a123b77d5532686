//! From a notification to the text that a template makes of it: the same for every channel with one template.

use jiff::Timestamp;

use super::{Attempt, Common, Tools, Wording};
use crate::{
    domain::{Notification, NotificationKind},
    template::{BuiltIn, Part, RenderFailure, undelivered_line, view},
};

/// The template set that a notification is put into words with.
pub fn set<'n>(common: &'n Common, notification: &'n Notification) -> &'n str {
    match notification.kind {
        // A set made for alerts has no words for what no job is in.
        NotificationKind::Notice => BuiltIn::Notice.name(),
        NotificationKind::Digest => BuiltIn::Digest.name(),
        NotificationKind::Alert | NotificationKind::Group | NotificationKind::RollUp => {
            notification.rule.template.as_deref().unwrap_or(&common.template)
        }
    }
}

/// The text with the first `shown` jobs named, and the file that made it, for errors.
///
/// # Errors
/// The template failed, in one line.
pub fn render(
    tools: &Tools,
    common: &Common,
    part: Part,
    notification: &Notification,
    shown: usize,
    wording: &Wording,
    now: Timestamp,
) -> Result<Attempt<(String, String)>, String> {
    let configured = set(common, notification);
    let built_in = BuiltIn::behind(configured);
    let (set, trouble) = match wording {
        Wording::Configured => (configured, None),
        Wording::BuiltIn { why } => (built_in.name(), Some(why.as_str())),
    };
    let data = view(notification, shown, now, tools.public_url.as_deref(), trouble);
    let rendered = match wording {
        Wording::Configured => tools.templates.render(set, part, &data),
        Wording::BuiltIn { .. } => tools.templates.render_built_in(built_in, part, &data),
    };
    let file = format!("templates/{set}/{}", part.file());
    match rendered {
        Ok(text) => Ok(Attempt::Fits((file, text))),
        Err(RenderFailure::TooLarge) => Ok(Attempt::TooLarge(format!("{file}: {}", RenderFailure::TooLarge))),
        Err(failure) => Err(failure.to_string()),
    }
}

/// On a fallback, the line that says which channel could not be told, where the user's own words do not say it: it is for the
/// channel's kind to put behind them.
pub fn unsaid(tools: &Tools, common: &Common, part: Part, notification: &Notification, wording: &Wording) -> Option<String> {
    let quiet = *wording == Wording::Configured && tools.templates.keeps_quiet_of_trouble(set(common, notification), part);
    undelivered_line(notification, part).filter(|_| quiet)
}
