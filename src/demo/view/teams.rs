//! An Adaptive Card as Teams shows it: a box with its title, facts and buttons.

use serde_json::Value;

use super::{
    canvas::{Colour, Line, Style, beside},
    markup::markdown,
    text_of, unshown,
};

/// What a box takes on both sides.
const FRAME: usize = 4;
/// The least width that columns are drawn side by side in.
const COLUMN: usize = 8;
/// How many pixels of a card a terminal's column stands for.
const PIXELS: usize = 8;
/// How deep containers are followed; a card that nests deeper is no card of a person's.
const DEPTH: usize = 8;

/// Every card of a message within a width.
#[must_use]
pub fn lines(message: &Value, width: usize) -> Vec<Line> {
    let cards = message["attachments"].as_array().into_iter().flatten().map(|attachment| &attachment["content"]);
    cards.flat_map(|card| boxed(card, width)).collect()
}

fn boxed(card: &Value, width: usize) -> Vec<Line> {
    let inner = width.saturating_sub(FRAME);
    let mut content = elements(&card["body"], inner, Style::PLAIN, DEPTH);
    let actions = actions(&card["actions"], inner);
    if !actions.is_empty() && !content.is_empty() {
        content.push(Line::default());
    }
    content.extend(actions);
    let edge = Style::PLAIN.in_colour(Colour::GREY);
    let rule = "─".repeat(width.saturating_sub(2));
    let mut lines = vec![Line::of(&format!("╭{rule}╮"), edge)];
    lines.extend(content.into_iter().map(|line| {
        let mut framed = Line::of("│ ", edge);
        framed.extend(line.padded(inner));
        framed.and(" │", edge)
    }));
    lines.push(Line::of(&format!("╰{rule}╯"), edge));
    lines
}

fn elements(list: &Value, width: usize, style: Style, depth: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut after_panel = false;
    for element in list.as_array().into_iter().flatten().filter(|element| element["isVisible"] != false) {
        // A container with a colour of its own is set apart from what follows.
        let set_apart = std::mem::replace(&mut after_panel, element["type"] == "Container" && element["style"].is_string());
        let spaced = matches!(element["spacing"].as_str(), Some("large" | "extraLarge" | "Large" | "ExtraLarge"));
        if lines.is_empty() {
            // Nothing to be set apart from.
        } else if element["separator"] == true {
            lines.push(Line::of(&"─".repeat(width), Style::DIM));
        } else if set_apart || spaced {
            lines.push(Line::default());
        }
        lines.extend(self::element(element, width, style, depth));
    }
    lines
}

fn element(element: &Value, width: usize, style: Style, depth: usize) -> Vec<Line> {
    let kind = element["type"].as_str();
    if depth == 0 {
        return unshown(kind, width);
    }
    match kind {
        Some("TextBlock") => {
            let style = text_style(element, style);
            markdown(text_of(&element["text"]), style).iter().flat_map(|line| line.hanging(width, 0)).collect()
        }
        Some("RichTextBlock") => {
            let mut line = Line::default();
            for inline in element["inlines"].as_array().into_iter().flatten() {
                match inline.as_str() {
                    Some(text) => line.push(text, style),
                    None => line.push(text_of(&inline["text"]), text_style(inline, style)),
                }
            }
            line.wrapped(width)
        }
        Some("FactSet") => facts(&element["facts"], width, style),
        Some("Container") => {
            let tone = match element["style"].as_str() {
                Some("attention") => Some(Colour::RED),
                Some("warning") => Some(Colour::AMBER),
                Some("good") => Some(Colour::GREEN),
                Some("accent") => Some(Colour::BLUE),
                _ => None,
            };
            elements(&element["items"], width, Style { colour: tone.or(style.colour), ..style }, depth - 1)
        }
        Some("ColumnSet") => columns(&element["columns"], width, style, depth - 1),
        Some("ActionSet") => actions(&element["actions"], width),
        Some("Image") => Line::of(&format!("[{}]", text_of(&element["altText"])), Style::DIM).wrapped(width),
        other => unshown(other, width),
    }
}

fn text_style(element: &Value, style: Style) -> Style {
    let is = |key: &str, word: &str| element[key].as_str().is_some_and(|value| value.eq_ignore_ascii_case(word));
    let colour = match element["color"].as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("attention") => Some(Colour::RED),
        Some("warning") => Some(Colour::AMBER),
        Some("good") => Some(Colour::GREEN),
        Some("accent") => Some(Colour::BLUE),
        _ => style.colour,
    };
    Style {
        bold: style.bold || is("weight", "bolder") || is("style", "heading"),
        italic: style.italic || element["italic"] == true,
        dim: style.dim || element["isSubtle"] == true,
        strike: style.strike || element["strikethrough"] == true,
        colour,
        ..style
    }
}

