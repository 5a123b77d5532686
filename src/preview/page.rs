//! The page around the messages.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{
    Kind, Message, Set,
    html::{each, json, quoted, text},
    lower_first, slack, teams,
};
use crate::{channel::Payload, template::PICTURE};

/// Marks a page that this program wrote, and may write again.
pub const MARK: &str = "<meta name=\"generator\" content=\"jobrelay preview\">";

/// Nothing is fetched and nothing runs; a mail's frame inherits this.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The whole page.
pub fn page(sets: &[Set], kinds: &[Kind], faults: Option<&str>, about: &str) -> String {
    let choices: String = kinds.iter().map(|kind| choice(kind.name, kind.label, false)).collect();
    let contents: String = sets.iter().enumerate().map(|(at, set)| contents(at, set)).collect();
    let faults = faults.map(|faults| format!("<pre class=\"fault\">{}</pre>", text(faults))).unwrap_or_default();
    let bodies: String = sets.iter().enumerate().map(|(at, set)| self::set(at, set)).collect();
    let only = each(kinds, |kind| {
        let name = kind.name;
        format!(
            "body:has(#only-{name}:checked) .cell:not(.k-{name}){{display:none}}body:has(#only-{name}:checked) .grid{{grid-template-columns:minmax(0,680px)}}"
        )
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n{MARK}\n\
         <title>What readers will see: jobrelay preview</title>\n<style>\n{}{only}\n</style>\n</head>\n<body>\n\
         <header><h1>What readers will see</h1>\n<p>{}</p>\n\
         <p class=\"soft\">Each message is what the channel would send, about made-up jobs; Slack and Teams are drawn here in outline, \
         mails by your browser. Times are UTC. A webhook whose config has a <code>body</code> sends that instead. \
         Nothing was sent, and this page fetches nothing.</p>{faults}</header>\n\
         <nav><fieldset><legend>Show</legend>{}{choices}</fieldset>{contents}</nav>\n<main>\n{bodies}</main>\n</body>\n</html>\n",
        include_str!("page.css"),
        text(about),
        choice("all", "All", true),
    )
}

fn choice(name: &str, label: &str, chosen: bool) -> String {
    let checked = if chosen { " checked" } else { "" };
    format!("<label><input type=\"radio\" name=\"only\" id=\"only-{name}\"{checked}>{label}</label>")
}

fn contents(at: usize, set: &Set) -> String {
    let scenes = each(&set.scenes, |(scene, messages)| {
        let mark = if messages.iter().any(|message| message.fault.is_some()) { " class=\"bad\"" } else { "" };
        format!("<a href=\"#s{at}-{}\"{mark}>{}</a>", scene.slug, lower_first(scene.title))
    });
    format!("<p><a class=\"set\" href=\"#s{at}\">{}</a>{scenes}</p>", text(&set.name))
}

fn set(at: usize, set: &Set) -> String {
    let whose = if set.users.is_empty() { "built in".to_owned() } else { format!("yours: {}", set.users.join(", ")) };
    let report = set.report.as_ref().map(|report| format!("<pre class=\"fault\">{}</pre>", text(report))).unwrap_or_default();
    let scenes = each(&set.scenes, |(scene, messages)| {
        let cells: String = messages.iter().map(|message| cell(message, scene.title)).collect();
        format!("<section id=\"s{at}-{}\"><h3>{}</h3><div class=\"grid\">{cells}</div></section>\n", scene.slug, scene.title)
    });
    format!(
        "<section id=\"s{at}\"><h2>The set <code>{}</code> <span class=\"soft\">{whose}</span></h2>{report}\n{scenes}</section>\n",
        text(&set.name)
    )
}

fn cell(message: &Message, title: &str) -> String {
    let whose = if message.users { "<span class=\"badge\">your words</span>" } else { "" };
    let fault = message.fault.as_ref().map(|why| {
        let instead = match (&message.payload, message.unread) {
            (Err(_), _) => "",
            (Ok(_), true) => "These are the built-in words; <code>run</code> will not start until this is mended.",
            (Ok(_), false) => "These are the built-in words, which would go out instead.",
        };
        format!("<p class=\"fault\"><b>{}</b><br>{instead}</p>", text(why))
    });
    let shown = match &message.payload {
        Ok(payload) => drawn(message.kind, payload, title),
        Err(why) => format!("<p class=\"fault\">{}</p>", text(why)),
    };
    format!(
        "<article class=\"cell k-{}\"><h4>{} {whose}</h4>{}<div class=\"view\" tabindex=\"0\">{shown}</div></article>",
        message.kind,
        message.label,
        fault.unwrap_or_default()
    )
}

/// A mail's page with the picture that is sent beside it put into it.
fn with_picture(html: &str, picture: Option<&[u8]>) -> String {
    picture.map_or_else(
        || html.to_owned(),
        |picture| html.replace(PICTURE, &format!("data:image/png;base64,{}", BASE64_STANDARD.encode(picture))),
    )
}

fn drawn(kind: &str, payload: &Payload, title: &str) -> String {
    match payload {
        Payload::Mail { subject, html, text: plain, picture, .. } => format!(
            "<p class=\"subject\"><span class=\"soft\">jobrelay@contoso.example</span><b>{}</b></p>\
             <iframe sandbox=\"\" title=\"Email: {title}\" srcdoc=\"{}\"></iframe>\
             <details><summary>Its text part</summary><pre class=\"plain\">{}</pre></details>",
            text(subject),
            quoted(&with_picture(html, picture.as_deref())),
            text(plain)
        ),
        Payload::Json(body) => match (kind, serde_json::from_str::<Value>(body)) {
            ("slack", Ok(message)) => slack::draw(&message),
            ("teams", Ok(message)) => teams::draw(&message),
            (_, Ok(body)) => json(&body),
            (_, Err(_)) => format!("<pre class=\"json\">{}</pre>", text(body)),
        },
    }
}
