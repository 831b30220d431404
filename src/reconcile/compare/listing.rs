//! strongDM's list of all grants, read beside the passes.
//!
//! It may be thousands of pages. A page that fails is asked for again after a pause of its own, which grows, and the
//! reading goes on from there; no pass waits for that. A whole list that no pass waits for makes a full pass due.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    metrics::{Purpose, Work},
    model::{Fault, GrantId, Mark},
    reconcile::timetable::pause_after,
    store::SharedStore,
    strongdm::{Client, Error, GrantList, RemoteGrant},
};

/// A list that was begun longer ago is read anew: its cursor may hold no more, and who knows what else moved meanwhile.
const LONGEST: Duration = Duration::from_mins(10);
/// A page that takes longer than this is worth telling of; strongDM's documented timeouts allow for several of them.
const LONG_PAGE: Duration = Duration::from_secs(10);

/// All grants of the organisation by ID.
pub(super) type Listed = BTreeMap<GrantId, RemoteGrant>;

/// A list that is being read, or was. When its last clone is dropped, the reading ends.
#[derive(Clone, Debug)]
pub(in crate::reconcile) struct Listing {
    status: watch::Receiver<Status>,
    began: Instant,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// How far a reading has come.
#[derive(Debug)]
enum Status {
    /// So many pages are read, the last one at this instant; what failed since then.
    Reading { pages: usize, at: Instant, fault: Option<Fault> },
    /// All of them.
    Whole(Arc<Listed>),
}

/// What comes of waiting for a list.
pub(in crate::reconcile) enum Waited {
    Whole(Arc<Listed>),
    /// It is tried again, but not now.
    Failed(Fault),
    /// It is still being read.
    TooLong,
}

impl Listing {
    /// Begins to read. Where nobody has a clone of it but its keeper when it is whole, everything is marked in this store.
    pub(super) fn begin(strongdm: Client, kept_for: Option<SharedStore>) -> Self {
        // What is read for one pass alone is part of it.
        let work = if kept_for.is_some() { Work::new(Purpose::Comparison) } else { Work::current() };
        let began = Instant::now();
        let (tell, status) = watch::channel(Status::Reading { pages: 0, at: began, fault: None });
        let task = tokio::spawn(work.run(async move {
            let listed = read(&strongdm, &tell).await;
            tell.send_replace(Status::Whole(Arc::new(listed)));
            if let Some(store) = kept_for
                && tell.receiver_count() == 1
                && let Err(error) = store.mark(&Mark::Everything).await
            {
                tracing::debug!(%error, "the next full pass compares the ledger");
            }
        }));
        Self { status, began, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// Waits until the whole list is there, or something fails.
    pub(in crate::reconcile) async fn whole(&mut self, until: Instant) -> Waited {
        let is_news = |status: &Status| !matches!(status, Status::Reading { fault: None, .. });
        match timeout_at(until, self.status.wait_for(is_news)).await {
            Err(_) => Waited::TooLong,
            Ok(Err(_)) => Waited::Failed("the list broke off".into()),
            Ok(Ok(status)) => match &*status {
                Status::Whole(listed) => Waited::Whole(Arc::clone(listed)),
                Status::Reading { fault, .. } => {
                    Waited::Failed(fault.clone().unwrap_or_else(|| "the list broke off".into()))
                }
            },
        }
    }

    /// What keeps it from getting on, if anything does.
    pub(in crate::reconcile) fn hindrance(&self) -> Option<Fault> {
        match &*self.status.borrow() {
            Status::Reading { fault: Some(fault), .. } => Some(fault.clone()),
            Status::Reading { pages, at, fault: None } if at.elapsed() > LONG_PAGE => {
                Some(format!("page {} takes long", pages + 1).into())
            }
            Status::Reading { .. } | Status::Whole(_) => None,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(*self.status.borrow(), Status::Whole(_))
    }

    /// Whether a pass that begins now may compare with it.
    pub(super) fn is_of_use(&self) -> bool {
        let is_under_way = self.status.has_changed().is_ok();
        if self.is_whole() { self.began.elapsed() < LONGEST } else { is_under_way }
    }
}

/// Reads until the list is whole.
async fn read(strongdm: &Client, tell: &watch::Sender<Status>) -> Listed {
    let (mut list, mut began, mut failures) = (GrantList::default(), Instant::now(), 0);
    loop {
        match strongdm.more_grants(&mut list).await {
            Ok(true) => return list.grants(),
            Ok(false) => {
                failures = 0;
                let (pages, at) = (list.pages(), Instant::now());
                tell.send_replace(Status::Reading { pages, at, fault: None });
            }
            Err(error) => {
                tracing::debug!(%error, pages = list.pages(), "strongDM's list of grants could not be read on");
                if began.elapsed() > LONGEST || is_about_the_cursor(&error) {
                    (list, began) = (GrantList::with_small_pages(), Instant::now());
                }
                let (pages, at, fault) = (list.pages(), Instant::now(), Some((&error).into()));
                tell.send_replace(Status::Reading { pages, at, fault });
                sleep(pause_after(failures).to_std().unwrap_or_default()).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

/// Whether the failure may come from the place at which we go on.
fn is_about_the_cursor(error: &Error) -> bool {
    match error {
        Error::NotFound(_)
        | Error::AlreadyExists(_)
        | Error::InvalidArgument(_)
        | Error::Invalid(_)
        | Error::TooMany { .. }
        | Error::Refused(_) => true,
        Error::Unauthenticated(_)
        | Error::PermissionDenied { .. }
        | Error::RateLimited { .. }
        | Error::Unavailable(_)
        | Error::Unclear(_) => false,
    }
}
