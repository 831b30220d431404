//! Asks who is on call through schedules and policies: many in one request, those that failed before each by itself.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::{sync::mpsc, time::Instant};

use super::{
    aside::aside,
    division::{Division, Query, Sent},
    failures::{Reason, Standing},
    question::{Question, Told, deal_out},
    remedy,
    sight::Sight,
};
use crate::{
    clock,
    model::{Email, Fault, Observed, OnCall, Source, UserId},
    pagerduty::{self, IDS_AT_ONCE},
    reconcile::scope::Scope,
};

/// Asks for the on-calls of many sources.
pub(super) struct Sources<'g> {
    pub(super) question: &'g Question,
    pub(super) scope: &'g Scope,
    pub(super) sight: &'g Sight,
    /// Where users go whose address is not told.
    pub(super) people: mpsc::UnboundedSender<UserId>,
    /// Where the addresses go of those whose account is wanted.
    pub(super) accounts: mpsc::UnboundedSender<Email>,
}

impl Sources<'_> {
    /// Asks about `sources`, in their order.
    pub(super) async fn ask_all(&self, division: &Division<'_, Self>, sources: Vec<Source>) {
        let patience = self.question.pagerduty.patience();
        let mut chunks: Vec<Vec<Source>> = Vec::new();
        let mut suspects = Vec::new();
        // PagerDuty lists only what matches both if a request names schedules and policies. What an event is about is
        // asked for by itself: it must not wait for the pages of others.
        let kind = |source: &Source| (self.is_named(source), matches!(source, Source::Schedule(_)));
        for of_kind in [(true, true), (true, false), (false, true), (false, false)] {
            let of_kind = sources.iter().filter(|source| kind(source) == of_kind).cloned();
            let (fine, failed): (Vec<Source>, Vec<Source>) = of_kind.partition(|source| {
                let failures = &self.question.cache.failures.sources;
                failures.standing(source, Reason::of(self.scope, source), Instant::now()) == Standing::Fine
            });
            chunks.extend(fine.chunks(IDS_AT_ONCE).map(<[Source]>::to_vec));
            suspects.extend(failed);
        }
        let chunks = join_all(chunks.into_iter().map(|chunk| division.ask(chunk, patience)));
        let suspects = join_all(suspects.into_iter().map(|source| self.again(source)));
        tokio::join!(chunks, suspects);
    }

    fn is_named(&self, source: &Source) -> bool {
        matches!(self.scope, Scope::Sources(named) if named.contains(source))
    }

    /// Asks once more about a source that failed before.
    async fn again(&self, source: Source) {
        let asked = source.clone();
        let ask = |question: Question| async move { question.all_of(&asked).await };
        let reason = Reason::of(self.scope, &source);
        match aside(self.question, |failures| &failures.sources, &source, reason, ask).await {
            Observed::Known(told) => self.record(source, told),
            Observed::Unknown(fault) => self.record_unknown(source, fault),
        }
    }

    /// Takes in what `/oncalls` lists for a source, and asks on where that is no answer yet.
    async fn listed(&self, source: Source, listed: Vec<OnCall>) {
        let question = self.question;
        if !listed.is_empty() && matches!(source, Source::Policy(_)) {
            // Nobody waits for what may be missing in it.
            let told = (listed.clone(), Some(Fault::from("no answer yet")));
            self.record(source.clone(), told);
        }
        match question.on_calls(&source, listed).await {
            Ok(told) => {
                question.cache.failures.sources.answered(&source);
                self.record(source, told);
            }
            Err(error) => {
                let fault = remedy::source(&error, &source, &question.settings.rules);
                if error.may_be_of_a_part() {
                    question.cache.failures.sources.failed(&source, fault.clone(), Instant::now());
                }
                self.record_unknown(source, fault);
            }
        }
    }

    fn record(&self, source: Source, told: Told) {
        let (on_calls, doubt) = told;
        self.question.cache.seen.lock().insert(source.clone(), clock::now());
        let mut with_address = BTreeMap::new();
        for OnCall { user, email, .. } in &on_calls {
            match email {
                Some(email) => _ = with_address.insert(user.clone(), email.clone()),
                // Whoever receives it ends after this.
                None => _ = self.people.send(user.clone()),
            }
        }
        for (user, email) in with_address {
            let person = Observed::Known(Some(email));
            if let Some(email) = self.sight.email_of(&person) {
                // Whoever receives it ends after this.
                let _ = self.accounts.send(email);
            }
            self.sight.record_person(self.question, user, person);
        }
        self.sight.record(|world| {
            match doubt {
                Some(doubt) => _ = world.doubts.insert(source.clone(), doubt),
                None => _ = world.doubts.remove(&source),
            }
            world.on_calls.insert(source, Observed::Known(on_calls));
        });
        self.sight.has_on_calls();
    }

    fn record_unknown(&self, source: Source, fault: Fault) {
        self.sight.record(|world| _ = world.on_calls.insert(source, Observed::Unknown(fault)));
    }
}

impl Query for Sources<'_> {
    type Item = Source;
    type Answer = Vec<OnCall>;

    async fn ask(&self, part: &[Source], sent: Sent) -> Result<Vec<OnCall>, pagerduty::Error> {
        let client = self.question.client();
        let client = if part.len() > 1 { client.once(sent) } else { client };
        client.on_calls(part, self.question.window).await
    }

    async fn take(&self, part: Vec<Source>, answer: Result<Vec<OnCall>, pagerduty::Error>) {
        match answer {
            Ok(on_calls) => {
                let dealt = deal_out(part, on_calls).into_iter();
                let asked = dealt.map(|(source, listed)| self.listed(source, listed));
                join_all(asked).await;
            }
            Err(error) => {
                let question = self.question;
                let is_its_own = part.len() == 1 && error.may_be_of_a_part();
                for source in part {
                    let fault = remedy::listing(&error, &source, &question.settings.rules);
                    if is_its_own {
                        question.cache.failures.sources.failed(&source, fault.clone(), Instant::now());
                    }
                    self.record_unknown(source, fault);
                }
            }
        }
    }
}
