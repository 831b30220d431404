//! From rules and observations to claims: what is certainly wanted, what is possibly wanted, and what could not be
//! used or seen.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Settings, Wanted,
    identity::{Identity, Person},
    incidents::{Entitlement, IncidentRule, Standing, Standings},
    namesakes::Namesakes,
    possible::{Possibilities, What, Who},
};
use crate::{
    model::{
        Asked, Cause, Email, FOREVER, IncidentCause, IncidentSelector, KubernetesGroups, Observed, OnCall,
        OwnGrant, Pair, PeopleSelector, RememberedPart, Resource, ResourceSelector, Rule, SkipReason,
        Skipped, Source, Subject, Unknown, UserId, Window, later, lies_ahead,
    },
    reconcile::world::{ResourceMatch, World},
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
    pub(super) groups: KubernetesGroups,
}

impl From<&Claim> for Wanted {
    fn from(claim: &Claim) -> Self {
        let Claim { pair: _, resource, email, window, cause, groups: _ } = claim.clone();
        // The claim is cut at the moment of the plan; people want to see when the shift began.
        let start = cause.shift_start.map_or(window.start(), |start| start.min(window.start()));
        let end = (window.end() < FOREVER).then(|| window.end());
        Self { email, resource, start, end, rule: cause.rule, source: cause.source }
    }
}

/// What a rule gives access to.
#[derive(Default)]
struct Resources {
    found: BTreeSet<Resource>,
    /// What the rule may mean beside them, because a look-up gave no answer or no resource.
    suspected: Vec<What>,
}

impl Resources {
    fn all(&self) -> Vec<What> {
        let found = self.found.iter().map(|resource| What::Resource(resource.id.clone()));
        found.chain(self.suspected.iter().cloned()).collect()
    }
}

/// The rules that name a skipped record, and the start of the first shift that it concerns.
type Concerned = (BTreeSet<String>, Option<DateTime<Utc>>);

