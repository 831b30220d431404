//! Puts a world together, part by part: resources, on-calls, people and accounts are asked for at the same time, each as
//! soon as it is known that they are needed. Whatever stalls keeps only what depends on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::join,
    stream::{FuturesUnordered, StreamExt},
};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc};

use super::{
    FEW, aside::aside, cache::Demand, division::Division, failures::Reason, incidents::Incidents, listing,
    question::Question, sight::Sight, sources::Sources,
};
use crate::{
    model::{Email, Observed, RememberedPart, ResourceSelector, Rule, ServiceId, Source, UserId},
    pagerduty::User,
    reconcile::{
        scope::Scope,
        world::{AccountMatch, ResourceMatch},
    },
};

/// What gives no answer within this is left for a later look.
const ANSWER: Duration = Duration::from_secs(5);
/// Single look-ups of strongDM in flight at once; its documented budget is thousands a minute.
const LOOK_UPS: usize = 8;

/// One look at both upstreams.
#[derive(Debug)]
pub(super) struct Gatherer {
    question: Question,
    scope: Scope,
    /// The parts in incidents that may matter still.
    remembered: Vec<RememberedPart>,
    pub(super) sight: Sight,
    /// Single look-ups so far, and the list that replaces them once they are too many.
    people_asked: AtomicUsize,
    people_listed: OnceCell<Option<BTreeMap<UserId, User>>>,
    accounts_asked: AtomicUsize,
    accounts_listed: OnceCell<Option<BTreeMap<Email, AccountMatch>>>,
}

impl Gatherer {
    pub(super) fn new(question: Question, scope: Scope, remembered: Vec<RememberedPart>) -> Self {
        let Question { settings, now, window, .. } = &question;
        let sight = Sight::new(Arc::clone(settings), scope.clone(), *now, *window);
        let paged_in_vain = question.cache.standby.lock().in_vain.clone();
        sight.record(|world| world.paged_in_vain = paged_in_vain);
        Self {
            question,
            scope,
            remembered,
            sight,
            people_asked: AtomicUsize::new(0),
            people_listed: OnceCell::new(),
            accounts_asked: AtomicUsize::new(0),
            accounts_listed: OnceCell::new(),
        }
    }

    /// Asks for everything. What is seen meanwhile is in [`Gatherer::sight`].
    pub(super) async fn gather(&self) {
        let (to_sources, sources) = mpsc::unbounded_channel();
        let (people, to_people) = mpsc::unbounded_channel();
        let (accounts, to_accounts) = mpsc::unbounded_channel();
        let Self { question, scope, remembered, sight, .. } = self;
        let asked = Sources { question, scope, sight, people: people.clone(), accounts: accounts.clone() };
        let incidents = Incidents {
            question,
            scope,
            sight,
            remembered,
            people,
            accounts: accounts.clone(),
            members_asked: Mutex::default(),
        };
        // Each stage ends when those before it are over, and drop what they passed on through.
        let on_calls = async move {
            let (of_sources, of_services) = (Division::new(&asked), Division::new(&incidents));
            let ask = |sources| {
                let (services, others) = apart(sources);
                join(asked.ask_all(&of_sources, others), incidents.ask_all(&of_services, services)).map(drop)
            };
            serve(sources, ask).await;
        };
        tokio::join!(
            self.resources(to_sources),
            on_calls,
            serve(to_people, move |users| self.people(users, accounts.clone())),
            serve(to_accounts, |emails| self.accounts(emails)),
        );
    }

