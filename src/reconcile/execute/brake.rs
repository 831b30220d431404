//! Stops a round of writes that strongDM refuses one after the other for a reason that has nothing to do with each: a right
//! that is missing, a budget that is used up. Trying all the others would only cost both sides.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::{
    model::{Fault, Pair},
    reconcile::{plan::PairActions, report::Attempt},
    strongdm::Error,
};

/// After so many denials in a row none is tried any more. Not after the first: it may be about its account or resource
/// alone, and whoever is refused by one such right must not keep everybody else from access. The second is about
/// another pair, which makes it one probe too many at most, in each round.
const DENIALS: usize = 2;

/// What strongDM refused lately.
#[derive(Debug, Default)]
pub(super) struct Brake(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    creations: Track,
    revocations: Track,
    /// Whose writes were denied when they were last tried. They come last, so that they hold up nobody who is not.
    denied: BTreeSet<Pair>,
}

#[derive(Debug, Default)]
struct Track {
    denials: usize,
    /// Why nothing more is tried in this round.
    pulled: Option<Fault>,
}

impl Track {
    fn deny(&mut self, fault: &Fault) {
        self.denials += 1;
        if self.denials >= DENIALS {
            self.pulled = Some(fault.clone());
        }
    }
}

impl State {
    fn track(&mut self, attempt: Attempt) -> &mut Track {
        match attempt {
            Attempt::Create => &mut self.creations,
            Attempt::Revoke | Attempt::Other => &mut self.revocations,
        }
    }
}

impl Brake {
    /// Begins a round: the pairs in the order in which to write to them, and how many of them may be written to at once, of
    /// the number that is usual. After a round that was stopped, they are tried one by one.
    pub(super) fn begin<'p>(
        &self,
        pairs: &'p [PairActions],
        usually: usize,
    ) -> (impl Iterator<Item = &'p PairActions> + use<'p>, usize) {
        let mut state = self.0.lock();
        let was_pulled = [&state.creations, &state.revocations].iter().any(|track| track.pulled.is_some());
        (state.creations, state.revocations) = Default::default();
        let (last, first): (Vec<_>, Vec<_>) =
            pairs.iter().partition(|actions| state.denied.contains(&actions.pair));
        (first.into_iter().chain(last), if was_pulled { 1 } else { usually })
    }

    /// Why such a write need not be tried, if it would be refused like those before it.
    pub(super) fn pulled(&self, attempt: Attempt) -> Option<Fault> {
        self.0.lock().track(attempt).pulled.clone()
    }

    /// Takes note of what came of a write.
    pub(super) fn record<T>(&self, attempt: Attempt, pair: Pair, result: &Result<T, Error>) {
        let mut state = self.0.lock();
        match result {
            Err(error @ Error::PermissionDenied { .. }) => {
                state.denied.insert(pair);
                state.track(attempt).deny(&error.into());
            }
            // One key and one budget for all writes.
            Err(error @ (Error::RateLimited { .. } | Error::Unauthenticated(_))) => {
                state.creations.pulled = Some(error.into());
                state.revocations.pulled = Some(error.into());
            }
            Ok(_) => {
                state.denied.remove(&pair);
                state.track(attempt).denials = 0;
            }
            Err(_) => {}
        }
    }

    /// Takes note of a grant that had to be taken back. Whatever changes windows in strongDM may well change all, and each
    /// try costs two writes.
    pub(super) fn record_taken_back(&self, pair: Pair, fault: &Fault) {
        let mut state = self.0.lock();
        state.denied.insert(pair);
        state.creations.deny(fault);
    }

    /// Forgets who was denied: everything went well.
    pub(super) fn forget(&self) {
        self.0.lock().denied.clear();
    }
}
