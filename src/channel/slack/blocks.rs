//! What Slack takes, checked before it is sent: a refusal says `invalid_blocks` and no more.
//!
//! Sources: the limits of `@slack/types` (`blocks.d.ts`) and of the pages on each block in Slack's developer documentation.
//! Characters are Unicode scalar values, counted as sent, with `&amp;` as five.

use serde_json::{Map, Value};

use crate::document::near;

/// "You can include up to 50 blocks in each message"; those in attachments are counted with the others here.
const BLOCKS: usize = 50;
/// The text of all blocks together. Undocumented: `msg_blocks_too_long` was met at about 13,200 (bolt-js issue 2509).
const ALL_CHARS: usize = 12_000;
/// The top-level `text`: longer ones are cut off by Slack ("Truncating really long messages", 2018-04).
const FALLBACK_CHARS: usize = 40_000;
/// A header's text, which must be `plain_text`.
const HEADER_CHARS: usize = 150;
/// A section's text, or that of one element of a context.
const TEXT_CHARS: usize = 3_000;
/// A section's fields, and the text of one.
const FIELDS: usize = 10;
const FIELD_CHARS: usize = 2_000;
/// A context's elements.
const CONTEXT_ELEMENTS: usize = 10;
/// The elements of `actions`, and a button's text and address.
const ACTIONS: usize = 25;
const BUTTON_CHARS: usize = 75;
const ADDRESS_CHARS: usize = 3_000;
/// A `block_id`.
const ID_CHARS: usize = 255;
/// "no more than 100" attachments.
const ATTACHMENTS: usize = 100;

/// Types of blocks that are known. Others pass, unless they are near one of these: Slack adds types now and then.
const TYPES: &[&str] =
    &["actions", "context", "divider", "file", "header", "image", "input", "markdown", "rich_text", "section", "table", "video"];

/// What is to be said of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Slack takes it.
    Sound,
    /// It exceeds a limit; with fewer jobs it may not.
    TooLarge(String),
    /// It is no message, however short.
    Malformed(String),
}

type Judged = Result<(), Verdict>;

/// Judges a whole message.
pub fn judge(message: &Value) -> Verdict {
    check(message).err().unwrap_or(Verdict::Sound)
}

fn check(message: &Value) -> Judged {
    let message = object(message, "the message")?;
    if message.get("parse").is_some_and(|parse| parse != "none")
        || message.get("link_names").is_some_and(|names| *names != Value::Bool(false))
    {
        return malformed("`parse` and `link_names` would turn names in the text into mentions");
    }
    let text = message.get("text").and_then(Value::as_str).unwrap_or_default();
    at_most(text, FALLBACK_CHARS, "`text`")?;
    let attachments = list(message, "attachments")?;
    if attachments.len() > ATTACHMENTS {
        return large(format!("{} attachments, {ATTACHMENTS} at most", attachments.len()));
    }
    let mut blocks = list(message, "blocks")?.to_vec();
    let mut saying = !text.trim().is_empty();
    for attachment in attachments {
        let attachment = object(attachment, "an attachment")?;
        saying |=
            attachment.get("text").or_else(|| attachment.get("fallback")).is_some_and(|text| text.as_str().is_some_and(|t| !t.is_empty()));
        blocks.extend_from_slice(list(attachment, "blocks")?);
    }
    if blocks.len() > BLOCKS {
        return large(format!("{} blocks, {BLOCKS} at most", blocks.len()));
    }
    if !saying && blocks.is_empty() {
        return malformed("there is no `text`, and there are no blocks");
    }
    let mut ids = Vec::new();
    for block in &blocks {
        let id = check_block(block)?;
        if id.is_some() && ids.contains(&id) {
            return malformed("two blocks have the same `block_id`");
        }
        ids.push(id);
    }
    let all: usize = blocks.iter().map(said).sum();
    if all > ALL_CHARS {
        return large(format!("{all} characters in all blocks, {ALL_CHARS} at most"));
    }
    Ok(())
}

