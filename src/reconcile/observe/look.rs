//! A look that is under way: it shows what it has seen, more each time, to whoever acts on it.

use std::{panic, sync::Arc};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::gather::Gatherer;
use crate::{
    metrics::Work,
    reconcile::world::{Extent, Recorded, World},
};

/// A look that is under way. It goes on by itself while what it showed is acted on. Dropping it ends it.
///
/// Whoever gets a [part](Extent::Part) of the world may give the access that is due now and justified already, and
/// decides nothing else.
#[derive(Debug)]
pub(crate) struct Look {
    recorded: Recorded,
    shown: watch::Receiver<Option<Arc<World>>>,
    task: JoinHandle<()>,
}

impl Look {
    /// Starts looking. Whatever is not seen at `until` stays unknown.
    pub(super) fn start(gatherer: Gatherer, recorded: Recorded, until: Instant) -> Self {
        let (show, shown) = watch::channel(None);
        Self { recorded, shown, task: tokio::spawn(Work::current().run(run(gatherer, show, until))) }
    }

    /// The world as far as it is seen: as soon as everything is, and else each time that there is news and the rest keeps us
    /// waiting for long: a second at first, or, after an event, until what the event is about is seen. The
    /// [whole](Extent::Whole) world is the last one; nobody may ask for more.
    ///
    /// What our own store tells in it is what [`Look::start`] was given: whoever wrote since reads that anew. Nothing
    /// is lost if this is dropped before it is over.
    pub(crate) async fn next(&mut self) -> World {
        if self.shown.changed().await.is_err()
            && let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            panic::resume_unwind(error.into_panic());
        }
        let seen = self.shown.borrow_and_update().clone().expect("a look shows something before it ends");
        World { recorded: self.recorded.clone(), ..World::clone(&seen) }
    }

    /// The world once everything is seen that can be.
    pub(crate) async fn whole(mut self) -> World {
        loop {
            let world = self.next().await;
            if world.extent == Extent::Whole {
                return world;
            }
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(gatherer: Gatherer, show: watch::Sender<Option<Arc<World>>>, until: Instant) {
    {
        let gathering = gatherer.gather();
        tokio::pin!(gathering);
        loop {
            tokio::select! {
                biased;
                () = &mut gathering => break,
                () = sleep_until(until) => break,
                () = gatherer.sight.is_worth_showing() => {
                    show.send_replace(Some(Arc::new(gatherer.sight.world(Extent::Part))));
                }
            }
        }
    }
    show.send_replace(Some(Arc::new(gatherer.sight.world(Extent::Whole))));
}
