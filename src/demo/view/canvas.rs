//! Lines of styled text: wrapped to a width, painted for a terminal. Whatever text goes through here can't steer the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A colour of a terminal with 256 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(u8);

impl Colour {
    /// For what failed.
    pub const RED: Self = Self(203);
    /// For what needs a look.
    pub const AMBER: Self = Self(214);
    /// For what went well.
    pub const GREEN: Self = Self(114);
    /// For links and accents.
    pub const BLUE: Self = Self(75);
    /// For mentions, which must stand out.
    pub const PINK: Self = Self(212);
    /// For frames.
    pub const GREY: Self = Self(244);

    /// The nearest colour of the 6×6×6 cube to `#rrggbb`; none for any other text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        // The cube's steps are 0, 95, 135, 175, 215, 255.
        let step = |shift: u32| match (value >> shift) & 0xff {
            0..=47 => 0u8,
            48..=114 => 1,
            115..=154 => 2,
            155..=194 => 3,
            195..=234 => 4,
            _ => 5,
        };
        Some(Self(16 + 36 * step(16) + 6 * step(8) + step(0)))
    }
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent, as on the terminal")]
pub struct Style {
    /// Heavy.
    pub bold: bool,
    /// Slanted.
    pub italic: bool,
    /// Faint.
    pub dim: bool,
    /// Underlined.
    pub underline: bool,
    /// Crossed out.
    pub strike: bool,
    /// The colour, where it is not the terminal's own.
    pub colour: Option<Colour>,
}

impl Style {
    /// Nothing special.
    pub const PLAIN: Self = Self { bold: false, italic: false, dim: false, underline: false, strike: false, colour: None };
    /// Heavy.
    pub const BOLD: Self = Self { bold: true, ..Self::PLAIN };
    /// Faint.
    pub const DIM: Self = Self { dim: true, ..Self::PLAIN };

    /// The same in a colour.
    #[must_use]
    pub const fn in_colour(self, colour: Colour) -> Self {
        Self { colour: Some(colour), ..self }
    }
}

/// A piece of text in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    text: String,
    style: Style,
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<Span>);

impl Line {
    /// A line of one span.
    #[must_use]
    pub fn of(text: &str, style: Style) -> Self {
        Self::default().and(text, style)
    }

    /// The line with more text behind it.
    #[must_use]
    pub fn and(mut self, text: &str, style: Style) -> Self {
        self.push(text, style);
        self
    }

