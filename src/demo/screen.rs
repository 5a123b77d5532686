//! The terminal: narration to stderr, messages to stdout.

use std::io::{self, Write};

use super::view::canvas::{Colour, Line, Style};

/// What the terminal is like.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// How many columns a message may take.
    pub width: usize,
    /// Whether stdout shows colours.
    pub colour_out: bool,
    /// Whether stderr shows colours.
    pub colour_err: bool,
}

impl Look {
    /// The least width that a message can be drawn in, and the greatest that is pleasant to read.
    const WIDTHS: (usize, usize) = (40, 100);
    /// The width where there is no terminal.
    const WIDTH: usize = 88;

    /// The look of a terminal of so many columns, or of none.
    #[must_use]
    pub fn new(columns: Option<usize>, colour_out: bool, colour_err: bool) -> Self {
        Self { width: columns.unwrap_or(Self::WIDTH).clamp(Self::WIDTHS.0, Self::WIDTHS.1), colour_out, colour_err }
    }
}

/// The terminal.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    gone: bool,
    /// Whether a message was the last thing written: a blank line sets off what follows.
    after_message: bool,
}

impl Screen {
    /// A screen.
    #[must_use]
    pub const fn new(look: Look) -> Self {
        Self { look, gone: false, after_message: false }
    }

    /// How many columns there are.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.look.width
    }

    /// Whether nobody reads the messages any more (`jobrelay demo | head`).
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.gone
    }

    /// A line of narration.
    pub fn narrate(&mut self, line: &Line) {
        let blank = if std::mem::take(&mut self.after_message) { "\n" } else { "" };
        // A reader of stderr that has gone is nobody to tell.
        let _ = writeln!(io::stderr(), "{blank}{}", line.painted(self.look.colour_err));
    }

    /// Lines that are the demo's result, written whole.
    pub fn show(&mut self, lines: &[Line]) {
        let text: String = lines.iter().map(|line| line.painted(self.look.colour_out) + "\n").collect();
        let mut out = io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.gone = true;
        }
    }

    /// A message under the name of the place where it arrived.
    pub fn message(&mut self, place: &str, detail: &str, time: &str, lines: Vec<Line>) {
        const INDENT: &str = "  ";
        let mut block = vec![Line::default(), heading(place, detail, time, self.look.width)];
        block.extend(lines.into_iter().map(|line| {
            let mut indented = Line::of(INDENT, Style::PLAIN);
            indented.extend(line);
            indented
        }));
        self.show(&block);
        self.after_message = true;
    }

    /// How many columns a message's own lines may take.
    #[must_use]
    pub const fn inner_width(&self) -> usize {
        self.look.width - 2
    }
}

/// A name on a rule, with a detail behind it and a word at its end.
#[must_use]
pub fn heading(name: &str, detail: &str, end: &str, width: usize) -> Line {
    let edge = Style::PLAIN.in_colour(Colour::GREY);
    let set_off = |word: &str| if word.is_empty() { String::new() } else { format!(" {word}") };
    let line = Line::of("── ", edge).and(name, Style::BOLD.in_colour(Colour::BLUE)).and(&set_off(detail), Style::DIM).and(" ", edge);
    let tail = if end.is_empty() { Line::default() } else { Line::of(&set_off(end), Style::DIM).and(" ──", edge) };
    let rule = width.saturating_sub(line.width() + tail.width());
    let mut line = line.and(&"─".repeat(rule), edge);
    line.extend(tail);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_fills_the_width() {
        let line = heading("Slack", "#oncall", "01:30", 40);
        assert_eq!(line.text(), "── Slack #oncall ────────────── 01:30 ──");
        assert_eq!(line.width(), 40);
        assert_eq!(heading("In sum", "", "", 20).text(), "── In sum ──────────");
    }

    #[test]
    fn the_width_stays_readable() {
        let width = |columns| Look::new(columns, false, false).width;
        assert_eq!((width(None), width(Some(10)), width(Some(72)), width(Some(400))), (88, 40, 72, 100));
    }
}
