//! The live end: words for a notification, and one attempt for one recipient.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::message::Mailbox;
use rustls::ClientConfig;

use super::{
    Recipient, address,
    kept::Kept,
    message::Letter,
    reply::Reply,
    server::MailServer,
    session::{CHALLENGE, Session},
    trouble::{Step, Trouble},
    verdict::{is_over, may_be_age, verdict},
};
use crate::{
    channel::{Attempt, Channel, Common, Envelope, Payload, Tools, Wording, fit, names, picture, words},
    domain::{Name, Notification, NotificationKind, Outcome, Refusal, Target, format_duration},
    oauth::Tokens,
    template::{PICTURE, Part},
};

/// The largest of a mail's two parts. Gmail cuts what it shows at 102 KB (measured by many, published by no one), and the
/// rest of the page is its own.
const PART_BYTES: usize = 90_000;

/// What a mail is made of, in the order in which it is written.
const PARTS: [Part; 3] = [Part::EmailSubject, Part::EmailHtml, Part::EmailText];

/// A mail channel.
pub(super) struct Mail {
    pub(super) name: Name,
    pub(super) server: MailServer,
    pub(super) tokens: Option<Tokens>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) from: Mailbox,
    pub(super) to: Vec<Recipient>,
    pub(super) common: Common,
    pub(super) tools: Tools,
    pub(super) kept: Kept,
}

impl Mail {
    /// Sends in the kept conversation, or in a new one where there is none or it proves dead before the mail was out.
    async fn transact(&self, to: &Mailbox, content: &[u8], now: Timestamp) -> Result<Reply, Trouble> {
        if let Some(session) = self.kept.take() {
            let result = self.transact_in(session, to, content).await;
            if !result.as_ref().is_err_and(may_be_age) {
                return result;
            }
        }
        let session = self.open(now).await?;
        self.transact_in(session, to, content).await
    }

    /// A new conversation. A token that is refused before its time may have been revoked: a new one is tried, once.
    async fn open(&self, now: Timestamp) -> Result<Session, Trouble> {
        let Some(tokens) = &self.tokens else {
            return Session::open(&self.server, &self.tls, None).await;
        };
        let token = tokens.token(now).await.map_err(Trouble::NoToken)?;
        match Session::open(&self.server, &self.tls, Some(&token.value)).await {
            Err(Trouble::Answered { to: Step::Login, reply }) if reply.is_permanent() || reply.code == CHALLENGE => {
                let token = tokens.renewed(&token, now).await.map_err(Trouble::NoToken)?;
                Session::open(&self.server, &self.tls, Some(&token.value)).await
            }
            result => result,
        }
    }

    /// Sends in this conversation, and keeps it where it is good for another mail.
    async fn transact_in(&self, mut session: Session, to: &Mailbox, content: &[u8]) -> Result<Reply, Trouble> {
        let result = session.transact(self.from.email.as_ref(), to.email.as_ref(), content).await;
        // One in which the sender was refused may only be old: a new one tells.
        if !result.as_ref().is_err_and(|trouble| is_over(trouble) || may_be_age(trouble)) {
            self.kept.put(session);
        }
        result
    }

    /// The mail with the first `shown` jobs named, if it is one that is read to its end.
    fn write(&self, notification: &Notification, shown: usize, wording: &Wording, now: Timestamp) -> Result<Attempt<Payload>, String> {
        let mut parts = Vec::with_capacity(PARTS.len());
        for part in PARTS {
            let written = words::render(&self.tools, &self.common, part, notification, shown, wording, now)?;
            let unsaid = words::unsaid(&self.tools, &self.common, part, notification, wording);
            match with_line(written, part, unsaid.as_deref()) {
                Attempt::Fits((file, text)) if text.len() > PART_BYTES => {
                    let size = text.len();
                    return Ok(Attempt::TooLarge(format!("{file} makes {size} bytes, and mail is sent with at most {PART_BYTES}")));
                }
                Attempt::Fits((file, text)) if text.trim().is_empty() => return Err(format!("{file} makes nothing")),
                Attempt::Fits((_, text)) => parts.push(text),
                Attempt::TooLarge(why) => return Ok(Attempt::TooLarge(why)),
            }
        }
        let Ok([subject, html, text]) = <[String; 3]>::try_from(parts) else {
            return Err("a mail has three parts".into());
        };
        // A template of the user's may leave it out.
        let shown = notification.digest.as_ref().filter(|_| html.contains(PICTURE));
        let picture = shown.and_then(|digest| picture(&digest.days));
        Ok(Attempt::Fits(Payload::Mail { subject: subject.trim().to_owned(), html, text, picture, thread: thread(notification) }))
    }

