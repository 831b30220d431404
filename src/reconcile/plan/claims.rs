//! From rules and observations to claims: what is certainly wanted, what is possibly wanted, and what could not be
//! used or seen.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Asked, Settings, SkipReason, Skipped, Subject, Unknown, Wanted};
use crate::{
    model::{
        AccountId, Cause, Email, FOREVER, Fault, Grant, Observed, OnCall, OwnGrant, Pair, Resource,
        ResourceId, ResourceSelector, Rule, Source, UserId, Window, later,
    },
    reconcile::world::{AccountMatch, ResourceMatch, World},
};

/// Somebody is entitled to something for a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) pair: Pair,
    /// The resource's name.
    pub(super) resource: String,
    pub(super) email: Email,
    /// From now on; an open end reaches to [`FOREVER`].
    pub(super) window: Window,
    pub(super) cause: Cause,
}

impl From<&Claim> for Wanted {
    fn from(claim: &Claim) -> Self {
        let Claim { pair: _, resource, email, window, cause } = claim.clone();
        Self { email, resource, window, cause }
    }
}

/// Somebody may be entitled to something for a while: nothing is granted for it, and nothing it touches is revoked.
#[derive(Clone, Debug)]
struct Possibility {
    who: Who,
    what: What,
    window: Window,
}

#[derive(Clone, Debug)]
enum Who {
    Anyone,
    Email(Email),
    Account(AccountId),
}

#[derive(Clone, Debug)]
enum What {
    Anything,
    Named(String),
    Resource(ResourceId),
}

/// The strongDM account of a person on call, as far as it could be found out.
enum Identity {
    Account(AccountId, Email),
    Suspended(AccountId, Email),
    Skipped(Subject, SkipReason, Option<Email>),
    Unknown(Asked, Fault, Option<Email>),
}

/// The rules that name a skipped record, and the start of the first shift that it concerns.
type Concerned = (BTreeSet<String>, Option<DateTime<Utc>>);

/// The outcome of going through all rules.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) certain: Vec<Claim>,
    possible: Vec<Possibility>,
    skipped: BTreeMap<(Subject, SkipReason), Concerned>,
    pub(super) unknown: BTreeSet<Unknown>,
    pub(super) on_calls: usize,
    /// Under which address everyone on call counts, by rule and PagerDuty user.
    addresses: BTreeMap<(String, UserId), Email>,
}

impl Claims {
    pub(super) fn gather(now: DateTime<Utc>, settings: &Settings, world: &World) -> Self {
        let mut claims = Self::default();
        let mut counted: BTreeSet<(&Source, &OnCall)> = BTreeSet::new();
        for rule in &settings.rules {
            let (resources, doubtful) = claims.resources_of(rule, world);
            let everything: Vec<What> = resources
                .iter()
                .map(|found| What::Resource(found.id.clone()))
                .chain(doubtful.clone())
                .collect();
            for source in rule.sources() {
                let Some((source, Observed::Known(on_calls))) = world.on_calls.get_key_value(&source) else {
                    if let Some(Observed::Unknown(error)) = world.on_calls.get(&source) {
                        claims
                            .unknown
                            .insert(Unknown { about: Asked::OnCalls(source), error: error.clone() });
                    }
                    claims.perhaps(&Who::Anyone, &everything, always(now));
                    continue;
                };
                for on_call in on_calls.iter().filter(|on_call| rule.selects(on_call)) {
                    let Some(window) = wanted(now, settings.horizon, rule, on_call) else { continue };
                    counted.insert((source, on_call));
                    claims.addresses.extend(address(settings, world, rule, on_call));
                    match identify(settings, world, &on_call.user) {
                        Identity::Account(account_id, email) => {
                            claims.perhaps(&Who::Account(account_id.clone()), &doubtful, window);
                            claims.certain.extend(resources.iter().map(|resource| Claim {
                                pair: Pair { account: account_id.clone(), resource: resource.id.clone() },
                                resource: resource.name.clone(),
                                email: email.clone(),
                                window,
                                cause: cause(rule, source, on_call),
                            }));
                        }
                        Identity::Suspended(account_id, email) => {
                            let subject = Subject::Email(email.to_string());
                            claims.skip(subject, SkipReason::AccountSuspended, rule, on_call.start);
                            claims.perhaps(&Who::Account(account_id), &everything, window);
                        }
                        Identity::Skipped(subject, reason, email) => {
                            claims.skip(subject, reason, rule, on_call.start);
                            if let Some(email) = email {
                                claims.perhaps(&Who::Email(email), &everything, window);
                            }
                        }
                        Identity::Unknown(about, error, email) => {
                            claims.unknown.insert(Unknown { about, error });
                            claims.perhaps(&email.map_or(Who::Anyone, Who::Email), &everything, window);
                        }
                    }
                }
            }
        }
        // The first claim names the grant, so the order of rules and answers must not matter.
        claims.certain.sort();
        claims.on_calls = counted.len();
        claims
    }