    /// Adds text, made harmless; a line feed in it counts as a space.
    pub fn push(&mut self, text: &str, style: Style) {
        let text = clean(text).replace('\n', " ");
        if text.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.style == style => last.text.push_str(&text),
            _ => self.0.push(Span { text, style }),
        }
    }

    /// Adds another line's spans.
    pub fn extend(&mut self, other: Self) {
        for span in other.0 {
            self.push(&span.text, span.style);
        }
    }

    /// How many columns it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|span| span.text.width()).sum()
    }

    /// Whether there is nothing to be seen.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.iter().all(|span| span.text.trim().is_empty())
    }

    /// The bare text.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }

    /// The same with a change made to every span's style.
    #[must_use]
    pub fn restyled(mut self, change: impl Fn(Style) -> Style) -> Self {
        for span in &mut self.0 {
            span.style = change(span.style);
        }
        self
    }

    /// Filled up with spaces to a width.
    #[must_use]
    pub fn padded(mut self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        self.push(&" ".repeat(missing), Style::PLAIN);
        self
    }

    /// Broken between words into lines of at most `width` columns; a word longer than that is broken within.
    #[must_use]
    pub fn wrapped(&self, width: usize) -> Vec<Self> {
        self.broken(width, width)
    }

    /// Broken into lines, the first of at most `first` columns and the others of at most `others`.
    fn broken(&self, first: usize, others: usize) -> Vec<Self> {
        let mut width = first.max(1);
        let glyphs = self.glyphs();
        let (mut lines, mut line): (Vec<Vec<Glyph>>, Vec<Glyph>) = (Vec::new(), Vec::new());
        let mut used = 0;
        // A line's indent and bullet are no place to break it at.
        let head = self.head();
        for glyph in glyphs {
            while used + glyph.width > width && !line.is_empty() {
                let indent = if lines.is_empty() { head } else { 0 };
                let at = if glyph.c == ' ' { None } else { line.iter().rposition(|g| g.c == ' ').filter(|at| *at >= indent) };
                let rest = at.map_or_else(Vec::new, |at| line.split_off(at + 1));
                lines.push(std::mem::replace(&mut line, rest));
                (used, width) = (line.iter().map(|g| g.width).sum(), others.max(1));
            }
            if glyph.c == ' ' && line.is_empty() && !lines.is_empty() {
                continue;
            }
            used += glyph.width;
            line.push(glyph);
        }
        lines.push(line);
        lines.into_iter().map(assemble).collect()
    }

    /// Wrapped like [`Line::wrapped`], with what does not fit on the first line set in: as deep as that line itself, behind
    /// its bullet if it has one, or at least by `indent`.
    #[must_use]
    pub fn hanging(&self, width: usize, indent: usize) -> Vec<Self> {
        let indent = self.head().max(indent);
        if indent * 2 >= width {
            return self.wrapped(width);
        }
        let set_in = |(at, line): (usize, Self)| {
            let mut set_in = Self::of(&" ".repeat(if at == 0 { 0 } else { indent }), Style::PLAIN);
            set_in.extend(line);
            set_in
        };
        self.broken(width, width - indent).into_iter().enumerate().map(set_in).collect()
    }

    /// How many columns its indent and its bullet take.
    fn head(&self) -> usize {
        let text = self.text();
        let words = text.trim_start_matches(' ');
        text.len() - words.len() + if ["• ", "- "].iter().any(|bullet| words.starts_with(bullet)) { 2 } else { 0 }
    }

    fn glyphs(&self) -> Vec<Glyph> {
        let mut glyphs: Vec<Glyph> = Vec::new();
        for span in &self.0 {
            for c in span.text.chars() {
                // The sign that asks for an emoji's coloured form makes the character before it two columns wide.
                if c == '\u{fe0f}'
                    && let Some(before) = glyphs.last_mut()
                {
                    before.width = 2;
                }
                glyphs.push(Glyph { c, style: span.style, width: c.width().unwrap_or(0) });
            }
        }
        glyphs
    }

    /// As it is written to a terminal, or without colours.
    #[must_use]
    pub fn painted(&self, colour: bool) -> String {
        if !colour {
            return self.text().trim_end().to_owned();
        }
        let seen = self.0.iter().rposition(|span| !span.text.trim_end().is_empty()).map_or(0, |last| last + 1);
        let paint_one = |(at, span): (usize, &Span)| paint(if at + 1 == seen { span.text.trim_end() } else { &span.text }, span.style);
        self.0.iter().take(seen).enumerate().map(paint_one).collect()
    }
}

#[derive(Debug, Clone, Copy)]
struct Glyph {
    c: char,
    style: Style,
    width: usize,
}

fn assemble(glyphs: Vec<Glyph>) -> Line {
    let mut line = Line::default();
    for glyph in glyphs {
        match line.0.last_mut() {
            Some(last) if last.style == glyph.style => last.text.push(glyph.c),
            _ => line.0.push(Span { text: glyph.c.to_string(), style: glyph.style }),
        }
    }
    // What stood at the break need not be seen.
    if let Some(last) = line.0.last_mut() {
        last.text.truncate(last.text.trim_end_matches(' ').len());
    }
    line
}

fn paint(text: &str, style: Style) -> String {
    let mut codes: Vec<String> = Vec::new();
    for (on, code) in [(style.bold, "1"), (style.dim, "2"), (style.italic, "3"), (style.underline, "4"), (style.strike, "9")] {
        if on {
            codes.push(code.to_owned());
        }
    }
    codes.extend(style.colour.map(|Colour(n)| format!("38;5;{n}")));
    if codes.is_empty() { text.to_owned() } else { format!("\x1b[{}m{text}\x1b[0m", codes.join(";")) }
}

