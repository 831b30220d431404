//! One question, in the way that what is known of its failures allows: at once, aside from everybody else, or not now.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    cache::AllFailures,
    failures::{Failures, Reason, Standing},
    question::Question,
};
use crate::{
    metrics::Work,
    model::{Fault, Observed},
};

/// What gives no answer within this is left for later.
const ANSWER: Duration = Duration::from_secs(8);
/// The same for what failed before, which is asked on aside. Longer than any single attempt, so that a dead connection
/// is found.
const ANSWER_ASIDE: Duration = Duration::from_secs(30);
/// So long a look waits for what failed before.
const BRIEFLY: Duration = Duration::from_millis(1500);

/// Asks, and remembers whether that failed. What failed before is asked by a task of its own, for which a look does not
/// wait long: if the answer comes later, the next look asks as if nothing had been.
pub(super) async fn aside<K, T, F>(
    question: &Question,
    kind: fn(&AllFailures) -> &Failures<K>,
    key: &K,
    reason: Reason,
    ask: impl FnOnce(Question) -> F,
) -> Observed<T>
where
    F: Future<Output = Result<T, Fault>> + Send + 'static,
    K: Ord + Clone + Send + Sync + 'static,
    T: Send + 'static,
{
    let (cache, key) = (Arc::clone(&question.cache), key.clone());
    let failures = kind(&cache.failures);
    let (before, longest, question) = match failures.standing(&key, reason, Instant::now()) {
        Standing::Resting(fault) => return Observed::Unknown(fault),
        Standing::Suspect(fault) => (Some(fault), ANSWER_ASIDE, question.aside()),
        Standing::Fine => (None, ANSWER, question.clone()),
    };
    failures.try_again(&key, Instant::now() + longest);
    let ask = ask(question);
    let is_suspect = before.is_some();
    let asked = async move {
        let _try = if is_suspect { cache.failures.tries.acquire().await.ok() } else { None };
        let late = || Fault::from(format!("no answer within {} s", longest.as_secs()));
        let answer = timeout(longest, ask).await.unwrap_or_else(|_| Err(late()));
        match &answer {
            Ok(_) => kind(&cache.failures).answered(&key),
            Err(fault) => kind(&cache.failures).failed(&key, fault.clone(), Instant::now()),
        }
        answer
    };
    let answer = match before {
        None => asked.await,
        Some(before) => match timeout(BRIEFLY, tokio::spawn(Work::current().run(asked))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(before),
        },
    };
    answer.map_or_else(Observed::Unknown, Observed::Known)
}