    /// Whether somebody may be entitled to a part of `grant` that lies in `window`.
    pub(super) fn may_want(&self, grant: &Grant, window: Window) -> bool {
        self.possible.iter().any(|possible| {
            possible.window.overlaps(&window)
                && match &possible.who {
                    Who::Anyone => true,
                    Who::Email(email) => *email == grant.email,
                    Who::Account(id) => *id == grant.account_id,
                }
                && match &possible.what {
                    What::Anything => true,
                    What::Named(name) => *name == grant.resource,
                    What::Resource(id) => *id == grant.resource_id,
                }
        })
    }

    /// Whether somebody for whom this grant was made is on call for the same rule, but counts under another address.
    pub(super) fn moved_on(&self, own: &OwnGrant) -> bool {
        own.causes.iter().any(|cause| {
            let address = self.addresses.get(&(cause.rule.clone(), cause.user.clone()));
            address.is_some_and(|address| *address != own.grant.email)
        })
    }

    /// The instants after `now` at which a wanted window starts or ends.
    pub(super) fn boundaries(&self, now: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let windows = self.certain.iter().map(|claim| claim.window);
        let windows = windows.chain(self.possible.iter().map(|possible| possible.window));
        windows
            .flat_map(|window| [window.start(), window.end()])
            .filter(|at| *at > now && *at < FOREVER)
            .collect()
    }

    pub(super) fn skipped(&self) -> Vec<Skipped> {
        let skipped = self.skipped.iter();
        skipped
            .map(|((subject, reason), (rules, first_shift))| Skipped {
                subject: subject.clone(),
                reason: *reason,
                rules: rules.clone(),
                first_shift: *first_shift,
            })
            .collect()
    }

    /// The resources of a rule, and what it may mean beside them.
    fn resources_of(&mut self, rule: &Rule, world: &World) -> (BTreeSet<Resource>, Vec<What>) {
        let (mut resources, mut doubtful) = (BTreeSet::new(), Vec::new());
        for selector in &rule.resources {
            let (subject, doubt) = match selector {
                ResourceSelector::Name(name) => (Subject::Resource(name.clone()), What::Named(name.clone())),
                ResourceSelector::Filter(filter) => (Subject::Filter(filter.clone()), What::Anything),
            };
            let reason = match world.resources.get(selector) {
                Some(Observed::Known(ResourceMatch::Found(found))) => {
                    resources.extend(found.iter().cloned());
                    continue;
                }
                Some(Observed::Known(ResourceMatch::None)) => Some(SkipReason::ResourceNotFound),
                Some(Observed::Known(ResourceMatch::Many)) => Some(SkipReason::AmbiguousResource),
                Some(Observed::Known(ResourceMatch::Refused(_))) => Some(SkipReason::FilterRefused),
                Some(Observed::Unknown(error)) => {
                    let about = Asked::Resource(selector.to_string());
                    self.unknown.insert(Unknown { about, error: error.clone() });
                    None
                }
                None => None,
            };
            if let Some(reason) = reason {
                self.skip(subject, reason, rule, None);
            }
            doubtful.push(doubt);
        }
        (resources, doubtful)
    }