/// Checks one block; gives its `block_id`.
fn check_block(block: &Value) -> Result<Option<String>, Verdict> {
    let block = object(block, "a block")?;
    let Some(kind) = block.get("type").and_then(Value::as_str) else { return Err(Verdict::Malformed("a block has no `type`".into())) };
    match kind {
        "section" => section(block)?,
        "header" => {
            let text = text_object(block.get("text"), HEADER_CHARS, "a header's text")?;
            if text != "plain_text" {
                malformed("a header's text must be `plain_text`")?;
            }
        }
        "context" => {
            let elements = list(block, "elements")?;
            count(elements, CONTEXT_ELEMENTS, "a context's elements")?;
            for element in elements {
                if element.get("type").and_then(Value::as_str) == Some("image") {
                    address(element.get("image_url"), "an image's `image_url`")?;
                } else {
                    text_object(Some(element), TEXT_CHARS, "a context's text")?;
                }
            }
        }
        "actions" => {
            let elements = list(block, "elements")?;
            count(elements, ACTIONS, "the elements of `actions`")?;
            for element in elements.iter().filter(|element| element.get("type").and_then(Value::as_str) == Some("button")) {
                text_object(element.get("text"), BUTTON_CHARS, "a button's text")?;
                if element.get("url").is_some() {
                    address(element.get("url"), "a button's `url`")?;
                }
            }
        }
        "image" => {
            if block.get("slack_file").is_none() {
                address(block.get("image_url"), "an image's `image_url`")?;
            }
        }
        other => {
            if let Some(near) = near(other, TYPES.iter().copied()).filter(|near| *near != other) {
                malformed(format!("there is no block of the type `{}`; did you mean `{near}`?", shown(other)))?;
            }
        }
    }
    let id = block.get("block_id").and_then(Value::as_str);
    if let Some(id) = id {
        at_most(id, ID_CHARS, "`block_id`")?;
    }
    Ok(id.map(str::to_owned))
}

fn section(block: &Map<String, Value>) -> Judged {
    let fields = list(block, "fields")?;
    match block.get("text") {
        Some(text) => {
            text_object(Some(text), TEXT_CHARS, "a section's text")?;
        }
        None if fields.is_empty() => malformed("a section has neither `text` nor `fields`")?,
        None => {}
    }
    if fields.len() > FIELDS {
        return large(format!("a section of {} fields, {FIELDS} at most", fields.len()));
    }
    for field in fields {
        text_object(Some(field), FIELD_CHARS, "a field's text")?;
    }
    Ok(())
}

/// Checks a text object; gives its type.
fn text_object<'t>(value: Option<&'t Value>, most: usize, what: &str) -> Result<&'t str, Verdict> {
    let kind = value.and_then(|value| value.get("type")).and_then(Value::as_str).unwrap_or_default();
    let text = value.and_then(|value| value.get("text")).and_then(Value::as_str);
    if !matches!(kind, "plain_text" | "mrkdwn") {
        malformed(format!("{what} must be an object with the `type` \"mrkdwn\" or \"plain_text\" and a `text`"))?;
    }
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        malformed(format!("{what} is empty"))?;
    }
    at_most(text, most, what)?;
    Ok(kind)
}

fn address(value: Option<&Value>, what: &str) -> Judged {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return malformed(format!("{what} must be a web address"));
    }
    at_most(text, ADDRESS_CHARS, what)
}

/// The characters that a block says, at any depth.
fn said(value: &Value) -> usize {
    match value {
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if key == "text" => text.chars().count(),
                Value::String(_) => 0,
                value => said(value),
            })
            .sum(),
        Value::Array(items) => items.iter().map(said).sum(),
        _ => 0,
    }
}

fn object<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, Verdict> {
    value.as_object().ok_or_else(|| Verdict::Malformed(format!("{what} must be a JSON object")))
}

fn list<'v>(object: &'v Map<String, Value>, key: &str) -> Result<&'v [Value], Verdict> {
    match object.get(key) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Verdict::Malformed(format!("`{key}` must be a list"))),
    }
}

fn count(items: &[Value], most: usize, what: &str) -> Judged {
    if items.is_empty() {
        return malformed(format!("{what} are none"));
    }
    if items.len() > most { large(format!("{what} are {}, {most} at most", items.len())) } else { Ok(()) }
}

fn at_most(text: &str, most: usize, what: &str) -> Judged {
    let chars = text.chars().count();
    if chars > most { large(format!("{what} has {chars} characters, {most} at most")) } else { Ok(()) }
}

fn malformed(why: impl Into<String>) -> Judged {
    Err(Verdict::Malformed(why.into()))
}

fn large(why: impl Into<String>) -> Judged {
    Err(Verdict::TooLarge(why.into()))
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
