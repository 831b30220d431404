use std::time::Duration;

use super::{Action, Fault, Faults};

#[tokio::test]
async fn a_fault_applies_to_its_calls_as_often_as_told() {
    let faults = Faults::default();
    faults.add(Fault::on("GET /oncalls", Action::Cut).containing("PX").times(2));

    let mut ends = Vec::new();
    for (call, facts) in [
        ("GET /oncalls", "schedule_ids[]=PY"),
        ("GET /oncalls", "schedule_ids[]=PX"),
        ("POST /oncalls", "schedule_ids[]=PX"),
        ("GET /oncalls", "schedule_ids[]=PX"),
        ("GET /oncalls", "schedule_ids[]=PX"),
    ] {
        ends.push(faults.inject(call, facts).before.run().await.is_some());
    }

    assert_eq!(ends, [false, true, false, true, false]);
    assert!(faults.armed().is_empty());
}

#[tokio::test]
async fn a_path_alone_means_any_method() {
    let faults = Faults::default();
    faults.add(Fault::on("/users", Action::Cut).until_cleared());

    assert!(faults.inject("DELETE /users/PX", "").before.run().await.is_some());
    assert!(faults.inject("GET /schedules", "").before.run().await.is_none());
}

#[tokio::test]
async fn a_gate_holds_until_released_and_waits_combine_with_an_end() {
    let faults = Faults::default();
    let gate = faults.gate("AccountGrants.Create");
    faults.add(Fault::on("AccountGrants.Create", Action::Cut).after_work());

    let injection = faults.inject("AccountGrants.Create", "");
    let held = tokio::spawn(async move { injection.before.run().await.is_none() });
    gate.arrived().await;
    assert!(!held.is_finished());
    gate.release_one();

    assert!(held.await.unwrap());
    assert_eq!(gate.count(), 1);
}

#[tokio::test]
async fn clearing_lets_stalled_calls_go() {
    let faults = Faults::default();
    faults.add(Fault::on("", Action::Stall));
    faults.set_latency(Duration::from_millis(1));
    let injection = faults.inject("GET /users", "");

    faults.clear();

    assert!(injection.before.run().await.is_none());
    assert!(faults.armed().is_empty());
}
