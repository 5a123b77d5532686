//! The two markups of chat messages, read as their clients read them: Slack's mrkdwn and the Markdown of Teams' cards.

use jiff::Timestamp;

use super::canvas::{Colour, Line, Style};

/// One element of a text before its emphasis is found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A character; a literal one opens and closes nothing.
    Char { c: char, literal: bool },
    /// Words that are shown as they are, in a style of their own.
    Words { text: String, style: Style },
    /// A link.
    Link { label: Vec<Token>, url: String },
}

impl Token {
    const fn mark(&self) -> Option<char> {
        match self {
            Self::Char { c, literal: false } => Some(*c),
            _ => None,
        }
    }

    fn is_word(&self) -> bool {
        match self {
            Self::Char { c, .. } => c.is_alphanumeric(),
            _ => true,
        }
    }

    const fn is_space(&self) -> bool {
        matches!(self, Self::Char { c: ' ' | '\n', .. })
    }
}

/// A piece of a line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Words in one style.
    Words {
        /// As they are written.
        text: String,
        /// How they look.
        style: Style,
    },
    /// A link.
    Link {
        /// What is shown of it; empty where its target is shown.
        label: Vec<Piece>,
        /// Where it leads: any text at all.
        url: String,
    },
}

/// A marker and what it does to the words between two of it; longer ones first.
type Markers = &'static [(&'static str, fn(Style) -> Style)];

const SLACK: Markers = &[("*", bold), ("_", italic), ("~", strike)];
const MARKDOWN: Markers = &[("**", bold), ("__", bold), ("*", italic), ("_", italic)];

const fn bold(style: Style) -> Style {
    Style { bold: true, ..style }
}
const fn italic(style: Style) -> Style {
    Style { italic: true, ..style }
}
const fn strike(style: Style) -> Style {
    Style { strike: true, ..style }
}

fn link_style(style: Style) -> Style {
    Style { underline: true, ..style }.in_colour(Colour::BLUE)
}

/// What marks code in [`mrkdwn_pieces`].
pub const CODE: Colour = Colour::AMBER;
/// What marks a mention in [`mrkdwn_pieces`].
pub const MENTION: Colour = Colour::PINK;

/// Slack's mrkdwn within a terminal.
#[must_use]
pub fn mrkdwn(text: &str, style: Style) -> Vec<Line> {
    mrkdwn_pieces(text, style).iter().map(|line| spelled(line)).collect()
}

/// The Markdown of a card's text within a terminal.
#[must_use]
pub fn markdown(text: &str, style: Style) -> Vec<Line> {
    markdown_pieces(text, style).iter().map(|line| spelled(line)).collect()
}

/// The pieces as a line: a link's target stands behind its label, since a terminal's reader can't see it otherwise.
fn spelled(pieces: &[Piece]) -> Line {
    let mut line = Line::default();
    for piece in pieces {
        match piece {
            Piece::Words { text, style } => line.push(text, *style),
            Piece::Link { label, url } => {
                let shown = spelled(label);
                let bare = shown.text() == *url || shown.is_blank();
                line.extend(if bare { Line::of(url, link_style(Style::PLAIN)) } else { shown });
                if !bare {
                    line.push(&format!(" ({url})"), Style::DIM);
                }
            }
        }
    }
    line
}

/// Slack's mrkdwn, line by line: `*bold*`, `_italic_`, `~struck~`, code, `<url|label>`, mentions and dates.
#[must_use]
pub fn mrkdwn_pieces(text: &str, style: Style) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    // Between two fences nothing is markup but the entities.
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            let code = entities(part.trim_matches('\n'));
            let words = |line: &str| vec![Piece::Words { text: line.to_owned(), style: Style { colour: Some(CODE), ..style } }];
            lines.extend(code.lines().map(words));
        } else if !part.is_empty() || lines.is_empty() {
            lines.extend(part.trim_matches('\n').split('\n').map(|line| emphasised(&slack_tokens(line), style, SLACK)));
        }
    }
    lines
}

/// The Markdown of a card's text, line by line: bold, italic, links, lists, and a backslash before what is meant literally.
#[must_use]
pub fn markdown_pieces(text: &str, style: Style) -> Vec<Vec<Piece>> {
    let text = text.replace('\r', "\n").replace("\n\n", "\n");
    text.split('\n')
        .map(|line| {
            let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
            let mut shown = Vec::new();
            if item.is_some() {
                push(&mut shown, "• ", style);
            }
            shown.extend(emphasised(&markdown_tokens(item.unwrap_or(line)), style, MARKDOWN));
            shown
        })
        .collect()
}

