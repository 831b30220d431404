//! What commands print: results to standard output, everything else to standard error. Colours reach terminals only, and
//! never against the user's wish.

use std::{
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    pin::pin,
    sync::OnceLock,
    time::Duration,
};

/// So long nobody wonders whether anything happens.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// Why a result could not be written. Commands print at many places and go on alike whether that works, so it is kept
/// here for the one place where they end.
static WRITE_ERROR: OnceLock<io::Error> = OnceLock::new();

/// Prints a result.
pub(super) fn print(text: &str) {
    let _ = print_part(text);
}

/// Prints a part of a result; `Break` if nobody can read the next one. A reader that went away is no error of ours; any
/// other failure is, see [`write_error`].
pub(super) fn print_part(text: &str) -> ControlFlow<()> {
    let mut output = anstream::stdout().lock();
    let written = writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush());
    let Err(error) = written else { return ControlFlow::Continue(()) };
    if error.kind() != io::ErrorKind::BrokenPipe {
        WRITE_ERROR.get_or_init(|| error);
    }
    ControlFlow::Break(())
}

/// Prints a result of which every byte counts.
pub(super) fn print_exact(text: &str) {
    let mut output = anstream::stdout().lock();
    if let Err(error) = output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        WRITE_ERROR.get_or_init(|| error);
    }
}

/// Why a part of the result could not be written, if one could not.
pub(super) fn write_error() -> Option<&'static io::Error> {
    WRITE_ERROR.get()
}

/// Prints what is not a result, such as what went wrong, for people, whatever the log level.
pub(super) fn print_to_stderr(text: &str) {
    drop(writeln!(io::stderr().lock(), "{}", text.trim_end()));
}

/// Does the work, and says on a terminal whom it waits for if it takes long.
pub(super) async fn wait_for<T>(whom: &str, work: impl Future<Output = T>) -> T {
    let notify = || {
        if io::stderr().is_terminal() {
            print_to_stderr(&format!("waiting for {whom} ..."));
        }
    };
    notify_after(NOTICE_AFTER, notify, work).await
}

async fn notify_after<T>(pause: Duration, notify: impl FnOnce(), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(pause) => notify(),
    }
    work.await
}

/// A number of things, in words: `1 rule`, `2 rules`.
pub(super) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_said_once_and_what_does_not_never() {
        let (said, done) = oneshot::channel();
        let heard = notify_after(Duration::ZERO, || said.send(()).unwrap(), done).await;
        assert_eq!(heard, Ok(()), "the work ends only after it was said");
        notify_after(Duration::from_hours(1), || panic!("it is done already"), async {}).await;
    }
}
