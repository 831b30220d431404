//! `oncall-grants check`: finds what will break before it breaks.

use std::sync::Arc;

use clap::Args;

use super::{Ending, print};
use crate::{assemble, config::Config, metrics::Metrics, reconcile::plan::Step, store::sqlite::Sqlite};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Reads the configuration only and asks nobody
    #[arg(long)]
    offline: bool,
}

pub(super) async fn check(config: &Config, options: Options) -> anyhow::Result<Ending> {
    print(&format!("ok        {}: {} rules", config.file.display(), config.rules.len()));
    if config.pagerduty.webhook_secrets.is_empty() {
        print(
            "note      no webhook secret: changes are found by the timer only, and webhooks are answered 503",
        );
    }
    if options.offline {
        return Ok(Ending::Done);
    }
    // An empty store: what matters here is what the rules mean, not what was done before.
    let store = Arc::new(Sqlite::in_memory().await?);
    let reconciler = assemble::reconciler(config, store, Arc::new(Metrics::new())).await?;
    let survey = reconciler.survey().await?;
    let mut findings = 0;
    let mut finding = |text: String| {
        findings += 1;
        print(&format!("problem   {text}"));
    };
    for unknown in &survey.plan.unknown {
        finding(unknown.to_string());
    }
    if let Err(error) = &survey.grants {
        finding(format!("strongDM's list of grants: {error}"));
    }
    for skipped in &survey.plan.skipped {
        finding(skipped.to_string());
    }
    let wanted: Vec<_> = survey.plan.pairs.iter().flat_map(|pair| &pair.steps).map(Step::grant).collect();
    for rule in
        config.rules.iter().filter(|rule| !wanted.iter().any(|grant| grant.rules.contains(&rule.name)))
    {
        print(&format!("note      rule {:?} gives nobody access within the horizon", rule.name));
    }
    for grant in &wanted {
        print(&format!("ok        {grant}"));
    }
    let (on_calls, grants) = (survey.plan.on_calls, wanted.len());
    print(&format!("{findings} problems; {on_calls} on-calls lead to {grants} grants within the horizon"));
    print("The right to make and remove grants (grant:write) is not tried out here.");
    Ok(if findings == 0 { Ending::Done } else { Ending::Incomplete })
}
