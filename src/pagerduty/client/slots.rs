//! Who may send to PagerDuty next: few at a time, what is urgent first, and nobody who gets no answer keeps others waiting.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};

use super::operation::Operation;

/// So many requests are in flight at most.
const AT_ONCE: usize = 4;
/// A request of which nothing is known may take so long before it is overdue.
const USUAL: Duration = Duration::from_secs(1);
/// No request is overdue earlier or later than that.
const OVERDUE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));
/// While nothing of its kind is answered, an overdue request is called back only so often: PagerDuty may be slow as a whole.
const BETWEEN_CALLS_BACK: Duration = Duration::from_secs(1);
/// After so long, PagerDuty knows that nobody waits for an answer any more.
const HANG_UP: Duration = Duration::from_millis(20);
/// How often whoever waits looks again, at most.
const A_MOMENT: Duration = Duration::from_millis(10);
/// After so many slots for what is more urgent, one goes to what is less so.
const MOST_PASSED_OVER: usize = 3;

/// Whose requests come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Precedence {
    /// Somebody may be paged at this moment.
    Event,
    /// A look at everything.
    Pass,
    /// Somebody only wants to know, or an answer that failed is tried again. Gets one slot at a time, and only when
    /// nobody else waits.
    Aside,
}

/// The place in the queue: who is asked for comes before who is on call, since only that is left of the way to access.
type Place = (Precedence, bool, u64);

/// Hands out slots.
#[derive(Debug)]
pub(super) struct Slots(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    last_number: u64,
    /// Those in flight, by number.
    holders: BTreeMap<u64, Holder>,
    waiting: BTreeMap<Place, (Operation, oneshot::Sender<Slot>)>,
    /// How many slots in a row went to what is more urgent while a pass waited.
    passed_over: usize,
    /// One at a time until then: little is left of a limit.
    narrow_until: Option<Instant>,
    /// How long answers took lately, and when the last one came, by what was asked.
    answers: HashMap<Operation, (Duration, Instant)>,
    last_answer: Option<Instant>,
    last_call_back: Option<Instant>,
}

#[derive(Debug)]
struct Holder {
    precedence: Precedence,
    operation: Operation,
    since: Instant,
    /// Tells it to give up; none if it was told.
    call_back: Option<oneshot::Sender<()>>,
}

/// The right to have one request in flight. Dropping it lets the next one go.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    called_back: oneshot::Receiver<()>,
    is_answered: bool,
}

/// Whether it asks who somebody is, one by one or all at once.
fn asks_who(operation: Operation) -> bool {
    matches!(operation, Operation::User | Operation::ListUsers)
}

impl Slots {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// Waits for a slot.
    pub(super) async fn take(self: &Arc<Self>, precedence: Precedence, operation: Operation) -> Slot {
        let (sender, mut slot) = oneshot::channel();
        {
            let mut queue = self.0.lock();
            queue.last_number += 1;
            let place = (precedence, !asks_who(operation), queue.last_number);
            queue.waiting.insert(place, (operation, sender));
        }
        self.hand_out();
        loop {
            // Whoever is told gives up in a moment, but not at once.
            let next = self.0.lock().next_call_back().max(Instant::now() + A_MOMENT);
            tokio::select! {
                biased;
                slot = &mut slot => return slot.expect("whoever waits is not forgotten"),
                () = sleep_until(next) => self.call_back(),
            }
        }
    }

    /// One request at a time for so long.
    pub(super) fn narrow(&self, lasting: Duration) {
        let mut queue = self.0.lock();
        queue.narrow_until = queue.narrow_until.max(Some(Instant::now() + lasting));
    }

    /// How long a request of this kind may take before it is overdue: much longer than usual.
    pub(super) fn patience(&self, operation: Operation) -> Duration {
        self.0.lock().patience(operation)
    }

    /// Whether anything was answered since then.
    pub(super) fn answered_since(&self, then: Instant) -> bool {
        self.0.lock().last_answer.is_some_and(|at| at > then)
    }

    /// Whether anything of this kind was answered since then.
    pub(super) fn answered_such_since(&self, operation: Operation, then: Instant) -> bool {
        self.0.lock().answered_such_since(operation, then)
    }