    /// Asks for what the rules name, and passes on the sources that are to be asked about: those in scope, which can show
    /// more when another resource is found.
    async fn resources(&self, sources: mpsc::UnboundedSender<Source>) {
        let rules = &self.question.settings.rules;
        let (named, others): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| self.scope.names(rule));
        let mut selectors: Vec<&ResourceSelector> = Vec::new();
        let mut known = BTreeSet::new();
        selectors.extend(
            named.into_iter().chain(others).flat_map(|rule| &rule.resources).filter(|one| known.insert(*one)),
        );
        let Question { cache, now, demand, .. } = &self.question;
        let trusted = selectors.iter().filter_map(|selector| {
            let answer = cache.resources.get(selector, *now, Demand::Trusted)?;
            Some(((*selector).clone(), Observed::Known(answer)))
        });
        let mut trusted: BTreeMap<ResourceSelector, Observed<ResourceMatch>> = trusted.collect();
        // What tells which rules are in scope need not be as fresh as what these give access to.
        let in_scope: BTreeSet<&ResourceSelector> = self
            .scope
            .with_neighbours(rules, &trusted)
            .into_iter()
            .flat_map(|rule| &rule.resources)
            .collect();
        trusted.retain(|selector, _| {
            !in_scope.contains(selector) || cache.resources.get(selector, *now, *demand).is_some()
        });
        let missing: Vec<ResourceSelector> =
            selectors.into_iter().filter(|selector| !trusted.contains_key(*selector)).cloned().collect();
        self.sight.record(|world| world.resources = trusted);
        self.pass_on_sources(&sources);
        if !missing.is_empty() {
            self.missing_resources(missing).await;
            self.pass_on_sources(&sources);
        }
    }

    fn pass_on_sources(&self, to: &mpsc::UnboundedSender<Source>) {
        let rules = self.sight.rules_in_scope(&self.question.settings.rules);
        let mut new = self.sight.new_sources(&rules.into_iter().flat_map(Rule::sources).collect());
        {
            let seen = self.question.cache.seen.lock();
            // Whoever waited longest comes first, should there be no time for all.
            new.sort_by_key(|source| seen.get(source).copied());
        }
        for source in new {
            // Whoever receives them ends after this.
            let _ = to.send(source);
        }
    }

    async fn missing_resources(&self, selectors: Vec<ResourceSelector>) {
        let (mut names, filters): (Vec<_>, Vec<_>) =
            selectors.into_iter().partition(|selector| matches!(selector, ResourceSelector::Name(_)));
        let by_list = async {
            if names.len() > FEW {
                let found = listing::resources(&self.question, &names, ANSWER).await;
                let found = found.unwrap_or_default();
                names.retain(|name| !found.contains_key(name));
                self.sight.record(|world| {
                    let known = found.into_iter().map(|(name, answer)| (name, Observed::Known(answer)));
                    world.resources.extend(known);
                });
            }
            self.each_resource(names).await;
        };
        tokio::join!(by_list, self.each_resource(filters));
    }

    async fn each_resource(&self, selectors: Vec<ResourceSelector>) {
        let answers = selectors.into_iter().map(async |selector| {
            let named = self
                .question
                .settings
                .rules
                .iter()
                .any(|rule| self.scope.names(rule) && rule.resources.contains(&selector));
            let reason = match &self.scope {
                Scope::All => Reason::Everything,
                Scope::Sources(_) if named => Reason::Named,
                Scope::Sources(_) => Reason::Beside,
            };
            let asked = selector.clone();
            let ask = |question: Question| async move { question.resource(&asked).await };
            let answer = aside(&self.question, |failures| &failures.resources, &selector, reason, ask).await;
            self.sight.record(|world| _ = world.resources.insert(selector, answer));
        });
        futures_util::stream::iter(answers).buffer_unordered(LOOK_UPS).collect::<()>().await;
    }

    /// Asks who these users are.
    async fn people(&self, users: Vec<UserId>, accounts: mpsc::UnboundedSender<Email>) {
        let Question { cache, now, demand, .. } = &self.question;
        let mut missing = BTreeSet::new();
        for user in users {
            if !self.sight.is_new_person(&user) {
                continue;
            }
            match cache.people.get(&user, *now, *demand) {
                Some(address) => self.record_person(user, Observed::Known(address), &accounts),
                None => _ = missing.insert(user),
            }
        }
        let before = self.people_asked.fetch_add(missing.len(), Ordering::Relaxed);
        if before + missing.len() > FEW {
            let wanted = before + missing.len();
            let list = || listing::people(&self.question, wanted, ANSWER);
            if let Some(listed) = self.people_listed.get_or_init(list).await {
                for user in missing.clone() {
                    if let Some(found) = listed.get(&user) {
                        let address = &found.email;
                        self.question.pagerduty.tell_listed(found);
                        cache.people.put(user.clone(), address.clone(), *now);
                        cache.failures.people.answered(&user);
                        missing.remove(&user);
                        self.record_person(user, Observed::Known(address.clone()), &accounts);
                    }
                }
            }
        }
        let answers = missing.into_iter().map(async |user| {
            let asked = user.clone();
            let ask = |question: Question| async move { question.address(&asked).await };
            let is_named = self.sight.is_on_call_where_named(&user);
            let reason = if is_named { Reason::Everything } else { Reason::Beside };
            let answer = aside(&self.question, |failures| &failures.people, &user, reason, ask).await;
            self.record_person(user, answer, &accounts);
        });
        answers.collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    fn record_person(
        &self,
        user: UserId,
        person: Observed<Option<String>>,
        accounts: &mpsc::UnboundedSender<Email>,
    ) {
        if let Some(email) = self.sight.email_of(&person) {
            // Whoever receives it ends after this.
            let _ = accounts.send(email);
        }
        self.sight.record_person(&self.question, user, person);
    }

    /// Asks for the accounts of these addresses.
    async fn accounts(&self, emails: Vec<Email>) {
        let Question { cache, now, demand, .. } = &self.question;
        let mut missing = BTreeSet::new();
        for email in emails {
            if !self.sight.is_new_account(&email) {
                continue;
            }
            match cache.accounts.get(&email, *now, *demand) {
                Some(account) => self.record_account(email, Observed::Known(account)),
                None => _ = missing.insert(email),
            }
        }
        let before = self.accounts_asked.fetch_add(missing.len(), Ordering::Relaxed);
        if before + missing.len() > FEW {
            let wanted = before + missing.len();
            let list = || listing::accounts(&self.question, wanted, ANSWER);
            if let Some(listed) = self.accounts_listed.get_or_init(list).await {
                for email in missing.clone() {
                    if let Some(account) = listed.get(&email) {
                        cache.accounts.put(email.clone(), account.clone(), *now);
                        cache.failures.accounts.answered(&email);
                        missing.remove(&email);
                        self.record_account(email, Observed::Known(account.clone()));
                    }
                }
            }
        }
        if missing.len() > FEW && self.accounts_listed.get().is_some_and(Option::is_some) {
            // Too many to ask for each. Who was missed between two pages gets nothing until they are asked for again,
            // in half a minute, and loses nothing: the planner protects what somebody without an account holds.
            for email in std::mem::take(&mut missing) {
                cache.accounts.put(email.clone(), AccountMatch::None, *now);
                self.record_account(email, Observed::Known(AccountMatch::None));
            }
        }
        let answers = missing.into_iter().map(async |email| {
            let asked = email.clone();
            let ask = |question: Question| async move { question.account(&asked).await };
            let reason = Reason::Everything;
            let answer = aside(&self.question, |failures| &failures.accounts, &email, reason, ask).await;
            self.record_account(email, answer);
        });
        futures_util::stream::iter(answers).buffer_unordered(LOOK_UPS).collect::<()>().await;
    }

    fn record_account(&self, email: Email, account: Observed<AccountMatch>) {
        self.sight.record(|world| _ = world.accounts.insert(email, account));
    }
}

/// The services among `sources`, and the others.
fn apart(sources: Vec<Source>) -> (Vec<ServiceId>, Vec<Source>) {
    let (mut services, mut others) = (Vec::new(), Vec::new());
    for source in sources {
        match source {
            Source::Service(id) => services.push(id),
            Source::Schedule(_) | Source::Policy(_) => others.push(source),
        }
    }
    (services, others)
}

/// Answers what is asked, all that is there at once, until nobody asks any more.
async fn serve<T, F: Future<Output = ()>>(
    mut asked: mpsc::UnboundedReceiver<T>,
    answer: impl Fn(Vec<T>) -> F,
) {
    const MANY: usize = 10_000;
    let mut under_way = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !under_way.is_empty() {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            count = asked.recv_many(&mut batch, MANY), if is_open => match count {
                0 => is_open = false,
                _ => under_way.push(answer(batch)),
            },
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}
