//! Runs both stand-ins with a small world, for people with curl.

use std::net::SocketAddr;
use std::{env, io};

use anyhow::Result;
use clap::Parser;
use sandbox::clock::Clock;
use sandbox::pagerduty::{Endpoint, PagerDuty};
use sandbox::strongdm::StrongDm;
use sandbox::world;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// A stand-in PagerDuty and a stand-in strongDM with a small world.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where the PagerDuty REST API and its control API listen.
    #[arg(long, default_value = "127.0.0.1:18081")]
    pagerduty: SocketAddr,
    /// Where the strongDM gRPC API listens, in plaintext.
    #[arg(long, default_value = "127.0.0.1:18082")]
    strongdm: SocketAddr,
    /// Where the control API of strongDM listens.
    #[arg(long, default_value = "127.0.0.1:18083")]
    control: SocketAddr,
    /// Where signed webhooks are posted to.
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/pagerduty")]
    webhook_url: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = env::var("RUST_LOG").ok().and_then(|filter| filter.parse().ok());
    let filter: Targets = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::ERROR));
    registry().with(filter).with(fmt::layer().with_writer(io::stderr)).init();
    let args = Args::parse();
    let clock = Clock::new();
    let pagerduty = PagerDuty::start(args.pagerduty, clock.clone()).await?;
    let strongdm = StrongDm::start(args.strongdm, clock.clone()).await?;
    let control = strongdm.start_control(args.control).await?;
    pagerduty.set_endpoint(Endpoint::new(&args.webhook_url, world::WEBHOOK_SECRET));
    world::seed(&pagerduty, &strongdm, clock.now());
    help(&pagerduty.url(), &strongdm.url(), &control, &args.webhook_url);
    tokio::signal::ctrl_c().await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what people run the program for")]
fn help(pagerduty: &str, strongdm: &str, control: &str, webhook: &str) {
    let (token, webhook_secret) = (world::TOKEN, world::WEBHOOK_SECRET);
    let (access_key, secret_key) = (world::ACCESS_KEY, world::SECRET_KEY);
    let (client_id, client_secret, subdomain) = (world::CLIENT_ID, world::CLIENT_SECRET, world::SUBDOMAIN);
    let (schedule, policy, service, user) = (world::SCHEDULE, world::POLICY, world::SERVICE, world::CEM);
    println!(
        r#"PagerDuty  {pagerduty}   key {token}
           or, at {pagerduty}/oauth/token, client {client_id}   secret {client_secret}   subdomain {subdomain}
strongDM   {strongdm}   access key {access_key}   secret key {secret_key}
control    {control}   (grants, accounts, resources of strongDM)
webhooks   {webhook}   signed with {webhook_secret}

Schedule {schedule} and policy {policy} are there, and resources tagged env=prod.

Who is on call:
  curl -sg -H 'Authorization: Token token={token}' '{pagerduty}/oncalls?schedule_ids[]={schedule}&time_zone=UTC&include[]=users'
Give the rest of the running shift to another person, and send a webhook:
  curl -s -H 'Content-Type: application/json' {pagerduty}/_sandbox/swap -d '{{"schedule":"{schedule}","user":"{user}","deliver":true}}'
Open an incident, and tell of it; then let Cem acknowledge it, by the ID in the answer:
  curl -s -H 'Content-Type: application/json' {pagerduty}/_sandbox/incidents -d '{{"incident":{{"service":"{service}"}},"deliver":true}}'
  curl -s -H 'Content-Type: application/json' {pagerduty}/_sandbox/incidents/Q1SANDBOX00001 -d '{{"change":{{"acknowledge":"{user}"}},"deliver":true}}'
Send any webhook:
  curl -s -H 'Content-Type: application/json' {pagerduty}/_sandbox/webhook -d '{{"event_type":"schedule.updated","data":{{"id":"{schedule}","type":"schedule"}}}}'
List the grants:
  curl -s {control}/_sandbox/grants
Make the next two creations lose their answer after the work was done:
  curl -s -H 'Content-Type: application/json' {control}/_sandbox/faults -d '{{"on":"AccountGrants.Create","times":2,"after_work":true,"action":{{"kind":"grpc","code":14}}}}'
Make PagerDuty answer 503 until cleared, and clear:
  curl -s -H 'Content-Type: application/json' {pagerduty}/_sandbox/faults -d '{{"on":"GET /oncalls","action":{{"kind":"http","status":503}}}}'
  curl -s -X DELETE {pagerduty}/_sandbox/faults
Move the clock of both ahead by an hour:
  curl -s -H 'Content-Type: application/json' {pagerduty}/_sandbox/clock -d '{{"advance_secs":3600}}'"#
    );
}
