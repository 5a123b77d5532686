//! An Adaptive Card as Teams shows it.

use serde_json::Value;

use super::html::{each, lines, link, text, unknown};
use crate::demo::view::{canvas::Style, markup::markdown_pieces};

/// How deep containers are followed; a card that nests deeper is no card of a person's, and is shown as JSON from there on.
const DEPTH: usize = 8;
/// The widest column that is drawn as wide as it asks for, in pixels.
const WIDEST: u32 = 600;

/// Every card of a message.
pub fn draw(message: &Value) -> String {
    let card = |attachment: &Value| {
        let card = &attachment["content"];
        let actions = actions(&card["actions"]);
        format!("<div class=\"card\">{}{actions}</div>", elements(&card["body"], DEPTH))
    };
    message["attachments"].as_array().into_iter().flatten().map(card).collect()
}

fn elements(list: &Value, depth: usize) -> String {
    let shown = list.as_array().into_iter().flatten().filter(|element| element["isVisible"] != false);
    each(shown, |element| {
        let spacing = word(&element["spacing"], &["none", "small", "medium", "large", "extralarge", "padding"]).unwrap_or("default");
        let line = if element["separator"] == true { " line" } else { "" };
        format!("<div class=\"el sp-{spacing}{line}\">{}</div>", self::element(element, depth))
    })
}

/// The word among those known that a value is, whatever its case.
fn word(value: &Value, known: &[&'static str]) -> Option<&'static str> {
    let written = value.as_str()?;
    known.iter().copied().find(|word| written.eq_ignore_ascii_case(word))
}

fn element(element: &Value, depth: usize) -> String {
    let Some(within) = depth.checked_sub(1) else { return unknown(element) };
    match element["type"].as_str() {
        Some("TextBlock") => {
            let words = element["text"].as_str().unwrap_or_default();
            format!("<p class=\"{}\">{}</p>", looks(element), lines(&markdown_pieces(words, Style::PLAIN)))
        }
        Some("RichTextBlock") => {
            let run = |run: &Value| match run.as_str() {
                Some(words) => text(words),
                None => format!("<span class=\"{}\">{}</span>", looks(run), text(run["text"].as_str().unwrap_or_default())),
            };
            format!("<p>{}</p>", element["inlines"].as_array().into_iter().flatten().map(run).collect::<String>())
        }
        Some("FactSet") => {
            let fact = |fact: &Value| {
                let part = |key: &str| lines(&markdown_pieces(fact[key].as_str().unwrap_or_default(), Style::PLAIN));
                format!("<dt>{}</dt><dd>{}</dd>", part("title"), part("value"))
            };
            format!("<dl>{}</dl>", element["facts"].as_array().into_iter().flatten().map(fact).collect::<String>())
        }
        Some("Container") => {
            let tone = word(&element["style"], &["attention", "warning", "good", "accent", "emphasis"]).unwrap_or("plain");
            let bleed = if element["bleed"] == true { " bleed" } else { "" };
            format!("<div class=\"box tone-{tone}{bleed}\">{}</div>", elements(&element["items"], within))
        }
        Some("ColumnSet") => {
            let column = |column: &Value| {
                let width = column["width"].as_str().unwrap_or_default();
                let style = match width.strip_suffix("px").and_then(|pixels| pixels.parse::<u32>().ok()) {
                    Some(pixels) => format!("flex:0 0 {}px", pixels.min(WIDEST)),
                    None if width == "auto" => "flex:0 1 auto".into(),
                    None => "flex:1 1 0".into(),
                };
                format!("<div style=\"{style}\">{}</div>", elements(&column["items"], within))
            };
            format!("<div class=\"columns\">{}</div>", element["columns"].as_array().into_iter().flatten().map(column).collect::<String>())
        }
        Some("ActionSet") => actions(&element["actions"]),
        _ => unknown(element),
    }
}

/// The classes of a text.
fn looks(element: &Value) -> String {
    let colour = word(&element["color"], &["attention", "warning", "good", "accent"]).map(|word| format!("ink-{word}"));
    let size = word(&element["size"], &["small", "medium", "large", "extralarge"]).map(|word| format!("size-{word}"));
    let heavy = word(&element["weight"], &["bolder", "lighter"]).map(str::to_owned);
    let mono = word(&element["fontType"], &["monospace"]).map(str::to_owned);
    let set = [("isSubtle", "soft"), ("italic", "italic"), ("strikethrough", "struck")];
    let flags = set.into_iter().filter(|(key, _)| element[*key] == true).map(|(_, class)| class.to_owned());
    [colour, size, heavy, mono].into_iter().flatten().chain(flags).collect::<Vec<_>>().join(" ")
}

fn actions(list: &Value) -> String {
    let Some(actions) = list.as_array().filter(|actions| !actions.is_empty()) else { return String::new() };
    let one = |action: &Value| match action["type"].as_str() {
        Some("Action.OpenUrl") => {
            link(action["url"].as_str().unwrap_or_default(), "button", &text(action["title"].as_str().unwrap_or_default()))
        }
        _ => unknown(action),
    };
    format!("<div class=\"actions\">{}</div>", actions.iter().map(one).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_are_literal_and_what_is_not_known_is_shown_as_it_was_written() {
        let mut deep = json!({ "type": "TextBlock", "text": "deep" });
        for _ in 0..100 {
            deep = json!({ "type": "Container", "items": [deep] });
        }
        let drawn = draw(&json!({ "attachments": [{ "content": { "body": [
            { "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": "**a** <b>", "color": "Attention", "weight": "\" onclick=\"" }] },
            { "type": "TextBlock", "text": "**a** [b](javascript:x)", "size": "Large" },
            { "type": "Image", "url": "https://evil.example/x.png" },
            deep,
        ], "actions": [{ "type": "Action.OpenUrl", "title": "Go", "url": "https://a.example/" }] } }] }));
        assert!(drawn.contains("<span class=\"ink-attention\">**a** &lt;b&gt;</span>"), "{drawn}");
        assert!(drawn.contains("<p class=\"size-large\"><b>a</b> <span class=\"l\">b</span></p>"), "{drawn}");
        assert!(!drawn.contains("<img") && drawn.contains("&quot;Image&quot;"), "{drawn}");
        assert!(drawn.contains("&quot;Container&quot;") && drawn.contains("href=\"https://a.example/\">Go</a>"), "{drawn}");
    }
}
