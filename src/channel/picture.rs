//! A digest's last days as a picture for mail: Gmail shows neither SVG nor data addresses, and nothing that is fetched is shown
//! unasked.
//!
//! It holds no text, which is the page's around it, and no background, so that it can stand on a light page and on a dark one.

use tiny_skia::{Color, Paint, PathBuilder, Pixmap, Rect, Transform};

use crate::domain::Day;

/// Twice the size at which it is shown, for sharp screens.
const WIDTH: u16 = 1_088;
const HEIGHT: u16 = 192;
/// What a bar takes of its day's width.
const BAR: f32 = 0.68;
/// The line that the bars stand on.
const LINE: f32 = 3.0;
/// The least height of what is there at all.
const LEAST: f32 = 6.0;

/// The colours, each to be told from white and from a dark page: failed, otherwise, finished, and the line.
const FAILED: (u8, u8, u8) = (0xe5, 0x48, 0x4d);
const OTHER: (u8, u8, u8) = (0x8a, 0x94, 0xa3);
const FINISHED: (u8, u8, u8) = (0x30, 0xa4, 0x6c);

/// The picture as a PNG; none where there is no day to draw.
#[must_use]
pub fn picture(days: &[Day]) -> Option<Vec<u8>> {
    let mut page = Pixmap::new(WIDTH.into(), HEIGHT.into())?;
    let most = days.iter().map(Day::ended).max()?.max(1);
    let (width, height) = (f32::from(WIDTH), f32::from(HEIGHT));
    let ground = height - LINE;
    let room = ground - 2.0 * LEAST;
    fill(&mut page, OTHER, 0.0, ground, width, LINE);
    let step = width / f32::from(u16::try_from(days.len()).ok()?.max(1));
    let mut left = step * (1.0 - BAR) / 2.0;
    for day in days {
        let mut top = ground;
        // What failed stands on the ground, where it is seen however little it is.
        for (colour, count) in [(FAILED, day.failed), (OTHER, day.other), (FINISHED, day.finished)] {
            if count > 0 {
                // Less than one in a thousand is no matter to a bar.
                let thousandths = u16::try_from(u128::from(count) * 1_000 / u128::from(most)).unwrap_or(1_000);
                let tall = (room * f32::from(thousandths) / 1_000.0).max(LEAST);
                top -= tall;
                fill(&mut page, colour, left, top.max(0.0), step * BAR, tall);
            }
        }
        left += step;
    }
    page.encode_png().ok()
}

fn fill(page: &mut Pixmap, (red, green, blue): (u8, u8, u8), left: f32, top: f32, width: f32, height: f32) {
    let Some(rect) = Rect::from_xywh(left, top, width, height) else { return };
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(red, green, blue, 0xff));
    page.fill_path(&PathBuilder::from_rect(rect), &paint, tiny_skia::FillRule::Winding, Transform::identity(), None);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn drawn(days: &[(u64, u64, u64)]) -> Pixmap {
        let day = |(finished, failed, other): &(u64, u64, u64)| Day {
            at: Timestamp::UNIX_EPOCH,
            finished: *finished,
            failed: *failed,
            other: *other,
        };
        let days: Vec<Day> = days.iter().map(day).collect();
        let png = picture(&days).unwrap();
        assert!(png.len() < 20_000, "{} bytes", png.len());
        Pixmap::decode_png(&png).unwrap()
    }

    fn at(page: &Pixmap, x: u32, y: u32) -> (u8, u8, u8) {
        let pixel = page.pixel(x, y).unwrap().demultiply();
        (pixel.red(), pixel.green(), pixel.blue())
    }

    #[test]
    fn a_bar_is_as_high_as_its_day_was_full_and_what_failed_is_always_seen() {
        let page = drawn(&[(100, 0, 0), (50, 0, 0), (0, 0, 0), (1_000, 1, 0)]);
        let (width, ground) = (u32::from(WIDTH) / 4, u32::from(HEIGHT) - 6);
        let middle = |n: u32| n * width + width / 2;
        assert_eq!(at(&page, middle(3), ground), FAILED);
        assert_eq!(at(&page, middle(3), ground - 20), FINISHED);
        assert_eq!(at(&page, middle(0), ground), FINISHED);
        assert_eq!(page.pixel(middle(0), 20).unwrap().alpha(), 0);
        assert_eq!(page.pixel(middle(2), ground).unwrap().alpha(), 0);
        let height = |n: u32| (0..ground).filter(|y| page.pixel(middle(n), *y).unwrap().alpha() > 0).count();
        assert!(height(0) > height(1) && height(3) > 8 * height(0), "{} {} {}", height(0), height(1), height(3));
    }

    #[test]
    fn any_counts_make_a_picture() {
        drawn(&[(0, 0, 0)]);
        drawn(&[(u64::MAX / 4, u64::MAX / 4, u64::MAX / 4), (1, 1, 1)]);
        drawn(&[(3, 2, 1); 400]);
        assert_eq!(picture(&[]), None);
    }
}
