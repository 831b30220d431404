//! Structured logs on standard error; standard output belongs to results.

pub mod throttle;

use std::io;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, fmt};

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
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries speak up only about trouble: their debug output may quote what they send.
    let filter = EnvFilter::new(format!("error,oncall_grants={level}"));
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let coloured = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
            builder.with_target(false).with_ansi(coloured).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).init(),
    }
}
