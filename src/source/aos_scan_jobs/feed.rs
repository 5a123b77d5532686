//! The live feed: one request a page, with a token that is renewed once where it is refused.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use url::Url;

use super::{
    link,
    page::{PageBody, read_page},
};
use crate::{
    clock::Clock,
    domain::{Job, Name},
    http::{self, Http, Reply, shorten},
    oauth::{self, Client, Token, Tokens},
    source::{Cursor, Feed, FeedError, Found, Next, Page, Print, answer},
};

/// The whole time one answer may take, from the connection to the last byte. A full page is a third of a megabyte.
pub const PAGE_DEADLINE: Duration = Duration::from_secs(30);
/// The largest page, a hundred times a full one. Compression is not asked for, so that what is read is what was sent.
pub const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// The feed of one tenant.
pub struct JobsFeed {
    source: Name,
    jobs: Url,
    page_size: u32,
    tokens: Tokens,
    http: Http,
    clock: Arc<dyn Clock>,
}

impl JobsFeed {
    /// A feed that has asked for nothing yet.
    pub fn new(source: Name, jobs: Url, page_size: u32, client: Client, http: Http, clock: Arc<dyn Clock>) -> Self {
        let tokens = Tokens::new(client, http.clone());
        Self { source, jobs, page_size, tokens, http, clock }
    }

    /// An answer that is a page, to judge by its status.
    async fn answer(&self, url: Url) -> Result<(Token, Reply), FeedError> {
        let token = self.tokens.token(self.clock.now()).await?;
        let reply = self.ask(url.clone(), &token).await?;
        let (token, reply) = if reply.status == 401 {
            tracing::debug!(source = %self.source, "the token is refused; a new one is asked for");
            let token = self.tokens.renewed(&token, self.clock.now()).await?;
            let reply = self.ask(url, &token).await?;
            (token, reply)
        } else {
            (token, reply)
        };
        if !(200..300).contains(&reply.status) {
            return Err(answer::refusal(&reply, &http::origin(&self.jobs), &token.value, self.clock.now()));
        }
        Ok((token, reply))
    }

    async fn read(&self, url: Url) -> Result<PageBody, FeedError> {
        let (token, reply) = self.answer(url).await?;
        self.body(&token, &reply)
    }

    fn body(&self, token: &Token, reply: &Reply) -> Result<PageBody, FeedError> {
        read_page(&reply.body, &self.source).map_err(|why| {
            let origin = http::origin(&self.jobs);
            let kind = reply.headers.get(CONTENT_TYPE).map(|kind| shorten(&String::from_utf8_lossy(kind.as_bytes())));
            let kind = kind.filter(|kind| !token.value.is_told_in(kind)).unwrap_or_else(|| "no content type".into());
            let id = oauth::request_id(reply, &token.value);
            FeedError::Malformed(format!("{origin} answered HTTP {} with {kind}: {why}{id}", reply.status))
        })
    }

    /// The address of a place in the list, and how many rows are asked for there.
    fn place(&self, at: &Cursor) -> Result<(Url, u32), FeedError> {
        match at {
            Cursor::Skip { skip, top } => Ok((link::list(&self.jobs, *top, *skip), *top)),
            Cursor::Link(link) => Ok((link::follow(&self.jobs, link).map_err(FeedError::Malformed)?, self.page_size)),
        }
    }

    fn page_of(&self, token: &Token, reply: &Reply, top: u32, print: Print) -> Result<Page, FeedError> {
        let page = self.body(token, reply)?;
        let next = match page.next_link {
            Ok(None) => Next::None,
            Ok(Some(said)) => link::next(&self.jobs, top, &said),
            Err(why) => Next::Unusable(why),
        };
        Ok(Page { rows: page.rows, next, served_at: reply.date(), print })
    }

    async fn ask(&self, url: Url, token: &Token) -> Result<Reply, FeedError> {
        let unsendable = || FeedError::Unavailable("the request can't be made: check base_url".into());
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.value.expose())).map_err(|_| unsendable())?;
        bearer.set_sensitive(true);
        let request = self.http.request(Method::GET, url).header(ACCEPT, "application/json").header(AUTHORIZATION, bearer);
        let request = request.build().map_err(|_| unsendable())?;
        self.http.send(request, PAGE_DEADLINE, PAGE_BYTES).await.map_err(|error| answer::silence(&error))
    }
}

#[async_trait]
impl Feed for JobsFeed {
    fn page_size(&self) -> u32 {
        self.page_size
    }

    async fn page(&self, at: &Cursor) -> Result<Page, FeedError> {
        let (url, top) = self.place(at)?;
        let (token, reply) = self.answer(url).await?;
        self.page_of(&token, &reply, top, Print::of(&reply.body))
    }

    async fn page_unless(&self, at: &Cursor, known: Option<Print>) -> Result<Found, FeedError> {
        let (url, top) = self.place(at)?;
        let (token, reply) = self.answer(url).await?;
        let print = Print::of(&reply.body);
        if known == Some(print) {
            return Ok(Found::Known { served_at: reply.date() });
        }
        self.page_of(&token, &reply, top, print).map(Found::Page)
    }

    async fn find(&self, id: &str) -> Result<Option<Job>, FeedError> {
        let page = self.read(link::search(&self.jobs, self.page_size, id)).await?;
        let (mut found, mut other) = (None, false);
        for job in page.rows.into_iter().flatten() {
            // The service may take the id for the beginning or a part of one, or pass over `search` altogether.
            other |= !job.id.contains(id);
            if job.id == id {
                found = Some(job);
            }
        }
        if found.is_none() && other {
            // That the job is not among these says nothing.
            let origin = http::origin(&self.jobs);
            return Err(FeedError::Malformed(format!("{origin} passes over `search`: the answer holds jobs that were not asked for")));
        }
        Ok(found)
    }

    async fn probe(&self) -> Result<(), FeedError> {
        let page = self.read(link::list(&self.jobs, 1, 0)).await?;
        match page.rows.into_iter().next() {
            Some(Err(row)) => Err(FeedError::Malformed(format!("a row can't be read: {}", row.why))),
            _ => Ok(()),
        }
    }
}
