//! Values escaped for where they land. Each function takes any text at all and gives text that can't leave its place.

use super::part::Landing;

/// A value as it is written at `landing`.
pub(super) fn escape(landing: Landing, text: &str) -> String {
    match landing {
        Landing::SlackJson | Landing::CardJson | Landing::Json => json_body(&meaning(landing, text)),
        Landing::Html | Landing::Line | Landing::Text => meaning(landing, text),
    }
}

/// The text as its reader's mark-up wants it, before it is put into a JSON string.
pub(super) fn meaning(landing: Landing, text: &str) -> String {
    match landing {
        Landing::SlackJson => slack(&clean(text)),
        Landing::CardJson => markdown(&clean(text)),
        Landing::Json => text.to_owned(),
        Landing::Html => html(&clean(text)),
        Landing::Line => one_line(text),
        Landing::Text => clean(text),
    }
}

/// The inside of a JSON string.
pub(super) fn json_body(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    // A JSON string is never shorter than its two quotes.
    quoted[1..quoted.len() - 1].to_owned()
}

/// Slack's three characters, in the order its page gives. They also keep `<!channel>`, `<@U…>` and links from being read as such.
/// <https://docs.slack.dev/messaging/formatting-message-text>
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A backslash before each character that `CommonMark` could read as mark-up in a card's text.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if "\\`*_[]()#+-.!>~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text in one line: every run of white space, line breaks included, is one space.
pub(super) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text without what is not to be seen but acts: control characters (line breaks stay, as `\n`; a tab is a space) and the
/// characters that turn the direction of what stands around them.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\t' => out.push(' '),
            c if c.is_control() || turns(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether a character reorders, or marks the order of, the text around it (Unicode Standard Annex 9), or is a byte order mark.
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(landing: Landing, text: &str, expected: &str) {
        assert_eq!(escape(landing, text), expected);
    }

    #[test]
    fn slack_reads_no_mention_link_or_entity() {
        check(
            Landing::SlackJson,
            "<!channel> & <@U123> <http://evil|click>",
            "&lt;!channel&gt; &amp; &lt;@U123&gt; &lt;http://evil|click&gt;",
        );
        check(Landing::SlackJson, "&lt;!here&gt;", "&amp;lt;!here&amp;gt;");
        check(Landing::SlackJson, "say \"hi\"\\\n", "say \\\"hi\\\"\\\\\\n");
    }

    #[test]
    fn a_card_reads_no_markdown() {
        check(Landing::CardJson, "__init__.py", r"\\_\\_init\\_\\_\\.py");
        check(
            Landing::CardJson,
            "[x](http://y) *b* `c` ~d~ #1 + - ! >",
            r"\\[x\\]\\(http://y\\) \\*b\\* \\`c\\` \\~d\\~ \\#1 \\+ \\- \\! \\>",
        );
        check(Landing::CardJson, r"a\b", r"a\\\\b");
    }

    #[test]
    fn html_and_attributes_stay_text() {
        check(Landing::Html, r#"<b onclick='x("y")'>&"#, "&lt;b onclick=&#39;x(&quot;y&quot;)&#39;&gt;&amp;");
    }

    #[test]
    fn a_subject_is_one_line() {
        check(Landing::Line, "a\r\nBcc: b@c\u{0}\t\u{2028}d  e ", "a Bcc: b@c d e");
    }

    #[test]
    fn plain_text_keeps_its_lines_and_loses_what_acts() {
        check(Landing::Text, "a\r\nb\rc\u{1b}[31m\u{7f}\u{202e}gpj.exe\u{2066}", "a\nb\nc[31mgpj.exe");
        check(Landing::Text, "👩‍💻 é ✓ שלום", "👩‍💻 é ✓ שלום");
    }

    #[test]
    fn data_stays_as_it_is() {
        check(Landing::Json, "\u{202e}<b>\u{1}\"", "\u{202e}<b>\\u0001\\\"");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in any::<String>()) {
            for &landing in Landing::ALL {
                let written = escape(landing, &text);
                if landing.is_json() {
                    let read: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
                    prop_assert_eq!(read, meaning(landing, &text));
                }
                if landing == Landing::SlackJson || landing == Landing::Html {
                    prop_assert!(!written.contains(['<', '>']));
                }
                if landing == Landing::Line {
                    prop_assert!(!written.contains(|c: char| c.is_control()));
                }
                if landing == Landing::Text {
                    prop_assert!(!written.contains(|c: char| (c.is_control() && c != '\n') || turns(c)));
                }
            }
        }
    }
}
