//! Reading a list to its end.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::timeout;

use super::{call::Caller, messages::Page};
use crate::strongdm::{error::Error, proto::ListRequestMetadata};

/// Items per page. strongDM's default is 50; its maximum is not documented.
pub(crate) const PAGE: i32 = 100;

/// No real list is this long: a cursor that never ends must not keep a pass from ending.
const MOST_PAGES: usize = 1000;

/// A list that is being read, page after page. What was read stays when a page fails.
#[derive(Debug)]
pub(crate) struct Reading<K, T> {
    found: BTreeMap<K, T>,
    /// How many items a page is asked to have; strongDM may send fewer.
    page: i32,
    /// The cursor of the next page; empty for the first one.
    cursor: String,
    cursors: BTreeSet<String>,
}

impl<K: Ord, T> Reading<K, T> {
    pub(crate) fn new(page: i32) -> Self {
        Self { found: BTreeMap::new(), page, cursor: String::new(), cursors: BTreeSet::new() }
    }

    /// How many items a page is asked to have.
    pub(crate) fn page(&self) -> i32 {
        self.page
    }

    /// How many pages were read, but for the last one.
    pub(crate) fn pages(&self) -> usize {
        self.cursors.len()
    }

    /// The items by their keys, once each.
    pub(crate) fn found(self) -> BTreeMap<K, T> {
        self.found
    }
}

/// How much of a list is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// How many items a page is asked to have; strongDM may send fewer.
    pub(crate) page: i32,
    /// After so many pages it is too much.
    pub(crate) pages: usize,
}

impl Caller {
    /// Every item that `convert` keeps, once each, in order of their keys.
    ///
    /// All or nothing: a page that fails or an item that cannot be converted fails the list. Pages are read at different
    /// times, so an item may be listed twice; then the later one counts.
    pub(crate) async fn list<P: Page, K: Ord, T>(
        &self,
        filter: &str,
        convert: impl Fn(P::Item) -> Result<Option<(K, T)>, Error>,
    ) -> Result<Vec<T>, Error> {
        self.list_at_most::<P, K, T>(usize::MAX, filter, convert).await
    }

    /// The same, if it is no more than `most` items: else [`Error::TooMany`], and the pages after that are not read.
    pub(crate) async fn list_at_most<P: Page, K: Ord, T>(
        &self,
        most: usize,
        filter: &str,
        convert: impl Fn(P::Item) -> Result<Option<(K, T)>, Error>,
    ) -> Result<Vec<T>, Error> {
        let all = Extent { page: PAGE, pages: MOST_PAGES };
        let found = self.list_within::<P, K, T>(all, most, filter, convert).await?;
        found.ok_or_else(|| Error::Invalid(format!("{} does not end", P::OPERATION.name())))
    }

    /// The whole list, if there are no more pages than `extent` says; else nothing.
    pub(crate) async fn list_up_to<P: Page, K: Ord, T>(
        &self,
        extent: Extent,
        filter: &str,
        convert: impl Fn(P::Item) -> Result<Option<(K, T)>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        self.list_within::<P, K, T>(extent, usize::MAX, filter, convert).await
    }

    async fn list_within<P: Page, K: Ord, T>(
        &self,
        extent: Extent,
        most: usize,
        filter: &str,
        convert: impl Fn(P::Item) -> Result<Option<(K, T)>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let longest = self.timing.list;
        let pages = self.pages::<P, K, T>(extent, most, filter, convert);
        timeout(longest, pages).await.unwrap_or_else(|_elapsed| {
            Err(Error::Unavailable(format!("{} did not end within {longest:?}", P::OPERATION.name())))
        })
    }

    async fn pages<P: Page, K: Ord, T>(
        &self,
        extent: Extent,
        most: usize,
        filter: &str,
        convert: impl Fn(P::Item) -> Result<Option<(K, T)>, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let mut reading = Reading::new(extent.page);
        for _ in 0..extent.pages {
            let is_last = self.next_page::<P, K, T>(&mut reading, filter, &convert).await?;
            if reading.found.len() > most {
                return Err(Error::TooMany { most });
            }
            if is_last {
                return Ok(Some(reading.found.into_values().collect()));
            }
        }
        Ok(None)
    }

    /// Reads the next page of a list; true if it was the last one. After a failure the same page is the next one.
    pub(crate) async fn next_page<P: Page, K: Ord, T>(
        &self,
        reading: &mut Reading<K, T>,
        filter: &str,
        convert: impl Fn(P::Item) -> Result<Option<(K, T)>, Error>,
    ) -> Result<bool, Error> {
        let meta = ListRequestMetadata { cursor: reading.cursor.clone(), page: 0, limit: reading.page };
        let page: P = self.call(P::OPERATION, &P::request(filter, meta)).await?;
        let (items, next) = page.into_parts();
        for item in items {
            reading.found.extend(convert(item)?);
        }
        if next.is_empty() {
            return Ok(true);
        }
        if !reading.cursors.insert(next.clone()) {
            return Err(Error::Invalid(format!("{} goes round in circles", P::OPERATION.name())));
        }
        reading.cursor = next;
        Ok(false)
    }
}
