//! The questions of a probe, one after the other.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::time::sleep;

use super::{
    PROBED,
    findings::{Answer, Findings, Kept, PageSize},
    intents::{self, Intent},
};
use crate::{
    clock,
    metrics::Metrics,
    model::{Email, KubernetesGroups, Pair, Terms, Window},
    reconcile::facts::{BELIEVED_FOR, LEARNED_FOR, SECOND_GRANT},
    store::{self, Duty, Lease, SharedStore},
    strongdm::{self, Client, Naming, RemoteGrant},
};

/// No window that could give access begins earlier.
const AHEAD: TimeDelta = TimeDelta::days(300);
/// How long the grant lasts that must be in force.
const IN_FORCE: TimeDelta = TimeDelta::seconds(60);
/// How far back its start lies.
const BACK: TimeDelta = TimeDelta::hours(1);
/// After a window has ended by our clock, it has by strongDM's.
const ENDED: TimeDelta = TimeDelta::seconds(5);
/// A page takes so many items, the largest first.
const PAGES: [i32; 3] = [1000, 500, 100];
/// A probe that dies keeps others from it for this long; it renews at each question.
const LEASE: Duration = Duration::from_mins(3);
/// So often it is tried to remove what a probe made that was stopped.
const CLEAN_UPS: u32 = 10;
/// Between two attempts of the service to remove what a killed probe left.
const BETWEEN_CLEAN_UPS: Duration = Duration::from_secs(5);
/// The group that no cluster knows.
const GROUP: &str = "oncall-grants-probe";

/// Whether a grant may be made that is in force for a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InForce {
    Never,
    ForAMinute,
}

/// For whom, on what, and how far it may go.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The account's address in strongDM.
    pub(crate) email: Email,
    /// The resource's name.
    pub(crate) resource: String,
    pub(crate) in_force: InForce,
}

/// Why nothing was found out. Everything that was made is removed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Strongdm(#[from] strongdm::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The account, the resource or the pair is not fit for it.
    #[error("{0}")]
    Unfit(String),
    /// Something came in between.
    #[error("{0}; nothing was learned, so run it again")]
    Disturbed(String),
}

/// Runs probes, and removes what they left.
#[derive(Debug)]
pub(crate) struct Prober {
    pub(crate) store: SharedStore,
    pub(crate) strongdm: Client,
    pub(crate) metrics: Arc<Metrics>,
}

impl Prober {
    /// Asks everything. `tell` is told before somebody gets access, and for how long. Whatever happens, what was made is
    /// removed as far as strongDM answers.
    pub(crate) async fn probe(&self, question: &Question, tell: impl Fn(&str)) -> Result<Findings, Failure> {
        let lease = self.lease().await?;
        let found = match self.pair_for(question).await {
            Ok(pair) => {
                let probe = Probe { prober: self, lease: &lease, pair, intents: Vec::new() };
                probe.ask_all(question, tell).await
            }
            Err(failure) => Err(failure),
        };
        let left = intents::remove(&self.store, &self.strongdm).await;
        self.store.release(&lease).await?;
        let found = found?;
        if left? > 0 {
            return Err(Failure::Disturbed(
                "not everything could be removed yet; the next start does".to_owned(),
            ));
        }
        self.keep(&found).await?;
        Ok(found)
    }

    /// Removes what was made after a probe of this process was dropped.
    pub(crate) async fn clean_up(&self) -> Result<(), Failure> {
        // What was dropped in the middle may reach strongDM a moment later.
        for _ in 0..CLEAN_UPS {
            if intents::remove(&self.store, &self.strongdm).await? == 0 {
                return Ok(());
            }
            sleep(Duration::from_secs(1)).await;
        }
        Err(Failure::Disturbed("not everything could be removed yet; the next start does".to_owned()))
    }

