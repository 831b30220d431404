//! One service on an SQLite file.

use std::{collections::BTreeSet, time::Duration};

use sandbox::{strongdm::SecondGrant, world::SCHEDULE};

use super::{
    Run, check, check_events, check_log, clear_faults, config, finds_nothing_to_do, new_shifts, ready,
    some_faults,
};
use crate::support::{Scene, wait_until};

/// Some ten seconds.
const ROUNDS: u32 = 8;

#[tokio::test]
async fn killed_at_random_it_neither_forgets_nor_doubles() {
    survive(SecondGrant::TakesAll).await;
}

#[tokio::test]
async fn killed_at_random_where_overlapping_grants_are_refused_it_neither_forgets_nor_doubles() {
    survive(SecondGrant::RefusesOverlapping).await;
}

async fn survive(second_grant: SecondGrant) {
    let mut run = Run::new(ROUNDS);
    let mut scene = Scene::running(config()).await;
    ready(&scene, second_grant);
    for round in 0..run.rounds {
        run.round = round;
        let rng = &mut run.rng;
        let mut accepted = BTreeSet::new();
        let shifts = new_shifts(rng, &mut scene);
        let faults = rng.usize(0..4);
        some_faults(rng, &scene, faults);
        for _ in 0..rng.usize(1..4) {
            let event = scene.about(SCHEDULE);
            if scene.post_signed(event.body()).await.status == 202 {
                accepted.insert(event.id.clone());
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        }
        scene.kill();
        if rng.bool() {
            clear_faults(&scene);
        }
        scene.launch().await;
        if rng.u8(0..4) == 0 {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
            scene.kill();
            scene.launch().await;
        }
        clear_faults(&scene);
        wait_until("nothing is left to do", async || finds_nothing_to_do(&scene).await).await;
        check(&scene, &shifts, &scene.grants().await, &scene.audit().await);
        scene.all_served().await;
        check_events(&scene.events().await, &accepted);
        check_log(&scene).await;
    }
}
