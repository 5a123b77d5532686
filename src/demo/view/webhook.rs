//! A webhook's request as its receiver takes it: whether the signature holds, and the JSON.

use serde_json::Value;

use super::canvas::{Colour, Line, Style};

/// The most lines of JSON that are shown; what is left out is counted.
const LINES: usize = 40;

/// How far a part is set in.
const STEP: usize = 2;

/// What the receiver found about a request before it read the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The `webhook-id`.
    pub id: String,
    /// Why the signature does not hold; none if it does.
    pub fault: Option<String>,
}

/// The request within a width.
#[must_use]
pub fn lines(verified: &Verified, body: &Value, width: usize) -> Vec<Line> {
    let seal = match &verified.fault {
        None => Line::of("✓ signature verified", Style::PLAIN.in_colour(Colour::GREEN)),
        Some(why) => Line::of(&format!("✗ signature refused: {why}"), Style::BOLD.in_colour(Colour::RED)),
    };
    let mut lines = seal.and(&format!("   webhook-id {}", verified.id), Style::DIM).wrapped(width);
    let mut body_lines = Vec::new();
    lay_out(body, Line::default(), 0, width, &mut body_lines);
    let left_out = body_lines.len().saturating_sub(LINES);
    lines.extend(body_lines.into_iter().take(LINES));
    if left_out > 0 {
        lines.push(Line::of(&format!("… {left_out} more lines"), Style::DIM));
    }
    lines
}

/// Lays a value out behind what stands on its line: on that one line if it fits, else a line for each of its parts. Of
/// what is too deep or too wide for that, the lines are broken.
fn lay_out(value: &Value, before: Line, indent: usize, width: usize, lines: &mut Vec<Line>) {
    let mut whole = before.clone();
    inline(value, &mut whole);
    let parts = match value {
        Value::Array(items) => Some((items.iter().map(|item| (None, item)).collect::<Vec<_>>(), "[", "]")),
        Value::Object(entries) => Some((entries.iter().map(|(key, item)| (Some(key), item)).collect(), "{", "}")),
        _ => None,
    };
    // The comma that may follow needs room too.
    let Some((parts, open, close)) = parts.filter(|(parts, ..)| !parts.is_empty() && whole.width() + 1 > width) else {
        lines.extend(whole.hanging(width.saturating_sub(1), indent + STEP));
        return;
    };
    lines.push(before.and(open, Style::DIM));
    let last = parts.len() - 1;
    for (at, (key, item)) in parts.into_iter().enumerate() {
        let mut line = Line::of(&" ".repeat(indent + STEP), Style::PLAIN);
        if let Some(key) = key {
            name(key, &mut line);
        }
        lay_out(item, line, indent + STEP, width, lines);
        if at < last
            && let Some(end) = lines.last_mut()
        {
            end.push(",", Style::DIM);
        }
    }
    lines.push(Line::of(&" ".repeat(indent), Style::PLAIN).and(close, Style::DIM));
}

/// A value on one line. A parsed body nests no deeper than the JSON reader allows (128).
fn inline(value: &Value, line: &mut Line) {
    match value {
        Value::Array(items) => {
            line.push("[", Style::DIM);
            for (at, item) in items.iter().enumerate() {
                line.push(if at > 0 { ", " } else { "" }, Style::DIM);
                inline(item, line);
            }
            line.push("]", Style::DIM);
        }
        Value::Object(entries) => {
            line.push(if entries.is_empty() { "{" } else { "{ " }, Style::DIM);
            for (at, (key, item)) in entries.iter().enumerate() {
                line.push(if at > 0 { ", " } else { "" }, Style::DIM);
                name(key, line);
                inline(item, line);
            }
            line.push(if entries.is_empty() { "}" } else { " }" }, Style::DIM);
        }
        plain => line.push(&plain.to_string(), Style::PLAIN),
    }
}

/// A key and its colon.
fn name(key: &str, line: &mut Line) {
    line.push(&Value::from(key).to_string(), Style::PLAIN.in_colour(Colour::BLUE));
    line.push(": ", Style::DIM);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(verified: &Verified, body: &Value) -> Vec<String> {
        lines(verified, body, 60).iter().map(|line| line.painted(false)).collect()
    }

    #[test]
    fn what_fits_stands_on_one_line_and_the_rest_is_laid_out() {
        let good = Verified { id: "msg_1".into(), fault: None };
        let body = json!({
            "type": "job.alert", "empty": {}, "jobs": [{ "id": "Scan1", "state": "failed" }],
            "text": "words that are too many for one line and so are broken with an indent",
        });
        let expected = [
            "✓ signature verified   webhook-id msg_1",
            "{",
            "  \"type\": \"job.alert\",",
            "  \"empty\": {},",
            "  \"jobs\": [{ \"id\": \"Scan1\", \"state\": \"failed\" }],",
            "  \"text\": \"words that are too many for one line and so are",
            "    broken with an indent\"",
            "}",
        ];
        assert_eq!(seen(&good, &body), expected);
    }

    #[test]
    fn a_bad_signature_is_told_and_a_long_body_cut_with_a_count() {
        let bad = Verified { id: String::new(), fault: Some("it is too old".into()) };
        assert!(seen(&bad, &json!({}))[0].starts_with("✗ signature refused: it is too old"));
        let long = json!((0..100).map(|n| n.to_string().repeat(40)).collect::<Vec<_>>());
        let shown = seen(&bad, &long);
        assert_eq!(shown.last().unwrap(), &format!("… {} more lines", 2 + 10 + 180 - LINES));
        assert_eq!(shown.len(), 1 + LINES + 1);
    }
}
