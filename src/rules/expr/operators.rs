//! The operators between two parts of an expression: to what they can be applied, and what comes of it.

use cel::common::ast::operators;

use crate::document::{Fault, near};

use super::{super::codes, check::Checker, functions, job::Field, kind::Kind, shape::Shape};

impl Checker<'_> {
    /// An operator between two parts.
    pub fn operation(&mut self, id: u64, name: &str, left: &Shape, right: &Shape) -> Option<Shape> {
        use Kind::{Any, Bool, Bytes, Double, Duration, Int, List, Map, Null, Text, Time, Uint};
        let (a, b) = (left.kind, right.kind);
        let (least, both) = (left.weight().min(right.weight()), left.weight().saturating_add(right.weight()));
        let known = match name {
            operators::EQUALS | operators::NOT_EQUALS => {
                self.spend(least);
                let null = (a == Null && right.may_be_null) || (b == Null && left.may_be_null);
                (a.fits(b) || (a.is_number() && b.is_number()) || null).then(|| Shape::of(Bool))
            }
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
                self.spend(least);
                let ordered = |kind| matches!(kind, Bool | Int | Uint | Double | Text | Bytes | Time | Duration | Any);
                (ordered(a) && ordered(b) && (a.fits(b) || (a.is_number() && b.is_number()))).then(|| Shape::of(Bool))
            }
            operators::IN => {
                self.spend(right.weight().saturating_add(left.weight()));
                match b {
                    List => (a.fits(right.items) || (a.is_number() && right.items.is_number())).then(|| Shape::of(Bool)),
                    Map | Any => Some(Shape::of(Bool)),
                    _ => None,
                }
            }
            operators::INDEX => match (a, b) {
                (List, Int | Uint | Double | Any) => Some(Shape { bytes: left.bytes, ..left.part(left.items) }),
                (Map | Any, Text | Int | Uint | Double | Bool | Any) => Some(Shape { bytes: left.bytes, ..left.part(Any) }),
                _ => None,
            },
            operators::ADD => {
                self.spend(both / 4);
                let (len, bytes) = (left.len.saturating_add(right.len), left.bytes.saturating_add(right.bytes));
                let below = left.below.max(right.below);
                let kind = match (a, b) {
                    (Int, Int) | (Uint, Uint) | (Double, Double) | (Text, Text) | (Bytes, Bytes) | (Duration, Duration) => Some(a),
                    (Time, Duration) | (Duration, Time) => Some(Time),
                    (List, List) => Some(List),
                    (Any, Int | Uint | Double | Text | Bytes | Duration | Time | List | Any)
                    | (Int | Uint | Double | Text | Bytes | Duration | Time | List, Any) => Some(Any),
                    _ => None,
                };
                kind.map(|kind| Shape { items: left.items.or(right.items), len, below, bytes, ..Shape::of(kind) })
            }
            operators::SUBSTRACT => match (a, b) {
                (Int, Int) | (Uint, Uint) | (Double, Double) | (Duration, Duration) => Some(Shape::of(a)),
                (Time, Duration) => Some(Shape::of(Time)),
                (Time, Time) => Some(Shape::of(Duration)),
                (Any, Int | Uint | Double | Duration | Time | Any) | (Int | Uint | Double | Duration | Time, Any) => Some(Shape::of(Any)),
                _ => None,
            },
            operators::MULTIPLY | operators::DIVIDE => match (a, b) {
                (Int, Int) | (Uint, Uint) | (Double, Double) => Some(Shape::of(a)),
                (Any, Int | Uint | Double | Any) | (Int | Uint | Double, Any) => Some(Shape::of(Any)),
                _ => None,
            },
            operators::MODULO => match (a, b) {
                (Int, Int) | (Uint, Uint) => Some(Shape::of(a)),
                (Any, Int | Uint | Any) | (Int | Uint, Any) => Some(Shape::of(Any)),
                _ => None,
            },
            _ => None,
        };
        known.or_else(|| self.no_operation(id, name, left, right))
    }

    fn no_operation<T>(&mut self, id: u64, name: &str, left: &Shape, right: &Shape) -> Option<T> {
        let (a, b) = (left.kind, right.kind);
        let words = |shape: &Shape| {
            if shape.kind == Kind::List && shape.items != Kind::Any {
                format!("a list of {}", of_many(shape.items))
            } else {
                shape.kind.words().to_owned()
            }
        };
        let message = format!("{} can't be applied to {} and {}", functions::shown(name), words(left), words(right));
        let hint = match (a, b) {
            (Kind::Null, _) | (_, Kind::Null) => "this is never null",
            (a, b) if a.is_number() && b.is_number() => "both must be of one sort: write 2.0, or double(x)",
            (Kind::Duration, Kind::Text | Kind::Int) | (Kind::Text | Kind::Int, Kind::Duration) => {
                "write a duration as in duration(\"30m\")"
            }
            (Kind::Time, Kind::Text) | (Kind::Text, Kind::Time) => "write a time as in timestamp(\"2026-01-31T08:00:00Z\")",
            (Kind::Text, Kind::Int) if left.field.is_some() => "names, not numbers: job.state is \"failed\"",
            _ => "",
        };
        self.wrong(id, message, hint)
    }

    /// A state, type or category compared with a text that is the name of none never holds: most likely a slip.
    pub fn names_of_codes(&mut self, left: &Shape, right: &Shape) {
        for (one, other) in [(left, right), (right, left)] {
            let code = match one.field {
                Some(Field::State) => codes::Field::State,
                Some(Field::Type) => codes::Field::Type,
                Some(Field::Category) => codes::Field::Category,
                _ => continue,
            };
            let (what, known) = (code.word(), code.names());
            for (id, text) in &other.texts {
                // What the vendor's page does not list goes by its number, and only that.
                let meant = code.parse(text).map(|number| code.name(number));
                if self.filled || meant.as_deref() == Some(text.as_str()) {
                    continue;
                }
                let near = meant.as_deref().or_else(|| near(text, known.iter().map(AsRef::as_ref)));
                let hint = near.map_or_else(|| format!("known: {}", known.join(", ")), |near| format!("did you mean \"{near}\"?"));
                self.faults.push(Fault::warning(&(self.place)(*id, ""), format!("unknown {what} \"{text}\"")).hint(hint));
            }
        }
    }
}

const fn of_many(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "texts",
        Kind::Int | Kind::Uint | Kind::Double => "numbers",
        Kind::Time => "times",
        Kind::Duration => "durations",
        _ => "other values",
    }
}
