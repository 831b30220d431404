//! How many connections there may be at once, and which of them makes room for a new one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The connections that are kept at once. PagerDuty and a load balancer need a few dozen; the rest is for clients that do
/// nothing until their time is up.
const MOST: usize = 8192;
/// Descriptors that are not for clients: the store, the upstreams, the log.
const RESERVED: u64 = 256;
/// Connections that were told to make room and have not closed yet.
const LEAVING: usize = 64;

/// The places for connections, and who makes room for a newcomer: whoever speaks finds a place, however many say nothing.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    open: usize,
    /// Numbers what is waited for.
    last_number: u64,
    /// Those from whom we wait for a first request, or for the body of a request, since we do: whoever means it sends either
    /// in one go.
    owing: BTreeMap<u64, Arc<Claim>>,
    /// Those between two requests, by the requests that they have had, and by age: a balancer's are of more use than those
    /// of somebody who asks once and stays.
    idle: BTreeMap<(u64, u64), Arc<Claim>>,
}

/// How the holder of a place hears that somebody else needs it.
#[derive(Debug, Default)]
struct Claim {
    made: AtomicBool,
    holder: AtomicWaker,
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    claim: Arc<Claim>,
}

impl Table {
    /// Notes that we wait for something from now on; returns the number of that.
    fn wait_for(&mut self, claim: &Arc<Claim>) -> u64 {
        self.last_number += 1;
        self.owing.insert(self.last_number, Arc::clone(claim));
        self.last_number
    }
}

impl Places {
    /// As many places as the system allows this process.
    pub(super) fn new() -> Self {
        let reserved = RESERVED + LEAVING as u64;
        let descriptors = raise_descriptor_limit(MOST as u64 + reserved);
        let limit = usize::try_from(descriptors.saturating_sub(reserved)).unwrap_or(MOST).clamp(64, MOST);
        Self { limit, table: Mutex::default() }
    }

    /// A place for a new connection. If all are taken, the one for which we have waited longest makes room, or else one that
    /// is idle; none if we are at work for all.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut table = self.table.lock();
        if table.open >= self.limit + LEAVING {
            return None;
        }
        if table.open >= self.limit {
            let owing = table.owing.pop_first().map(|(_, claim)| claim);
            let claim = owing.or_else(|| table.idle.pop_first().map(|(_, claim)| claim))?;
            claim.made.store(true, Ordering::Release);
            claim.holder.wake();
        }
        table.open += 1;
        let claim = Arc::default();
        let number = table.wait_for(&claim);
        Some(Place { places: Arc::clone(self), number, claim })
    }
}

impl Place {
    /// Keeps the place while a request is under way; `served` are those before.
    pub(super) fn hold(&self, served: u64) {
        let mut table = self.places.table.lock();
        table.owing.remove(&self.number);
        table.idle.remove(&(served, self.number));
    }

    /// Offers the place while the body of a request has not arrived; returns the number of that body.
    pub(super) fn offer_until_body(&self) -> u64 {
        self.places.table.lock().wait_for(&self.claim)
    }

    /// Keeps the place, since this body has arrived or is not waited for any more.
    pub(super) fn hold_after_body(&self, body: u64) {
        self.places.table.lock().owing.remove(&body);
    }

    /// Offers the place to whoever needs it more; `served` are the requests so far.
    pub(super) fn offer(&self, served: u64) {
        self.places.table.lock().idle.insert((served, self.number), Arc::clone(&self.claim));
    }

    /// Whether somebody else needs the place; `holder` is woken when that comes to be.
    pub(super) fn is_claimed(&self, holder: &Waker) -> bool {
        self.claim.holder.register(holder);
        self.claim.made.load(Ordering::Acquire)
    }

    /// Gives the place back, once.
    pub(super) fn leave(&self, served: u64) {
        self.hold(served);
        self.places.table.lock().open -= 1;
    }
}

/// Lets this process have up to `wanted` file descriptors, and answers how many it may have now. The usual soft limit of
/// 1024 is there for programs that use select(2).
fn raise_descriptor_limit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let reachable = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    if current >= reachable {
        return current;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), ..limit }).map_or(current, |()| reachable)
}
