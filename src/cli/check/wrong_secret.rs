//! Whether our subscription signs with a secret that the service does not have, as far as the service noticed.

use url::Url;

use crate::{
    model::{Finding, FindingKind, instant::to_second},
    pagerduty::Subscription,
    reconcile::report::snapshot::WrongSecret,
    store::DeliveryRow,
    subscription::delivering_to,
};

/// Whether one of these signed events came after what the service noticed.
pub(super) fn is_mended(wrong: &WrongSecret, events: &[DeliveryRow]) -> bool {
    // Who left the name out may be anybody who knows our secret: that is us, in all likelihood.
    let names = |event: &DeliveryRow| event.subscription.as_ref().is_none_or(|id| *id == wrong.subscription);
    events.iter().any(|event| event.received_at > wrong.at && names(event))
}

/// Whether that subscription still delivers to us.
pub(super) fn still_delivers(wrong: &WrongSecret, listed: &[Subscription], url: &Url) -> bool {
    delivering_to(listed, url).iter().any(|one| one.id == wrong.subscription)
}

pub(super) fn finding(wrong: &WrongSecret) -> Finding {
    let WrongSecret { subscription: id, at } = wrong;
    let at = to_second(*at);
    let message = format!(
        "signs with a secret that is not configured: the service refused its webhook at {at}, and has accepted none since"
    );
    Finding::problem(FindingKind::WrongSecret, format!("webhook subscription {id}"), message).mended_by(format!(
        "give its secret as pagerduty.webhook_secrets or in webhook_secrets_file, then: oncall-grants webhook ping {id}; if \
         it is lost: oncall-grants webhook rotate {id}"
    ))
}
