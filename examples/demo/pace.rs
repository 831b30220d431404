//! When the story goes on: at a terminal when the reader says so, who may want to look at the page first.

use std::io::{self, IsTerminal, Write};

use tokio::sync::mpsc;

/// Who decides when the next act begins.
pub(crate) enum Pace {
    /// The acts follow each other.
    AtOnce,
    /// The reader, by pressing Enter.
    Reader {
        lines: mpsc::UnboundedReceiver<()>,
        /// The question is wiped away once it is answered.
        wipes: bool,
    },
}

impl Pace {
    /// By the reader at a terminal, or wherever that was asked for.
    pub(crate) fn new(step: bool) -> Self {
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !step && !is_terminal {
            return Self::AtOnce;
        }
        let (send, lines) = mpsc::unbounded_channel();
        // A thread of its own, which ends with the process: nothing can interrupt it while it reads.
        std::thread::spawn(move || {
            let mut line = String::new();
            while io::stdin().read_line(&mut line).is_ok_and(|length| length > 0) && send.send(()).is_ok() {
                line.clear();
            }
        });
        Self::Reader { lines, wipes: is_terminal }
    }

    /// Waits for the reader, unless there is none (any more).
    pub(crate) async fn next_act(&mut self) {
        let Self::Reader { lines, wipes } = self else { return };
        let mut screen = anstream::stdout();
        drop(write!(screen, "\n  Look at the page, then press Enter.{}", if *wipes { " " } else { "\n" }));
        drop(screen.flush());
        match lines.recv().await {
            // One line up, to the beginning of the question.
            Some(()) if *wipes => drop(write!(screen, "\x1b[1A\x1b[2K\x1b[1A")),
            Some(()) => {}
            None => *self = Self::AtOnce,
        }
    }
}
