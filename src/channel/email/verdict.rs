//! What a mail server's answer means for the mail, its recipient and the channel: a pure judgement.

use crate::{
    domain::{Outcome, Refusal},
    oauth::TokenError,
};

use super::{
    reply::Reply,
    server::MailServer,
    trouble::{Step, Trouble},
};

/// Enhanced codes with which Exchange Online refuses the sender, whatever step they come in: basic authentication switched
/// off (5.7.30, 5.7.139), not logged in (5.7.57), no right to send as this address (5.7.60, 5.2.252), and an account blocked
/// for its past (5.1.8). Source: "Email non-delivery reports and SMTP errors in Exchange Online", learn.microsoft.com.
const SENDER_REFUSED: [&str; 6] = ["5.7.30", "5.7.139", "5.7.57", "5.7.60", "5.2.252", "5.1.8"];
/// Codes of a refused or missing login in any step (RFC 4954, section 6).
const LOGIN_REFUSED: [u16; 4] = [530, 534, 535, 538];
/// Too large for the server (RFC 1870), which may say so before it has seen any recipient.
const TOO_LARGE: u16 = 552;

/// What came of it.
#[must_use]
pub fn verdict(trouble: &Trouble, server: &MailServer) -> Outcome {
    let refused = |what, why| Outcome::Refused { what, why };
    match trouble {
        Trouble::Broken { at: Step::Connect, why } => Outcome::Retry { after: None, why: format!("can't connect to {server}: {why}") },
        Trouble::Broken { at: Step::Content, why } => Outcome::Retry {
            after: None,
            why: format!("the connection to {server} broke after the mail was sent, so it may arrive twice (with one Message-ID): {why}"),
        },
        Trouble::Broken { at, why } => {
            Outcome::Retry { after: None, why: format!("the connection to {server} broke at {}: {why}", at.name()) }
        }
        Trouble::Untrusted(why) => refused(Refusal::Channel, format!("the certificate of {server} can't be trusted: {why}")),
        Trouble::NoToken(TokenError::Refused(why)) => refused(Refusal::Channel, format!("no token for {server}: {why}")),
        Trouble::NoToken(TokenError::Throttled { after, why }) => {
            Outcome::Retry { after: *after, why: format!("no token for {server}: {why}") }
        }
        Trouble::NoToken(TokenError::Unavailable(why)) => Outcome::Retry { after: None, why: format!("no token for {server}: {why}") },
        Trouble::Unable(why) => refused(Refusal::Channel, format!("{server}: {why}")),
        Trouble::Answered { to, reply } => {
            let said = format!("{} (to {})", reply.shown(), to.name());
            if !reply.is_permanent() {
                return Outcome::Retry { after: None, why: said };
            }
            match advice(*to, reply, server) {
                Some(advice) => refused(Refusal::Channel, format!("{said}; {advice}")),
                None => refused(Refusal::Message, said),
            }
        }
    }
}

/// What a person is to do about a refusal that is not this mail's or this recipient's alone; none for one that is.
fn advice(to: Step, reply: &Reply, server: &MailServer) -> Option<&'static str> {
    let enhanced = reply.enhanced().unwrap_or_default();
    let by_token = server.login.as_ref().is_some_and(|login| login.password.is_none());
    if by_token && (to == Step::Login || LOGIN_REFUSED.contains(&reply.code)) {
        return Some(if server.is_microsoft_365() {
            "it does not take the app's token for this user: grant the app SMTP.SendAsApp with an admin's consent, make it known to Exchange \
             Online (New-ServicePrincipal), give it the mailbox (Add-MailboxPermission) and allow SMTP AUTH for that mailbox"
        } else {
            "it does not take the token for this user: check the user in `smtp`, and what `oauth` names"
        });
    }
    if matches!(enhanced, "5.7.30" | "5.7.139") || (to == Step::Login && server.is_microsoft_365()) {
        return Some(
            "check user and password in `smtp`; Exchange Online takes them only where SMTP AUTH is allowed for the tenant and the mailbox",
        );
    }
    if SENDER_REFUSED.contains(&enhanced) {
        return Some("the server refuses this sender: check `from` and the rights of the account in `smtp`");
    }
    if LOGIN_REFUSED.contains(&reply.code) {
        return Some(if server.login.is_some() {
            "check user and password in `smtp`"
        } else {
            "the server wants a login: write smtps://user:password@host in `smtp`"
        });
    }
    match to {
        Step::Sender if reply.code == TOO_LARGE => None,
        Step::Sender => Some("the server refuses the sender: check `from`"),
        Step::Login => Some("check user and password in `smtp`"),
        Step::Recipient | Step::Data | Step::Content => None,
        Step::Connect | Step::Tls | Step::Greeting | Step::Hello | Step::StartTls | Step::Reset => {
            Some("the server does not take mail from this machine: check host and port in `smtp`")
        }
    }
}

