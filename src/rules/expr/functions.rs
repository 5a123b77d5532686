//! The functions of an expression: the standard ones of the language and three of its extension for text. What is not
//! here, the crate may know, but no expression may call.

use super::kind::Kind::{self, Any, Bool, Bytes, Double, Duration, Int, List, Map, Text, Time, Type, Uint};

/// One way to call a function.
pub(super) struct Signature {
    pub name: &'static str,
    /// What it is called on; none for `f(x)`.
    pub on: Option<Kind>,
    pub takes: &'static [Kind],
    pub gives: Kind,
}

const fn plain(name: &'static str, takes: &'static [Kind], gives: Kind) -> Signature {
    Signature { name, on: None, takes, gives }
}

const fn on(on: Kind, name: &'static str, takes: &'static [Kind], gives: Kind) -> Signature {
    Signature { name, on: Some(on), takes, gives }
}

pub(super) const FUNCTIONS: &[Signature] = &[
    plain("size", &[Text], Int),
    plain("size", &[Bytes], Int),
    plain("size", &[List], Int),
    plain("size", &[Map], Int),
    on(Text, "size", &[], Int),
    on(Bytes, "size", &[], Int),
    on(List, "size", &[], Int),
    on(Map, "size", &[], Int),
    on(Text, "contains", &[Text], Bool),
    on(Text, "startsWith", &[Text], Bool),
    on(Text, "endsWith", &[Text], Bool),
    plain("matches", &[Text, Text], Bool),
    on(Text, "matches", &[Text], Bool),
    on(Text, "lowerAscii", &[], Text),
    on(Text, "upperAscii", &[], Text),
    on(Text, "trim", &[], Text),
    plain("bool", &[Bool], Bool),
    plain("bool", &[Text], Bool),
    plain("bytes", &[Text], Bytes),
    plain("bytes", &[Bytes], Bytes),
    plain("double", &[Double], Double),
    plain("double", &[Int], Double),
    plain("double", &[Uint], Double),
    plain("double", &[Text], Double),
    plain("int", &[Int], Int),
    plain("int", &[Uint], Int),
    plain("int", &[Double], Int),
    plain("int", &[Text], Int),
    plain("int", &[Time], Int),
    plain("uint", &[Uint], Uint),
    plain("uint", &[Int], Uint),
    plain("uint", &[Double], Uint),
    plain("uint", &[Text], Uint),
    plain("string", &[Text], Text),
    plain("string", &[Bool], Text),
    plain("string", &[Int], Text),
    plain("string", &[Uint], Text),
    plain("string", &[Double], Text),
    plain("string", &[Bytes], Text),
    plain("string", &[Time], Text),
    plain("string", &[Duration], Text),
    plain("duration", &[Text], Duration),
    plain("duration", &[Duration], Duration),
    plain("timestamp", &[Text], Time),
    plain("timestamp", &[Int], Time),
    plain("timestamp", &[Time], Time),
    plain("dyn", &[Any], Any),
    plain("type", &[Any], Type),
    on(Duration, "getHours", &[], Int),
    on(Duration, "getMinutes", &[], Int),
    on(Duration, "getSeconds", &[], Int),
    on(Duration, "getMilliseconds", &[], Int),
    on(Time, "getFullYear", &[], Int),
    on(Time, "getMonth", &[], Int),
    on(Time, "getDate", &[], Int),
    on(Time, "getDayOfMonth", &[], Int),
    on(Time, "getDayOfWeek", &[], Int),
    on(Time, "getDayOfYear", &[], Int),
    on(Time, "getHours", &[], Int),
    on(Time, "getMinutes", &[], Int),
    on(Time, "getSeconds", &[], Int),
    on(Time, "getMilliseconds", &[], Int),
    on(Time, "getFullYear", &[Text], Int),
    on(Time, "getMonth", &[Text], Int),
    on(Time, "getDate", &[Text], Int),
    on(Time, "getDayOfMonth", &[Text], Int),
    on(Time, "getDayOfWeek", &[Text], Int),
    on(Time, "getDayOfYear", &[Text], Int),
    on(Time, "getHours", &[Text], Int),
    on(Time, "getMinutes", &[Text], Int),
    on(Time, "getSeconds", &[Text], Int),
    on(Time, "getMilliseconds", &[Text], Int),
];

/// The macros, for whoever is near one of them.
pub(super) const MACROS: [&str; 6] = ["all", "exists", "exists_one", "map", "filter", "has"];

/// A function or operator as it is written: `_>_` is `>`.
pub(super) fn shown(name: &str) -> String {
    match name {
        "@in" => "`in`".to_owned(),
        "_?_:_" => "`?:`".to_owned(),
        name => format!("`{}`", name.replace('_', "")),
    }
}
