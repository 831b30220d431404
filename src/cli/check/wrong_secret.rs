//! Whether our subscription signs with a secret that the service does not have, as far as the service noticed.

use url::Url;

use crate::{
    model::{Certainty, Finding, FindingKind, instant::to_second},
    pagerduty::Subscription,
    reconcile::report::snapshot::WrongSecret,
    subscription::delivering_to,
};

/// Whether that subscription still delivers to us.
pub(super) fn still_delivers(wrong: &WrongSecret, listed: &[Subscription], url: &Url) -> bool {
    delivering_to(listed, url).iter().any(|one| one.id == wrong.subscription)
}

pub(super) fn finding(wrong: &WrongSecret) -> Finding {
    let WrongSecret { subscription: id, at, certainty } = wrong;
    let (subject, at) = (format!("webhook subscription {id}"), to_second(*at));
    match certainty {
        Certainty::Proved => {
            let message = format!(
                "signs with a secret that is not configured: the service refused its webhook at {at}, and has accepted none \
                 since"
            );
            Finding::problem(FindingKind::WrongSecret, subject, message).mended_by(format!(
                "give its secret as pagerduty.webhook_secrets or in webhook_secrets_file, then: oncall-grants webhook ping \
                 {id}; if it is lost: oncall-grants webhook rotate {id}"
            ))
        }
        Certainty::Claimed => {
            let message = format!(
                "may sign with a secret that is not configured: the service refused a webhook in its name at {at}, which may \
                 have come from anybody, and has accepted none since"
            );
            Finding::warning(FindingKind::WrongSecret, subject, message).mended_by(format!(
                "try it, while the service runs: oncall-grants webhook ping {id}; if the ping is refused, give its secret as \
                 pagerduty.webhook_secrets, or if it is lost: oncall-grants webhook rotate {id}"
            ))
        }
    }
}