fn facts(list: &Value, width: usize, style: Style) -> Vec<Line> {
    let one = |text: &Value, style: Style| {
        let mut line = Line::default();
        for (at, part) in markdown(text_of(text), style).into_iter().enumerate() {
            line.push(if at > 0 { " " } else { "" }, style);
            line.extend(part);
        }
        line
    };
    let rows: Vec<(Line, Line)> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|fact| (one(&fact["title"], Style { bold: true, ..style }), one(&fact["value"], style)))
        .collect();
    // Titles take what they need, but never more than a third.
    let titles = rows.iter().map(|(title, _)| title.width()).max().unwrap_or(0).min(width / 3).max(1);
    let values = width.saturating_sub(titles + 2);
    rows.iter().flat_map(|(title, value)| beside(&[title.wrapped(titles), value.wrapped(values)], &[titles, values], 2)).collect()
}

fn columns(list: &Value, width: usize, style: Style, depth: usize) -> Vec<Line> {
    const GAP: usize = 2;
    let list: Vec<&Value> = list.as_array().into_iter().flatten().collect();
    let gaps = GAP * list.len().saturating_sub(1);
    let natural = |column: &Value| elements(&column["items"], width, style, depth).iter().map(Line::width).max().unwrap_or(0);
    // None for those that share what is left.
    let own = |column: &Value| match column["width"].as_str() {
        Some("auto") => Some(natural(column)),
        Some(text) => text.strip_suffix("px").and_then(|pixels| pixels.parse::<usize>().ok()).map(|pixels| pixels.div_ceil(PIXELS)),
        None => None,
    };
    let wanted: Vec<Option<usize>> = list.iter().map(|column| own(column)).collect();
    let fixed: usize = wanted.iter().flatten().sum();
    let sharing = wanted.iter().filter(|own| own.is_none()).count();
    let share = width.saturating_sub(gaps + fixed).checked_div(sharing).unwrap_or(COLUMN);
    if share < COLUMN || fixed + gaps > width {
        return list.iter().flat_map(|column| elements(&column["items"], width, style, depth)).collect();
    }
    let widths: Vec<usize> = wanted.into_iter().map(|own| own.unwrap_or(share).max(1)).collect();
    let cells: Vec<Vec<Line>> = list.iter().zip(&widths).map(|(column, width)| elements(&column["items"], *width, style, depth)).collect();
    beside(&cells, &widths, GAP)
}

fn actions(list: &Value, width: usize) -> Vec<Line> {
    list.as_array()
        .into_iter()
        .flatten()
        .flat_map(|action| {
            let line = Line::of(&format!("[ {} ]", text_of(&action["title"])), Style::BOLD);
            line.and(&action["url"].as_str().map(|url| format!(" {url}")).unwrap_or_default(), Style::DIM).wrapped(width)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(card: &Value) -> Value {
        json!({ "type": "message", "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": card }] })
    }

    fn seen(card: &Value, width: usize) -> Vec<String> {
        lines(&message(card), width).iter().map(|line| line.painted(false)).collect()
    }

    #[test]
    fn a_card_is_a_box_of_one_width() {
        let card = json!({ "type": "AdaptiveCard", "body": [
            { "type": "Container", "style": "attention", "items": [{ "type": "TextBlock", "text": "scan sites **failed**", "weight": "bolder" }] },
            { "type": "FactSet", "facts": [{ "title": "Took", "value": "6m" }, { "title": "Tenant", "value": "contoso\\_a" }] },
            { "type": "RichTextBlock", "inlines": ["id ", { "type": "TextRun", "text": "Scan_1", "isSubtle": true }] },
            { "type": "Carousel" },
        ], "actions": [{ "type": "Action.OpenUrl", "title": "Runbook", "url": "https://wiki.example" }] });
        let expected = [
            "╭──────────────────────────────────────╮",
            "│ scan sites failed                    │",
            "│                                      │",
            "│ Took    6m                           │",
            "│ Tenant  contoso_a                    │",
            "│ id Scan_1                            │",
            "│ [Carousel]                           │",
            "│                                      │",
            "│ [ Runbook ] https://wiki.example     │",
            "╰──────────────────────────────────────╯",
        ];
        assert_eq!(seen(&card, 40), expected);
        for width in [12, 20, 31, 80] {
            assert!(lines(&message(&card), width).iter().all(|line| line.width() == width), "at {width}");
        }
    }

    #[test]
    fn columns_stand_side_by_side_where_there_is_room() {
        let text = |text: &str| json!([{ "type": "TextBlock", "text": text }]);
        let card = json!({ "body": [{ "type": "ColumnSet", "columns": [
            { "width": "auto", "items": text("sites") }, { "width": "stretch", "items": text("failed after six minutes") },
        ] }] });
        assert_eq!(seen(&card, 30)[1], "│ sites  failed after six    │");
        assert_eq!(seen(&card, 16)[1], "│ sites        │");
        let card = json!({ "body": [{ "type": "ColumnSet", "columns": [{ "width": "70px", "items": text("Source") }, { "width": "stretch", "items": text("contoso") }] }] });
        assert_eq!(seen(&card, 30)[1], "│ Source     contoso         │");
    }

    #[test]
    fn a_card_nested_without_end_is_cut() {
        let mut inner = json!({ "type": "TextBlock", "text": "deep" });
        for _ in 0..100 {
            inner = json!({ "type": "Container", "items": [inner] });
        }
        assert!(seen(&json!({ "body": [inner] }), 40)[1].contains("[Container]"));
    }
}
