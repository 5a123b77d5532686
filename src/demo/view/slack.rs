//! A Slack message as it stands in the channel: the bar of its attachment, header, fields, buttons.

use serde_json::Value;

use super::{
    canvas::{Colour, Line, Style, beside},
    markup::{entities, mrkdwn},
    text_of, unshown,
};

/// Fields stand in two columns where each has at least so much room.
const COLUMN: usize = 24;

/// The message within a width.
#[must_use]
pub fn lines(message: &Value, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let blocks = message["blocks"].as_array();
    // With blocks, the text is what the notification shows and the channel does not.
    if blocks.is_none_or(Vec::is_empty)
        && let Some(text) = message["text"].as_str().filter(|text| !text.is_empty())
    {
        lines.extend(wrapped(&mrkdwn(text, Style::PLAIN), width));
    }
    for block in blocks.into_iter().flatten() {
        lines.extend(self::block(block, width));
    }
    for attachment in message["attachments"].as_array().into_iter().flatten() {
        let colour = match attachment["color"].as_str() {
            Some("good") => Colour::GREEN,
            Some("warning") => Colour::AMBER,
            Some("danger") => Colour::RED,
            other => other.and_then(Colour::from_hex).unwrap_or(Colour::GREY),
        };
        let inner = width.saturating_sub(2);
        let mut shown: Vec<Line> = Vec::new();
        for key in ["pretext", "title", "text"] {
            if let Some(text) = attachment[key].as_str() {
                shown.extend(wrapped(&mrkdwn(text, if key == "title" { Style::BOLD } else { Style::PLAIN }), inner));
            }
        }
        let mut fields_before = false;
        for block in attachment["blocks"].as_array().into_iter().flatten() {
            // Slack sets blocks apart; in a terminal a line is much, so only the fields are.
            let fields = block["fields"].is_array();
            if (fields || fields_before) && !shown.is_empty() {
                shown.push(Line::default());
            }
            fields_before = fields;
            shown.extend(self::block(block, inner));
        }
        lines.extend(shown.into_iter().map(|line| {
            let mut barred = Line::of("▌ ", Style::PLAIN.in_colour(colour));
            barred.extend(line);
            barred
        }));
    }
    lines
}

fn block(block: &Value, width: usize) -> Vec<Line> {
    match block["type"].as_str() {
        Some("header") => Line::of(&entities(text_of(&block["text"]["text"])), Style::BOLD).wrapped(width),
        Some("section") => section(block, width),
        Some("context") => {
            let mut line = Line::default();
            for element in block["elements"].as_array().into_iter().flatten() {
                if !line.is_blank() {
                    line.push("  ", Style::DIM);
                }
                let shown = match element["type"].as_str() {
                    Some("image") => vec![Line::of(&format!("[{}]", text_of(&element["alt_text"])), Style::DIM)],
                    _ => text_object(element, Style::DIM),
                };
                for (at, part) in shown.into_iter().enumerate() {
                    line.push(if at > 0 { " " } else { "" }, Style::DIM);
                    line.extend(part);
                }
            }
            line.wrapped(width)
        }
        Some("divider") => vec![Line::of(&"─".repeat(width), Style::DIM)],
        Some("actions") => block["elements"].as_array().into_iter().flatten().flat_map(|element| button(element, width)).collect(),
        Some("markdown") => wrapped(&super::markup::markdown(text_of(&block["text"]), Style::PLAIN), width),
        Some("image") => Line::of(&format!("[{}]", text_of(&block["alt_text"])), Style::DIM).wrapped(width),
        other => unshown(other, width),
    }
}

fn section(block: &Value, width: usize) -> Vec<Line> {
    let mut lines = wrapped(&text_object(&block["text"], Style::PLAIN), width);
    let fields: Vec<&Value> = block["fields"].as_array().into_iter().flatten().collect();
    let column = width.saturating_sub(2) / 2;
    if column < COLUMN {
        lines.extend(fields.iter().flat_map(|field| wrapped(&text_object(field, Style::PLAIN), width)));
    } else {
        for pair in fields.chunks(2) {
            let cells: Vec<Vec<Line>> = pair.iter().map(|field| wrapped(&text_object(field, Style::PLAIN), column)).collect();
            lines.extend(beside(&cells, &[column, column], 2));
        }
    }
    if !block["accessory"].is_null() {
        lines.extend(button(&block["accessory"], width));
    }
    lines
}

fn button(element: &Value, width: usize) -> Vec<Line> {
    if element["type"] != "button" {
        return unshown(element["type"].as_str(), width);
    }
    let label = format!("[ {} ]", text_of(&element["text"]["text"]));
    let mut line = Line::of(&label, Style::BOLD);
    if let Some(url) = element["url"].as_str() {
        line.push(&format!(" {url}"), Style::DIM);
    }
    line.wrapped(width)
}

/// A text object, or no line for what is none.
fn text_object(object: &Value, style: Style) -> Vec<Line> {
    let Some(text) = object["text"].as_str() else { return Vec::new() };
    if object["type"] == "plain_text" {
        entities(text).split('\n').map(|line| Line::of(line, style)).collect()
    } else {
        mrkdwn(text, style)
    }
}

fn wrapped(lines: &[Line], width: usize) -> Vec<Line> {
    lines.iter().flat_map(|line| line.hanging(width, 0)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(message: &Value, width: usize) -> Vec<String> {
        lines(message, width).iter().map(|line| line.painted(false)).collect()
    }

    #[test]
    fn an_attachment_has_its_bar_and_its_fields_in_columns() {
        let message = json!({
            "text": "scan sites failed",
            "attachments": [{ "color": "#d00000", "blocks": [
                { "type": "header", "text": { "type": "plain_text", "text": "scan *sites* &lt;b&gt; failed" } },
                { "type": "section", "fields": [
                    { "type": "mrkdwn", "text": "*Took*\n6m" }, { "type": "mrkdwn", "text": "*Tenant*\ncontoso" },
                ] },
                { "type": "actions", "elements": [
                    { "type": "button", "text": { "type": "plain_text", "text": "Runbook" }, "url": "https://wiki.example" },
                ] },
            ] }],
        });
        let expected = [
            "scan sites failed",
            "▌ scan *sites* <b> failed",
            "▌",
            "▌ Took                          Tenant",
            "▌ 6m                            contoso",
            "▌",
            "▌ [ Runbook ] https://wiki.example",
        ];
        assert_eq!(seen(&message, 60), expected);
        assert_eq!(seen(&message, 30)[3..7], ["▌ Took", "▌ 6m", "▌ Tenant", "▌ contoso"]);
    }

    #[test]
    fn with_blocks_the_text_is_not_shown_twice() {
        let message =
            json!({ "text": "x", "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": "hello" } }, { "type": "video" }] });
        assert_eq!(seen(&message, 40), ["hello", "[video]"]);
    }

    #[test]
    fn what_is_no_message_shows_nothing() {
        for message in [json!(null), json!([1]), json!({ "blocks": "x", "attachments": [3] })] {
            assert!(seen(&message, 40).is_empty(), "{message}");
        }
    }
}
