//! Structured logs on standard error; standard output belongs to results.

pub(crate) mod throttle;

use std::io;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What somebody must act on.
    Error,
    /// Also what is degraded.
    Warn,
    /// Also every grant made or revoked.
    #[default]
    Info,
    /// Also every request.
    Debug,
    /// Everything.
    Trace,
}

/// Starts logging; to be called once.
pub fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries speak up only about trouble: their debug output may quote what they send.
    let filter = Targets::new().with_default(LevelFilter::ERROR).with_target("oncall_grants", level);
    let lines = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let coloured = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
            registry().with(filter).with(lines.with_target(false).with_ansi(coloured)).init();
        }
        LogFormat::Json => {
            registry().with(filter).with(lines.json().flatten_event(true).with_span_list(false)).init();
        }
    }
}