    /// Removes what a probe left that was killed; tries until nothing is left.
    pub(crate) async fn remove_leftovers(&self) {
        loop {
            match self.remove_unless_probing().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "what a probe left is not removed yet"),
            }
            sleep(BETWEEN_CLEAN_UPS).await;
        }
    }

    async fn remove_unless_probing(&self) -> Result<usize, Failure> {
        let left = intents::intended(&self.store).await?.len();
        if left == 0 {
            return Ok(0);
        }
        let Some(lease) = self.store.try_lease(Duty::Probing, LEASE, "").await? else { return Ok(left) };
        let left = intents::remove(&self.store, &self.strongdm).await;
        self.store.release(&lease).await?;
        if matches!(left, Ok(0)) {
            tracing::info!("removed from strongDM what a probe had left");
        }
        Ok(left?)
    }

    async fn lease(&self) -> Result<Lease, Failure> {
        let lease = self.store.try_lease(Duty::Probing, LEASE, "").await?;
        lease.ok_or_else(|| {
            Failure::Unfit("another probe is running, or was killed within three minutes".to_owned())
        })
    }

    /// The account and the resource, for which there is no grant whatever.
    async fn pair_for(&self, question: &Question) -> Result<Pair, Failure> {
        let Question { email, resource, .. } = question;
        let unfit = |why: String| Err(Failure::Unfit(why));
        if intents::remove(&self.store, &self.strongdm).await? > 0 {
            return unfit(
                "what an earlier probe left cannot be removed yet; try again in five minutes".to_owned(),
            );
        }
        let account = match self.strongdm.accounts_by_email(email).await?.as_slice() {
            [account] if account.suspended => return unfit(format!("the account of {email} is suspended")),
            [account] => account.id.clone(),
            [] => return unfit(format!("strongDM has no user account with the address {email}")),
            _ => return unfit(format!("several strongDM accounts have the address {email}")),
        };
        let found = self.strongdm.resources_by_name(resource).await?;
        let [found] = found.as_slice() else {
            return unfit(format!(
                "strongDM has {} resources of the name {resource:?}, not one",
                found.len()
            ));
        };
        let pair = Pair { account, resource: found.id.clone() };
        if self.is_granted(&pair).await? {
            return unfit(format!("there is a grant for {email} on {resource}; name a pair without one"));
        }
        Ok(pair)
    }

    /// Whether the ledger or strongDM has a grant for the pair.
    async fn is_granted(&self, pair: &Pair) -> Result<bool, Failure> {
        let ledger = self.store.open_rows(clock::now()).await?;
        let known = ledger.entries.iter().any(|entry| entry.own.grant.joins(pair))
            || ledger.unreadable.iter().any(|row| row.pair == *pair);
        let listed = self.strongdm.grants_of(&pair.account, &pair.resource).await?;
        // The list may show what has ended.
        Ok(known || listed.iter().any(|grant| grant.end.is_none_or(|end| end > clock::now())))
    }

    /// Keeps what was found, for the planner and for `check`. What real writes teach from now on replaces it.
    async fn keep(&self, found: &Findings) -> Result<(), Failure> {
        let now = clock::now();
        PROBED.write(&self.store, found, Some(now + BELIEVED_FOR)).await?;
        if let Some(second_grant) = found.second_grant() {
            SECOND_GRANT.write(&self.store, &second_grant, Some(now + LEARNED_FOR)).await?;
        }
        Ok(())
    }
}

/// One probe.
struct Probe<'p> {
    prober: &'p Prober,
    lease: &'p Lease,
    pair: Pair,
    intents: Vec<Intent>,
}

