//! What commands print: results to standard output, everything else to standard error. Colours reach terminals only, and
//! never against the user's wish.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    sync::OnceLock,
    time::Duration,
};

/// So long nobody wonders whether anything happens.
const WONDER_AFTER: Duration = Duration::from_secs(2);

/// Why a result could not be written. Commands print at many places and go on alike whether that works, so it is kept
/// here for the one place where they end.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a result.
pub(super) fn print(text: &str) {
    print_on(text);
}

/// Prints a part of a result, and says whether it makes sense to go on. A reader that went away is no error of ours; any
/// other failure is, see [`lost`].
pub(super) fn print_on(text: &str) -> bool {
    let mut output = anstream::stdout().lock();
    let written = writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush());
    let Err(error) = written else { return true };
    if error.kind() != io::ErrorKind::BrokenPipe {
        LOST.get_or_init(|| error);
    }
    false
}

/// Why a part of the result is lost, if one is.
pub(super) fn lost() -> Option<&'static io::Error> {
    LOST.get()
}

/// Prints what went wrong, for people, whatever the log level.
pub(super) fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{}", text.trim_end()));
}

/// Does the work, and says on a terminal what is waited for if it takes long.
pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let say = || {
        if io::stderr().is_terminal() {
            complain(&format!("waiting for {what} ..."));
        }
    };
    saying_after(WONDER_AFTER, say, work).await
}

async fn saying_after<T>(pause: Duration, say: impl FnOnce(), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(pause) => say(),
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
        let heard = saying_after(Duration::ZERO, || said.send(()).unwrap(), done).await;
        assert_eq!(heard, Ok(()), "the work ends only after it was said");
        saying_after(Duration::from_hours(1), || panic!("it is done already"), async {}).await;
    }
}
