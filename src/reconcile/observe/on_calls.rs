//! Who is on call, asked of PagerDuty in as few requests as can be; one source without an answer hides no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use super::remedy;
use crate::{
    model::{Fault, Observed, OnCall, Rule, Source, Window},
    pagerduty::{Client, Error},
};

/// The on-calls of each of `sources` that overlap `window`.
pub(super) async fn ask(
    client: &Client,
    rules: &[Rule],
    window: Window,
    sources: &BTreeSet<Source>,
) -> BTreeMap<Source, Observed<Vec<OnCall>>> {
    let (schedules, policies): (Vec<Source>, Vec<Source>) =
        sources.iter().cloned().partition(|source| matches!(source, Source::Schedule(_)));
    let mut answers = BTreeMap::new();
    for sources in [schedules, policies] {
        if sources.is_empty() {
            continue;
        }
        match client.on_calls(&sources, window).await {
            Ok(on_calls) => answers.extend(by_source(client, rules, window, &sources, on_calls).await),
            // One schedule that may not be asked about, or whose entries make no sense, must not hide the others.
            Err(error) if (error.is_client_error() || error.is_invalid()) && sources.len() > 1 => {
                for source in sources {
                    let one = slice::from_ref(&source);
                    match client.on_calls(one, window).await {
                        Ok(on_calls) => answers.extend(by_source(client, rules, window, one, on_calls).await),
                        Err(error) => {
                            let fault = fault(&error, &source, rules);
                            answers.insert(source, Observed::Unknown(fault));
                        }
                    }
                }
            }
            Err(error) => answers.extend(sources.into_iter().map(|source| {
                let fault = fault(&error, &source, rules);
                (source, Observed::Unknown(fault))
            })),
        }
    }
    answers
}

/// Deals the entries of one answer out to what was asked. `/oncalls` answers nothing both for a schedule without
/// anyone and for one that it cannot see, so nothing is believed only after asking for the thing itself.
async fn by_source(
    client: &Client,
    rules: &[Rule],
    window: Window,
    asked: &[Source],
    on_calls: Vec<OnCall>,
) -> BTreeMap<Source, Observed<Vec<OnCall>>> {
    let mut by_source: BTreeMap<Source, Vec<OnCall>> =
        asked.iter().map(|source| (source.clone(), Vec::new())).collect();
    for on_call in on_calls {
        for source in asked {
            let belongs = match source {
                Source::Schedule(id) => on_call.schedule.as_ref() == Some(id),
                Source::Policy(id) => on_call.policy.as_ref() == Some(id),
            };
            if belongs {
                by_source.entry(source.clone()).or_default().push(on_call.clone());
            }
        }
    }
    let mut answers = BTreeMap::new();
    for (source, on_calls) in by_source {
        let answer = match (&source, on_calls.is_empty()) {
            (_, false) => Ok(on_calls),
            (Source::Schedule(id), true) => client.schedule(id, window).await,
            (Source::Policy(id), true) => client.policy(id).await.map(|_| on_calls),
        };
        let answer = match answer {
            Ok(on_calls) => Observed::Known(
                on_calls.into_iter().map(|on_call| without_end_of_answer(on_call, window)).collect(),
            ),
            Err(error) => Observed::Unknown(remedy::source(&error, &source, rules)),
        };
        answers.insert(source, answer);
    }
    answers
}

/// Why `/oncalls` did not tell about `source`.
fn fault(error: &Error, source: &Source, rules: &[Rule]) -> Fault {
    match error {
        Error::NotFound(_) => remedy::source(error, source, rules),
        _ => remedy::on_calls(error),
    }
}

/// PagerDuty cuts shifts at the end of the window that it was asked about. An end exactly there counts as open, or a
/// window that moves on would make a shift look as if it grew.
fn without_end_of_answer(mut on_call: OnCall, asked: Window) -> OnCall {
    if on_call.start.is_some() && on_call.end == Some(asked.end()) {
        on_call.end = None;
    }
    on_call
}
