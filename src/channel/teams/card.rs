//! Whether Teams would show a card: checked before sending, for Workflows answers 202 to anything and fails out of sight.
//!
//! Sources: the Adaptive Card schema, and "Cards reference" and "Format cards" of the Teams developer documentation (what of
//! the schema Teams leaves out).

use serde_json::{Map, Value};
use url::Url;

/// What Teams allows a message, after it has put it into an encoding of its own: larger ones fail inside the flow with
/// `MessageSizeExceeded`, after the 202. Source: "Cards reference", and msteams-docs issue 11274, where a request of
/// 24,453 bytes became 28,897.
pub const TEAMS_BYTES: usize = 28_672;
/// The largest request sent: 28,672 less the growth of the re-encoding (a fifth was measured) and a margin of a tenth.
pub const REQUEST_BYTES: usize = 20 * 1024;
/// The largest estimate of the re-encoded size (see [`reencoded`]): what the envelope and the flow add is left free.
const REENCODED_BYTES: usize = TEAMS_BYTES / 10 * 9;
/// The most actions Teams shows on a card; it drops the others.
const ACTIONS: usize = 6;
/// The versions of the card schema that Teams shows.
const VERSIONS: &[&str] = &["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];
/// The content type of a card within a message.
const CARD_TYPE: &str = "application/vnd.microsoft.card.adaptive";

/// Whether a message of this size fits.
#[must_use]
pub fn fits(json: &str) -> bool {
    json.len() <= REQUEST_BYTES && reencoded(json) <= REENCODED_BYTES
}

/// An upper estimate of a message's size within Teams: JSON put into a JSON string, in ASCII.
fn reencoded(json: &str) -> usize {
    json.chars()
        .map(|c| match c {
            '"' | '\\' => 2,
            c if c.is_ascii() => 1,
            c => 6 * c.len_utf16(),
        })
        .sum()
}

/// Checks a whole message.
///
/// # Errors
/// The first thing that Teams would refuse or leave out, and where it stands, in one line.
pub fn check(message: &Value) -> Result<(), String> {
    let message = object(message, "the message")?;
    wants(message, "type", "message", "the message")?;
    let attachments = list(message, "attachments", "the message")?;
    if attachments.is_empty() {
        return Err("the message has no attachments: a flow posts each of them, and here there is none".into());
    }
    for (at, attachment) in attachments.iter().enumerate() {
        let place = format!("attachments[{at}]");
        let attachment = object(attachment, &place)?;
        wants(attachment, "contentType", CARD_TYPE, &place)?;
        let content = attachment.get("content").ok_or_else(|| format!("{place} has no `content`"))?;
        card(content, &format!("{place}.content"))?;
    }
    Ok(())
}

fn card(value: &Value, place: &str) -> Result<(), String> {
    let card = object(value, place)?;
    wants(card, "type", "AdaptiveCard", place)?;
    // A card shown by an action may leave its version to the card it stands in.
    if let Some(version) = card.get("version") {
        let known = version.as_str().is_some_and(|version| VERSIONS.contains(&version));
        if !known {
            return Err(format!("{place}.version is {version}; Teams shows \"1.0\" to \"1.5\""));
        }
    } else if place.ends_with(".content") {
        return Err(format!("{place} has no `version`: write \"1.4\""));
    }
    let body = list(card, "body", place)?;
    if body.is_empty() {
        return Err(format!("{place}.body is empty"));
    }
    elements(body, &format!("{place}.body"))?;
    if card.contains_key("actions") {
        actions(card, place)?;
    }
    Ok(())
}

fn elements(items: &[Value], place: &str) -> Result<(), String> {
    items.iter().enumerate().try_for_each(|(at, item)| element(item, &format!("{place}[{at}]")))
}

fn element(value: &Value, place: &str) -> Result<(), String> {
    let fields = object(value, place)?;
    let kind = text(fields, "type", place)?;
    if let Some(select) = fields.get("selectAction") {
        action(select, &format!("{place}.selectAction"))?;
    }
    let nested = |key: &str| elements(list(fields, key, place)?, &format!("{place}.{key}"));
    match kind {
        "TextBlock" => text(fields, "text", place).map(drop),
        "RichTextBlock" => inlines(list(fields, "inlines", place)?, place),
        "Image" => link(fields, place),
        "ImageSet" => nested("images"),
        "Container" | "TableCell" => nested("items"),
        "ColumnSet" if fields.contains_key("columns") => columns(list(fields, "columns", place)?, place),
        "ColumnSet" => Ok(()),
        "FactSet" => facts(list(fields, "facts", place)?, place),
        "ActionSet" => actions(fields, place),
        "Table" => table(fields, place),
        "Media" => Err(format!("{place} is a Media element, which Teams does not show")),
        input if input.starts_with("Input.") => Err(format!("{place} is an {input}: a webhook has no one to take the input")),
        other => Err(format!("{place} is of the unknown type {other:?}")),
    }
}

fn inlines(items: &[Value], place: &str) -> Result<(), String> {
    if items.is_empty() {
        return Err(format!("{place}.inlines is empty"));
    }
    for (at, inline) in items.iter().enumerate() {
        if inline.is_string() {
            continue;
        }
        let place = format!("{place}.inlines[{at}]");
        let run = object(inline, &place)?;
        wants(run, "type", "TextRun", &place)?;
        text(run, "text", &place)?;
        if let Some(select) = run.get("selectAction") {
            action(select, &format!("{place}.selectAction"))?;
        }
    }
    Ok(())
}

fn columns(items: &[Value], place: &str) -> Result<(), String> {
    for (at, column) in items.iter().enumerate() {
        let place = format!("{place}.columns[{at}]");
        let column = object(column, &place)?;
        if column.contains_key("type") {
            wants(column, "type", "Column", &place)?;
        }
        if column.contains_key("items") {
            elements(list(column, "items", &place)?, &format!("{place}.items"))?;
        }
        if let Some(select) = column.get("selectAction") {
            action(select, &format!("{place}.selectAction"))?;
        }
    }
    Ok(())
}

fn facts(items: &[Value], place: &str) -> Result<(), String> {
    for (at, fact) in items.iter().enumerate() {
        let place = format!("{place}.facts[{at}]");
        let fact = object(fact, &place)?;
        text(fact, "title", &place)?;
        text(fact, "value", &place)?;
    }
    Ok(())
}

fn table(fields: &Map<String, Value>, place: &str) -> Result<(), String> {
    for (at, row) in list(fields, "rows", place)?.iter().enumerate() {
        let place = format!("{place}.rows[{at}]");
        let row = object(row, &place)?;
        for (at, cell) in list(row, "cells", &place)?.iter().enumerate() {
            let place = format!("{place}.cells[{at}]");
            let cell = object(cell, &place)?;
            elements(list(cell, "items", &place)?, &format!("{place}.items"))?;
        }
    }
    Ok(())
}

fn actions(fields: &Map<String, Value>, place: &str) -> Result<(), String> {
    let items = list(fields, "actions", place)?;
    if items.len() > ACTIONS {
        return Err(format!("{place} has {} actions; Teams shows at most {ACTIONS}", items.len()));
    }
    items.iter().enumerate().try_for_each(|(at, item)| action(item, &format!("{place}.actions[{at}]")))
}

fn action(value: &Value, place: &str) -> Result<(), String> {
    let fields = object(value, place)?;
    match text(fields, "type", place)? {
        "Action.OpenUrl" => link(fields, place),
        "Action.ShowCard" => card(fields.get("card").ok_or_else(|| format!("{place} has no `card`"))?, &format!("{place}.card")),
        "Action.ToggleVisibility" => list(fields, "targetElements", place).map(drop),
        bot @ ("Action.Submit" | "Action.Execute") => Err(format!("{place} is an {bot}, which needs a bot: a webhook has none")),
        other => Err(format!("{place} is of the unknown type {other:?}")),
    }
}

/// An `url` that Teams opens or loads: absolute, over http or https.
fn link(fields: &Map<String, Value>, place: &str) -> Result<(), String> {
    let url = text(fields, "url", place)?;
    let allowed = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if allowed { Ok(()) } else { Err(format!("{place}.url is no http or https address")) }
}

fn object<'v>(value: &'v Value, place: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{place} must be a JSON object"))
}

