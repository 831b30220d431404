//! Makes strongDM's grants match PagerDuty's on-calls: observe → plan → execute, again and again.
//!
//! `run.rs` and `on_demand.rs` say when a pass runs, `lease.rs` on which replica, `turns.rs` which of them may write,
//! and `pass.rs` in which order its stages follow each other. Each stage is a folder: `observe/`, `plan/`, `execute/`,
//! `compare/`, `report/`.
//!
//! # Why nothing is lost, doubled or wrongly revoked
//!
//! *Level, not edge.* A pass takes a scope, never an event. What it decides depends only on what PagerDuty and
//! strongDM answer during the pass and on our ledger; a webhook, a shift boundary, the timer, a retry and
//! `POST /sync` all lead to the same code. An event that is lost, doubled or late changes only *when* we look.
//!
//! *Events.* A delivery and the marks it leaves are one transaction, committed before the 202. A mark is cleared by
//! the version that was read before the pass began to look, so one that is set again meanwhile stays. What a
//! pass could not see or do is tried again after a pause that grows for each source and write by itself; when, is in the
//! store before a mark is cleared.
//! A full pass runs at every start as well.
//!
//! *Writes.* Each is intended in the store, sent, and settled. The process may die at four places:
//!
//! | it dies | the ledger says | the next pass |
//! | --- | --- | --- |
//! | before the intent is on disk | nothing | plans the write again |
//! | after the intent, before strongDM acts | `creating` / `revoking` | looks: no such grant → lost, made anew; still there → live; then decides anew |
//! | after strongDM acted, before the settlement | `creating` / `revoking` | looks: the same account, resource and window → adopted; gone → ended |
//! | after the settlement | `live` / `ended` | nothing to do |
//!
//! An answer that never arrives is the same as dying in the middle, without dying; so is a removal that was tried
//! several times if the outcome of any attempt is unknown. What reaches strongDM only after we looked is found by the
//! next comparison of the ledger with strongDM's list, at most `verify_interval` later. A creation: `lost` rows are
//! kept for that reason, and the duplicate is then revoked like any other; what turns up more than five minutes after the
//! call was made by somebody else. A removal: the grant vanished, and is made anew if it is wanted again.
//!
//! *Windows.* The ledger holds the window that strongDM stored, not the one that was asked for (`execute/made.rs`). What is
//! missing of that is remembered with the instant at which it is asked for again, so that the next pass finds nothing to
//! do; what is too much is taken back at once, and asked for again after a growing pause. A grant that turns up behind a
//! lost answer, or whose window changes later, is treated alike; only one without an end behind a lost answer is left,
//! since nothing proves that it is ours.
//!
//! *Revocations.* Only rows of the ledger are ever revoked, and only if the planner knows that nobody can want them;
//! `plan/mod.rs` says how. Where strongDM takes a second grant, the new one is made first, and the old one stays if
//! that fails. One wrong answer takes nothing away: the first look that finds a grant due writes that into the store, and
//! a second complete one, at least two seconds later, must agree on all that would be lost. In a pass that somebody waits
//! for, both looks are part of it; else the second one is a pass of its own, due by the timetable. What the guard holds
//! is in the store as well, by row, so that no narrower pass, retry, restart or lapse of time frees it.
//!
//! *In turns.* Passes of one process look at the same time, so that a slow answer to one holds up no other; they decide
//! and write one at a time (`turns.rs`). Each turn begins with the ledger as it is then, and with what the newest look at
//! each source was told, by whichever pass (`newest_looks.rs`), so an older look never undoes what a younger one led to. A
//! turn is given back between two writes as soon as somebody waits for the next one, so whoever is paged waits for no
//! window to come; and since turns come in the order in which they are asked for, and each does at least one write, no storm
//! of events keeps a large pass from its end.
//!
//! *On one replica.* Passes of several replicas need one lease, which lasts 30 s by the database's clock and is renewed
//! every 10 s (`lease.rs`); those of one process share it. What is due is read again once the lease is there, so that a
//! boundary or a mark is served by one replica. What passes know of time to come is in the store, and a lease that ran
//! out unreleased makes a full pass due: whoever died may have left work that no mark tells of. Whoever takes it over,
//! and can neither run that pass nor ask for it, lets the lease run out again.
//!
//! *A lost lease does no harm.* Each intent asks for the lease in the statement that writes it, so no write is begun
//! after another replica took over. What can still happen is that a replica freezes, or is cut off, between its intent
//! and its settlement, for as long as it likes. Then the other one finds the row `creating` or `revoking`, looks at
//! strongDM, settles it and goes on; and when the first one wakes, its call and its settlement come late:
//!
//! | the call that comes late | what it does | its settlement |
//! | --- | --- | --- |
//! | a creation, made once more by now | makes a second grant, or is refused | becomes ours, `live`, and is revoked as a duplicate; or the row goes |
//! | a creation that the other one found | was made before | says what is known, or was, if it is over: nothing is written |
//! | a revocation, done by now | finds nothing | the row is `ended` already: nothing is written |
//! | a revocation that is no longer wanted | removes the grant | the row is `ended`, and the grant is made anew |
//!
//! So settlements need no lease: they say what is true whoever holds it. But they change only a row that still waits
//! for them (`creating` or `lost` to `live`, `creating` to `lost`, `live` or `revoking` to `ended`), so that what is
//! over stays over. One does need it, `revoking` to `live`: that a grant was still there is no longer true once the
//! other replica takes it back. What a pass concludes (cleared marks, the timetable, what is foreign) needs the lease
//! as well and is dropped without it; instead everything is marked, and whoever is next looks at it all again. That
//! also puts right what a late pass may overwrite without it: links, attributions and the status snapshot.
//!
//! # Where it is tried
//!
//! Each row of the first table, for creations and removals: `tests/it/writes.rs` on SQLite,
//! `killed_at_any_point_of_a_write…` in `tests/it/replicas.rs` on PostgreSQL. Other windows: `tests/it/altered.rs`.
//! Each row of the second one: the replicas there that freeze and wake, and the late settlements in `tests/store/`. All
//! of it at random: `tests/it/crash/`.

mod compare;
mod execute;
pub(crate) mod explain;
mod facts;
mod lease;
mod links;
mod named;
pub(crate) mod names;
mod newest_looks;
mod observe;
pub(crate) mod on_demand;
mod pass;
pub(crate) mod plan;
pub(crate) mod probe;
mod reconciler;
pub(crate) mod report;
mod run;
pub(crate) mod scope;
pub(crate) mod simulate;
mod timetable;
mod turns;
pub(crate) mod world;

pub(crate) use self::{
    observe::{Observer, Survey},
    reconciler::Reconciler,
    scope::{PassRequest, Scope},
    timetable::Intervals,
};