    /// Gives slots to those who wait, as long as there are any.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let (sender, slot) = {
                let mut queue = self.0.lock();
                let Some(place) = queue.next() else { return };
                let Some((operation, sender)) = queue.waiting.remove(&place) else { return };
                let (precedence, _, number) = place;
                let (call_back, called_back) = oneshot::channel();
                let call_back = Some(call_back);
                let holder = Holder { precedence, operation, since: Instant::now(), call_back };
                queue.holders.insert(number, holder);
                (sender, Slot { slots: Arc::clone(self), number, called_back, is_answered: false })
            };
            // Outside of the lock, since whoever does not wait any more gives the slot back.
            drop(sender.send(slot));
        }
    }

    fn end(self: &Arc<Self>, number: u64) {
        self.0.lock().holders.remove(&number);
        self.hand_out();
    }

    /// Tells the oldest overdue request to give up, if there are more waiting than were told.
    fn call_back(&self) {
        let mut queue = self.0.lock();
        queue.waiting.retain(|_, (_, sender)| !sender.is_closed());
        let told = queue.holders.values().filter(|holder| holder.call_back.is_none()).count();
        let now = Instant::now();
        if queue.waiting.len() <= told || queue.next_call_back() > now {
            return;
        }
        let due = queue.overdue().filter(|(at, _)| *at <= now).min().map(|(_, number)| number);
        if let Some(holder) = due.and_then(|number| queue.holders.get_mut(&number))
            && let Some(call_back) = holder.call_back.take()
        {
            // Whoever is over already needs no word.
            let _ = call_back.send(());
            queue.last_call_back = Some(now);
        }
    }
}

impl Queue {
    fn width(&self) -> usize {
        if self.narrow_until.is_some_and(|until| Instant::now() < until) { 1 } else { AT_ONCE }
    }

    /// Who gets the next slot, if there is one.
    fn next(&mut self) -> Option<Place> {
        self.waiting.retain(|_, (_, sender)| !sender.is_closed());
        if self.holders.len() >= self.width() {
            return None;
        }
        let first = *self.waiting.keys().next()?;
        let (precedence, ..) = first;
        match precedence {
            Precedence::Event => {
                let passed_over =
                    self.waiting.keys().find(|(precedence, ..)| *precedence == Precedence::Pass).copied();
                if let Some(pass) = passed_over {
                    self.passed_over += 1;
                    if self.passed_over > MOST_PASSED_OVER {
                        self.passed_over = 0;
                        return Some(pass);
                    }
                }
                Some(first)
            }
            Precedence::Pass => {
                self.passed_over = 0;
                Some(first)
            }
            Precedence::Aside => {
                let is_at_it = self.holders.values().any(|holder| holder.precedence == Precedence::Aside);
                (!is_at_it).then_some(first)
            }
        }
    }

    fn patience(&self, operation: Operation) -> Duration {
        let (least, most) = OVERDUE;
        self.answers.get(&operation).map_or(USUAL, |(usual, _)| *usual * 4).clamp(least, most)
    }

    fn answered_such_since(&self, operation: Operation, then: Instant) -> bool {
        self.answers.get(&operation).is_some_and(|(_, last)| *last > then)
    }

    /// When which request may be called back: when it is overdue, and others of its kind are answered, or none was called
    /// back for a while.
    fn overdue(&self) -> impl Iterator<Item = (Instant, u64)> {
        self.holders.iter().filter(|(_, holder)| holder.call_back.is_some()).map(|(number, holder)| {
            let overdue = holder.since + self.patience(holder.operation);
            let is_slow_alone = self.answered_such_since(holder.operation, holder.since);
            let spaced = self.last_call_back.filter(|_| !is_slow_alone).map(|at| at + BETWEEN_CALLS_BACK);
            (spaced.map_or(overdue, |spaced| overdue.max(spaced)), *number)
        })
    }

    /// When whoever waits should see whether a request is to be called back.
    fn next_call_back(&self) -> Instant {
        let soonest = self.overdue().map(|(at, _)| at).min();
        soonest.unwrap_or_else(|| Instant::now() + OVERDUE.0)
    }
}