/// The outcome of going through all rules.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) certain: Vec<Claim>,
    pub(super) possible: Possibilities,
    skipped: BTreeMap<(Subject, SkipReason), Concerned>,
    pub(super) unknown: BTreeSet<Unknown>,
    pub(super) on_calls: usize,
    /// What is to be remembered of people's parts in incidents, where that is news, and until when.
    pub(super) parts: Vec<(RememberedPart, DateTime<Utc>)>,
    /// Under which address everyone on call counts, by rule and PagerDuty user.
    addresses: BTreeMap<String, BTreeMap<UserId, Email>>,
    /// The rules of which this look could not tell all that they want.
    pub(super) doubtful: BTreeSet<String>,
    /// When the next window begins or ends that is wanted, certainly or possibly.
    pub(super) next_boundary: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Claims {
    pub(super) fn gather(now: DateTime<Utc>, settings: &Settings, world: &World) -> Self {
        let mut claims = Self { now, ..Self::default() };
        let namesakes = Namesakes::of(&settings.aliases, world);
        let mut people: BTreeMap<UserId, Person> = BTreeMap::new();
        let mut counted: BTreeSet<(&Source, &OnCall)> = BTreeSet::new();
        for rule in &settings.rules {
            let resources = claims.resources_of(rule, world);
            let whats = resources.all();
            if let PeopleSelector::Incidents(selector) = &rule.people {
                claims.gather_incidents(
                    (settings, world, &namesakes),
                    (rule, selector),
                    &resources,
                    &mut people,
                );
                continue;
            }
            let mut addresses: BTreeMap<UserId, Email> = BTreeMap::new();
            let mut is_seen_whole = true;
            for source in rule.sources() {
                let Some((source, Observed::Known(on_calls))) = world.on_calls.get_key_value(&source) else {
                    if let Some(Observed::Unknown(error)) = world.on_calls.get(&source) {
                        claims.unknown.insert(Unknown::new(source, error.clone()));
                    }
                    is_seen_whole = false;
                    continue;
                };
                if let Some(doubt) = world.doubts.get(source) {
                    claims.unknown.insert(Unknown::new(source.clone(), doubt.clone()));
                    is_seen_whole = false;
                }
                for on_call in on_calls.iter().filter(|on_call| rule.selects(on_call)) {
                    let Some(window) = window_of(now, settings.horizon, rule, on_call) else { continue };
                    counted.insert((source, on_call));
                    let person = people
                        .entry(on_call.user.clone())
                        .or_insert_with(|| Person::of(settings, world, &namesakes, &on_call.user));
                    if let Some(address) =
                        person.address.as_ref().filter(|_| !addresses.contains_key(&on_call.user))
                    {
                        addresses.insert(on_call.user.clone(), address.clone());
                    }
                    claims.possible.add_former(&on_call.user, person.known_as(), &whats, window);
                    let cause = cause(rule, source, on_call, person.pagerduty_address.clone());
                    claims.add(&person.identity, &resources, window, rule, &cause);
                }
            }
            if !is_seen_whole {
                claims.suspect(&Who::Anyone, &whats, from_now_on(now));
            }
            if !is_seen_whole || !resources.suspected.is_empty() {
                claims.doubtful.insert(rule.name.clone());
            }
            claims.addresses.insert(rule.name.clone(), addresses);
        }
        // The first claim names the grant, so the order of rules and answers must not matter.
        claims.certain.sort();
        claims.on_calls = counted.len();
        claims
    }

    /// Adds what a rule about incidents leads to.
    fn gather_incidents<'w>(
        &mut self,
        (settings, world, namesakes): (&Settings, &'w World, &Namesakes<'_>),
        (rule, selector): (&'w Rule, &'w IncidentSelector),
        resources: &Resources,
        people: &mut BTreeMap<UserId, Person>,
    ) {
        let (now, whats) = (self.now, resources.all());
        let mut is_seen_whole = resources.suspected.is_empty();
        for id in &selector.services {
            let fault = match world.incidents.get(id) {
                Some(Observed::Known(_)) => continue,
                Some(Observed::Unknown(fault)) => Some(fault.clone()),
                None => None,
            };
            self.unknown.extend(fault.map(|error| Unknown::new(Asked::Service(id.clone()), error)));
            self.suspect(&Who::Anyone, &whats, from_now_on(now));
            is_seen_whole = false;
        }
        for source in rule.sources() {
            if let Some(doubt) = world.doubts.get(&source) {
                self.unknown.insert(Unknown::new(source, doubt.clone()));
                self.suspect(&Who::Anyone, &whats, from_now_on(now));
                is_seen_whole = false;
            }
        }
        let Standings { all, news, unknown } = IncidentRule::new(now, rule, selector, world).standings();
        if !is_seen_whole || !unknown.is_empty() {
            self.doubtful.insert(rule.name.clone());
        }
        self.unknown.extend(unknown);
        self.parts.extend(news);
        let mut addresses: BTreeMap<UserId, Email> = BTreeMap::new();
        for standing in all {
            let Standing { part, entitlement } = &standing;
            let person = people
                .entry(part.user.clone())
                .or_insert_with(|| Person::of(settings, world, namesakes, &part.user));
            let subject = person.subject(&part.user);
            match entitlement {
                Entitlement::NotEligible => self.skip(subject, SkipReason::NotEligible, rule, None),
                Entitlement::TooMany => self.skip(subject, SkipReason::TooManyPeople, rule, None),
                Entitlement::Until(_) | Entitlement::Unclear(_) | Entitlement::Over => {}
            }
            if let Some(window) = standing.window(now) {
                // Whoever has no account takes a place as well, which another person gets then.
                self.note_boundaries(window);
                addresses.extend(person.address.clone().map(|address| (part.user.clone(), address)));
                self.possible.add_former(&part.user, person.known_as(), &whats, window);
                if matches!(entitlement, Entitlement::Unclear(_)) {
                    if let Some(who) = person.identity.who() {
                        self.suspect(&who, &whats, window);
                    }
                } else {
                    let cause = incident_cause(&standing, person.pagerduty_address.clone());
                    self.add(&person.identity, resources, window, rule, &cause);
                }
            }
        }
        self.addresses.insert(rule.name.clone(), addresses);
    }

    /// Adds what one on-call leads to: claims, or possibilities where it is not known who or what is meant.
    fn add(
        &mut self,
        identity: &Identity,
        resources: &Resources,
        window: Window,
        rule: &Rule,
        cause: &Cause,
    ) {
        let first_shift = cause.shift_start;
        match identity {
            Identity::Account(account, email) => {
                self.suspect(&Who::Account(account.clone()), &resources.suspected, window);
                if !resources.found.is_empty() {
                    self.note_boundaries(window);
                }
                self.certain.extend(resources.found.iter().map(|resource| Claim {
                    pair: Pair { account: account.clone(), resource: resource.id.clone() },
                    resource: resource.name.clone(),
                    email: email.clone(),
                    window,
                    cause: cause.clone(),
                    groups: rule.kubernetes_groups.clone(),
                }));
            }
            Identity::Suspended(account, email) => {
                let subject = Subject::Email(email.to_string());
                self.skip(subject, SkipReason::AccountSuspended, rule, first_shift);
                self.suspect(&Who::Account(account.clone()), &resources.all(), window);
            }
            Identity::Skipped(subject, reason, email) => {
                self.skip(subject.clone(), *reason, rule, first_shift);
                if let Some(email) = email {
                    self.suspect(&Who::Email(email.clone()), &resources.all(), window);
                }
            }
            Identity::Shared(subject, email) => {
                self.skip(subject.clone(), SkipReason::AmbiguousAccount, rule, first_shift);
                self.suspect(&Who::Email(email.clone()), &resources.all(), window);
            }
            Identity::Unknown(about, error, email) => {
                self.unknown.insert(Unknown::new(about.clone(), error.clone()));
                let who = email.clone().map_or(Who::Anyone, Who::Email);
                self.suspect(&who, &resources.all(), window);
            }
        }
    }

    /// Whether somebody for whom this grant was made is on call for the same rule, but counts under another address.
    pub(super) fn has_other_address(&self, own: &OwnGrant) -> bool {
        own.causes.iter().any(|cause| {
            let address = self.addresses.get(&cause.rule).and_then(|addresses| addresses.get(&cause.user));
            address.is_some_and(|address| *address != own.grant.email)
        })
    }

    pub(super) fn skipped(&self) -> Vec<Skipped> {
        let skipped = self.skipped.iter();
        skipped
            .map(|((subject, reason), (rules, first_shift))| Skipped {
                subject: subject.clone(),
                name: None,
                reason: *reason,
                rules: rules.clone(),
                first_shift: *first_shift,
            })
            .collect()
    }

    /// What a rule gives access to.
    fn resources_of(&mut self, rule: &Rule, world: &World) -> Resources {
        let Resources { mut found, mut suspected } = Resources::default();
        for selector in &rule.resources {
            let (subject, may_mean) = match selector {
                ResourceSelector::Name(name) => (Subject::Resource(name.clone()), What::Named(name.clone())),
                ResourceSelector::Filter(filter) => (Subject::Filter(filter.clone()), What::Anything),
            };
            let reason = match world.resources.get(selector) {
                Some(Observed::Known(ResourceMatch::Found(matches))) => {
                    if matches.is_empty() {
                        // Like a name that nothing has: it gives nothing, and takes nothing away.
                        suspected.push(What::GivenBy(rule.name.clone()));
                    }
                    found.extend(matches.iter().cloned());
                    continue;
                }
                Some(Observed::Known(ResourceMatch::None)) => Some(SkipReason::ResourceNotFound),
                Some(Observed::Known(ResourceMatch::Many)) => Some(SkipReason::AmbiguousResource),
                Some(Observed::Known(ResourceMatch::Refused(_))) => Some(SkipReason::FilterRefused),
                Some(Observed::Unknown(error)) => {
                    let about = Asked::Resource(selector.to_string());
                    self.unknown.insert(Unknown::new(about, error.clone()));
                    None
                }
                None => None,
            };
            if let Some(reason) = reason {
                self.skip(subject, reason, rule, None);
            }
            suspected.push(may_mean);
        }
        Resources { found, suspected }
    }

    /// Notes that somebody may be entitled to something.
    fn suspect(&mut self, who: &Who, whats: &[What], window: Window) {
        if !whats.is_empty() {
            self.note_boundaries(window);
        }
        for what in whats {
            self.possible.add(who, what, window);
        }
    }

    fn note_boundaries(&mut self, window: Window) {
        let ahead = [window.start(), window.end()].into_iter().filter(|at| lies_ahead(*at, self.now));
        self.next_boundary = ahead.chain(self.next_boundary).min();
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
fn window_of(now: DateTime<Utc>, horizon: TimeDelta, rule: &Rule, on_call: &OnCall) -> Option<Window> {
    let start = on_call.start.map_or(now, |start| later(start, -rule.start_early));
    let end = on_call.end.map_or(FOREVER, |end| later(end, rule.end_late).min(FOREVER));
    (start < later(now, horizon)).then(|| Window::new(start.max(now), end)).flatten()
}

fn from_now_on(now: DateTime<Utc>) -> Window {
    Window::new(now, FOREVER).expect("now lies before the year 9999")
}

fn cause(rule: &Rule, source: &Source, on_call: &OnCall, address: Option<String>) -> Cause {
    let OnCall { user, email: _, schedule, policy, level, start, end } = on_call.clone();
    Cause {
        rule: rule.name.clone(),
        source: source.clone(),
        user,
        address,
        through: schedule,
        policy,
        level,
        shift_start: start,
        shift_end: end,
        incident: None,
    }
}

fn incident_cause(standing: &Standing, address: Option<String>) -> Cause {
    let RememberedPart { rule, incident, user, role, since, .. } = standing.part.clone();
    Cause {
        rule,
        source: standing.source(),
        user,
        address,
        through: None,
        policy: None,
        level: None,
        shift_start: Some(since),
        shift_end: None,
        incident: Some(IncidentCause { about: incident, role }),
    }
}
