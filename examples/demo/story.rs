//! What happens, act by act, and what the reader is told of it.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use sandbox::{
    pagerduty::{Endpoint, Event, IncidentHandle, NewIncident},
    world,
};
use tokio::sync::oneshot;

use crate::{
    screen::{BOLD, GREEN, paint, say, took},
    stage::{ADMIN_TOKEN, ANA, CEM, ELA, END_LATE, Stage},
};

/// Tells the whole story; without `once` it never ends.
pub(crate) async fn tell(stage: &Stage, listening: oneshot::Receiver<SocketAddr>, once: bool) -> Result<()> {
    let began = Instant::now();
    let address = listening.await.context("the service did not start")?;
    let service = format!("http://{address}");
    let webhook = format!("{service}/webhooks/pagerduty");
    stage.pagerduty.set_endpoint(Endpoint::new(&webhook, world::WEBHOOK_SECRET));

    start(stage, &service, began).await?;
    swap(stage)?;
    let (incident, paged) = stage.pagerduty.open_incident(NewIncident::on(world::SERVICE));
    page(stage, &webhook, &paged).await?;
    let incident = stage.pagerduty.incident(&incident);
    escalate(stage, incident).await?;
    resolve(stage, incident).await?;
    if once {
        say(&paint(GREEN, "\n  Right: the person on call has access, and nobody else.\n"));
        return Ok(());
    }
    try_it(stage, &service);
    std::future::pending().await
}

async fn start(stage: &Stage, service: &str, began: Instant) -> Result<()> {
    say(&paint(BOLD, "\n  1. The service starts"));
    say(&format!(
        "     oncall-grants {service}, PagerDuty {}, strongDM {}",
        stage.pagerduty.url(),
        stage.strongdm.url()
    ));
    say(
        "     Rule: whoever is on call in \"Payments primary\" gets prod-postgres and what is tagged team=platform.",
    );
    say(
        "     Rule: whoever an incident of \"Payments API\" is assigned to gets the same, for an hour at most.",
    );
    let ready = stage.lets_in(ANA, began).await?;
    say(&format!("     It asked who is on call, and made the grants: ready after {ready}."));
    stage.table();
    Ok(())
}

/// Cem gets the rest of Ana's shift.
fn swap(stage: &Stage) -> Result<()> {
    say(&paint(BOLD, "\n  2. A shift is swapped"));
    let swapped = stage.pagerduty.swap_shift(world::SCHEDULE, world::CEM, stage.now());
    swapped.context("nobody is on call")?;
    say(&format!(
        "     {} gives the rest of this shift to {}. Nobody tells the service.",
        ANA.name, CEM.name
    ));
    Ok(())
}

/// The next incident's event makes the service see the swap.
async fn page(stage: &Stage, webhook: &str, event: &Event) -> Result<()> {
    say(&paint(BOLD, "\n  3. An incident pages the team"));
    say("     PagerDuty sends a webhook. The service takes from it where to look, never who gets access.");
    let began = Instant::now();
    stage.deliver(event).await?;
    let answered = took(began);
    let (inside, outside) = tokio::try_join!(stage.lets_in(CEM, began), stage.keeps_out(ANA, began))?;
    say(&format!("     {answered:>8}  the signed {} is on disk and answered 202", event.event_type));
    say(&format!("     {inside:>8}  {} has access", CEM.name));
    say(&format!("     {outside:>8}  {} has none any more: to take access away takes two looks", ANA.name));
    let forged = Endpoint::new(webhook, "not-the-secret");
    let refused = stage.pagerduty.deliver_bytes(&forged, event.body(), "forged").await?;
    ensure!(refused.status == 401, "a forged webhook was answered {}", refused.status);
    say("     The same event with a forged signature: 401, and nothing happens.");
    stage.only(&[CEM])
}

/// The incident pulls in Ela, whom no schedule names.
async fn escalate(stage: &Stage, incident: IncidentHandle<'_>) -> Result<()> {
    say(&paint(BOLD, "\n  4. The incident escalates"));
    say(&format!(
        "     {} does not acknowledge. The policy's level 2 is {}, who is in no schedule.",
        CEM.name, ELA.name
    ));
    let event = incident.escalate();
    let began = Instant::now();
    stage.deliver(&event).await?;
    let inside = stage.lets_in(ELA, began).await?;
    say(&format!("     {inside:>8}  {} has access", ELA.name));
    stage.table();
    stage.only(&[CEM, ELA])
}

/// The incident is over, and so is Ela's part.
async fn resolve(stage: &Stage, incident: IncidentHandle<'_>) -> Result<()> {
    say(&paint(BOLD, "\n  5. The incident is resolved"));
    let event = incident.resolve();
    let began = Instant::now();
    stage.deliver(&event).await?;
    let outside = stage.keeps_out(ELA, began).await?;
    say(&format!(
        "     {outside:>8}  {} has none any more, after an end_late of {END_LATE} and two looks",
        ELA.name
    ));
    stage.only(&[CEM])
}

/// What the reader can do now.
fn try_it(stage: &Stage, service: &str) {
    let (pagerduty, control, schedule) = (stage.pagerduty.url(), &stage.control, world::SCHEDULE);
    let incidents = format!("{pagerduty}/_sandbox/incidents");
    let admin = format!("-H 'Authorization: Bearer {ADMIN_TOKEN}'");
    let json = "-H 'Content-Type: application/json'";
    say(&paint(BOLD, "\n  6. Your turn (Ctrl-C ends it)"));
    let lines = [
        (
            "Who has access now, by the service and by strongDM:",
            vec![
                format!("curl -s {admin} '{service}/api/grants?active=true'"),
                format!("curl -s {control}/_sandbox/grants"),
            ],
        ),
        (
            "Give the shift to Bo, and let PagerDuty send a webhook:",
            vec![format!(
                "curl -s {json} {pagerduty}/_sandbox/swap -d '{{\"schedule\":\"{schedule}\",\"user\":\"{}\",\"deliver\":true}}'",
                world::BO
            )],
        ),
        (
            "Give it to Ana without a webhook, then ask for a pass yourself:",
            vec![
                format!(
                    "curl -s {json} {pagerduty}/_sandbox/swap -d '{{\"schedule\":\"{schedule}\",\"user\":\"{}\"}}'",
                    world::ANA
                ),
                format!("curl -s {admin} -X POST {service}/sync"),
            ],
        ),
        (
            "Let an incident pull in Ela, then resolve it:",
            vec![
                format!(
                    "curl -s {json} {incidents} -d '{{\"incident\":{{\"id\":\"Q1\",\"service\":\"{}\",\"assignees\":[\"{}\"]}},\"deliver\":true}}'",
                    world::SERVICE,
                    world::ELA
                ),
                format!("curl -s {json} {incidents}/Q1 -d '{{\"change\":\"resolve\",\"deliver\":true}}'"),
            ],
        ),
        (
            "What was done and why, what arrived, how it fares:",
            vec![
                format!("curl -s {admin} '{service}/api/audit?limit=5'"),
                format!("curl -s {admin} {service}/api/events"),
                format!("curl -s {service}/readyz"),
                format!("curl -s {service}/metrics"),
            ],
        ),
    ];
    for (what, commands) in lines {
        say(&format!("\n     {what}"));
        for command in commands {
            say(&format!("       {command}"));
        }
    }
    say(&format!("\n     The configuration of this demo: {}\n", stage.config_file().display()));
}