    fn perhaps(&mut self, who: &Who, whats: &[What], window: Window) {
        let possibilities =
            whats.iter().map(|what| Possibility { who: who.clone(), what: what.clone(), window });
        self.possible.extend(possibilities);
    }

    fn skip(&mut self, subject: Subject, reason: SkipReason, rule: &Rule, shift: Option<DateTime<Utc>>) {
        let (rules, first_shift) = self.skipped.entry((subject, reason)).or_default();
        rules.insert(rule.name.clone());
        *first_shift = match (*first_shift, shift) {
            (Some(known), Some(shift)) => Some(known.min(shift)),
            (known, shift) => known.or(shift),
        };
    }
}

/// The window for which `rule` gives access because of `on_call`; none if it lies in the past or wholly beyond the
/// horizon, where PagerDuty was not asked.
fn wanted(now: DateTime<Utc>, horizon: TimeDelta, rule: &Rule, on_call: &OnCall) -> Option<Window> {
    let start = on_call.start.map_or(now, |start| later(start, -rule.start_early));
    let end = on_call.end.map_or(FOREVER, |end| later(end, rule.end_late).min(FOREVER));
    (start < later(now, horizon)).then(|| Window::new(start.max(now), end)).flatten()
}

fn always(now: DateTime<Utc>) -> Window {
    Window::new(now, FOREVER).expect("now lies before the year 9999")
}

fn cause(rule: &Rule, source: &Source, on_call: &OnCall) -> Cause {
    let OnCall { user, email: _, schedule, policy, level, start, end } = on_call.clone();
    Cause {
        rule: rule.name.clone(),
        source: source.clone(),
        user,
        through: schedule,
        policy,
        level,
        shift_start: start,
        shift_end: end,
    }
}

fn address(
    settings: &Settings,
    world: &World,
    rule: &Rule,
    on_call: &OnCall,
) -> Option<((String, UserId), Email)> {
    let Some(Observed::Known(Some(raw))) = world.people.get(&on_call.user) else { return None };
    let email = settings.aliases.account_email(raw).ok()?;
    Some(((rule.name.clone(), on_call.user.clone()), email))
}

fn identify(settings: &Settings, world: &World, user: &UserId) -> Identity {
    let unknown_user = |error: Fault| Identity::Unknown(Asked::User(user.to_string()), error, None);
    let raw = match world.people.get(user) {
        Some(Observed::Known(Some(raw))) => raw,
        Some(Observed::Known(None)) => {
            return Identity::Skipped(Subject::User(user.to_string()), SkipReason::NoEmail, None);
        }
        Some(Observed::Unknown(error)) => return unknown_user(error.clone()),
        None => return unknown_user("not asked".into()),
    };
    let Ok(email) = settings.aliases.account_email(raw) else {
        return Identity::Skipped(Subject::Email(raw.clone()), SkipReason::InvalidEmail, None);
    };
    let skipped = |reason| Identity::Skipped(Subject::Email(email.to_string()), reason, Some(email.clone()));
    let unknown = |error: Fault| Identity::Unknown(Asked::Account(email.clone()), error, Some(email.clone()));
    match world.accounts.get(&email) {
        Some(Observed::Known(AccountMatch::One(account))) if account.suspended => {
            Identity::Suspended(account.id.clone(), email)
        }
        Some(Observed::Known(AccountMatch::One(account))) => Identity::Account(account.id.clone(), email),
        Some(Observed::Known(AccountMatch::None)) => skipped(SkipReason::NoAccount),
        Some(Observed::Known(AccountMatch::Many)) => skipped(SkipReason::AmbiguousAccount),
        Some(Observed::Unknown(error)) => unknown(error.clone()),
        None => unknown("not asked".into()),
    }
}
