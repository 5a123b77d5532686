//! `job`: its fields, the same as in templates, and their values.

use std::collections::HashMap;

use cel::common::{
    types::{CelBool, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp, CelUInt},
    value::Val,
};
use jiff::Timestamp;

use crate::domain::{Job, format_duration};

use super::{Facts, kind::Kind};

/// The longest text of a job that an expression looks at, in bytes: names and ids are far shorter.
pub(super) const TEXT_BYTES: usize = 1 << 10;
/// The most values, and bytes of text in all, in a job's `extension`.
pub(super) const EXTENSION_VALUES: usize = 256;
pub(super) const EXTENSION_BYTES: usize = 8 << 10;
/// How much of `extension` is shown to whoever asks why, in characters.
const SHOWN_CHARS: usize = 100;

/// A field of `job`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Source,
    Type,
    State,
    Started,
    Finished,
    Duration,
    Profile,
    Category,
    Extension,
}

impl Field {
    pub const ALL: [Self; 10] = [
        Self::Id,
        Self::Source,
        Self::Type,
        Self::State,
        Self::Started,
        Self::Finished,
        Self::Duration,
        Self::Profile,
        Self::Category,
        Self::Extension,
    ];

    /// Its name with `job.` before it.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Id => "job.id",
            Self::Source => "job.source",
            Self::Type => "job.type",
            Self::State => "job.state",
            Self::Started => "job.started",
            Self::Finished => "job.finished",
            Self::Duration => "job.duration",
            Self::Profile => "job.profile",
            Self::Category => "job.category",
            Self::Extension => "job.extension",
        }
    }

    pub fn word(self) -> &'static str {
        self.variable().trim_start_matches("job.")
    }

    pub const fn kind(self) -> Kind {
        match self {
            Self::Id | Self::Source | Self::Type | Self::State | Self::Profile | Self::Category => Kind::Text,
            Self::Started | Self::Finished => Kind::Time,
            Self::Duration => Kind::Duration,
            Self::Extension => Kind::Any,
        }
    }

    /// Whether a job may have none, which is null.
    pub const fn may_be_null(self) -> bool {
        matches!(self, Self::Type | Self::Started | Self::Finished | Self::Duration | Self::Category | Self::Extension)
    }

    /// Its value; why there is none to be had.
    pub fn value<'j>(self, facts: &Facts<'j>) -> Result<Box<dyn Val + 'j>, String> {
        let job = facts.job;
        let null = || Box::new(CelNull) as Box<dyn Val + 'j>;
        Ok(match self {
            Self::Id => short(self, &job.id)?,
            Self::Source => short(self, job.source.as_str())?,
            Self::Profile => short(self, &job.profile)?,
            Self::State => Box::new(CelString::from(job.state.name())),
            Self::Type => job.kind.map_or_else(null, |kind| Box::new(CelString::from(kind.name()))),
            Self::Category => job.category.map_or_else(null, |category| Box::new(CelString::from(category.name()))),
            Self::Started => job.started.and_then(time).unwrap_or_else(null),
            Self::Finished => job.finished.and_then(time).unwrap_or_else(null),
            Self::Duration => {
                let duration = job.duration(facts.now).and_then(|duration| chrono::Duration::from_std(duration).ok());
                duration.map_or_else(null, |duration| Box::new(CelDuration::from(duration)))
            }
            Self::Extension => Budget::default().value(&job.extension).ok_or_else(|| {
                format!(
                    "the job's extension has more than {EXTENSION_VALUES} values or {EXTENSION_BYTES} bytes: no expression looks into it"
                )
            })?,
        })
    }

    /// Its value as people read it.
    pub fn shown(self, facts: &Facts<'_>) -> String {
        let Job { source, id, kind, state, started, finished, profile, category, extension } = facts.job;
        let null = || "null".to_owned();
        let moment = |at: &Option<Timestamp>| at.map_or_else(null, |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string());
        match self {
            Self::Id => id.clone(),
            Self::Source => source.to_string(),
            Self::Profile => profile.clone(),
            Self::State => state.name().into_owned(),
            Self::Type => kind.map_or_else(null, |kind| kind.name().into_owned()),
            Self::Category => category.map_or_else(null, |category| category.name().into_owned()),
            Self::Started => moment(started),
            Self::Finished => moment(finished),
            Self::Duration => facts.job.duration(facts.now).map_or_else(null, format_duration),
            Self::Extension => {
                let text = extension.to_string();
                let cut: String = text.chars().take(SHOWN_CHARS).collect();
                if cut.len() < text.len() { format!("{cut}…") } else { text }
            }
        }
    }
}

fn short<'j>(field: Field, text: &'j str) -> Result<Box<dyn Val + 'j>, String> {
    if text.len() > TEXT_BYTES {
        return Err(format!("job.{} is longer than {TEXT_BYTES} bytes: no expression looks into it", field.word()));
    }
    Ok(Box::new(CelString::from(text)))
}

/// None outside of the years that the language knows, 1 to 9999.
fn time<'j>(at: Timestamp) -> Option<Box<dyn Val + 'j>> {
    let nanos = u32::try_from(at.as_nanosecond().rem_euclid(1_000_000_000)).ok()?;
    let seconds = i64::try_from(at.as_nanosecond().div_euclid(1_000_000_000)).ok()?;
    let known = at.to_zoned(jiff::tz::TimeZone::UTC).year() > 0;
    let at = chrono::DateTime::from_timestamp(seconds, nanos).filter(|_| known)?;
    Some(Box::new(CelTimestamp::from(at.fixed_offset())))
}

/// What may still be taken of an `extension`.
struct Budget {
    values: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { values: EXTENSION_VALUES, bytes: EXTENSION_BYTES }
    }
}

impl Budget {
    /// The value as the language has it; none past the budget.
    fn value<'j>(&mut self, value: &'j serde_json::Value) -> Option<Box<dyn Val + 'j>> {
        self.values = self.values.checked_sub(1)?;
        Some(match value {
            serde_json::Value::Null => Box::new(CelNull),
            serde_json::Value::Bool(value) => Box::new(CelBool::from(*value)),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Box::new(CelInt::from(number)),
                (None, Some(number)) => Box::new(CelUInt::from(number)),
                (None, None) => Box::new(CelDouble::from(number.as_f64()?)),
            },
            serde_json::Value::String(text) => Box::new(CelString::from(self.text(text)?)),
            serde_json::Value::Array(items) => {
                let items: Option<Vec<Box<dyn Val + 'j>>> = items.iter().map(|item| self.value(item)).collect();
                Box::new(CelList::from(items?))
            }
            serde_json::Value::Object(entries) => {
                let mut map: HashMap<CelMapKey<'j>, Box<dyn Val + 'j>> = HashMap::new();
                for (key, value) in entries {
                    map.insert(CelMapKey::from(self.text(key)?), self.value(value)?);
                }
                Box::new(CelMap::from(map))
            }
        })
    }

    fn text<'j>(&mut self, text: &'j str) -> Option<&'j str> {
        self.bytes = self.bytes.checked_sub(text.len())?;
        Some(text)
    }
}
