//! How the story is printed.

use std::time::Instant;

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, TimeDelta, Utc};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();

pub(crate) fn took(since: Instant) -> String {
    format!("{} ms", since.elapsed().as_millis())
}

/// `18:00 UTC`, to the minute.
pub(crate) fn clock_time(at: DateTime<Utc>) -> String {
    (at + TimeDelta::seconds(30)).format("%H:%M UTC").to_string()
}

pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The first line of an act.
pub(crate) fn heading(number: u8, what: &str) {
    say(&paint(BOLD, &format!("\n  {number}. {what}")));
}

/// What happened, and after how long.
pub(crate) fn step(after: &str, what: &str) {
    say(&format!("     {after:>7}  {what}"));
}

/// Prints a line, in colours where a person looks at it; a reader that went away is no error.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    drop(writeln!(anstream::stdout().lock(), "{text}"));
}
