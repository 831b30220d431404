//! Many things asked for in one request. Where that fails or stalls, its parts are asked for, and theirs, until the culprit
//! stands alone: four parts at a time, so that one among fifty is found with twelve further requests.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::pagerduty::Error;

/// A request is divided into so many.
const PARTS: usize = 4;
/// After so many parts have failed and nothing was answered, nobody is looked for any more: PagerDuty has trouble as a
/// whole.
const HOPELESS: usize = 12;
/// A part has to be answered within so much of what its whole had, since others prove that PagerDuty answers.
const LESS_PATIENCE: (u32, u32) = (2, 5);
/// But not within less than this.
const LEAST_PATIENCE: Duration = Duration::from_millis(400);

/// Tells when the last request was sent; none before the first.
pub(super) type Sent = Arc<watch::Sender<Option<Instant>>>;

/// What is asked.
pub(super) trait Query: Sync {
    /// One of the things that are asked for.
    type Item: Clone + Send + Sync;
    /// The answer about any number of them.
    type Answer: Send;

    /// Asks for all of `part` in one request, which is not repeated if there are several. Tells `sent` when it goes out.
    fn ask(
        &self,
        part: &[Self::Item],
        sent: Sent,
    ) -> impl Future<Output = Result<Self::Answer, Error>> + Send;

    /// Takes what came of all of `part`.
    fn take(
        &self,
        part: Vec<Self::Item>,
        answer: Result<Self::Answer, Error>,
    ) -> impl Future<Output = ()> + Send;
}

/// The requests of one look.
#[derive(Debug)]
pub(super) struct Division<'q, Q> {
    query: &'q Q,
    has_answer: AtomicBool,
    parts_failed: AtomicUsize,
    /// Whether no culprit is looked for any more.
    hopeless: watch::Sender<bool>,
}

/// The request of which another one is a part.
#[derive(Clone, Copy)]
struct Whole<'w> {
    /// Why it was divided.
    error: &'w Error,
    /// Told when a part is answered: then nobody needs the whole.
    part_answered: &'w Notify,
}

impl<'q, Q: Query> Division<'q, Q> {
    pub(super) fn new(query: &'q Q) -> Self {
        let hopeless = watch::Sender::new(false);
        Self { query, has_answer: AtomicBool::new(false), parts_failed: AtomicUsize::new(0), hopeless }
    }

    /// Asks for all of `whole`; a request that has no answer for longer than `patience` is divided.
    pub(super) async fn ask(&self, whole: Vec<Q::Item>, patience: Duration) {
        self.part(whole, patience, None).await;
    }

    fn part<'a>(
        &'a self,
        part: Vec<Q::Item>,
        patience: Duration,
        of: Option<Whole<'a>>,
    ) -> BoxFuture<'a, ()> {
        let (sent, mut was_sent) = watch::channel(None);
        let asked = part.clone();
        async move {
            let mut request = Box::pin(async move { self.query.ask(&asked, Arc::new(sent)).await });
            let answer = tokio::select! {
                biased;
                // First, or each would be sent in the moment in which the one before it is given up.
                () = self.despair(), if of.is_some() => of.map(|whole| Err(whole.error.clone())),
                answer = &mut request => Some(answer),
                () = overdue(&mut was_sent, patience), if part.len() > 1 => None,
            };
            match answer {
                Some(Ok(answer)) => self.answered(part, answer, of).await,
                Some(Err(error)) => {
                    drop(request);
                    self.failed(part, error, patience, of).await;
                }
                None => self.stalls(part, request, patience, of).await,
            }
        }
        .boxed()
    }

    async fn answered(&self, part: Vec<Q::Item>, answer: Q::Answer, of: Option<Whole<'_>>) {
        self.has_answer.store(true, Ordering::Relaxed);
        tell(of);
        self.query.take(part, Ok(answer)).await;
    }

    async fn failed(&self, part: Vec<Q::Item>, error: Error, patience: Duration, of: Option<Whole<'_>>) {
        self.count_failure(of);
        if part.len() == 1 || !error.may_be_of_a_part() || self.is_hopeless() {
            self.query.take(part, Err(error)).await;
        } else {
            let part_answered = Notify::new();
            self.parts(&part, patience, Whole { error: &error, part_answered: &part_answered }).await;
        }
    }

    /// Asks for the parts beside the whole; the whole counts if it is answered before any of them.
    async fn stalls(
        &self,
        part: Vec<Q::Item>,
        mut request: impl Future<Output = Result<Q::Answer, Error>> + Send + Unpin,
        patience: Duration,
        of: Option<Whole<'_>>,
    ) {
        self.count_failure(of);
        let error = Error::Unavailable(format!("no answer within {patience:?}"));
        if self.is_hopeless() {
            let answer = request.await;
            return self.query.take(part, answer).await;
        }
        let part_answered = Notify::new();
        let mut parts =
            Box::pin(self.parts(&part, patience, Whole { error: &error, part_answered: &part_answered }));
        let whole = tokio::select! {
            biased;
            () = part_answered.notified() => None,
            whole = &mut request => whole.ok(),
            () = &mut parts => return,
        };
        drop(request);
        if let Some(answer) = whole {
            drop(parts);
            self.answered(part.clone(), answer, of).await;
        } else {
            if self.has_answer.load(Ordering::Relaxed) {
                tell(of);
            }
            parts.await;
        }
    }

    async fn parts(&self, part: &[Q::Item], patience: Duration, whole: Whole<'_>) {
        let (numerator, denominator) = LESS_PATIENCE;
        let patience = (patience * numerator / denominator).max(LEAST_PATIENCE);
        let parts = part.chunks(part.len().div_ceil(PARTS));
        join_all(parts.map(|part| self.part(part.to_vec(), patience, Some(whole)))).await;
    }

    fn count_failure(&self, of: Option<Whole<'_>>) {
        if of.is_some() {
            self.parts_failed.fetch_add(1, Ordering::Relaxed);
            self.hopeless.send_replace(self.is_hopeless());
        }
    }

    fn is_hopeless(&self) -> bool {
        !self.has_answer.load(Ordering::Relaxed) && self.parts_failed.load(Ordering::Relaxed) >= HOPELESS
    }

    async fn despair(&self) {
        // Whoever keeps this keeps the sender.
        drop(self.hopeless.subscribe().wait_for(|is_hopeless| *is_hopeless).await);
    }
}