fn push(pieces: &mut Vec<Piece>, more: &str, of: Style) {
    match pieces.last_mut() {
        Some(Piece::Words { text, style }) if *style == of => text.push_str(more),
        _ => pieces.push(Piece::Words { text: more.to_owned(), style: of }),
    }
}

fn emphasised(tokens: &[Token], style: Style, markers: Markers) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some((inside, after, change)) = opened(tokens, at, markers) {
            pieces.extend(emphasised(inside, change(style), markers));
            at = after;
            continue;
        }
        match token {
            Token::Char { c, .. } => push(&mut pieces, c.encode_utf8(&mut [0; 4]), style),
            Token::Words { text, style: own } => {
                push(&mut pieces, text, Style { bold: style.bold || own.bold, colour: own.colour.or(style.colour), ..style });
            }
            Token::Link { label, url } => {
                pieces.push(Piece::Link { label: emphasised(label, link_style(style), markers), url: url.clone() });
            }
        }
        at += 1;
    }
    pieces
}

/// What a change of style does.
type Change = fn(Style) -> Style;

/// If emphasis opens at a place and is closed further on: the words inside, where it goes on, and what it does.
fn opened(tokens: &[Token], at: usize, markers: Markers) -> Option<(&[Token], usize, Change)> {
    let stands =
        |marker: &str, place: usize| marker.chars().enumerate().all(|(n, c)| tokens.get(place + n).and_then(Token::mark) == Some(c));
    if at > 0 && tokens.get(at - 1).is_some_and(Token::is_word) {
        return None;
    }
    for (marker, change) in markers {
        let long = marker.len();
        if !stands(marker, at) || tokens.get(at + long).is_none_or(Token::is_space) {
            continue;
        }
        let first = at + long + 1;
        let closes = |place: &usize| {
            stands(marker, *place)
                && !tokens.get(place - 1).is_none_or(Token::is_space)
                && !tokens.get(place + long).is_some_and(Token::is_word)
        };
        if let Some(end) = (first..tokens.len()).find(closes) {
            return tokens.get(at + long..end).map(|inside| (inside, end + long, *change));
        }
    }
    None
}

fn literal(text: &str) -> Vec<Token> {
    text.chars().map(|c| Token::Char { c, literal: true }).collect()
}

/// Slack's three entities, which it decodes for display in plain text as in mrkdwn. `&amp;` comes last, so that `&amp;lt;` is
/// `&lt;`.
#[must_use]
pub fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn slack_tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '<'
            && let Some((inside, behind)) = after.split_once('>')
        {
            tokens.push(slack_special(inside));
            rest = behind;
        } else if c == '`'
            && let Some((code, behind)) = after.split_once('`').filter(|(code, _)| !code.is_empty())
        {
            tokens.push(Token::Words { text: entities(code), style: Style::PLAIN.in_colour(CODE) });
            rest = behind;
        } else if let Some((entity, sign)) =
            [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')].iter().find(|(entity, _)| rest.starts_with(entity))
        {
            tokens.push(Token::Char { c: *sign, literal: true });
            rest = &rest[entity.len()..];
        } else {
            tokens.push(Token::Char { c, literal: false });
            rest = after;
        }
    }
    tokens
}

/// What stands between `<` and `>`.
fn slack_special(inside: &str) -> Token {
    let (target, label) = inside.split_once('|').map_or((inside, None), |(target, label)| (target, Some(entities(label))));
    let mention = |text: String| Token::Words { text, style: Style::BOLD.in_colour(MENTION) };
    if let Some(date) = target.strip_prefix("!date^") {
        let shown = slack_date(date).or(label).unwrap_or_default();
        return Token::Words { text: shown, style: Style::PLAIN };
    }
    match target.chars().next() {
        Some('!') => mention(format!("@{}", label.unwrap_or_else(|| target[1..].to_owned()))),
        Some('@') => mention(format!("@{}", label.unwrap_or_else(|| target[1..].to_owned()))),
        Some('#') => mention(format!("#{}", label.unwrap_or_else(|| target[1..].to_owned()))),
        _ => Token::Link { label: label.map_or_else(Vec::new, |label| literal(&label)), url: entities(target) },
    }
}

