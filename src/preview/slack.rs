//! A Slack message as it stands in a channel: header, bar, fields, and what a notification of it says.

use serde_json::Value;

use super::html::{each, json, lines, link, text, unknown};
use crate::demo::view::{
    canvas::Style,
    markup::{entities, mrkdwn_pieces},
};

/// The message.
pub fn draw(message: &Value) -> String {
    let mut out = String::new();
    let blocks = message["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let words = message["text"].as_str().unwrap_or_default();
    // With blocks, the text is what the notification shows and the channel does not.
    if blocks.is_empty() && !words.is_empty() {
        out.extend([format!("<p>{}</p>", mrkdwn(words))]);
    }
    out.extend(blocks.iter().map(block));
    for attachment in message["attachments"].as_array().into_iter().flatten() {
        let mut inside = String::new();
        for key in ["pretext", "title", "text"] {
            if let Some(words) = attachment[key].as_str() {
                inside.extend([format!("<p class=\"{key}\">{}</p>", mrkdwn(words))]);
            }
        }
        inside.extend(attachment["blocks"].as_array().into_iter().flatten().map(block));
        out.extend([format!("<div class=\"bar\" style=\"border-color:{}\">{inside}</div>", colour(&attachment["color"]))]);
    }
    let toast = if words.is_empty() || blocks.is_empty() {
        String::new()
    } else {
        format!("<p class=\"toast\"><span class=\"soft\">Its notification:</span> {}</p>", mrkdwn(words))
    };
    format!(
        "{toast}<div class=\"slack\"><div class=\"face\" aria-hidden=\"true\">jr</div><div class=\"said\">\
         <p class=\"who\"><b>jobrelay</b> <span class=\"app\">APP</span> <span class=\"soft\">06:00</span></p>{out}</div></div>"
    )
}

/// The colour of a bar: one of Slack's three words, or six digits, or grey.
fn colour(value: &Value) -> String {
    match value.as_str().unwrap_or_default() {
        "good" => "#2eb886".into(),
        "warning" => "#daa038".into(),
        "danger" => "#a30200".into(),
        written => match written.strip_prefix('#') {
            Some(digits) if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => format!("#{digits}"),
            _ => "#8a8a8a".into(),
        },
    }
}

fn mrkdwn(words: &str) -> String {
    lines(&mrkdwn_pieces(words, Style::PLAIN))
}

/// A text object; none is nothing.
fn text_object(object: &Value) -> String {
    let words = object["text"].as_str().unwrap_or_default();
    if object["type"] == "plain_text" { text(&entities(words)).replace('\n', "<br>") } else { mrkdwn(words) }
}

fn block(block: &Value) -> String {
    let parts = || block["elements"].as_array().into_iter().flatten();
    match block["type"].as_str() {
        Some("header") => format!("<h5>{}</h5>", text_object(&block["text"])),
        Some("section") if block["accessory"].is_null() => {
            let words = if block["text"].is_null() { String::new() } else { format!("<p>{}</p>", text_object(&block["text"])) };
            let fields = each(block["fields"].as_array().into_iter().flatten(), |field| format!("<div>{}</div>", text_object(field)));
            if fields.is_empty() { words } else { format!("{words}<div class=\"fields\">{fields}</div>") }
        }
        Some("context") if parts().all(|part| part["text"].is_string()) => {
            format!("<p class=\"context\">{}</p>", parts().map(text_object).collect::<Vec<_>>().join(" "))
        }
        Some("divider") => "<hr>".into(),
        Some("actions") if parts().all(|part| part["type"] == "button") => {
            let button = |part: &Value| link(part["url"].as_str().unwrap_or_default(), "button", &text_object(&part["text"]));
            format!("<div class=\"actions\">{}</div>", parts().map(button).collect::<String>())
        }
        Some(_) => unknown(block),
        None => json(block),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_it_can_not_draw_is_shown_as_it_was_written() {
        let drawn = draw(&json!({ "text": "x", "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": "*not* <b>bold</b> &lt;i&gt;" } },
            { "type": "section", "text": { "type": "mrkdwn", "text": "*bold* &lt;i&gt; <https://a.example|go> <!channel>" } },
            { "type": "video", "title": "<script>" },
        ], "attachments": [{ "color": "red;background:url(https://evil.example)", "blocks": [] }] }));
        assert!(drawn.contains("<h5>*not* &lt;b&gt;bold&lt;/b&gt; &lt;i&gt;</h5>"), "{drawn}");
        assert!(
            drawn.contains("<b>bold</b> &lt;i&gt; <a class=\"l\" rel=\"noopener noreferrer\" href=\"https://a.example/\">go</a>"),
            "{drawn}"
        );
        assert!(drawn.contains("<span class=\"mention\">@channel</span>"), "an injected mention must be seen: {drawn}");
        assert!(drawn.contains("&quot;video&quot;") && drawn.contains("&lt;script&gt;") && !drawn.contains("evil.example"), "{drawn}");
    }
}