impl Probe<'_> {
    async fn ask_all(mut self, question: &Question, tell: impl Fn(&str)) -> Result<Findings, Failure> {
        let begin = clock::now().trunc_subsecs(0) + AHEAD + odd_moment();
        let half_hours = |from: i64, to: i64| {
            Window::new(begin + TimeDelta::minutes(30 * from), begin + TimeDelta::minutes(30 * to))
                .expect("it ends after it starts")
        };
        let version = concat!("oncall-grants ", env!("CARGO_PKG_VERSION")).to_owned();
        let mut found = Findings { version, ..Findings::default() };

        let (answer, first) = self.make(half_hours(0, 2).into(), Naming::Nothing).await?;
        let Some(first) = first else {
            return Err(Failure::Disturbed(format!("a first grant in 300 days is not made ({answer})")));
        };
        found.window = kept(&first, half_hours(0, 2));
        if found.window == Kept::AsAsked {
            for (window, answer) in [
                (half_hours(1, 3), &mut found.overlapping),
                (half_hours(2, 4), &mut found.touching),
                (half_hours(20, 22), &mut found.apart),
                (half_hours(0, 2), &mut found.same_again),
            ] {
                *answer = self.make_and_remove(window.into()).await?.0;
            }
        }
        // With another window it may give access now, and shows nothing of a second one.
        self.remove(&first).await?;

        let with_group = Terms { window: half_hours(40, 42), groups: [GROUP].into_iter().collect() };
        let (answer, grant) = self.make_and_remove(with_group.clone()).await?;
        found.privileges = answer;
        if let Some(grant) = grant {
            found.privileges_kept = kept_groups(&grant, &with_group.groups);
        } else {
            let over = with_group.over(half_hours(44, 46));
            let (answer, grant) = self.make(over, Naming::TheResource).await?;
            found.privileges_with_ids = answer;
            if let Some(grant) = grant {
                found.privileges_kept = kept_groups(&grant, &with_group.groups);
                self.remove(&grant).await?;
            }
        }
        for asked in PAGES {
            found.pages.push(self.page(asked).await?);
        }
        if question.in_force == InForce::ForAMinute {
            self.ask_in_force(question, &mut found, tell).await?;
        }
        if self.prober.is_granted(&self.pair).await? {
            return Err(Failure::Disturbed("somebody else got a grant for this pair meanwhile".to_owned()));
        }
        let clocks = self.prober.metrics.strongdm.clocks();
        found.clock_ahead_seconds = clocks.map(|clocks| (clocks.theirs - clocks.ours).num_seconds());
        found.at = clock::now().trunc_subsecs(0);
        Ok(found)
    }

    /// What takes a grant that gives access now.
    async fn ask_in_force(
        &mut self,
        question: &Question,
        found: &mut Findings,
        tell: impl Fn(&str),
    ) -> Result<(), Failure> {
        let now = clock::now().trunc_subsecs(0);
        let window = Window::new(now - BACK, now + IN_FORCE).expect("it ends after it starts");
        let Question { email, resource, .. } = question;
        tell(&format!("for 60 seconds from now on, {email} has access to {resource}"));
        let (answer, grant) = self.make(window.into(), Naming::Nothing).await?;
        found.past_start = answer;
        let Some(grant) = grant else { return Ok(()) };
        found.past_start_kept = match grant.start {
            Some(start) if start == window.start() => Kept::AsAsked,
            Some(start) if start >= now - IN_FORCE => Kept::MovedToNow,
            Some(_) | None => Kept::Changed,
        };
        if grant.end != Some(window.end()) {
            // Nobody was told of more than a minute.
            found.past_start_kept = Kept::Changed;
            return self.remove(&grant).await;
        }
        self.renew().await?;
        let left = window.end() + ENDED - clock::now();
        sleep(left.to_std().unwrap_or_default()).await;
        let Pair { account, resource } = &self.pair;
        let listed = self.prober.strongdm.grants_of(account, resource).await?;
        found.lists_ended = Some(listed.iter().any(|listed| listed.id == grant.id));
        self.remove(&grant).await
    }

    async fn page(&self, asked: i32) -> Result<PageSize, Failure> {
        let page = |came, more, answer| PageSize { asked, came, more, answer };
        match self.prober.strongdm.grant_page(asked).await {
            Ok((came, more)) => Ok(page(came, more, Answer::Taken)),
            Err(error) => match Answer::of(&error) {
                Some(answer) => Ok(page(0, false, answer)),
                None => Err(error.into()),
            },
        }
    }

    async fn make_and_remove(&mut self, terms: Terms) -> Result<(Answer, Option<RemoteGrant>), Failure> {
        let (answer, grant) = self.make(terms, Naming::Nothing).await?;
        if let Some(grant) = &grant {
            self.remove(grant).await?;
        }
        Ok((answer, grant))
    }

    /// Asks for a grant. What is no answer breaks the probe off.
    async fn make(&mut self, terms: Terms, naming: Naming) -> Result<(Answer, Option<RemoteGrant>), Failure> {
        self.renew().await?;
        let Prober { store, strongdm, .. } = self.prober;
        self.intents.push(Intent {
            pair: self.pair.clone(),
            window: terms.window,
            id: None,
            at: clock::now(),
        });
        intents::write(store, &self.intents).await?;
        let Pair { account, resource } = &self.pair;
        match strongdm.create_grant_naming(account, resource, &terms, naming).await {
            Ok(made) => {
                if let Some(intent) = self.intents.last_mut() {
                    intent.id = Some(made.id.clone());
                }
                intents::write(store, &self.intents).await?;
                Ok((Answer::Taken, Some(made)))
            }
            Err(error) => {
                let Some(answer) = Answer::of(&error) else { return Err(error.into()) };
                self.intents.pop();
                intents::write(store, &self.intents).await?;
                Ok((answer, None))
            }
        }
    }

    async fn remove(&mut self, grant: &RemoteGrant) -> Result<(), Failure> {
        self.prober.strongdm.delete_grant(&grant.id).await?;
        self.intents.retain(|intent| intent.id.as_ref() != Some(&grant.id));
        Ok(intents::write(&self.prober.store, &self.intents).await?)
    }

    async fn renew(&self) -> Result<(), Failure> {
        if self.prober.store.renew(self.lease, LEASE).await? {
            return Ok(());
        }
        Err(Failure::Disturbed("another probe began meanwhile".to_owned()))
    }
}

fn kept(grant: &RemoteGrant, window: Window) -> Kept {
    let is_kept = grant.start == Some(window.start()) && grant.end == Some(window.end());
    if is_kept { Kept::AsAsked } else { Kept::Changed }
}

fn kept_groups(grant: &RemoteGrant, groups: &KubernetesGroups) -> Kept {
    if grant.groups.as_ref() == Some(groups) { Kept::AsAsked } else { Kept::Changed }
}

/// An hour, minute and second that nobody else would choose, so that the window tells whose grant it is.
fn odd_moment() -> TimeDelta {
    let now: DateTime<Utc> = clock::now();
    TimeDelta::seconds(i64::from(now.timestamp_subsec_nanos() / 1000) % 86_400)
}