/// Text that can't steer a terminal: control characters are shown as their pictures, what turns the reading direction as
/// `�`, and marks of no width are left out. Line feeds stay; a tab is a space.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\u{2028}' | '\u{2029}' => Some('\n'),
            '\t' => Some(' '),
            '\r' | '\u{200b}' | '\u{2060}' | '\u{feff}' => None,
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)),
            '\x7f' => Some('␡'),
            '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
            other => Some(other),
        })
        .collect()
}

/// Blocks of lines side by side, each in a column as wide as its widest line, with a gap between.
#[must_use]
pub fn beside(columns: &[Vec<Line>], widths: &[usize], gap: usize) -> Vec<Line> {
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|row| {
            let mut line = Line::default();
            for (column, width) in columns.iter().zip(widths) {
                if line.width() > 0 || !line.0.is_empty() {
                    line.push(&" ".repeat(gap), Style::PLAIN);
                }
                line.extend(column.get(row).cloned().unwrap_or_default().padded(*width));
            }
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::text).collect()
    }

    #[test]
    fn lines_break_between_words_and_long_words_within() {
        let line = Line::of("scan failed after ", Style::PLAIN).and("six minutes", Style::BOLD);
        assert_eq!(texts(&line.wrapped(12)), ["scan failed", "after six", "minutes"]);
        assert_eq!(texts(&Line::of("abcdefgh", Style::PLAIN).wrapped(3)), ["abc", "def", "gh"]);
        assert_eq!(texts(&Line::default().wrapped(9)), [""]);
    }

    #[test]
    fn what_hangs_is_set_in_behind_its_bullet() {
        let line = |text: &str| Line::of(text, Style::PLAIN);
        assert_eq!(texts(&line("• scan sites failed twice").hanging(12, 0)), ["• scan sites", "  failed", "  twice"]);
        assert_eq!(texts(&line("  indented words").hanging(11, 0)), ["  indented", "  words"]);
        assert_eq!(texts(&line("- abcdefgh").hanging(6, 0)), ["- abcd", "  efgh"]);
        assert_eq!(texts(&line("plain words").hanging(6, 0)), ["plain", "words"]);
    }

    #[test]
    fn nothing_that_steers_a_terminal_comes_through() {
        let line = Line::of("a\x1b[2Jb\u{9b}31m\u{202e}c\u{200b}\r\td", Style::PLAIN);
        assert_eq!(line.painted(true), "a␛[2Jb\u{fffd}31m\u{fffd}c d");
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let line = Line::of("failed", Style::BOLD.in_colour(Colour::RED)).and(" well", Style::PLAIN);
        assert_eq!(line.painted(true), "\x1b[1;38;5;203mfailed\x1b[0m well");
        assert_eq!(line.painted(false), "failed well");
    }

    #[test]
    fn hex_colours_find_their_neighbour() {
        assert_eq!(Colour::from_hex("#ff0000"), Some(Colour(196)));
        assert_eq!(Colour::from_hex("#000000"), Some(Colour(16)));
        assert_eq!(Colour::from_hex("good"), None);
        assert_eq!(Colour::from_hex("#ééé"), None);
    }

    #[test]
    fn columns_stand_side_by_side() {
        let column = |rows: &[&str]| rows.iter().map(|row| Line::of(row, Style::PLAIN)).collect::<Vec<_>>();
        let lines = beside(&[column(&["Profile", "sites"]), column(&["Took"])], &[9, 4], 2);
        assert_eq!(texts(&lines), ["Profile    Took", "sites          "]);
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_keep_every_letter(text in "[a-zé漢 ⚠]{0,60}", width in 2usize..30) {
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            let line = Line::of(&text, Style::PLAIN);
            for lines in [line.wrapped(width), line.hanging(width, 1)] {
                prop_assert!(lines.iter().all(|line| line.width() <= width));
                prop_assert_eq!(letters(&texts(&lines).concat()), letters(&text));
            }
        }

        #[test]
        fn no_escape_is_ever_painted_from_a_text(text in any::<String>()) {
            prop_assert!(!Line::of(&text, Style::PLAIN).painted(false).chars().any(char::is_control));
        }
    }
}
