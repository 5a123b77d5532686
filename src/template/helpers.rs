//! The helpers templates may use, beside Handlebars' own.
//!
//! Each gives a value (so that one can stand inside another) and leaves the writing to the registry, which escapes it. Only
//! `json`, `url` and `plain` write for themselves, each for a place where the common escaping would be wrong.

use std::time::Duration;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson, RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use serde_json::Value;

use super::{
    escape::{clean, escape, json_body, meaning, one_line},
    part::Landing,
};
use crate::domain::format_duration;

/// How a time is written where a template asks for no format.
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M %Z";
/// The longest text a `format` may make of a time.
const DATE_CHARS: usize = 200;

/// What a helper is, for the check of templates.
pub(super) struct Sign {
    /// Its name.
    pub(super) name: &'static str,
    /// How many arguments it takes.
    pub(super) arguments: std::ops::RangeInclusive<usize>,
    /// The names it takes with `name=value`.
    pub(super) options: &'static [&'static str],
    /// Whether it opens a block: `Some(true)` must, `Some(false)` may, `None` may not.
    pub(super) block: Option<bool>,
    /// Whether its arguments must be single values, not lists or objects.
    pub(super) single: bool,
    /// How it is written, for hints.
    pub(super) usage: &'static str,
}

const fn sign(
    name: &'static str,
    arguments: std::ops::RangeInclusive<usize>,
    block: Option<bool>,
    single: bool,
    usage: &'static str,
) -> Sign {
    Sign { name, arguments, options: &[], block, single, usage }
}

/// Every helper a template may name.
pub(super) const SIGNS: &[Sign] = &[
    Sign { options: &["includeZero"], ..sign("if", 1..=1, Some(true), false, "{{#if VALUE}}…{{else}}…{{/if}}") },
    Sign { options: &["includeZero"], ..sign("unless", 1..=1, Some(true), false, "{{#unless VALUE}}…{{/unless}}") },
    sign("each", 1..=1, Some(true), false, "{{#each LIST}}…{{/each}}"),
    sign("with", 1..=1, Some(true), false, "{{#with VALUE}}…{{/with}}"),
    sign("lookup", 2..=2, None, false, "{{lookup LIST INDEX}}"),
    sign("eq", 2..=2, Some(false), true, "{{#if (eq A B)}}"),
    sign("ne", 2..=2, Some(false), true, "{{#if (ne A B)}}"),
    sign("gt", 2..=2, Some(false), true, "{{#if (gt A B)}}"),
    sign("gte", 2..=2, Some(false), true, "{{#if (gte A B)}}"),
    sign("lt", 2..=2, Some(false), true, "{{#if (lt A B)}}"),
    sign("lte", 2..=2, Some(false), true, "{{#if (lte A B)}}"),
    sign("and", 1..=16, Some(false), false, "{{#if (and A B)}}"),
    sign("or", 1..=16, Some(false), false, "{{#if (or A B)}}"),
    sign("not", 1..=1, Some(false), false, "{{#if (not A)}}"),
    sign("len", 1..=1, None, false, "{{len LIST}}"),
    sign("duration", 1..=1, None, true, "{{duration SECONDS}}"),
    Sign {
        options: &["timezone", "format"],
        ..sign("date", 1..=1, None, true, "{{date TIME timezone=\"Europe/Zurich\" format=\"%H:%M\"}}")
    },
    sign("relative", 1..=1, None, true, "{{relative TIME}}"),
    sign("plural", 2..=3, None, true, "{{plural NUMBER \"job\" \"jobs\"}}"),
    sign("truncate", 2..=2, None, true, "{{truncate TEXT LENGTH}}"),
    sign("json", 1..=1, None, false, "{{json VALUE}}"),
    sign("default", 2..=2, None, false, "{{default VALUE OTHERWISE}}"),
    sign("upper", 1..=1, None, true, "{{upper TEXT}}"),
    sign("lower", 1..=1, None, true, "{{lower TEXT}}"),
    sign("url", 1..=1, None, true, "{{url ADDRESS}}"),
    sign("code", 1..=1, None, true, "{{code TEXT}}"),
    sign("plain", 1..=1, None, true, "{{plain TEXT}}"),
];

