//! What one connection is doing, and until when it may go on with that.

use std::{task::Waker, time::Duration};

use axum::http::Version;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::places::Place;

/// A client that takes longer to begin, or to send the head of its next request, is not PagerDuty.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// What a connection is doing.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No request has come yet.
    Silent { since: Instant },
    /// So many requests are being answered. Whoever answers them has limits of its own.
    Busy { requests: usize },
    /// All requests are answered, and the connection is kept for the next one.
    Idle { since: Instant },
    /// The next request has begun to arrive.
    Head { since: Instant },
    /// It is closed.
    Closed,
}

/// One connection. Its stream tells what passes, its service tells of requests.
#[derive(Debug)]
pub(crate) struct Connection {
    place: Place,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    /// How often it became idle.
    served: u64,
    /// The number of the body that we wait for.
    body: Option<u64>,
    /// HTTP/2 clients say things between requests that begin no request, such as answers to our pings.
    speaks_http2: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub(super) fn new(place: Place, idle_timeout: Duration) -> Self {
        let phase = Phase::Silent { since: Instant::now() };
        let state = Mutex::new(State { phase, served: 0, body: None, speaks_http2: false });
        Self { place, idle_timeout, state }
    }

    /// Notes that the head of a request has arrived.
    pub(super) fn begin_request(&self, version: Version) {
        let mut state = self.state.lock();
        state.speaks_http2 = version == Version::HTTP_2;
        state.phase = match state.phase {
            Phase::Busy { requests } => Phase::Busy { requests: requests + 1 },
            Phase::Silent { .. } | Phase::Idle { .. } | Phase::Head { .. } => {
                self.place.hold(state.served);
                Phase::Busy { requests: 1 }
            }
            Phase::Closed => Phase::Closed,
        };
    }

    /// Notes that a request's body has not arrived, and that whoever answers waits for it. One of several requests at once
    /// does not speak for the others.
    pub(super) fn waits_for_body(&self) {
        let mut state = self.state.lock();
        if let State { phase: Phase::Busy { requests: 1 }, body: None, speaks_http2: false, served: _ } =
            *state
        {
            state.body = Some(self.place.offer_until_body());
        }
    }

    /// Notes that a request's body has arrived, or that nobody wants it any more.
    pub(super) fn needs_no_body(&self) {
        if let Some(body) = self.state.lock().body.take() {
            self.place.hold_after_body(body);
        }
    }

    /// Notes that a request is answered, or was given up.
    pub(super) fn end_request(&self) {
        let mut state = self.state.lock();
        state.phase = match state.phase {
            Phase::Busy { requests: 0 | 1 } => {
                state.served += 1;
                self.place.offer(state.served);
                Phase::Idle { since: Instant::now() }
            }
            Phase::Busy { requests } => Phase::Busy { requests: requests - 1 },
            other => other,
        };
    }

    /// Notes that something arrived.
    pub(super) fn received(&self) {
        self.unless_http2(|since| Phase::Head { since });
    }

    /// Notes that the client took something: it is not idle while it takes an answer.
    pub(super) fn sent(&self) {
        self.unless_http2(|since| Phase::Idle { since });
    }

    /// What comes after being idle, from now on.
    fn unless_http2(&self, next: fn(Instant) -> Phase) {
        let mut state = self.state.lock();
        if let State { phase: Phase::Idle { .. }, speaks_http2: false, served: _, body: _ } = *state {
            state.phase = next(Instant::now());
        }
    }

    /// Until when the client must do something: until now, if somebody else needs its place. None while it waits for us.
    /// `reader` is woken if that comes to be earlier.
    pub(super) fn deadline(&self, reader: &Waker) -> Option<Instant> {
        let is_claimed = self.place.is_claimed(reader);
        let State { phase, body, .. } = *self.state.lock();
        let at = match phase {
            Phase::Busy { .. } if is_claimed && body.is_some() => Instant::now(),
            Phase::Busy { .. } | Phase::Closed => return None,
            Phase::Silent { since } | Phase::Head { since } => since + HEAD_WITHIN,
            Phase::Idle { since } => since + self.idle_timeout,
        };
        Some(if is_claimed { Instant::now() } else { at })
    }

    /// Notes that the connection is closed, which frees its place.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Closed) {
            state.phase = Phase::Closed;
            self.place.leave(state.served);
        }
    }
}
