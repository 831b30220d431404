//! A shift is swapped, a signed webhook arrives, and access follows; on one machine, without any account.
//!
//! Stand-ins for PagerDuty and strongDM run beside the real service. `--once` tells the story and exits: 0 if the right
//! people have access at the end, 1 if not.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use oncall_grants::{
    config,
    serve::serve_until,
    telemetry::{self, LogFormat, LogLevel},
};
use sandbox::{
    clock::Clock,
    pagerduty::{Endpoint, Event, PagerDuty},
    strongdm::StrongDm,
    world,
};
use tokio::sync::oneshot;

/// Longer than the slowest machine needs; what takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(20);
const BOLD: Style = Style::new().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const ADMIN_TOKEN: &str = "demo-admin-token";
const RESOURCES: [&str; 2] = ["prod-postgres", "prod-cluster"];
const PEOPLE: [(&str, &str); 3] =
    [("Ana Lima", "ana@example.com"), ("Bo Chen", "bo.chen@example.com"), ("Cem Öz", "cem@example.com")];

/// Shows how a swapped shift becomes access, with stand-ins for PagerDuty and strongDM.
#[derive(Parser)]
struct Args {
    /// Tells the story and exits: 0 if the right people have access at the end, 1 if not
    #[arg(long)]
    once: bool,
    /// Shows the log of the service
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.verbose {
        telemetry::start(LogFormat::Text, LogLevel::Info);
    }
    match demo(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\n  FAILED: {error:#}"));
            if !args.verbose {
                say("  Run it with --verbose to see the log of the service.");
            }
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &Args) -> Result<()> {
    let stage = Stage::set().await?;
    let (ready, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let config = config::load(Some(&stage.config_file()), &|_| None)?;
    let mut service = tokio::spawn(async move {
        let stop = async {
            // A sender that is dropped means the same: the story is over.
            drop(stopped.await);
            Ok("the demo")
        };
        let listening = |address| {
            // Nobody listens any more if the story broke off.
            let _ = ready.send(address);
        };
        serve_until(&config, listening, stop).await
    });
    let told = tokio::select! {
        told = tell(&stage, listening, args.once) => told,
        ended = &mut service => return ended?.and_then(|()| bail!("the service ended by itself")),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
    };
    drop(stop);
    service.await??;
    told
}

/// The two stand-ins, and the directory with the configuration and the store.
struct Stage {
    pagerduty: PagerDuty,
    strongdm: StrongDm,
    control: String,
    directory: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Result<Self> {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(any_port, clock.clone()).await?;
        let strongdm = StrongDm::start(any_port, clock.clone()).await?;
        let control = strongdm.start_control(any_port).await?;
        world::seed(&pagerduty, &strongdm, clock.now());
        let directory = tempfile::tempdir()?;
        let stage = Self { pagerduty, strongdm, control, directory };
        fs::write(stage.config_file(), stage.config())?;
        Ok(stage)
    }

    fn config_file(&self) -> PathBuf {
        self.directory.path().join("oncall-grants.toml")
    }

    /// Looks by itself once an hour only: what happens in between is the webhook's doing.
    fn config(&self) -> String {
        let store = self.directory.path().join("demo.db");
        format!(
            r#"[server]
listen = "127.0.0.1:0"
admin_token = "{ADMIN_TOKEN}"

[pagerduty]
api_url = "{pagerduty}"
token = "{token}"
webhook_secrets = ["{secret}"]

[strongdm]
api_url = "{strongdm}"
access_key = "{access_key}"
secret_key = "{secret_key}"

[store]
url = "sqlite:{store}"

[sync]
interval = "1h"
horizon = "1d"

[[rules]]
name = "payments on-call"
schedules = ["{schedule}"]
resources = ["prod-postgres"]
resource_filters = ["tags:team=platform"]
"#,
            pagerduty = self.pagerduty.url(),
            token = world::TOKEN,
            secret = world::WEBHOOK_SECRET,
            strongdm = self.strongdm.url(),
            access_key = world::ACCESS_KEY,
            secret_key = world::SECRET_KEY,
            store = store.display(),
            schedule = world::SCHEDULE,
        )
    }

    fn now(&self) -> DateTime<Utc> {
        self.strongdm.clock().now()
    }

    /// Until when strongDM lets this person in; nothing if it does not let them in now.
    fn access(&self, email: &str, resource: &str) -> Option<DateTime<Utc>> {
        let now = self.now();
        let grants = self.strongdm.grants_of(email, resource);
        grants.iter().filter(|grant| grant.covers(now)).map(|grant| grant.end.unwrap_or(now)).max()
    }

    fn has_everything(&self, email: &str) -> bool {
        RESOURCES.iter().all(|resource| self.access(email, resource).is_some())
    }

    fn has_nothing(&self, email: &str) -> bool {
        RESOURCES.iter().all(|resource| self.access(email, resource).is_none())
    }

    /// Who has access now, as strongDM sees it.
    fn table(&self) {
        let [first, second] = RESOURCES;
        say(&format!("\n      {:<12}{first:<20}{second}", "person"));
        for (name, email) in PEOPLE {
            let cells = RESOURCES.map(|resource| match self.access(email, resource) {
                Some(end) => format!("until {}", clock_time(end)),
                None => "-".to_owned(),
            });
            let row = format!("      {name:<12}{:<20}{}", cells[0], cells[1]);
            say(&if self.has_everything(email) { paint(GREEN, &row) } else { row });
        }
        say("");
    }
}

async fn tell(stage: &Stage, listening: oneshot::Receiver<SocketAddr>, once: bool) -> Result<()> {
    let began = Instant::now();
    let address = listening.await.context("the service did not start")?;
    let service = format!("http://{address}");
    let webhook = format!("{service}/webhooks/pagerduty");
    stage.pagerduty.set_endpoint(Endpoint::new(&webhook, world::WEBHOOK_SECRET));

    let [(ana_name, ana), _, (cem_name, cem)] = PEOPLE;
    say(&paint(BOLD, "\n  1. The service starts"));
    say(&format!(
        "     oncall-grants {service}, PagerDuty {}, strongDM {}",
        stage.pagerduty.url(),
        stage.strongdm.url()
    ));
    say(
        "     Rule: whoever is on call in \"Payments primary\" gets prod-postgres and what is tagged team=platform.",
    );
    wait_until(&format!("{ana_name} has access"), || stage.has_everything(ana)).await?;
    say(&format!("     It asked who is on call, and made the grants: ready after {}.", took(began)));
    say("     strongDM now lets in:");
    stage.table();

    say(&paint(BOLD, "  2. A shift is swapped"));
    let event = swap(stage, world::CEM)?;
    say(&format!("     {ana_name} gives the rest of this shift to {cem_name}. Nobody tells the service."));

    say(&paint(BOLD, "\n  3. PagerDuty sends a webhook"));
    say(
        "     An incident pages the team. The event names no person and no schedule; it only says: look again.",
    );
    let began = Instant::now();
    let answer = stage.pagerduty.deliver(&event).await?;
    let answered = took(began);
    ensure!(answer.status == 202, "the webhook was answered {}: {}", answer.status, answer.body);
    let (inside, outside) = tokio::try_join!(
        async {
            wait_until(&format!("{cem_name} has access"), || stage.has_everything(cem)).await?;
            Ok::<_, anyhow::Error>(took(began))
        },
        async {
            wait_until(&format!("{ana_name} has none"), || stage.has_nothing(ana)).await?;
            Ok(took(began))
        },
    )?;
    say(&format!("     {answered:>8}  the signed {} is on disk and answered 202", event.event_type));
    say(&format!("     {inside:>8}  {cem_name} has access"));
    say(&format!("     {outside:>8}  {ana_name} has none any more"));
    say("     strongDM now lets in:");
    stage.table();

    let forged = Endpoint::new(&webhook, "not-the-secret");
    let refused = stage.pagerduty.deliver_bytes(&forged, event.body(), "forged").await?;
    ensure!(refused.status == 401, "a forged webhook was answered {}", refused.status);
    say("     The same event with a forged signature: 401, and nothing happens.");
    for (name, email) in PEOPLE {
        let right = if email == cem { stage.has_everything(email) } else { stage.has_nothing(email) };
        ensure!(right, "{name} has the wrong access");
    }
    if once {
        say(&paint(GREEN, "\n  Right: the person on call has access, and nobody else.\n"));
        return Ok(());
    }
    try_it(stage, &service);
    std::future::pending().await
}

/// Gives the rest of the running shift to `user`; answers an event that leads to the schedule.
fn swap(stage: &Stage, user: &str) -> Result<Event> {
    let now = stage.now();
    let swapped = stage.pagerduty.swap_shift(world::SCHEDULE, user, now);
    swapped.context("nobody is on call")?;
    Ok(Event::incident("incident.triggered", now, world::POLICY, world::SERVICE))
}

/// What the reader can do now.
fn try_it(stage: &Stage, service: &str) {
    let (pagerduty, control, schedule) = (stage.pagerduty.url(), &stage.control, world::SCHEDULE);
    let admin = format!("-H 'Authorization: Bearer {ADMIN_TOKEN}'");
    let json = "-H 'Content-Type: application/json'";
    say(&paint(BOLD, "\n  4. Your turn (Ctrl-C ends it)"));
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

async fn wait_until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !holds() {
        ensure!(
            began.elapsed() < PATIENCE,
            "after {} s it still does not hold that {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn took(since: Instant) -> String {
    format!("{} ms", since.elapsed().as_millis())
}

/// `18:00 UTC`, to the minute.
fn clock_time(at: DateTime<Utc>) -> String {
    (at + TimeDelta::seconds(30)).format("%H:%M UTC").to_string()
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints a line, in colours where a person looks at it; a reader that went away is no error.
fn say(text: &str) {
    use std::io::Write;
    drop(writeln!(anstream::stdout().lock(), "{text}"));
}
