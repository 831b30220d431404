//! The probe: learns on the operator's own account what strongDM does not document. It makes grants that give access in
//! most of a year, for an account and a resource that nobody else has a grant for, and removes each of them at once.
//!
//! Each is intended in the store before it is made (`intents.rs`), so that whoever comes after a kill can remove it. A
//! running service takes none of them for anybody's. What it found (`findings.rs`) is kept as a fact: the planner
//! believes it until real writes teach otherwise.

mod findings;
mod intents;
mod run;

pub(crate) use self::{
    findings::Findings,
    run::{InForce, Prober, Question},
};

pub(super) use self::intents::intended;

use chrono::{DateTime, Utc};

use super::facts::SECOND_GRANT;
use crate::{
    model::SecondGrant,
    store::{self, Fact, SharedStore},
};

/// What the last probe found.
pub(crate) const PROBED: Fact<Findings> = Fact::named("probe_findings");

/// What strongDM is known to do with a second grant: what real writes were last seen to lead to, else what a probe found,
/// else the best.
pub(super) async fn second_grant(
    store: &SharedStore,
    now: DateTime<Utc>,
) -> Result<SecondGrant, store::Error> {
    if let Some(seen) = SECOND_GRANT.read(store, now).await? {
        return Ok(seen);
    }
    let probed = PROBED.read(store, now).await?;
    Ok(probed.and_then(|found| found.second_grant()).unwrap_or_default())
}
