//! The whole list read once, as the first turn of a service reads it, with nothing written down.

use std::hash::RandomState;

use super::{
    Habits,
    habits::again_after,
    pages::facts,
    sweep::{Plan, Step, Sweep},
};
use crate::{
    domain::{Job, Name},
    source::{BadRow, Feed, FeedError},
};

/// Reads a feed's list to its end. Each page's rows are handed on as they come: pages overlap, so a job may come more than once.
///
/// # Errors
/// A page could not be had; but for the first, asked for again with patience. What was handed on before stands.
pub async fn read_whole(
    feed: &dyn Feed,
    source: &Name,
    habits: &Habits,
    mut page_read: impl FnMut(Vec<Result<Job, BadRow>>),
) -> Result<Whole, FeedError> {
    let plan = Plan { bound: None, page_size: feed.page_size(), paging: None, overlap: habits.overlap };
    let hasher = RandomState::new();
    let mut sweep = Sweep::new(plan, hasher.clone());
    let mut page = feed.page(&sweep.head()).await?;
    loop {
        let step = sweep.after(facts(&page, &hasher));
        page_read(page.rows);
        match step {
            Step::Read(next) => page = patiently(source, || feed.page(&next)).await?,
            Step::Complete => return Ok(Whole::Complete),
            Step::Incomplete(why) => return Ok(Whole::Incomplete(why)),
        }
    }
}

/// How a reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// Every job that stood in the list throughout has been met.
    Complete,
    /// Jobs may have been missed; why.
    Incomplete(String),
}

/// Reads a page in the middle of a sweep, which is worth some patience: a sweep that ends early begins again from the head.
///
/// # Errors
/// The page could not be had, asked for again as often as makes sense.
pub async fn patiently<T, F>(source: &Name, read: impl Fn() -> F) -> Result<T, FeedError>
where
    F: Future<Output = Result<T, FeedError>>,
{
    let mut failed = 0;
    loop {
        let error = match read().await {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        failed += 1;
        let Some(wait) = again_after(&error, failed, rand::random()) else { return Err(error) };
        tracing::debug!(%source, %error, failed, "a page could not be read; it is asked for again");
        tokio::time::sleep(wait).await;
    }
}