fn list<'v>(fields: &'v Map<String, Value>, key: &str, place: &str) -> Result<&'v [Value], String> {
    fields.get(key).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| format!("{place} needs a list `{key}`"))
}

fn text<'v>(fields: &'v Map<String, Value>, key: &str, place: &str) -> Result<&'v str, String> {
    fields.get(key).and_then(Value::as_str).ok_or_else(|| format!("{place} needs a text `{key}`"))
}

fn wants(fields: &Map<String, Value>, key: &str, expected: &str, place: &str) -> Result<(), String> {
    let found = text(fields, key, place)?;
    if found == expected { Ok(()) } else { Err(format!("{place}.{key} is {found:?}; it must be {expected:?}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_teams_would_not_show_is_named() {
        let message = |body: Value| json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": body }] });
        let with = |key: &str, value: Value| {
            let mut body = json!({ "type": "AdaptiveCard", "version": "1.5", "body": [{ "type": "TextBlock", "text": "x" }] });
            body[key] = value;
            message(body)
        };
        let open = json!({ "type": "Action.OpenUrl", "title": "x", "url": "https://x.example" });
        let table = json!([{ "type": "Table", "columns": [{ "width": 1 }], "rows": [{ "type": "TableRow", "cells": [{ "type": "TableCell", "items": [{ "type": "TextBlock", "text": "x" }] }] }] }]);
        let good = [
            with("actions", json!(vec![open.clone(); 6])),
            with("body", table),
            with(
                "body",
                json!([{ "type": "RichTextBlock", "inlines": ["x", { "type": "TextRun", "text": "y" }] }, { "type": "FactSet", "facts": [{ "title": "a", "value": "b" }] }]),
            ),
            with(
                "body",
                json!([{ "type": "ColumnSet", "columns": [{ "width": "auto", "items": [{ "type": "Image", "url": "https://x.example/i.png" }] }] }]),
            ),
            with(
                "actions",
                json!([{ "type": "Action.ShowCard", "title": "x", "card": { "type": "AdaptiveCard", "body": [{ "type": "TextBlock", "text": "y" }] } }]),
            ),
        ];
        for message in good {
            assert_eq!(check(&message), Ok(()), "{message}");
        }
        let bad = [
            (json!([]), "JSON object"),
            (json!({ "text": "hello" }), "`type`"),
            (json!({ "@type": "MessageCard", "type": "MessageCard" }), "\"message\""),
            (json!({ "type": "AdaptiveCard", "version": "1.4", "body": [] }), "\"message\""),
            (json!({ "type": "message" }), "`attachments`"),
            (json!({ "type": "message", "attachments": [{ "contentType": "text/plain", "content": {} }] }), "contentType"),
            (json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive" }] }), "content"),
            (with("version", json!("1.6")), "version"),
            (with("version", json!(1.4)), "version"),
            (with("body", json!([])), "empty"),
            (with("body", json!([{ "type": "Textblock", "text": "x" }])), "\"Textblock\""),
            (with("body", json!([{ "type": "TextBlock" }])), "`text`"),
            (with("body", json!([{ "type": "Media", "sources": [] }])), "Media"),
            (with("body", json!([{ "type": "Input.Text", "id": "x" }])), "Input.Text"),
            (
                with(
                    "body",
                    json!([{ "type": "Container", "items": [{ "type": "ColumnSet", "columns": [{ "items": [{ "type": "Nope" }] }] }] }]),
                ),
                "attachments[0].content.body[0].items[0].columns[0].items[0]",
            ),
            (with("body", json!([{ "type": "RichTextBlock", "inlines": [{ "type": "TextRun" }] }])), "`text`"),
            (with("actions", json!(vec![open; 7])), "at most 6"),
            (with("actions", json!([{ "type": "Action.OpenUrl", "title": "x" }])), "`url`"),
            (with("actions", json!([{ "type": "Action.OpenUrl", "title": "x", "url": "javascript:alert(1)" }])), "http"),
            (with("actions", json!([{ "type": "Action.Submit", "title": "x" }])), "bot"),
        ];
        for (message, words) in bad {
            let why = check(&message).expect_err(&message.to_string());
            assert!(why.contains(words), "{why}: {message}");
            assert!(!why.contains('\n'));
        }
    }
}
