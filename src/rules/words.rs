//! The words of rule files, as lists.

use std::borrow::Cow;

use crate::domain::{Category, JobType, Severity, State};

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> Cow<'static, str>) -> Vec<String> {
    all.iter().map(|one| name(*one).into_owned()).collect()
}

/// A job's states.
#[must_use]
pub fn states() -> Vec<String> {
    named(State::ALL, State::name)
}

/// A job's types.
#[must_use]
pub fn types() -> Vec<String> {
    named(JobType::ALL, JobType::name)
}

/// The categories of scan profiles.
#[must_use]
pub fn categories() -> Vec<String> {
    named(Category::ALL, Category::name)
}

/// The severities.
#[must_use]
pub fn severities() -> Vec<String> {
    Severity::ALL.iter().map(|severity| severity.name().to_owned()).collect()
}
