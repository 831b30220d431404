//! Files that count by what they hold while the service runs, such as certificates and webhook secrets. Their dates and
//! sizes tell nothing: whoever restores or mounts a file may keep both.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::telemetry::throttle::LogThrottle;

/// A file system that takes longer keeps nobody waiting.
const READ_WITHIN: Duration = Duration::from_millis(500);
/// A file system that hangs is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Something that is read from files again and again.
pub(crate) struct Reloader<T> {
    /// What is read, in words.
    what: &'static str,
    read: Arc<dyn Fn() -> T + Send + Sync>,
    /// Locked while the files are read, by the thread that reads them: however many look at a file system that hangs, one
    /// thread hangs with it.
    last: Arc<Mutex<Last<T>>>,
    stalled: LogThrottle,
}

/// The last reading.
struct Last<T> {
    found: Option<T>,
    /// When it began.
    began: Option<Instant>,
}

/// What a look at the files showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They hold what they held at the last look.
    Same,
    /// They hold something else, or there was no look before.
    Changed,
    /// The file system takes too long.
    Stalled,
}

impl<T> fmt::Debug for Reloader<T> {
    /// What was read may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("what", &self.what).finish_non_exhaustive()
    }
}

impl<T: PartialEq + Send + 'static> Reloader<T> {
    /// Reads with `read`, which may block. `found` is what it gave before, if it was called.
    pub(crate) fn new(
        what: &'static str,
        found: Option<T>,
        read: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        let last = Arc::new(Mutex::new(Last { found, began: None }));
        Self { what, read: Arc::new(read), last, stalled: LogThrottle::every(LOG_EVERY) }
    }

    /// Reads the files now; whoever looks at the same time shares one reading that began after all of them had asked. If the
    /// files hold something else than at the last look, `changed` takes that over before anybody else can look.
    pub(crate) async fn look(&self, changed: impl FnOnce(&T)) -> Look {
        let asked = Instant::now();
        let looked = timeout(READ_WITHIN, async {
            let last = Arc::clone(&self.last).lock_owned().await;
            if last.began.is_some_and(|began| began >= asked) {
                return Some(Look::Same);
            }
            let (began, read) = (Instant::now(), Arc::clone(&self.read));
            let (found, mut last) = spawn_blocking(move || (read(), last)).await.ok()?;
            last.began = Some(began);
            if last.found.as_ref() == Some(&found) {
                return Some(Look::Same);
            }
            changed(last.found.insert(found));
            Some(Look::Changed)
        });
        if let Ok(Some(look)) = looked.await {
            return look;
        }
        if self.stalled.count().is_some() {
            tracing::error!(
                "reading {} takes longer than {READ_WITHIN:?}; what they held before counts meanwhile",
                self.what
            );
        }
        Look::Stalled
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::SystemTime,
    };

    use super::*;

    #[tokio::test]
    async fn a_file_counts_by_what_it_holds_and_not_by_its_date_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let write = |text: &str| {
            fs::write(&file, text).unwrap();
            let file = fs::File::options().write(true).open(&file).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        };
        let path = file.clone();
        let files = Reloader::new("a test", None, move || fs::read_to_string(&path).ok());
        for text in ["one", "two"] {
            write(text);
            let mut seen = None;
            assert_eq!(files.look(|found| seen.clone_from(found)).await, Look::Changed);
            assert_eq!(seen.as_deref(), Some(text));
            assert_eq!(files.look(|_| panic!("nothing changed")).await, Look::Same);
        }
    }

    #[tokio::test]
    async fn who_looks_at_the_same_time_shares_a_reading_that_began_after_all_had_asked() {
        let reads = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reads);
        let files = Reloader::new("a test", None, move || count.fetch_add(1, Ordering::Relaxed));
        let looks = futures_util::future::join_all((0..100).map(|_| files.look(|_| {}))).await;
        assert_eq!(looks.iter().filter(|look| **look == Look::Changed).count(), 2, "{looks:?}");
        assert_eq!(reads.load(Ordering::Relaxed), 2, "the one that the first began, and one for all others");
        files.look(|_| {}).await;
        assert_eq!(reads.load(Ordering::Relaxed), 3);
    }

    /// On the only thread of this runtime nothing else would run if a look blocked it.
    #[tokio::test]
    async fn a_file_system_that_hangs_keeps_nobody_waiting_and_costs_one_thread() {
        let (release, hang) = mpsc::channel::<()>();
        let hang = parking_lot::Mutex::new(hang);
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let files = Reloader::new("a test", Some(0), move || {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            hang.lock().recv().ok();
            number
        });
        for _ in 0..2 {
            assert_eq!(files.look(|_| panic!("nothing was read")).await, Look::Stalled);
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        drop(release);
        // On a busy machine a look may take long although nothing hangs.
        while files.look(|_| {}).await == Look::Stalled {}
    }
}