    fn late(&self) -> String {
        format!("{} did not finish within {}", self.server, format_duration(self.common.timeout))
    }
}

#[async_trait]
impl Channel for Mail {
    fn targets(&self) -> Vec<Target> {
        self.to.iter().map(|recipient| recipient.target.clone()).collect()
    }

    fn compose(&self, notification: &Notification, wording: &Wording, now: Timestamp) -> Result<Payload, String> {
        fit(notification.entries(), |shown| self.write(notification, shown, wording, now))
    }

    fn names(&self, notification: &Notification, now: Timestamp) -> Option<usize> {
        if self.is_customised(notification) {
            return None;
        }
        names(notification.alerts.len(), |shown| self.write(notification, shown, &Wording::Configured, now))
    }

    fn is_customised(&self, notification: &Notification) -> bool {
        let set = words::set(&self.common, notification);
        PARTS.into_iter().any(|part| self.tools.templates.is_users(set, part))
    }

    async fn send(&self, payload: &Payload, envelope: Envelope<'_>) -> Outcome {
        let refused = |why| Outcome::Refused { what: Refusal::Message, why };
        let Payload::Mail { subject, html, text, picture, thread } = payload else {
            return refused("this is no mail".into());
        };
        let known = self.to.iter().find(|recipient| recipient.target == *envelope.target).map(|recipient| recipient.mailbox.clone());
        let to = match known.map_or_else(|| address::parse(&envelope.target.0), Ok) {
            Ok(to) => to,
            Err(why) => return refused(format!("the recipient {why}")),
        };
        let letter = Letter {
            channel: &self.name,
            from: &self.from,
            to: &to,
            key: envelope.key,
            thread,
            subject,
            html,
            text,
            picture: picture.as_deref(),
            now: envelope.now,
        };
        let content = match letter.bytes() {
            Ok(content) => content,
            Err(why) => return refused(why),
        };
        match tokio::time::timeout(self.common.timeout, self.transact(&to, &content, envelope.now)).await {
            Ok(Ok(reply)) => Outcome::Delivered { answer: reply.shown() },
            Ok(Err(trouble)) => verdict(&trouble, &self.server),
            Err(_) => Outcome::Retry { after: None, why: self.late() },
        }
    }

    async fn greet(&self, now: Timestamp) -> Result<(), String> {
        let greet = async {
            self.open(now).await?.quit().await;
            Ok(())
        };
        match tokio::time::timeout(self.common.timeout, greet).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(trouble)) => Err(verdict(&trouble, &self.server).answer().to_owned()),
            Err(_) => Err(self.late()),
        }
    }
}

/// The same words with a line behind them that they lack; a subject has no room for one.
fn with_line(written: Attempt<(String, String)>, part: Part, line: Option<&str>) -> Attempt<(String, String)> {
    match (written, line) {
        (Attempt::Fits((file, text)), Some(line)) if part == Part::EmailText => {
            Attempt::Fits((file, format!("{}\n\nNote: {line}\n", text.trim_end())))
        }
        (Attempt::Fits((file, mut text)), Some(line)) if part == Part::EmailHtml => {
            let end = text.to_ascii_lowercase().rfind("</body>").unwrap_or(text.len());
            text.insert_str(end, &format!("<p>{line}</p>\n"));
            Attempt::Fits((file, text))
        }
        (written, _) => written,
    }
}

