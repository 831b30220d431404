//! The text formats in which Prometheus and others read metrics, and which of them a client wants.

use std::fmt::Write;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older format of Prometheus, which every collector reads.
    Plain,
}

impl Exposition {
    /// What the value of an `Accept` header asks for: OpenMetrics, unless something else is wanted more.
    pub(crate) fn wanted(accept: &str) -> Self {
        let ranges: Vec<Range> = accept.split(',').map(Range::of).collect();
        let best = |name: &str| {
            let weights = ranges.iter().filter(|range| range.name == name).map(|range| range.weight);
            weights.reduce(f64::max)
        };
        // The more exact range counts.
        let weight = |names: [&str; 3]| names.into_iter().find_map(best).unwrap_or(0.0);
        let open = weight(["application/openmetrics-text", "application/*", "*/*"]);
        let plain = weight(["text/plain", "text/*", "*/*"]);
        if plain > open { Self::Plain } else { Self::OpenMetrics }
    }

    /// The media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// A text in OpenMetrics in this format.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Plain => plain(&open_metrics),
        }
    }
}

/// One of the media ranges of an `Accept` header.
struct Range {
    name: String,
    weight: f64,
}

impl Range {
    fn of(text: &str) -> Self {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok()).unwrap_or(1.0);
        Self { name, weight }
    }
}

/// The older format has neither units nor an end, knows fewer types, and describes counters by the name of their sample.
fn plain(open_metrics: &str) -> String {
    let (mut plain, mut help) = (String::with_capacity(open_metrics.len()), None);
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, text)) = help.take() {
                write_line(&mut plain, format_args!("# HELP {name}{ending} {text}"));
            }
            write_line(&mut plain, format_args!("# TYPE {name}{ending} {kind}"));
        } else if !line.starts_with('#') {
            write_line(&mut plain, format_args!("{line}"));
        }
    }
    plain
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_one_format_gets_it() {
        for (accept, expected) in [
            ("", Exposition::OpenMetrics),
            ("*/*", Exposition::OpenMetrics),
            ("text/plain;version=0.0.4", Exposition::Plain),
            ("text/plain;version=0.0.4, */*;q=0.1", Exposition::Plain),
            ("text/html, application/openmetrics-text;q=0, */*;q=0.1", Exposition::Plain),
            ("text/plain, application/openmetrics-text;q=0.9", Exposition::Plain),
            ("application/openmetrics-text", Exposition::OpenMetrics),
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Exposition::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Exposition::OpenMetrics,
            ),
        ] {
            assert_eq!(Exposition::wanted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn the_plain_format_describes_what_it_shows() {
        let open_metrics = "# HELP a_build Version.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
                            # HELP a_hits Hits.\n# TYPE a_hits counter\na_hits_total 2\n\
                            # HELP a_wait_seconds Wait.\n# TYPE a_wait_seconds gauge\n# UNIT a_wait_seconds seconds\n\
                            a_wait_seconds NaN\n# EOF\n";
        let expected = "# HELP a_build_info Version.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
                        # HELP a_hits_total Hits.\n# TYPE a_hits_total counter\na_hits_total 2\n\
                        # HELP a_wait_seconds Wait.\n# TYPE a_wait_seconds gauge\na_wait_seconds NaN\n";
        assert_eq!(Exposition::Plain.of(open_metrics.to_owned()), expected);
        assert_eq!(Exposition::OpenMetrics.of(open_metrics.to_owned()), open_metrics);
    }
}
