//! The kinds of values in an expression.

/// What a part of an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Time,
    Duration,
    List,
    Map,
    /// What `type(x)` gives.
    Type,
    /// Whatever the job has: known once it is there.
    Any,
}

impl Kind {
    /// In words, with an article.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int | Self::Uint | Self::Double => "a number",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::List => "a list",
            Self::Map => "a mapping",
            Self::Type => "a type",
            Self::Any => "any value",
        }
    }

    /// Whether a value of this kind may stand where that one is wanted.
    pub fn fits(self, wanted: Self) -> bool {
        self == wanted || self == Self::Any || wanted == Self::Any
    }

    /// Whether it is a number of some sort: those compare with one another.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// The kind of what is of either.
    pub fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }
}

/// The crate's name of a type, in words.
pub(super) fn word(name: &str) -> &str {
    match name {
        "null_type" | "null" => "null",
        "bool" => "true or false",
        "int" | "uint" | "double" | "float" => "a number",
        "string" => "text",
        "google.protobuf.Timestamp" | "timestamp" => "a time",
        "google.protobuf.Duration" | "duration" => "a duration",
        "list" => "a list",
        "map" => "a mapping",
        "bytes" => "bytes",
        _ => "another value",
    }
}