/// Gives a registry the product's helpers.
pub(super) fn register(registry: &mut Handlebars<'static>, landing: Landing) {
    for name in ["log", "raw"] {
        registry.unregister_helper(name);
    }
    let mut put = |name: &str, give: Give| registry.register_helper(name, Box::new(Plain(give)));
    put("duration", |h, _| Ok(duration(arg(h, 0))?.into()));
    put("date", |h, _| {
        let option = |name| h.hash_get(name).map(PathAndJson::value);
        Ok(date(arg(h, 0), option("timezone"), option("format"))?.into())
    });
    put("relative", |h, data| Ok(relative(arg(h, 0), data.get("now").unwrap_or(&Value::Null))?.into()));
    put("plural", |h, _| {
        Ok(match h.param(2) {
            _ if arg(h, 0).as_f64() == Some(1.0) => arg(h, 1).clone(),
            Some(several) => several.value().clone(),
            // Most words take an s.
            None => format!("{}s", shown(arg(h, 1))).into(),
        })
    });
    put("default", |h, _| Ok(arg(h, usize::from(is_nothing(arg(h, 0)))).clone()));
    put("upper", |h, _| Ok(shown(arg(h, 0)).to_uppercase().into()));
    put("lower", |h, _| Ok(shown(arg(h, 0)).to_lowercase().into()));
    put("code", |h, _| Ok(code(&shown(arg(h, 0))).into()));
    registry.register_helper("truncate", Box::new(Truncate(landing)));
    registry.register_helper("json", Box::new(Own { landing, give: json }));
    registry.register_helper("url", Box::new(Own { landing, give: |landing, value| url(landing, &shown(value)) }));
    registry.register_helper("plain", Box::new(Own { landing, give: |landing, value| plain(landing, &shown(value)) }));
}

type Give = fn(&Helper<'_>, &Value) -> Result<Value, String>;

struct Plain(Give);

impl HelperDef for Plain {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)(h, context.data()).map(ScopedJson::Derived).map_err(|why| RenderErrorReason::Other(why).into())
    }
}

/// `truncate`, which knows where its text lands.
struct Truncate(Landing);

impl HelperDef for Truncate {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let length = arg(h, 1).as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let length = length.ok_or_else(|| RenderErrorReason::Other("`truncate` takes a text and a length of at least 1".into()))?;
        Ok(ScopedJson::Derived(truncate(self.0, &shown(arg(h, 0)), length).into()))
    }
}

/// A helper whose text is written as it is: it is escaped already.
struct Own {
    landing: Landing,
    give: fn(Landing, &Value) -> String,
}

impl HelperDef for Own {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        _: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        // Inside another helper its text would be escaped a second time; the check of templates refuses it there.
        Err(RenderErrorReason::Other("`json`, `url` and `plain` can't stand inside another helper".into()).into())
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        out.write(&(self.give)(self.landing, arg(h, 0)))?;
        Ok(())
    }
}

static NOTHING: Value = Value::Null;

fn arg<'h>(h: &'h Helper<'_>, at: usize) -> &'h Value {
    h.param(at).map_or(&NOTHING, |param| param.value())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A single value as text.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as an error shows it.
fn brief(text: &str) -> String {
    truncate(Landing::Text, text, 40)
}

/// Seconds in words; nothing for nothing.
fn duration(value: &Value) -> Result<String, String> {
    if is_nothing(value) {
        return Ok(String::new());
    }
    let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.map(format_duration).ok_or_else(|| format!("`duration` takes seconds, not `{}`", brief(&shown(value))))
}

/// A zone of the IANA database by name; UTC for nothing.
pub(super) fn timezone(value: Option<&Value>) -> Result<TimeZone, String> {
    match value {
        None | Some(Value::Null) => Ok(TimeZone::UTC),
        Some(Value::String(name)) => TimeZone::get(name).map_err(|_| format!("there is no time zone `{}`", brief(name))),
        Some(_) => Err("`timezone` takes a name such as \"Europe/Zurich\"".into()),
    }
}

/// A time in a zone and a format.
pub(super) fn date(value: &Value, zone: Option<&Value>, format: Option<&Value>) -> Result<String, String> {
    let zone = timezone(zone)?;
    let format = match format {
        None | Some(Value::Null) => DATE_FORMAT,
        Some(Value::String(format)) => format,
        Some(_) => return Err("`format` takes a text such as \"%Y-%m-%d %H:%M\"".into()),
    };
    let Some(time) = timestamp("date", value)? else { return Ok(String::new()) };
    // UTC has many names in the database; people know this one.
    let format = if zone == TimeZone::UTC { format.replace("%Z", "UTC") } else { format.to_owned() };
    let text = strtime::format(&format, &time.to_zoned(zone)).map_err(|error| format!("the format can't be used: {error}"))?;
    Ok(truncate(Landing::Text, &text, DATE_CHARS))
}

fn timestamp(helper: &str, value: &Value) -> Result<Option<Timestamp>, String> {
    match value {
        value if is_nothing(value) => Ok(None),
        Value::String(text) => match text.parse() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(format!("`{helper}` takes a time, not `{}`", brief(text))),
        },
        _ => Err(format!("`{helper}` takes a time such as `job.finished`")),
    }
}

