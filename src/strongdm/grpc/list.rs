//! Reading a list to its end.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::timeout;

use super::{call::Caller, messages::Page};
use crate::strongdm::{error::Error, proto::ListRequestMetadata};

/// Items per page. strongDM's default is 50; its maximum is not documented.
pub(crate) const PAGE: i32 = 100;

/// No real list is this long: a cursor that never ends must not keep a pass from ending.
const MOST_PAGES: usize = 1000;

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
        let mut found = BTreeMap::new();
        let mut cursors = BTreeSet::new();
        let mut cursor = String::new();
        for _ in 0..extent.pages {
            let meta = ListRequestMetadata { cursor: cursor.clone(), page: 0, limit: extent.page };
            let page: P = self.call(P::OPERATION, &P::request(filter, meta)).await?;
            let (items, next) = page.into_parts();
            for item in items {
                found.extend(convert(item)?);
            }
            if found.len() > most {
                return Err(Error::TooMany { most });
            }
            if next.is_empty() {
                return Ok(Some(found.into_values().collect()));
            }
            if !cursors.insert(next.clone()) {
                return Err(Error::Invalid(format!("{} goes round in circles", P::OPERATION.name())));
            }
            cursor = next;
        }
        Ok(None)
    }
}
