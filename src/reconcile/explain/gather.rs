//! Gathers what an explanation is made from: asks both upstreams and the store, and writes nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use super::{
    answer::{Explanation, explain},
    question::{Known, Past, Question},
};
use crate::{
    clock,
    model::{Email, Grant, UserId, Window, later},
    reconcile::{
        observe::{Observer, recorded},
        plan::{Released, Standing, foresee, standings},
        scope::Scope,
        world::World,
    },
    store::{self, AuditRow, GrantQuery, SharedStore},
};

/// PagerDuty computes at most 90 days at once.
const LONGEST_WINDOW: TimeDelta = TimeDelta::days(89);
/// A question takes a moment from the one who asks to us.
const JUST_NOW: TimeDelta = TimeDelta::seconds(3);
/// So many pages of the audit are searched for what was done for one person.
const AUDIT_PAGES: usize = 10;
/// So many of those who were asked to help with an incident are looked up.
const ASKED_TO_HELP: usize = 20;
/// The largest page.
const AUDIT_PAGE: u32 = 500;

/// Why somebody has, or lacks, access, as both upstreams and the store say now.
pub(crate) async fn explain_now(
    observer: &Observer,
    store: &SharedStore,
    question: &Question,
) -> Result<Explanation, store::Error> {
    let now = clock::now();
    // Who asks about now means the moment at which we look.
    let at = if (now - JUST_NOW..now).contains(&question.at) { now } else { question.at };
    let question = &Question { at, ..question.clone() };
    let settings = observer.settings();
    let asked = around(observer.asked_window(now), at);
    let recorded = recorded::read(store, now, &BTreeSet::new(), None).await?;
    let mut world = observer.observe_window(now, &Scope::All, asked, recorded).await;
    world.recorded.parts = store.incident_parts(now, &world.incident_ids()).await?;
    let email = &settings.aliases.to_strongdm(&question.email);
    if !world.accounts.contains_key(email) {
        world.accounts.insert(email.clone(), observer.account(now, email).await);
    }
    let address = async |user: UserId| {
        let address = observer.address(now, &user).await;
        (user, address)
    };
    let addresses = join_all(asked_to_help(&world).into_iter().map(address)).await;
    world.people.extend(addresses);
    let plan = foresee(now, settings, &world, Released::Nothing);
    let standings: Vec<Standing> =
        settings.rules.iter().flat_map(|rule| standings(now, rule, &world)).collect();
    let ledger = store.ledger(now).await?;
    let theirs = GrantQuery { ended: true, email: Some(email.to_string()), ..GrantQuery::default() };
    let made = store.grants(now, &theirs).await?;
    let history = history(store, email).await?;
    let (world, plan, ledger, made) = (&world, &plan, ledger.as_slice(), made.as_slice());
    let known =
        Known { now, asked, settings, world, plan, standings: &standings, ledger, made, history: &history };
    let names = observer.names().refreshed(store).await;
    Ok(explain(question, &known).named(&names))
}

/// Users who were asked to help with an incident and have not joined it, whose address no pass needs.
fn asked_to_help(world: &World) -> BTreeSet<UserId> {
    let asked = world.seen_incidents().flat_map(|incident| &incident.asked);
    asked.filter(|user| !world.people.contains_key(*user)).take(ASKED_TO_HELP).cloned().collect()
}

/// What was done for one person, newest first.
async fn history(store: &SharedStore, email: &Email) -> Result<Vec<Past>, store::Error> {
    let (mut found, mut before) = (Vec::new(), None);
    for _ in 0..AUDIT_PAGES {
        let page = store.audit_page(AUDIT_PAGE, before).await?;
        found.extend(page.items.iter().filter_map(|row| past(row, email)));
        before = page.next.and_then(|next| next.parse().ok());
        if before.is_none() {
            break;
        }
    }
    Ok(found)
}

/// `usual`, made longer to hold `at` with a margin, if that is not too long.
fn around(usual: Window, at: DateTime<Utc>) -> Window {
    let margin = TimeDelta::days(1);
    let (start, end) = (usual.start().min(later(at, -margin)), usual.end().max(later(at, margin)));
    let usual_holds = usual.start() <= at && at < usual.end();
    let wide = Window::new(start, end).filter(|_| !usual_holds && end - start <= LONGEST_WINDOW);
    wide.unwrap_or(usual)
}

fn past(row: &AuditRow, email: &Email) -> Option<Past> {
    let AuditRow { at, action, outcome, grant, reason, .. } = row;
    let Grant { id, email: whose, resource, resource_id, window, .. } =
        serde_json::from_str(grant.get()).ok()?;
    (whose == *email).then(|| Past {
        at: *at,
        action: action.clone(),
        outcome: outcome.clone(),
        reason: reason.clone(),
        resource,
        resource_id,
        grant_id: id.map(|id| id.to_string()),
        window: Some(window),
    })
}
