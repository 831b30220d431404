//! What happens, act by act, and what the reader is told of it.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use sandbox::{
    pagerduty::{Endpoint, Event, IncidentHandle, NewIncident},
    world,
};
use tokio::sync::oneshot;

use crate::{
    pace::Pace,
    screen::{BOLD, GREEN, heading, paint, say, step},
    stage::{ANA, CEM, ELA, END_LATE, PASSWORD, Stage},
};

/// Tells the whole story.
pub(crate) async fn tell(
    stage: &Stage,
    listening: oneshot::Receiver<SocketAddr>,
    pace: &mut Pace,
) -> Result<()> {
    let began = Instant::now();
    let address = listening.await.context("the service did not start")?;
    let webhook = format!("http://{address}/webhooks/pagerduty");
    stage.pagerduty.set_endpoint(Endpoint::new(&webhook, world::WEBHOOK_SECRET));

    introduce(stage, address);
    start(stage, began).await?;
    pace.next_act().await;
    let incident = swap(stage, &webhook).await?;
    let incident = stage.pagerduty.incident(&incident);
    pace.next_act().await;
    escalate(stage, incident).await?;
    pace.next_act().await;
    resolve(stage, incident).await?;
    say(&paint(GREEN, "\n  Right: the person on call has access, and nobody else.\n"));
    Ok(())
}

/// Where to look, first of all.
fn introduce(stage: &Stage, address: SocketAddr) {
    say(&format!("\n  {}", paint(BOLD, "oncall-grants: whoever is on call has access")));
    say(&format!(
        "\n  Open {} and log in with any user name and the password {}.",
        paint(BOLD, &format!("http://{address}")),
        paint(BOLD, PASSWORD)
    ));
    if let Some(why) = stage.another_port() {
        say(&format!("  {why}"));
    }
    say(
        "  It shows what happens here within ten seconds.\n\n  The service is real; stand-ins play PagerDuty and strongDM. The rules of this demo:\n  \
         whoever is on call in Payments primary reaches prod-postgres and prod-cluster,\n  \
         and so does whoever an incident of Payments API is assigned to.",
    );
}

async fn start(stage: &Stage, began: Instant) -> Result<()> {
    heading(1, "The service starts.");
    let ready = stage.lets_in(ANA, began).await?;
    step(&ready, &format!("{}, who is on call, has access until {}", ANA.name, stage.end(ANA)));
    inside(stage);
    Ok(())
}

fn inside(stage: &Stage) {
    say(&format!("     {}", paint(GREEN, &format!("strongDM lets in: {}", stage.inside()))));
}

/// Cem gets the rest of Ana's shift. The next incident's event makes the service see it; returns its ID.
async fn swap(stage: &Stage, webhook: &str) -> Result<String> {
    heading(2, "Ana gives the rest of her shift to Cem Öz. Then an incident pages him.");
    let swapped = stage.pagerduty.swap_shift(world::SCHEDULE, world::CEM, stage.now());
    swapped.context("nobody is on call")?;
    let (incident, event) = stage
        .pagerduty
        .open_incident(NewIncident::on(world::SERVICE).titled("Card payments fail: 5xx above 2 %"));
    let began = Instant::now();
    stage.deliver(&event).await?;
    let answered = crate::screen::took(began);
    let (gained, lost) = tokio::try_join!(stage.lets_in(CEM, began), stage.keeps_out(ANA, began))?;
    step(&answered, "PagerDuty's signed webhook is on disk, and answered 202");
    step(&gained, &format!("{} has access until {}", CEM.name, stage.end(CEM)));
    step(&lost, &format!("{} has none: to take access away takes two looks", ANA.name));
    refuse_forged(stage, webhook, &event).await?;
    inside(stage);
    stage.only(&[CEM])?;
    Ok(incident)
}

async fn refuse_forged(stage: &Stage, webhook: &str, event: &Event) -> Result<()> {
    let forged = Endpoint::new(webhook, "not-the-secret");
    let refused = stage.pagerduty.deliver_bytes(&forged, event.body(), "forged").await?;
    ensure!(refused.status == 401, "a forged webhook was answered {}", refused.status);
    step("", "A copy of the webhook with a forged signature is answered 401.");
    Ok(())
}

/// The incident pulls in Ela, whom no schedule of this rule names.
async fn escalate(stage: &Stage, incident: IncidentHandle<'_>) -> Result<()> {
    heading(3, "Cem does not answer. The incident escalates to Ela Novak, who is not on call for it.");
    let event = incident.escalate();
    let began = Instant::now();
    stage.deliver(&event).await?;
    let gained = stage.lets_in(ELA, began).await?;
    step(&gained, &format!("{} has access as well, for an hour at most", ELA.name));
    inside(stage);
    stage.only(&[CEM, ELA])
}

/// The incident is over, and so is Ela's part.
async fn resolve(stage: &Stage, incident: IncidentHandle<'_>) -> Result<()> {
    heading(4, "The incident is resolved.");
    let event = incident.resolve();
    let began = Instant::now();
    stage.deliver(&event).await?;
    let lost = stage.keeps_out(ELA, began).await?;
    step(
        &lost,
        &format!("{} has none any more: her rule leaves her {END_LATE}, then come two looks", ELA.name),
    );
    inside(stage);
    stage.only(&[CEM])
}

/// What the reader can do now.
pub(crate) fn try_it(stage: &Stage) {
    let pagerduty = stage.pagerduty.url();
    let post = |path: &str, body: &str| format!("curl -s --json '{body}' {pagerduty}/_sandbox/{path}");
    let swap = format!(r#"{{"schedule":"{}","user":"{}","deliver":true}}"#, world::SCHEDULE, world::BO);
    let open = format!(
        r#"{{"incident":{{"id":"Q1","service":"{}","assignees":["{}"]}},"deliver":true}}"#,
        world::SERVICE,
        world::ELA
    );
    let lines = [
        ("Bo takes the shift over:", post("swap", &swap)),
        ("An incident pulls in Ela:", post("incidents", &open)),
        ("It is resolved:", post("incidents/Q1", r#"{"change":"resolve","deliver":true}"#)),
    ];
    say(&format!("  {} Try this in another terminal; Ctrl-C ends the demo.", paint(BOLD, "Your turn.")));
    for (what, command) in lines {
        say(&format!("  {what}\n    {command}"));
    }
}
