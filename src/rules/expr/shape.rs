//! What is known of a part of an expression before any job is there.

use cel::common::ast::LiteralValue;

use super::{
    job::{EXTENSION_BYTES, EXTENSION_VALUES, Field},
    kind::Kind,
};

/// What is known of a part.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub kind: Kind,
    /// Of a list, what its items are.
    pub items: Kind,
    pub may_be_null: bool,
    /// The most items, of what has some.
    pub len: u64,
    /// The most items of anything in it.
    pub below: u64,
    /// The most bytes of text in it.
    pub bytes: u64,
    /// The texts that it is, or that it lists, where they stand in the expression.
    pub texts: Vec<(u64, String)>,
    /// The field that it is.
    pub field: Option<Field>,
}

impl Shape {
    pub const fn of(kind: Kind) -> Self {
        Self { kind, items: Kind::Any, may_be_null: false, len: 0, below: 0, bytes: 0, texts: Vec::new(), field: None }
    }

    /// Text of at most so many bytes.
    pub fn text(bytes: u64) -> Self {
        Self { bytes, ..Self::of(Kind::Text) }
    }

    /// Whatever lies in a job's `extension`.
    pub fn any() -> Self {
        let all = EXTENSION_VALUES as u64;
        Self { may_be_null: true, len: all, below: all, bytes: EXTENSION_BYTES as u64, ..Self::of(Kind::Any) }
    }

    pub fn or(&self, other: &Self) -> Self {
        Self {
            kind: if self.kind == Kind::Null || other.kind == Kind::Null { Kind::Any } else { self.kind.or(other.kind) },
            items: self.items.or(other.items),
            may_be_null: self.may_be_null || other.may_be_null,
            len: self.len.max(other.len),
            below: self.below.max(other.below),
            bytes: self.bytes.max(other.bytes),
            texts: Vec::new(),
            field: None,
        }
    }

    /// Something in it, of this kind. Of the bytes it has its share: what is done with each part, is done with the whole once.
    pub fn part(&self, kind: Kind) -> Self {
        let len = if matches!(kind, Kind::List | Kind::Map | Kind::Any) { self.below } else { 0 };
        let bytes = self.bytes.div_ceil(self.len.max(1));
        Self { may_be_null: kind == Kind::Any, len, below: len, bytes, ..Self::of(kind) }
    }

    /// What it costs to go through it all.
    pub const fn weight(&self) -> u64 {
        self.len.saturating_add(self.bytes / 64)
    }
}

/// Of what stands in the expression.
pub(super) fn constant(id: u64, literal: &LiteralValue) -> Shape {
    match literal {
        LiteralValue::Boolean(_) => Shape::of(Kind::Bool),
        LiteralValue::Bytes(bytes) => Shape { bytes: bytes.inner().len() as u64, ..Shape::of(Kind::Bytes) },
        LiteralValue::Double(_) => Shape::of(Kind::Double),
        LiteralValue::Int(_) => Shape::of(Kind::Int),
        LiteralValue::Null => Shape { may_be_null: true, ..Shape::of(Kind::Null) },
        LiteralValue::String(text) => Shape { texts: vec![(id, text.inner().to_owned())], ..Shape::text(text.inner().len() as u64) },
        LiteralValue::UInt(_) => Shape::of(Kind::Uint),
    }
}
