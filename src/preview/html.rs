//! Text into HTML. Whatever is shown goes through here, and none of it can be more than text.

use std::fmt::Write;

use serde_json::Value;
use url::Url;

use crate::demo::view::{
    canvas::{Style, clean},
    markup::{CODE, MENTION, Piece},
};

/// A text within an element or a quoted attribute. What steers the eye (control characters, marks that turn the direction of
/// reading) is shown as a picture of itself.
pub fn text(text: &str) -> String {
    quoted(&clean(text))
}

/// The same with every character as it is: for what a frame of its own reads again.
pub fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A link, if it leads to the web; else the bare words. `inside` is HTML.
pub fn link(url: &str, class: &str, inside: &str) -> String {
    match Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")) {
        Some(url) => format!("<a class=\"{class}\" rel=\"noopener noreferrer\" href=\"{}\">{inside}</a>", quoted(url.as_str())),
        None => format!("<span class=\"{class}\">{inside}</span>"),
    }
}

/// What is made of each of some things, one behind the other.
pub fn each<T>(things: impl IntoIterator<Item = T>, made: impl FnMut(T) -> String) -> String {
    things.into_iter().map(made).collect()
}

/// Lines of a message with their emphasis, a break between each two.
pub fn lines(lines: &[Vec<Piece>]) -> String {
    lines.iter().map(|line| pieces(line)).collect::<Vec<_>>().join("<br>")
}

fn pieces(pieces: &[Piece]) -> String {
    pieces.iter().fold(String::new(), |mut out, piece| {
        match piece {
            Piece::Words { text, style } => out.push_str(&words(text, *style)),
            Piece::Link { label, url } => {
                let shown = self::pieces(label);
                out.push_str(&link(url, "l", if shown.is_empty() { text(url) } else { shown }.as_str()));
            }
        }
        out
    })
}

fn words(words: &str, style: Style) -> String {
    let mut out = text(words);
    let mut wrap = |holds: bool, tag: &str, attributes: &str| {
        if holds {
            out = format!("<{tag}{attributes}>{out}</{tag}>");
        }
    };
    wrap(style.colour == Some(CODE), "code", "");
    wrap(style.colour == Some(MENTION), "span", " class=\"mention\"");
    wrap(style.strike, "s", "");
    wrap(style.italic, "i", "");
    wrap(style.bold, "b", "");
    out
}

/// JSON laid out for people, each of its marks of direction written as JSON may write it.
pub fn json(value: &Value) -> String {
    let laid_out = serde_json::to_string_pretty(value).unwrap_or_default();
    let plain = laid_out.chars().fold(String::new(), |mut out, c| {
        let mark = clean(c.encode_utf8(&mut [0; 4]));
        if c == '\n' || mark.starts_with(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    });
    format!("<pre class=\"json\">{}</pre>", quoted(&plain))
}

/// An element that is not drawn here: its JSON, so that nothing is missing in silence.
pub fn unknown(value: &Value) -> String {
    format!("<div class=\"undrawn\"><span class=\"soft\">not drawn here:</span>{}</div>", json(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_web_is_linked_to() {
        assert_eq!(
            link("https://a.example/?x=\"><script>", "l", "go"),
            "<a class=\"l\" rel=\"noopener noreferrer\" href=\"https://a.example/?x=%22%3E%3Cscript%3E\">go</a>"
        );
        for url in ["javascript:alert(1)", "data:text/html,x", "//a.example", "file:///etc/passwd", ""] {
            assert_eq!(link(url, "l", "go"), "<span class=\"l\">go</span>", "{url}");
        }
    }

    #[test]
    fn what_steers_the_eye_is_shown() {
        assert_eq!(text("a\u{202e}b\u{0}<c>"), "a\u{fffd}b␀&lt;c&gt;");
        assert_eq!(super::json(&json!({ "a": "\u{202e}<" })), "<pre class=\"json\">{\n  &quot;a&quot;: &quot;\\u202e&lt;&quot;\n}</pre>");
    }
}