/// What a mail's conversation is about: one profile of one source, or, for jobs of several, the rule; a notice's topic, so that
/// its end is shown with its beginning; a digest's name.
fn thread(notification: &Notification) -> String {
    if let Some(notice) = &notification.notice {
        return format!("notice\n{}", notice.topic);
    }
    if notification.kind == NotificationKind::Digest {
        return format!("digest\n{}", notification.rule.name);
    }
    let mut profiles = notification.alerts.iter().map(|alert| (&alert.job.source, &alert.job.profile));
    match profiles.next() {
        Some(first) if profiles.all(|other| other == first) => format!("profile\n{}\n{}", first.0, first.1),
        _ => format!("rule\n{}", notification.rule.name),
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        channel::{
            email::KIND,
            hostile::{self, channel, down, notifications, now},
        },
        template::{Templates, samples},
    };

    fn composed_by(channel: &dyn Channel, notification: &Notification, wording: &Wording) -> (String, String, String, String) {
        match channel.compose(notification, wording, now()) {
            Ok(Payload::Mail { subject, html, text, thread, .. }) => (subject, html, text, thread),
            other => panic!("{other:?}"),
        }
    }

    const YAML: &str = "smtp: smtp://127.0.0.1:1\nfrom: jobrelay@contoso.example\nto: ops@contoso.example\n";

    fn mail_channel() -> Arc<dyn Channel> {
        channel(&KIND, YAML, Templates::built_in()).unwrap()
    }

    fn composed(notification: &Notification, wording: &Wording) -> (String, String, String, String) {
        composed_by(&*mail_channel(), notification, wording)
    }

    fn sample(number: usize) -> Notification {
        samples().swap_remove(number).1
    }

    #[test]
    fn a_subject_tells_what_matters_and_stays_the_same_for_a_rule_and_a_profile() {
        let mut one = sample(0);
        let (subject, _, _, thread) = composed(&one, &Wording::Configured);
        assert_eq!(subject, "[critical] Scan failed: scan sharepoint sites (contoso)");
        one.alerts[0].job.id = "another".into();
        one.alerts[0].job.started = Some(now());
        one.key = "other".into();
        let (again, _, _, same) = composed(&one, &Wording::Configured);
        assert_eq!((&again, &same), (&subject, &thread));
        one.alerts[0].job.profile = "scan teams".into();
        assert_ne!(composed(&one, &Wording::Configured).3, thread);
        assert_eq!(composed(&sample(1), &Wording::Configured).0, "[info] Scan still running: scan sharepoint sites (contoso)");
    }

    #[test]
    fn both_parts_say_everything() {
        let one = sample(0);
        let (_, html, text, _) = composed(&one, &Wording::Configured);
        for fact in [
            "scan sharepoint sites",
            "contoso",
            "A scan failed, or finished with exceptions.",
            "2024-09-26 05:53:40 UTC",
            "2024-09-26 05:54:12 UTC",
            "32s",
            "Microsoft 365",
            "4f9c7b1e-0000-4000-8000-000000000000",
            "scan-failed",
            "collaboration",
            "https://wiki.contoso.example/failed-scans",
            "https://relay.contoso.example/",
        ] {
            assert!(html.contains(fact) && text.contains(fact), "{fact}\n{text}\n{html}");
        }
        let (subject, html, text, _) = composed(&sample(2), &Wording::Configured);
        assert_eq!(subject, "[critical] 5 scans: scan-failed");
        for part in [html, text] {
            assert!((0..3).all(|n| part.contains(&format!("4f9c7b1e-0000-4000-8000-00000000000{n}"))));
            assert!(part.contains("and 2 more"), "{part}");
        }
    }

    #[test]
    fn two_hundred_jobs_are_all_named_and_a_thousand_as_far_as_a_mail_has_room() {
        let jobs = |count: usize| -> Vec<crate::domain::Job> {
            (0..count).map(|n| crate::domain::Job { id: format!("4f9c7b1e-0000-4000-8000-{n:012}"), ..hostile::job() }).collect()
        };
        let composed = |count| {
            let roll_up = hostile::notification(crate::domain::NotificationKind::RollUp, &hostile::rule(), jobs(count), 0);
            composed(&roll_up, &Wording::Configured)
        };
        let (_, html, text, _) = composed(200);
        for part in [&html, &text] {
            assert_eq!(part.matches("4f9c7b1e").count(), 200, "{} bytes", part.len());
            assert!(!part.contains(" more: ") && part.len() < PART_BYTES, "{} bytes", part.len());
        }
        let (_, html, text, _) = composed(1_000);
        let named = html.matches("4f9c7b1e").count();
        assert!((240..1_000).contains(&named), "{named} named");
        for part in [&html, &text] {
            assert!(part.contains(&format!("and {} more: ", 1_000 - named)) && part.len() < PART_BYTES, "{} bytes", part.len());
        }
    }

    #[test]
    fn on_a_fallback_words_of_the_users_that_do_not_say_why_have_a_line_behind_them() {
        let files = [("email.txt.hbs", "mine\n"), ("email.html.hbs", "<html><body><p>mine</p></body></html>"), ("email.subject.hbs", "s")];
        let Payload::Mail { subject, html, text, .. } = hostile::quiet_on_a_fallback(&KIND, YAML, &files) else { panic!("a mail") };
        assert_eq!(text, "mine\n\nNote: Could not be delivered to oncall: HTTP 404: <gone> & *away* now\n");
        let line = "<p>Could not be delivered to oncall: HTTP 404: &lt;gone&gt; &amp; *away* now</p>\n";
        assert_eq!(html, format!("<html><body><p>mine</p>{line}</body></html>"));
        assert_eq!(subject, "s");
    }

    #[test]
    fn a_notice_and_its_end_are_one_conversation_and_say_since_when() {
        let (subject, html, text, thread) = composed(&down(false), &Wording::Configured);
        assert_eq!(subject, "[jobrelay] contoso can't be read");
        for fact in ["The last answer: HTTP 503", "2024-09-26 05:46:40 UTC", "15m ago when", "source contoso down", "relay.contoso.example"]
        {
            assert!(html.contains(fact) && text.contains(fact), "{fact}\n{text}\n{html}");
        }
        let (subject, html, text, same) = composed(&down(true), &Wording::Configured);
        assert_eq!((subject.as_str(), &same), ("[jobrelay] contoso can be read again", &thread));
        assert!(
            text.starts_with("Over: contoso can be read again\n") && text.contains("Lasted:    15m, from 2024-09-26 05:46:40 UTC"),
            "{text}"
        );
        assert!(html.contains("#1a7f37") && !html.contains("#b42318"), "{html}");
        let mut other = down(false);
        if let Some(notice) = &mut other.notice {
            notice.topic = "source fabrikam down".into();
        }
        assert_ne!(composed(&other, &Wording::Configured).3, thread);
    }

    #[test]
    fn the_built_in_words_say_why_they_stand_there() {
        let why = "templates/alert/email.html.hbs:3: <no> variable";
        let (_, html, text, _) = composed(&sample(0), &Wording::BuiltIn { why: why.into() });
        assert!(html.contains("email.html.hbs:3: &lt;no&gt; variable") && text.contains(why));
    }

    #[test]
    fn a_link_leads_to_the_web_or_nowhere() {
        let mut one = sample(0);
        one.rule.labels.insert("runbook".into(), "javascript:alert(1)".into());
        let (_, html, ..) = composed(&one, &Wording::Configured);
        assert!(!html.contains("href=\"javascript") && !html.contains("Open the runbook"), "{html}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn whatever_the_jobs_are_called_it_is_a_mail_of_bounded_size(notification in notifications()) {
            let channel = mail_channel();
            let (subject, html, text, thread) = composed_by(&*channel, &notification, &Wording::BuiltIn { why: notification.rule.name.clone() });
            prop_assert!(html.len() <= PART_BYTES && text.len() <= PART_BYTES);
            prop_assert!(!subject.is_empty() && !subject.chars().any(char::is_control));
            if notification.total > notification.alerts.len() as u64 && notification.total > 1 {
                prop_assert!(text.contains(" more: ") && html.contains(" more: "));
            }
            let to = &address::parse("ops@contoso.example").unwrap();
            let letter = Letter { channel: "a", from: to, to, key: "k", thread: &thread, subject: &subject, html: &html, text: &text, picture: None, now: now() };
            let bytes = letter.bytes().unwrap();
            let mail = MessageParser::default().parse(&bytes).unwrap();
            prop_assert_eq!(mail.html_body_count(), 1);
            // The invisible joiner is what keeps a name from being decoded.
            prop_assert_eq!(mail.subject().map(|subject| subject.replace('\u{2060}', "")), Some(subject.replace('\u{2060}', "")));
            // What the names hold adds no tag: the tags are those of the template, whose names are few.
            let tags = regex::Regex::new("<([a-zA-Z]+)").unwrap();
            let known = ["html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "th", "h", "p", "a", "span", "b", "br", "small", "img"];
            for tag in tags.captures_iter(&html) {
                prop_assert!(known.contains(&&tag[1]), "{}", &tag[0]);
            }
        }
    }
}