/// Whether a mail that failed so in a kept conversation is to be tried in a new one at once: it is certain that the server
/// has not taken it, and the fault may be the conversation's age.
#[must_use]
pub fn may_be_age(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Broken { at, .. } => *at != Step::Content,
        Trouble::Answered { to: Step::Content, .. } | Trouble::Untrusted(_) | Trouble::NoToken(_) | Trouble::Unable(_) => false,
        Trouble::Answered { to, reply } => reply.code == 421 || matches!(to, Step::Reset | Step::Sender),
    }
}

/// Whether the conversation is good for another mail.
#[must_use]
pub fn is_over(trouble: &Trouble) -> bool {
    !matches!(trouble, Trouble::Answered { to: Step::Sender | Step::Recipient | Step::Data | Step::Content, reply } if reply.code >= 400 && reply.code != 421)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::email::server::Way;

    fn answered(to: Step, line: &str) -> Trouble {
        let (code, text) = line.split_once(' ').unwrap();
        Trouble::Answered { to, reply: Reply { code: code.parse().unwrap(), lines: vec![text.to_owned()] } }
    }

    #[track_caller]
    fn check(trouble: &Trouble, word: &str, contains: &str) {
        let server = MailServer::parse("smtp://u:p@mail.example", Way::Password, false).unwrap();
        let outcome = verdict(trouble, &server);
        assert_eq!(outcome.word(), word, "{trouble:?}");
        assert!(outcome.answer().contains(contains), "{}", outcome.answer());
        assert!(!outcome.answer().contains('\n'));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        check(&answered(Step::Recipient, "451 4.7.1 greylisted"), "retry", "451 4.7.1 greylisted (to RCPT TO)");
        check(&answered(Step::Content, "452 4.3.1 full"), "retry", "452");
        check(&answered(Step::Greeting, "421 too many connections"), "retry", "421");
        check(&answered(Step::Login, "454 4.7.0 try later"), "retry", "454");
        check(&answered(Step::Data, "250 what?"), "retry", "250");
        check(&Trouble::Broken { at: Step::Connect, why: "refused".into() }, "retry", "can't connect to mail.example:587: refused");
        check(&Trouble::Broken { at: Step::Tls, why: "reset".into() }, "retry", "broke at TLS");
        check(&Trouble::Broken { at: Step::Content, why: "closed".into() }, "retry", "may arrive twice");
    }

    #[test]
    fn a_recipient_and_a_mail_are_refused_by_themselves() {
        check(&answered(Step::Recipient, "550 5.1.1 no such user"), "message_refused", "550 5.1.1 no such user");
        check(&answered(Step::Data, "554 5.5.1 no valid recipients"), "message_refused", "554");
        check(&answered(Step::Content, "554 5.7.1 spam"), "message_refused", "554");
        check(&answered(Step::Sender, "552 5.3.4 too large"), "message_refused", "552");
    }

    #[test]
    fn what_concerns_every_mail_holds_the_channel_and_says_what_to_do() {
        check(&answered(Step::Login, "535 5.7.8 bad credentials"), "channel_refused", "check user and password");
        check(&answered(Step::Login, "504 5.5.4 unknown mechanism"), "channel_refused", "check user and password");
        check(&answered(Step::Sender, "530 5.7.0 authentication required"), "channel_refused", "check user and password");
        check(&answered(Step::Recipient, "530 5.7.1 not authenticated"), "channel_refused", "check user and password");
        check(&answered(Step::Sender, "550 5.7.1 sender rejected"), "channel_refused", "check `from`");
        check(&answered(Step::Sender, "550 5.7.30 Basic authentication is not supported"), "channel_refused", "SMTP AUTH is allowed");
        check(&answered(Step::Content, "550 5.7.60 no permission to send as this sender"), "channel_refused", "check `from`");
        check(&answered(Step::Greeting, "554 no service here"), "channel_refused", "host and port");
        check(&Trouble::Untrusted("it has expired".into()), "channel_refused", "certificate of mail.example:587");
        check(&Trouble::Unable("it does not offer STARTTLS"), "channel_refused", "STARTTLS");
    }

    #[test]
    fn after_the_final_dot_nothing_is_tried_again_at_once() {
        assert!(may_be_age(&Trouble::Broken { at: Step::Sender, why: String::new() }));
        assert!(may_be_age(&Trouble::Broken { at: Step::Data, why: String::new() }));
        assert!(may_be_age(&answered(Step::Recipient, "421 closing")));
        assert!(may_be_age(&answered(Step::Sender, "503 nested MAIL")));
        assert!(!may_be_age(&Trouble::Broken { at: Step::Content, why: String::new() }));
        assert!(!may_be_age(&answered(Step::Content, "421 closing")));
        assert!(!may_be_age(&answered(Step::Recipient, "550 no such user")));
    }
}
