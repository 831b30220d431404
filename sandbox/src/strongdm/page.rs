//! Cursor paging: the cursor is opaque to clients and remembers the limit and the filter.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::v1::{ListRequestMetadata, ListResponseMetadata};
use crate::crypto::sha256;

/// Which rows an answer holds.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Rows up to this number were sent before.
    after: u64,
    skip: usize,
    limit: usize,
    filter: String,
}

impl Page {
    /// The page that a list request asks for.
    pub(crate) fn read(
        meta: Option<&ListRequestMetadata>,
        filter: &str,
        default: usize,
        max: usize,
    ) -> Result<Self, &'static str> {
        let filter = hex::encode(&sha256(&[filter.as_bytes()])[..6]);
        let Some(meta) = meta else { return Ok(Self { after: 0, skip: 0, limit: default, filter }) };
        if !meta.cursor.is_empty() {
            // With a cursor, page and limit of the request do not count.
            let (after, limit, of_filter) = decode(&meta.cursor).ok_or("invalid cursor")?;
            if of_filter != filter {
                return Err("the cursor belongs to another filter");
            }
            return Ok(Self { after, skip: 0, limit, filter });
        }
        let limit = usize::try_from(meta.limit).map_err(|_| "invalid limit")?;
        let limit = if limit == 0 { default } else { limit.min(max) };
        let page = usize::try_from(meta.page).map_err(|_| "invalid page")?;
        Ok(Self { after: 0, skip: page.saturating_sub(1) * limit, limit, filter })
    }

    /// Takes this page out of all rows that match, which come with ever growing numbers.
    pub(crate) fn take<T>(&self, rows: impl Iterator<Item = (u64, T)>) -> (Vec<T>, ListResponseMetadata) {
        let mut rows = rows.filter(|(number, _)| *number > self.after).skip(self.skip).peekable();
        let (mut items, mut last) = (Vec::new(), self.after);
        while let Some((number, item)) = rows.next_if(|_| items.len() < self.limit) {
            items.push(item);
            last = number;
        }
        let next_cursor = if rows.peek().is_some() {
            BASE64_URL_SAFE_NO_PAD.encode(format!("{last}.{}.{}", self.limit, self.filter))
        } else {
            String::new()
        };
        (items, ListResponseMetadata { next_cursor, total: 0 })
    }
}

fn decode(cursor: &str) -> Option<(u64, usize, String)> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.into()))
}