/// How long ago, or in how long.
fn relative(value: &Value, now: &Value) -> Result<String, String> {
    let (Some(time), Some(now)) = (timestamp("relative", value)?, timestamp("relative", now)?) else { return Ok(String::new()) };
    let apart = now.duration_since(time);
    let long = apart.unsigned_abs();
    Ok(match apart.as_secs() {
        0 => "just now".into(),
        seconds if seconds > 0 => format!("{} ago", format_duration(long)),
        _ => format!("in {}", format_duration(long)),
    })
}

/// Text of at most so many characters as its reader counts them, that is with what escaping adds; `…` stands for what is cut
/// off, and no cut leaves half a joined emoji. It is put in one line, but where it is data.
pub(super) fn truncate(landing: Landing, text: &str, length: usize) -> String {
    let text = if landing == Landing::Json { text.to_owned() } else { one_line(text) };
    let size = |part: &str| meaning(landing, part).chars().count();
    if size(&text) <= length {
        return text;
    }
    // No character is escaped to nothing here, so more than `length` of them never fit.
    let mut kept = String::new();
    let mut room = length - 1;
    for c in text.chars() {
        let mut one = [0; 4];
        match room.checked_sub(size(c.encode_utf8(&mut one))) {
            Some(left) => room = left,
            None => break,
        }
        kept.push(c);
    }
    if landing != Landing::Json {
        kept.truncate(kept.trim_end_matches(['\u{200d}', '\u{fe0f}', ' ']).len());
    }
    kept.push('…');
    kept
}

/// Text that can stand between two backticks: one line, with every backtick replaced by a look-alike.
fn code(text: &str) -> String {
    one_line(text).replace('`', "ˋ")
}

/// The longest web address that is put in a link, counted with each `&` as `&amp;`: two of them fit in one text of Slack's,
/// which has the least room.
const ADDRESS_CHARS: usize = 1_200;

/// A web address that can stand in a link of any of the mark-ups; nothing for any other than `http` and `https`, and for one
/// longer than any message has room for.
pub(super) fn safe_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut safe = String::new();
    for c in url.as_str().chars() {
        match c {
            // What Slack's and Markdown's links end at, and what HTML and JSON take for their own.
            '|' | '<' | '>' | ' ' | '"' | '\'' | '`' | '\\' | '(' | ')' | '*' | '{' | '}' | '^' | '~' => {
                safe.extend(format!("%{:02X}", u32::from(c)).chars());
            }
            c => safe.push(c),
        }
    }
    (safe.len() + 4 * safe.matches('&').count() <= ADDRESS_CHARS).then_some(safe)
}

fn url(landing: Landing, text: &str) -> String {
    let safe = safe_url(text).unwrap_or_default();
    match landing {
        // An address is no Markdown: a backslash would become part of it.
        Landing::CardJson => json_body(&safe),
        landing => escape(landing, &safe),
    }
}

/// Text for a place of a card where no Markdown is read (a `TextRun`, a title of an action); elsewhere as usual.
fn plain(landing: Landing, text: &str) -> String {
    match landing {
        Landing::CardJson => json_body(&clean(text)),
        landing => escape(landing, text),
    }
}

/// A value as JSON, with every text in it as its reader's mark-up wants it.
fn json(landing: Landing, value: &Value) -> String {
    if landing.is_json() { meant(landing, value).to_string() } else { meaning(landing, &value.to_string()) }
}

fn meant(landing: Landing, value: &Value) -> Value {
    match value {
        Value::String(text) => meaning(landing, text).into(),
        Value::Array(items) => items.iter().map(|item| meant(landing, item)).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (meaning(landing, key), meant(landing, value))).collect(),
        other => other.clone(),
    }
}
