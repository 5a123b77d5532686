//! A webhook's request as its receiver takes it: whether the signature holds, and the JSON.

use serde_json::Value;

use super::canvas::{Colour, Line, Style};

/// The most lines of JSON that are shown; what is left out is counted.
const LINES: usize = 40;

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
    let pretty = serde_json::to_string_pretty(body).unwrap_or_default();
    let all: Vec<&str> = pretty.lines().collect();
    lines.extend(all.iter().take(LINES).flat_map(|line| coloured(line).wrapped(width)));
    if all.len() > LINES {
        lines.push(Line::of(&format!("… {} more lines", all.len() - LINES), Style::DIM));
    }
    lines
}

/// One line of pretty JSON: keys stand out, brackets stand back.
fn coloured(line: &str) -> Line {
    let indent = line.len() - line.trim_start().len();
    let (before, rest) = line.split_at(indent);
    let plain = Line::of(before, Style::PLAIN);
    match rest.split_once("\": ") {
        Some((key, value)) if key.starts_with('"') => {
            plain.and(&format!("{key}\""), Style::PLAIN.in_colour(Colour::BLUE)).and(": ", Style::DIM).and(value, Style::PLAIN)
        }
        _ if rest.chars().all(|c| "{}[],".contains(c)) => plain.and(rest, Style::DIM),
        _ => plain.and(rest, Style::PLAIN),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_is_shown_with_its_seal_and_cut_with_a_count() {
        let good = Verified { id: "msg_1".into(), fault: None };
        let seen = |verified: &Verified, body: &Value| lines(verified, body, 60).iter().map(|line| line.painted(false)).collect::<Vec<_>>();
        let expected = ["✓ signature verified   webhook-id msg_1", "{", "  \"type\": \"alert\"", "}"];
        assert_eq!(seen(&good, &json!({ "type": "alert" })), expected);
        let bad = Verified { id: String::new(), fault: Some("it is too old".into()) };
        assert!(seen(&bad, &json!({}))[0].starts_with("✗ signature refused: it is too old"));
        let long = json!((0..100).collect::<Vec<_>>());
        assert_eq!(seen(&good, &long).last().unwrap(), "… 62 more lines");
    }
}