/// `SECONDS^FORMAT` or `SECONDS^FORMAT^LINK`, for a reader in UTC. None where a token of the format is not known.
fn slack_date(text: &str) -> Option<String> {
    let mut parts = text.split('^');
    let at = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
    let mut shown = String::new();
    let mut rest = parts.next()?;
    while let Some((before, after)) = rest.split_once('{') {
        let (token, behind) = after.split_once('}')?;
        let format = match token {
            "date_num" => "%Y-%m-%d",
            "date" | "date_pretty" => "%B %-d, %Y",
            "date_short" | "date_short_pretty" => "%b %-d, %Y",
            "date_long" | "date_long_pretty" | "date_long_full" => "%A, %B %-d, %Y",
            "time" => "%H:%M",
            "time_secs" => "%H:%M:%S",
            _ => return None,
        };
        shown.push_str(before);
        shown.push_str(&at.strftime(format).to_string());
        rest = behind;
    }
    Some(shown + rest)
}

fn markdown_tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if let Some(escaped) = after.chars().next().filter(|next| c == '\\' && next.is_ascii_punctuation()) {
            tokens.push(Token::Char { c: escaped, literal: true });
            rest = &after[escaped.len_utf8()..];
        } else if let Some((label, url, behind)) = Some(after).filter(|_| c == '[').and_then(markdown_link) {
            tokens.push(Token::Link { label: markdown_tokens(label), url: url.replace('\\', "") });
            rest = behind;
        } else {
            tokens.push(Token::Char { c, literal: false });
            rest = after;
        }
    }
    tokens
}

/// `label](url)` and what stands behind it.
fn markdown_link(text: &str) -> Option<(&str, &str, &str)> {
    let close = unescaped(text, ']')?;
    let target = text[close + 1..].strip_prefix('(')?;
    let end = unescaped(target, ')')?;
    Some((&text[..close], &target[..end], &target[end + 1..]))
}

/// Where an ASCII sign first stands without a backslash before it.
fn unescaped(text: &str, sign: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == sign && !escaped {
            return Some(at);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines as text in which emphasis can be seen: `{b:…}`.
    fn seen(lines: &[Line]) -> String {
        let painted: Vec<String> = lines.iter().map(|line| line.painted(true)).collect();
        let codes =
            [("\x1b[1m", "{b:"), ("\x1b[3m", "{i:"), ("\x1b[9m", "{s:"), ("\x1b[0m", "}"), ("\x1b[4;38;5;75m", "{l:"), ("\x1b[2m", "{d:")];
        codes.iter().fold(painted.join("\n"), |text, (code, sign)| text.replace(code, sign))
    }

    #[test]
    fn slack_reads_its_own_markup() {
        let table = [
            ("*Profile*\nscan sites", "{b:Profile}\nscan sites"),
            ("_quiet_ ~gone~ snake_case_name 2*3*4", "{i:quiet} {s:gone} snake_case_name 2*3*4"),
            ("a &lt;b&gt; &amp;lt; &lt;!channel&gt;", "a <b> &lt; <!channel>"),
            ("<https://wiki.example/a?x=1&amp;y=2|Runbook>", "{l:Runbook}{d: (https://wiki.example/a?x=1&y=2)}"),
            ("<https://wiki.example>", "{l:https://wiki.example}"),
            ("<!date^1727330320^{date_short_pretty} {time}|26 Sep>", "Sep 26, 2024 05:58"),
            ("<!date^1727330320^{ago}|26 Sep 05:58 UTC>", "26 Sep 05:58 UTC"),
            ("*not bold", "*not bold"),
            ("*a\nb*", "*a\nb*"),
        ];
        for (text, expected) in table {
            assert_eq!(seen(&mrkdwn(text, Style::PLAIN)), expected, "{text}");
        }
        assert!(seen(&mrkdwn("<!channel>", Style::PLAIN)).contains("@channel"), "an injected mention must be seen");
    }

    #[test]
    fn cards_read_markdown() {
        let table = [
            ("**bold** and _slanted_", "{b:bold} and {i:slanted}"),
            (r"\*not\* \_this\_ 1\. \[x\]\(y\)", "*not* _this_ 1. [x](y)"),
            ("[Runbook](https://wiki.example/a_b)", "{l:Runbook}{d: (https://wiki.example/a_b)}"),
            ("- one\n- two", "• one\n• two"),
            ("first\n\nsecond", "first\nsecond"),
            ("__init__.py", "{b:init}.py"),
        ];
        for (text, expected) in table {
            assert_eq!(seen(&markdown(text, Style::PLAIN)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in r"[a-z<>!^|&;*_~`\[\]()\\{}# \n-]{0,60}") {
            let _ = mrkdwn(&text, Style::PLAIN);
            let _ = markdown(&text, Style::PLAIN);
        }
    }
}