fn tell(of: Option<Whole<'_>>) {
    if let Some(Whole { part_answered, .. }) = of {
        part_answered.notify_one();
    }
}

/// Ends when the last request was sent longer ago than `patience`.
async fn overdue(was_sent: &mut watch::Receiver<Option<Instant>>, patience: Duration) {
    loop {
        let sent = *was_sent.borrow_and_update();
        let Some(sent) = sent else {
            if was_sent.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        };
        tokio::select! {
            () = sleep_until(sent + patience) => return,
            Ok(()) = was_sent.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use parking_lot::Mutex;
    use tokio::{sync::Semaphore, time::sleep};

    use super::*;

    /// Long enough for a machine that is busy with other things.
    const PATIENCE: Duration = Duration::from_millis(400);

    /// Answers unless a culprit is among what is asked for.
    struct Server {
        culprits: BTreeSet<u32>,
        /// Whether culprits fail at once, or keep one waiting.
        fails: bool,
        latency: Duration,
        turns: Semaphore,
        asked: Mutex<Vec<usize>>,
        taken: Mutex<BTreeMap<u32, (bool, Instant)>>,
    }

    impl Server {
        fn new(culprits: impl IntoIterator<Item = u32>, fails: bool) -> Self {
            Self {
                culprits: culprits.into_iter().collect(),
                fails,
                latency: Duration::from_millis(5),
                turns: Semaphore::new(4),
                asked: Mutex::default(),
                taken: Mutex::default(),
            }
        }

        fn unanswered(&self) -> Vec<u32> {
            self.taken.lock().iter().filter(|(_, (is_known, _))| !is_known).map(|(item, _)| *item).collect()
        }

        fn requests(&self) -> usize {
            self.asked.lock().len()
        }
    }

    impl Query for Server {
        type Item = u32;
        type Answer = ();

        async fn ask(&self, part: &[u32], sent: Sent) -> Result<(), Error> {
            let _turn = self.turns.acquire().await.unwrap();
            sent.send_replace(Some(Instant::now()));
            self.asked.lock().push(part.len());
            sleep(self.latency).await;
            if !part.iter().any(|item| self.culprits.contains(item)) {
                return Ok(());
            }
            if !self.fails {
                sleep(PATIENCE * 3).await;
            }
            Err(Error::Server("500".to_owned()))
        }

        async fn take(&self, part: Vec<u32>, answer: Result<(), Error>) {
            let taken = part.into_iter().map(|item| (item, (answer.is_ok(), Instant::now())));
            self.taken.lock().extend(taken);
        }
    }

    async fn ask(server: &Server, chunks: u32) {
        let division = Division::new(server);
        let chunks = (0..chunks).map(|chunk| (chunk * 50..chunk * 50 + 50).collect());
        join_all(chunks.map(|chunk| division.ask(chunk, PATIENCE))).await;
    }

    #[tokio::test]
    async fn what_is_answered_takes_one_request() {
        let server = Server::new([], true);
        ask(&server, 20).await;
        assert_eq!((server.requests(), server.unanswered()), (20, vec![]));
    }

    #[tokio::test]
    async fn one_culprit_of_fifty_stands_alone_after_twelve_further_requests() {
        for fails in [true, false] {
            let server = Server::new([37], fails);
            let began = Instant::now();
            ask(&server, 1).await;
            assert_eq!((server.requests(), server.unanswered()), (13, vec![37]), "fails: {fails}");
            let taken = server.taken.lock();
            let others = taken.iter().filter(|(item, _)| **item != 37).map(|(_, (_, at))| *at - began);
            let last = others.max().unwrap();
            assert!(last < PATIENCE * 6, "the others waited for {last:?}");
        }
    }

    #[tokio::test]
    async fn several_culprits_are_found_in_every_part() {
        for fails in [true, false] {
            let server = Server::new([3, 20, 33, 49, 51], fails);
            ask(&server, 3).await;
            assert_eq!(server.unanswered(), [3, 20, 33, 49, 51], "fails: {fails}");
        }
    }

    #[tokio::test]
    async fn where_nothing_is_answered_nobody_is_looked_for_long() {
        for fails in [true, false] {
            let chunks = if fails { 20 } else { 4 };
            let server = Server::new(0..chunks * 50, fails);
            ask(&server, chunks).await;
            assert_eq!(server.unanswered().len(), chunks as usize * 50);
            let most = chunks as usize + HOPELESS + 4;
            assert!(server.requests() <= most, "fails: {fails}: {}", server.requests());
        }
    }

    #[tokio::test]
    async fn a_whole_that_comes_before_its_parts_counts() {
        let server = Server { latency: PATIENCE * 3 / 2, ..Server::new([], true) };
        ask(&server, 1).await;
        assert_eq!((server.requests(), server.unanswered()), (4, vec![]), "the fourth part had no turn yet");
    }
}