impl Slot {
    /// Ends when others need the slot more, since no answer came for too long.
    pub(super) async fn called_back(&mut self) {
        if (&mut self.called_back).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Remembers that an answer came.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
        let mut queue = self.slots.0.lock();
        let now = Instant::now();
        queue.last_answer = Some(now);
        let Some(holder) = queue.holders.get(&self.number) else { return };
        let (operation, took) = (holder.operation, now - holder.since);
        let before = queue.answers.get(&operation).map(|(usual, _)| *usual);
        let usual = before.map_or(took, |usual| (usual * 3 + took) / 4);
        queue.answers.insert(operation, (usual, now));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (slots, number) = (Arc::clone(&self.slots), self.number);
        match Handle::try_current() {
            Ok(runtime) if !self.is_answered => {
                drop(runtime.spawn(async move {
                    sleep(HANG_UP).await;
                    slots.end(number);
                }));
            }
            Ok(_) | Err(_) => slots.end(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Takes all slots there are.
    async fn busy(slots: &Arc<Slots>) -> Vec<Slot> {
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(slots.take(Precedence::Pass, Operation::OnCalls).await);
        }
        taken
    }

    /// Waits for a slot of each of these, and tells in which order they came.
    async fn order(slots: &Arc<Slots>, held: Vec<Slot>, asked: &[(Precedence, Operation)]) -> Vec<usize> {
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = asked
            .iter()
            .enumerate()
            .map(|(index, (precedence, operation))| {
                let (slots, order, waiting) = (Arc::clone(slots), Arc::clone(&order), Arc::clone(&waiting));
                let (precedence, operation) = (*precedence, *operation);
                tokio::spawn(async move {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    let mut slot = slots.take(precedence, operation).await;
                    order.lock().push(index);
                    slot.answered();
                })
            })
            .collect();
        while waiting.load(Ordering::SeqCst) < asked.len() {
            tokio::task::yield_now().await;
        }
        // One slot for all of them, so that they come one by one.
        slots.narrow(Duration::from_mins(1));
        for mut slot in held {
            slot.answered();
        }
        for task in tasks {
            task.await.unwrap();
        }
        Arc::into_inner(order).unwrap().into_inner()
    }

    #[tokio::test]
    async fn what_is_urgent_comes_first_and_who_somebody_is_before_who_is_on_call() {
        let slots = Slots::new();
        let held = busy(&slots).await;
        let asked = [
            (Precedence::Aside, Operation::User),
            (Precedence::Pass, Operation::OnCalls),
            (Precedence::Pass, Operation::LayerSchedule),
            (Precedence::Pass, Operation::User),
            (Precedence::Pass, Operation::ListUsers),
            (Precedence::Event, Operation::OnCalls),
        ];
        assert_eq!(order(&slots, held, &asked).await, [5, 3, 4, 1, 2, 0]);
    }

    #[tokio::test]
    async fn events_without_end_let_a_pass_have_every_fourth_turn() {
        let slots = Slots::new();
        let held = busy(&slots).await;
        let mut asked = vec![(Precedence::Event, Operation::OnCalls); 8];
        asked.extend([(Precedence::Pass, Operation::OnCalls); 2]);
        assert_eq!(order(&slots, held, &asked).await, [0, 1, 2, 8, 3, 4, 5, 9, 6, 7]);
    }

    #[tokio::test]
    async fn whoever_only_wants_to_know_has_one_turn() {
        let slots = Slots::new();
        let _held = slots.take(Precedence::Aside, Operation::OnCalls).await;
        let second = slots.take(Precedence::Aside, Operation::OnCalls);
        assert!(tokio::time::timeout(Duration::from_millis(50), second).await.is_err());
        let _pass = tokio::time::timeout(Duration::from_secs(5), busy_but_one(&slots)).await.unwrap();
    }

    async fn busy_but_one(slots: &Arc<Slots>) -> Vec<Slot> {
        let mut taken = Vec::new();
        for _ in 1..AT_ONCE {
            taken.push(slots.take(Precedence::Pass, Operation::OnCalls).await);
        }
        taken
    }

    #[tokio::test]
    async fn whoever_gets_no_answer_gives_way_to_those_who_wait() {
        let slots = Slots::new();
        let mut held = busy(&slots).await;
        let began = Instant::now();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take(Precedence::Event, Operation::OnCalls).await }
        });
        let mut oldest = held.remove(0);
        oldest.called_back().await;
        assert!(began.elapsed() >= OVERDUE.0, "{:?}", began.elapsed());
        drop(oldest);
        waiting.await.unwrap().answered();
        // Nobody waits any more.
        let others =
            futures_util::future::select_all(held.iter_mut().map(|slot| Box::pin(slot.called_back())));
        assert!(tokio::time::timeout(OVERDUE.0 * 2, others).await.is_err());
    }

    #[tokio::test]
    async fn whoever_does_not_wait_any_more_takes_no_turn() {
        let slots = Slots::new();
        let held = busy(&slots).await;
        let gone = slots.take(Precedence::Event, Operation::OnCalls);
        assert!(tokio::time::timeout(Duration::from_millis(10), gone).await.is_err());
        drop(held);
        tokio::time::timeout(Duration::from_secs(5), busy(&slots)).await.unwrap();
    }
}
