//! `oncall-grants simulate`: what the rules would do over a stretch of time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::{Args, ValueEnum};

use super::{ExitStatus, print, print_exact, print_to_stderr, wait_for};
use crate::{
    clock,
    config::Config,
    metrics::Metrics,
    model::{
        Upstream, Window,
        instant::{instant, span, to_second},
    },
    reconcile::{
        plan::Settings,
        simulate::{Calls, Pace, SavedWorld, capture, simulate as live_through},
    },
    web::{draw_html, draw_svg},
    wiring,
};

/// No stretch is longer; and PagerDuty computes shifts for so long ahead.
const LONGEST: TimeDelta = TimeDelta::days(90);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// From when on: a time such as 2026-11-22T14:00:00Z, or a distance such as +2h or -7d [default: now, or the start
    /// of the saved world]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when [default: the horizon later, or the end of the saved world]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Only this rule; may be given several times
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,
    /// Keeps what was observed in this file, for --world; it holds names and addresses of people
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Observes nothing, but takes what --save kept in this file
    #[arg(long, value_name = "FILE", conflicts_with = "save")]
    world: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How a simulation is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    #[default]
    Text,
    /// For machines.
    Json,
    /// A timeline as a picture.
    Svg,
    /// A page with the timeline, for a browser.
    Html,
}

/// Why a simulation cannot be made as asked, in words.
struct Misuse(String);

pub(super) async fn simulate(config: &Config, options: Options) -> anyhow::Result<ExitStatus> {
    let clients_of = |metrics: &Arc<Metrics>| wiring::clients(config, metrics);
    let metrics = Arc::new(Metrics::new());
    let mut settings = wiring::settings(config);
    if let Err(Misuse(words)) = choose(&mut settings, &options.rules) {
        print_to_stderr(&words);
        return Ok(ExitStatus::Misused);
    }
    let saved = match options.world.as_deref().map(read) {
        Some(Err(Misuse(words))) => {
            print_to_stderr(&words);
            return Ok(ExitStatus::Misused);
        }
        Some(Ok(world)) => Some(world),
        None => None,
    };
    let window = match stretch(&options, saved.as_ref(), settings.horizon) {
        Ok(window) => window,
        Err(Misuse(words)) => {
            print_to_stderr(&words);
            return Ok(ExitStatus::Misused);
        }
    };
    let world = if let Some(world) = saved {
        world
    } else {
        let observer = wiring::observer_of(settings.clone(), clients_of(&metrics)?);
        let calls = || calls(&metrics);
        wait_for("PagerDuty and strongDM", capture(&observer, clock::now(), window, calls)).await
    };
    if let Some(file) = &options.save {
        fs::write(file, world.text()?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let pace = Pace { interval: config.sync.interval, verify_interval: config.sync.verify_interval };
    let rules = settings.rules.clone();
    let simulation = live_through(settings, &world, window, pace);
    match options.format {
        Format::Text => print(&simulation.to_string()),
        Format::Json => {
            print(&serde_json::to_string_pretty(&simulation).context("cannot print the result")?);
        }
        Format::Svg => print_exact(&draw_svg(&simulation)),
        Format::Html => print_exact(&draw_html(&simulation, &rules)),
    }
    Ok(if simulation.unknown.is_empty() { ExitStatus::Done } else { ExitStatus::Incomplete })
}

/// The requests that were made so far, and how many are allowed: by the narrower limit where there are several.
fn calls(metrics: &Metrics) -> Calls {
    let limits = metrics.rate_limits();
    let of_pagerduty = limits.iter().filter(|limit| limit.upstream == Upstream::PagerDuty);
    Calls {
        pagerduty: metrics.pagerduty.calls(),
        strongdm: metrics.strongdm.calls(),
        pagerduty_limit: of_pagerduty.filter_map(|limit| limit.last.limit).min(),
    }
}

/// Keeps the rules of these names; all if none is given.
fn choose(settings: &mut Settings, names: &[String]) -> Result<(), Misuse> {
    if let Some(name) = names.iter().find(|name| !settings.rules.iter().any(|rule| rule.name == **name)) {
        return Err(Misuse(format!("no rule has the name {name:?}")));
    }
    if !names.is_empty() {
        settings.rules.retain(|rule| names.contains(&rule.name));
    }
    Ok(())
}

fn read(file: &Path) -> Result<SavedWorld, Misuse> {
    let wrong = |error: &dyn std::fmt::Display| Misuse(format!("--world {}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    SavedWorld::read(&text).map_err(|error| wrong(&error))
}

fn stretch(options: &Options, saved: Option<&SavedWorld>, horizon: TimeDelta) -> Result<Window, Misuse> {
    let now = clock::now().trunc_subsecs(0);
    let read = |name: &str, text: &Option<String>, default: DateTime<Utc>| match text {
        None => Ok(default),
        Some(text) => instant(text, now).map_err(|error| Misuse(format!("--{name}: {error}"))),
    };
    let from = read("from", &options.from, saved.map_or(now, |world| world.window.start()))?;
    let until = read("until", &options.until, saved.map_or(from + horizon, |world| world.window.end()))?;
    let Some(window) = Window::new(from, until) else {
        return Err(Misuse(format!("--until {} is not after --from {}", to_second(until), to_second(from))));
    };
    if until - from > LONGEST {
        return Err(Misuse(format!(
            "a stretch of {} is too long; {} at most",
            span(until - from),
            span(LONGEST)
        )));
    }
    match saved.map(|world| world.window) {
        Some(known) if from < known.start() || until > known.end() => Err(Misuse(format!(
            "the saved world reaches from {} until {}; save it anew for more",
            to_second(known.start()),
            to_second(known.end())
        ))),
        None if until > now + LONGEST => Err(Misuse(format!(
            "PagerDuty knows shifts for {} ahead; choose an earlier --until",
            span(LONGEST)
        ))),
        Some(_) | None => Ok(window),
    }
}
