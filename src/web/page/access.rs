//! Those with access that are shown at once, read from the store a page at a time: what it costs does not depend on how
//! many there are beside them.

use super::{
    facts::Facts,
    query::{PageQuery, Show},
    timeline::{self, Lanes, Span},
};
use crate::{
    model::{FOREVER, Grant},
    store::{Access, AccessCounts, Boundary, Error, SeenGrant, SharedStore, View},
};

/// The lanes of a page.
pub(super) const LANES: usize = 25;
/// The grants of a lane that are drawn.
pub(super) const BARS: usize = 8;
/// The people who are sought by one name.
pub(super) const NAMESAKES: usize = 100;
/// The next changes that are told.
pub(super) const CHANGES: usize = 10;

/// A page of those with access, and what changes next.
pub(super) struct Shown {
    pub(super) show: Show,
    /// All who would be shown, on this page and the others.
    pub(super) total: AccessCounts,
    pub(super) grants: Vec<SeenGrant>,
    pub(super) lanes: Lanes,
    /// Where the next page begins.
    pub(super) next: Option<Access>,
    /// On call now, or waiting, and without any grant in view.
    pub(super) lacking: Vec<(Access, timeline::Lane)>,
    pub(super) changes: Changes,
}

/// What changes next by itself, in the order of time.
pub(super) struct Changes {
    pub(super) shown: Vec<(Boundary, Grant)>,
    /// There are more.
    pub(super) more: bool,
}

impl Shown {
    pub(super) async fn gather(
        store: &SharedStore,
        facts: &Facts<'_>,
        span: &Span,
        query: &PageQuery,
    ) -> Result<Self, Error> {
        let search = query.search().to_owned();
        let people = facts.names.addresses_of(&search, NAMESAKES);
        let all = View { search: search.clone(), people, ..View::between(span.now, span.end) };
        let show = match query.show() {
            Some(show) => show,
            None if !search.is_empty() || fit(store, &all).await? => Show::All,
            None => Show::Now,
        };
        let mut seen = Page::read(store, &all, show, span, query).await?;
        if seen.accesses.is_empty() && !search.is_empty() && query.after().is_none() {
            // Who searches for somebody wants to see when that is next.
            seen = Page::read(store, &all, Show::All, span, query).await?;
        }
        let Page { show, view, accesses: page, next } = seen;
        let total = match (show, search.is_empty()) {
            (Show::Now, true) => facts.in_force,
            _ => store.count_accesses(&view).await?,
        };
        let grants = store.grants_of(&all, &page, limit(BARS)).await?;
        let lanes = timeline::lanes(span, &page, &grants, facts.known());
        let lacking = if query.after().is_none() {
            let is_sought = |access: &Access| is_found(access, &search, &all.people);
            lacking(store, &all, timeline::lacking(span, facts.known(), is_sought)).await?
        } else {
            Vec::new()
        };
        let changes = Changes::gather(store, View { until: FOREVER, ..all }).await?;
        Ok(Self { show, total, grants, lanes, next, lacking, changes })
    }

    /// These accesses, and those that `is_sought` without a grant.
    pub(super) async fn of(
        store: &SharedStore,
        facts: &Facts<'_>,
        span: &Span,
        accesses: &[Access],
        is_sought: impl Fn(&Access) -> bool,
    ) -> Result<Self, Error> {
        let all = View::between(span.now, FOREVER);
        let grants = store.grants_of(&all, accesses, limit(BARS)).await?;
        let lanes = timeline::lanes(span, accesses, &grants, facts.known());
        let lacking = lacking(store, &all, timeline::lacking(span, facts.known(), is_sought)).await?;
        let changes = Changes { shown: Vec::new(), more: false };
        let total = AccessCounts { accesses: accesses.len(), ..AccessCounts::default() };
        Ok(Self { show: Show::All, total, grants, lanes, next: None, lacking, changes })
    }
}

/// Whether the text stands in an address or a name, as the store finds it.
fn is_found(access: &Access, text: &str, people: &[String]) -> bool {
    let text = text.to_lowercase();
    access.email.to_lowercase().contains(&text)
        || access.resource.to_lowercase().contains(&text)
        || people.contains(&access.email)
}

/// A page of a list.
struct Page {
    show: Show,
    view: View,
    accesses: Vec<Access>,
    next: Option<Access>,
}

impl Page {
    async fn read(
        store: &SharedStore,
        all: &View,
        show: Show,
        span: &Span,
        query: &PageQuery,
    ) -> Result<Self, Error> {
        let view = match show {
            Show::All => all.clone(),
            Show::Now => View { until: span.now, ..all.clone() },
        };
        let mut accesses = store.accesses(&view, limit(LANES + 1), query.after()).await?;
        let more = accesses.len() > LANES;
        accesses.truncate(LANES);
        let next = accesses.last().filter(|_| more).cloned();
        Ok(Self { show, view, accesses, next })
    }
}

/// Whether all in view are on one page.
async fn fit(store: &SharedStore, view: &View) -> Result<bool, Error> {
    Ok(store.accesses(view, limit(LANES + 1), None).await?.len() <= LANES)
}

/// Those of whom no grant is in view; the others have a lane of their own.
async fn lacking(
    store: &SharedStore,
    view: &View,
    lanes: Vec<(Access, timeline::Lane)>,
) -> Result<Vec<(Access, timeline::Lane)>, Error> {
    let accesses: Vec<Access> = lanes.iter().map(|(access, _)| access.clone()).collect();
    let granted = store.grants_of(view, &accesses, 1).await?;
    let is_granted = |access: &Access| {
        let grants = granted.iter().map(|seen| &seen.entry.own.grant);
        grants
            .into_iter()
            .any(|grant| grant.resource == access.resource && grant.email.as_str() == access.email)
    };
    Ok(lanes.into_iter().filter(|(access, _)| !is_granted(access)).collect())
}

impl Changes {
    async fn gather(store: &SharedStore, view: View) -> Result<Self, Error> {
        let mut shown = Vec::new();
        for boundary in [Boundary::End, Boundary::Start] {
            let grants = store.next_changes(&view, boundary, limit(CHANGES + 1)).await?;
            shown.extend(grants.into_iter().map(|grant| (boundary, grant)));
        }
        shown.sort_by_cached_key(|change| (at(change), change.0, change.1.email.to_string()));
        let more = shown.len() > CHANGES;
        shown.truncate(CHANGES);
        Ok(Self { shown, more })
    }
}

/// When a grant reaches its boundary.
pub(super) fn at((boundary, grant): &(Boundary, Grant)) -> chrono::DateTime<chrono::Utc> {
    match boundary {
        Boundary::Start => grant.window.start(),
        Boundary::End => grant.window.end(),
    }
}

fn limit(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
