//! JSON as people save it: comments and trailing commas are blanked out, so that what is left is JSON and stands where it stood.

/// The text of a file: UTF-8, or what Windows' own tools write. A byte order mark is left out; bytes that are no text spoil the value
/// they stand in, not the file.
pub fn decoded(bytes: Vec<u8>) -> String {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(read);
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// The text with blanks in place of every comment (`// …` to the end of its line, `/* … */`) and of every comma with nothing behind
/// it but the end of its list or object. Every other byte stays in its place.
pub fn strict(text: String) -> String {
    let mut bytes = text.into_bytes();
    // The last comma, as long as only blanks and comments stand behind it.
    let mut comma: Option<usize> = None;
    // The last byte that is neither blank nor in a comment: only a value has a comma behind it.
    let mut last = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                (comma, last) = (None, byte);
                at = end_of_string(&bytes, at);
                continue;
            }
            b'/' => {
                if let Some(end) = end_of_comment(&bytes, at) {
                    for blank in bytes.get_mut(at..end).unwrap_or_default().iter_mut().filter(|byte| !matches!(**byte, b'\n' | b'\r')) {
                        *blank = b' ';
                    }
                    at = end;
                    continue;
                }
                if bytes.get(at + 1) == Some(&b'*') {
                    // It is never closed: this is no JSON from here on, and the reader says where.
                    break;
                }
                (comma, last) = (None, byte);
            }
            b',' => {
                comma = (!matches!(last, 0 | b'[' | b'{' | b',' | b':')).then_some(at);
                last = byte;
            }
            b']' | b'}' => {
                last = byte;
                if let Some(trailing) = comma.take().and_then(|comma| bytes.get_mut(comma)) {
                    *trailing = b' ';
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => (comma, last) = (None, byte),
        }
        at += 1;
    }
    // Whole comments gave way to blanks, so what was UTF-8 is still.
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Behind the closing mark of the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// Behind the comment that begins at `at`; none if there is none.
fn end_of_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at + 2..)?;
    match bytes.get(at + 1)? {
        b'/' => Some(rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + 2 + end)),
        b'*' => rest.windows(2).position(|pair| pair == b"*/").map(|end| at + 2 + end + 2),
        _ => None,
    }
}

/// The line and column, both from 1 and the column in characters, of a place in the text.
pub fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
    (line, 1 + before.get(line_start..).unwrap_or_default().chars().count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        let strict = strict(text.to_owned());
        assert_eq!(strict.len(), text.len(), "everything stays in its place");
        assert_eq!(serde_json::from_str::<Value>(&strict).ok().as_ref(), Some(expected), "{strict}");
    }

    #[test]
    fn comments_and_trailing_commas_are_passed_over() {
        check("{\"a\": 1, // one, {\n \"b\": [2, /* two */ 3, /* , ] é\n */ ], // end\n}", &json!({ "a": 1, "b": [2, 3] }));
        check("// only\r\n[1,\r\n]//", &json!([1]));
        check("[1 /**/, /***/ ]", &json!([1]));
    }

    #[test]
    fn what_stands_in_a_text_stays() {
        let text = r#"{"a": "// no, /* no */ ,]", "b\"//": "\\", "c": ["x,", ],}"#;
        check(text, &json!({ "a": "// no, /* no */ ,]", "b\"//": "\\", "c": ["x,"] }));
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["[1,,]", "[,]", "{,}", "[1 /* never closed ]", "[\"never closed", "[1 / 2]", "{,,}", "[\"a\\"] {
            assert!(serde_json::from_str::<Value>(&strict(text.to_owned())).is_err(), "{text}");
        }
    }

    #[test]
    fn a_comment_that_is_never_closed_costs_no_time() {
        let text = "[1, /*".repeat(1 << 18);
        assert_eq!(strict(text.clone()), text);
    }

    #[test]
    fn what_windows_writes_is_read() {
        let utf16 = |text: &str, mark: u16, bytes: fn(u16) -> [u8; 2]| {
            std::iter::once(mark).chain(text.encode_utf16()).flat_map(bytes).collect::<Vec<u8>>()
        };
        assert_eq!(decoded(utf16("[\"é𝄞\"]", 0xFEFF, u16::to_le_bytes)), "[\"é𝄞\"]");
        assert_eq!(decoded(utf16("[\"é𝄞\"]", 0xFEFF, u16::to_be_bytes)), "[\"é𝄞\"]");
        assert_eq!(decoded(b"\xEF\xBB\xBF[]".to_vec()), "[]");
        assert_eq!(decoded(b"[\"a\xff\"]".to_vec()), "[\"a\u{fffd}\"]");
    }

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "é\nab\n\nx";
        for (offset, expected) in [(0, (1, 1)), (2, (1, 2)), (3, (2, 1)), (4, (2, 2)), (6, (3, 1)), (7, (4, 1)), (99, (4, 2))] {
            assert_eq!(place(text, offset), expected, "{offset}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_valid_json_is_left_alone(text in "[\\[\\]{},:/*\"\\\\a1é \n]{0,40}", value in "[a-z/*,\\]} ]{0,12}") {
            prop_assert_eq!(strict(text.clone()).len(), text.len());
            let valid = json!({ "k": [value, 1, { "x": value }] }).to_string();
            prop_assert_eq!(strict(valid.clone()), valid);
        }
    }
}
