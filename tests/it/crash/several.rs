//! Two or three services on one PostgreSQL database, which also freeze and lose their way to it.
//!
//! A lease lasts 30 s. So that a round takes a second or two all the same, the test lets it run out early in the
//! database; its holder, alive or not, learns of that as of a freeze that was too long. Every tenth round waits for
//! the real end.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use futures_util::future::{join, join_all};
use reqwest::RequestBuilder;
use sandbox::{
    faults::{Action, Fault},
    strongdm::SecondGrant,
    world::SCHEDULE,
};
use sqlx::PgConnection;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    Run, check, check_events, check_log, clear_faults, config, finds_nothing_to_do, is_exact, new_shifts,
    ready, some_faults, some_write,
};
use crate::support::{Answer, PATIENCE, Proxy, Replicas, Service, answer, wait_until};

/// Some twenty seconds.
const ROUNDS: u32 = 6;

#[tokio::test]
async fn replicas_killed_frozen_and_cut_off_at_random_neither_forget_nor_double() {
    survive(SecondGrant::TakesAll).await;
}

#[tokio::test]
async fn replicas_killed_frozen_and_cut_off_where_overlapping_grants_are_refused_neither_forget_nor_double() {
    survive(SecondGrant::RefusesOverlapping).await;
}

async fn survive(second_grant: SecondGrant) {
    let mut run = Run::new(ROUNDS);
    let replicas = Replicas::prepared(config()).await;
    ready(&replicas.scene, second_grant);
    let mut members = Vec::new();
    for _ in 0..2 + usize::from(run.rng.u8(0..3) == 0) {
        members.push(Member::start(&replicas).await);
    }
    let database = replicas.database.connect().await;
    let mut fleet = Fleet { replicas, members, database };
    for round in 0..run.rounds {
        run.round = round;
        fleet.round(&mut run.rng, round % 10 == 9).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    Dead,
    Frozen,
    /// Connections to the database break.
    CutOff,
    /// Connections to the database stay silent.
    Muted,
}

/// A replica with a way of its own to the database, and what was done to it.
struct Member {
    replica: Service,
    way: Proxy,
    state: State,
}

impl Member {
    async fn start(replicas: &Replicas) -> Self {
        let (way, url) = Proxy::to_database(&replicas.database.url).await;
        Self { replica: replicas.launch_on(url.as_str()).await, way, state: State::Well }
    }

    fn suffer(&mut self, state: State) {
        match state {
            State::Well => {}
            State::Dead => self.replica.kill(),
            State::Frozen => self.replica.signal("STOP"),
            State::CutOff => self.way.close(),
            State::Muted => self.way.mute(),
        }
        self.state = state;
    }

    async fn recover(&mut self, real: bool) {
        match self.state {
            State::Well => {}
            State::Dead => self.replica.launch().await,
            State::Frozen => self.replica.signal("CONT"),
            State::CutOff => self.way.open(),
            State::Muted => {
                if !real {
                    // What was on its way is lost now, and not when somebody has waited long enough.
                    self.way.close();
                }
                self.way.open();
            }
        }
        self.state = State::Well;
    }
}

struct Fleet {
    replicas: Replicas,
    members: Vec<Member>,
    /// To meddle with it.
    database: PgConnection,
}

/// What was asked of replicas and not answered yet.
#[derive(Default)]
struct Asked {
    /// The event that was delivered, if it was answered 202.
    deliveries: Vec<JoinHandle<Option<String>>>,
    passes: Vec<JoinHandle<()>>,
}

impl Fleet {
    async fn round(&mut self, rng: &mut Rng, real: bool) {
        let shifts = new_shifts(rng, &mut self.replicas.scene);
        let faults = rng.usize(1..7);
        some_faults(rng, &self.replicas.scene, faults);
        let stalls = rng.bool();
        if stalls {
            // A call that arrives, or whose answer does, only once others went on.
            let fault = Fault::on(some_write(rng), Action::Stall);
            let fault = if rng.bool() { fault.after_work() } else { fault };
            self.replicas.scene.strongdm.faults().add(fault);
        }
        let mut asked = Asked::default();
        self.deliver(rng, &mut asked);
        for _ in 0..rng.usize(2..7) {
            sleep(Duration::from_millis(rng.u64(0..120))).await;
            match rng.u8(0..8) {
                0..=2 => self.deliver(rng, &mut asked),
                3 => self.ask_for_a_pass(rng, &mut asked),
                _ => self.mishap(rng, real).await,
            }
        }
        if rng.u8(0..4) > 0 {
            self.others_go_on(real).await;
        }
        clear_faults(&self.replicas.scene);
        for member in &mut self.members {
            member.recover(real).await;
        }
        if !real {
            self.replicas.end_lease().await;
        }
        let accepted = asked.answers().await;
        // A call that came late may wait for the next comparison of the ledger, which a request asks for.
        if !stalls && !accepted.is_empty() {
            wait_until("access becomes exact because of events alone", async || {
                is_exact(&self.replicas.scene, &shifts)
            })
            .await;
        }
        self.settled().await;
        self.check(&shifts, &accepted).await;
    }

    /// Posts an event to one of them, and seldom to another one as well.
    fn deliver(&self, rng: &mut Rng, asked: &mut Asked) {
        let event = self.replicas.scene.about(SCHEDULE);
        for _ in 0..=usize::from(rng.u8(0..4) == 0) {
            let request = self.any(rng).replica.signed_event(&event);
            let id = event.id.clone();
            asked.deliveries.push(tokio::spawn(async move {
                ends(request).await.is_some_and(|answer| answer.status == 202).then_some(id)
            }));
        }
    }

    /// The answer may be anything, since things go wrong meanwhile, and the replica may die.
    fn ask_for_a_pass(&self, rng: &mut Rng, asked: &mut Asked) {
        let request = self.any(rng).replica.sync_request();
        asked.passes.push(tokio::spawn(async move {
            ends(request).await;
        }));
    }

    fn any(&self, rng: &mut Rng) -> &Member {
        &self.members[rng.usize(..self.members.len())]
    }

    async fn mishap(&mut self, rng: &mut Rng, real: bool) {
        let which = rng.usize(..self.members.len());
        let member = &mut self.members[which];
        match rng.u8(0..10) {
            _ if member.state != State::Well => member.recover(real).await,
            0 | 1 => member.suffer(State::Dead),
            2 | 3 => member.suffer(State::Frozen),
            4 => member.suffer(State::CutOff),
            5 => member.suffer(State::Muted),
            6 => {
                member.replica.signal("TERM");
                sleep(Duration::from_millis(rng.u64(0..300))).await;
                member.replica.launch().await;
            }
            7 => self.break_connections().await,
            8 => {
                for member in self.members.iter_mut().filter(|member| member.state == State::Well) {
                    member.suffer(State::Dead);
                }
            }
            _ if real => {}
            _ => self.replicas.end_lease().await,
        }
    }

    /// As the database does when it is restarted.
    async fn break_connections(&mut self) {
        let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name = 'oncall-grants'";
        sqlx::query(terminate).execute(&mut self.database).await.expect("the database is well");
    }

    /// Gives those that are well the time to take over from the others, which come too late then.
    async fn others_go_on(&mut self, real: bool) {
        if !real {
            self.replicas.end_lease().await;
        }
        if let Some(member) = self.members.iter().find(|member| member.state == State::Well) {
            // A call that is held may hold this pass as well.
            let bound = if real { PATIENCE } else { Duration::from_secs(2) };
            drop(timeout(bound, answer(member.replica.sync_request())).await);
        }
    }

    /// Waits until no replica finds anything to do, one after the other: whoever still runs a pass ends it first.
    async fn settled(&self) {
        wait_until("nothing is left to do", async || {
            for Member { replica, .. } in &self.members {
                if !finds_nothing_to_do(replica).await {
                    return false;
                }
            }
            true
        })
        .await;
    }

    async fn check(&self, shifts: &super::Shifts, accepted: &BTreeSet<String>) {
        let Member { replica: first, .. } = &self.members[0];
        first.all_served().await;
        let (events, ours) = (first.events().await, first.grants().await);
        check(&self.replicas.scene, shifts, &ours, &first.audit().await);
        check_events(&events, accepted);
        check_log(&self.replicas.scene).await;
        for Member { replica, .. } in &self.members[1..] {
            assert_eq!(replica.grants().await, ours, "replicas differ");
        }
        // An event whose sender has given up may still come in.
        wait_until("all replicas know of the same events", async || {
            let events = join_all(self.members.iter().map(|member| member.replica.events())).await;
            events.windows(2).all(|two| two[0] == two[1])
        })
        .await;
    }
}

impl Asked {
    /// The events that were accepted, once everything was answered.
    async fn answers(self) -> BTreeSet<String> {
        let Self { deliveries, passes } = self;
        let (deliveries, passes) = join(join_all(deliveries), join_all(passes)).await;
        for pass in passes {
            pass.expect("no panic");
        }
        deliveries.into_iter().filter_map(|delivered| delivered.expect("no panic")).collect()
    }
}

/// What a request is answered, unless its connection breaks. One of both must come.
async fn ends(request: RequestBuilder) -> Option<Answer> {
    let answer = answer(request).await;
    answer.inspect_err(|error| assert!(!error.is_timeout(), "an answer was waited for in vain: {error}")).ok()
}
