//! Two months in the life of the service, compared minute by minute with what the specification wants of the true rotations.
//!
//! `SIMULATION_SEED` sets the first seed (a failure prints its own), `SIMULATION_SEEDS` how many are tried. Even
//! seeds live through an autumn, odd ones through a spring (the other way round where overlaps are refused).
//!
//! Both upstreams fail, the service's clock goes wrong, its replicas die and others take over.
//!
//! In every minute everyone must have exactly the access and the Kubernetes groups that are wanted, one second after
//! its start, except
//!
//! * for a quarter of an hour after a change that nothing announced, or from when it could be seen and acted upon;
//! * while the service's clock is wrong, and for a quarter of an hour after that;
//! * for a minute after a replica has died or lost the lease, because another one takes over within half a minute;
//! * for grants that the guard holds;
//! * for a suspended account, which keeps what it has and gets nothing;
//! * where strongDM refuses a second grant: while a foreign grant of the pair is in the way, and, for access that is
//!   missing, until a minute after an outage, because what was deferred to then could not be granted.

mod check;
mod incidents;
mod rotas;
mod service;
mod story;
mod truth;
mod upstream;

use std::{
    env, iter,
    num::NonZero,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use self::{
    check::Seen,
    rotas::{DAYS, Minute},
    service::Simulation,
};
use crate::model::SecondGrant;

/// Minutes between full passes without a reason.
const INTERVAL: Minute = 15;

#[test]
fn access_is_as_wanted_for_two_months_where_a_second_grant_is_taken() {
    live_through(SecondGrant::Taken);
}

#[test]
fn access_is_as_wanted_for_two_months_where_overlaps_are_refused() {
    live_through(SecondGrant::RefusedIfOverlapping);
}

#[test]
fn access_is_as_wanted_for_two_months_where_any_second_grant_is_refused() {
    live_through(SecondGrant::Refused);
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn live_through(really: SecondGrant) {
    let first: u64 = number("SIMULATION_SEED", 1);
    let seeds = number("SIMULATION_SEEDS", 7);
    let mut all = Seen::default();
    for seen in on_all_processors(first..first + seeds, |seed| Simulation::new(seed, really).run()) {
        all.add(seen);
    }
    // Together: a seed in which nothing is ever held shows something else.
    let Seen { passes, writes, held, deferred, failed, unknown, wrong } = &all;
    let busy = u64::from(*passes) > 6000 * seeds && *writes > 300 && *failed > 0 && *unknown > 0 && *held > 0;
    assert!(busy, "{seeds} seeds from {first} on are too quiet: {all:?}");
    assert!(
        *deferred > 0 || really == SecondGrant::Taken,
        "{seeds} seeds from {first} on defer nothing: {all:?}"
    );
    println!("simulation: {really:?}: {seeds} seeds of {DAYS} days");
    wrong.print(&format!("simulation: {really:?}"));
}

fn on_all_processors<T: Send>(seeds: Range<u64>, live: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mine = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        mine.take_while(|seed| seeds.contains(seed)).map(&live).collect::<Vec<T>>()
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("its seed is right")).collect()
    })
}
