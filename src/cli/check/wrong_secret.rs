//! Whether our subscription signs with a secret that the service does not have, as far as the service noticed.

use chrono::SecondsFormat;
use url::Url;

use super::store::Beside;
use crate::{
    model::{Finding, FindingKind},
    pagerduty::Subscription,
    reconcile::report::snapshot::WrongSecret,
    store::DeliveryRow,
    subscription::delivering_to,
};

/// What the service noticed, unless one of these signed events came after it.
pub(super) fn standing<'b>(beside: &'b Beside, came: &[DeliveryRow]) -> Option<&'b WrongSecret> {
    let wrong = beside.wrong_secret.as_ref()?;
    // Who left the name out may be anybody who knows our secret: that is us, in all likelihood.
    let names = |event: &DeliveryRow| event.subscription.as_ref().is_none_or(|id| *id == wrong.subscription);
    let is_mended = came.iter().any(|event| event.received_at > wrong.at && names(event));
    (!is_mended).then_some(wrong)
}

/// Whether that subscription does not deliver to us any more.
pub(super) fn is_gone(wrong: &WrongSecret, listed: &[Subscription], url: &Url) -> bool {
    !delivering_to(listed, url).iter().any(|one| one.id == wrong.subscription)
}

pub(super) fn finding(wrong: &WrongSecret) -> Finding {
    let WrongSecret { subscription: id, at } = wrong;
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let message = format!(
        "signs with a secret that is not configured: the service refused its webhook at {at}, and has accepted none since"
    );
    Finding::problem(FindingKind::WrongSecret, format!("webhook subscription {id}"), message).mended_by(format!(
        "give its secret as pagerduty.webhook_secrets or in webhook_secrets_file, then: oncall-grants webhook ping {id}; if \
         it is lost: oncall-grants webhook rotate {id}"
    ))
}
