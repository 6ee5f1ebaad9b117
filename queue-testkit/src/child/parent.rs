//! The child's side.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Mutex, Semaphore};

use super::{HALT, Line, ROLE, TEXT};

/// The line that lets a halted child continue.
pub(super) const GO_ON: &str = "go on";

/// The line that a child writes when it halts.
pub(super) fn halts_at(point: &str) -> String {
    format!("halts at `{point}`")
}

/// Returns the role if a parent started this process.
#[must_use]
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The process that started this one.
#[derive(Debug)]
pub struct Parent {
    role: String,
    text: String,
    halt: Option<(String, u32)>,
    reached: AtomicU32,
    go_on: Arc<Semaphore>,
    received: Mutex<UnboundedReceiver<String>>,
}

impl Parent {
    /// Returns the parent if this process is a child. Must be called at most once, because it
    /// starts a thread that reads standard input and exits the process at its end.
    #[must_use]
    pub fn find() -> Option<Self> {
        let role = role()?;
        let variable = |name| std::env::var(name).ok();
        let halt = variable(HALT).and_then(|halt| {
            let (nth, point) = halt.split_once(' ')?;
            Some((point.to_owned(), nth.parse().ok()?))
        });
        let (sender, receiver) = mpsc::unbounded_channel();
        let go_on = Arc::new(Semaphore::new(0));
        let text = variable(TEXT).unwrap_or_default();
        let permits = Arc::clone(&go_on);
        std::thread::spawn(move || read_lines(&permits, &sender));
        Some(Self { role, text, halt, reached: AtomicU32::new(0), go_on, received: Mutex::new(receiver) })
    }

    /// Returns the role that this process was started for.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Returns the text of the [`Orders`](super::Orders).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes a line to the parent. The line is in the pipe when this returns, so it arrives even
    /// if the process is killed right afterwards.
    pub fn say(&self, text: impl fmt::Display) {
        let wire = Line::now(text.to_string()).to_wire();
        let mut output = io::stdout().lock();
        if output.write_all(wire.as_bytes()).and_then(|()| output.flush()).is_err() {
            // The parent is gone.
            std::process::exit(0);
        }
    }

    /// Names a point. Halts here if the [`Orders`](super::Orders) say so; otherwise returns at
    /// once.
    pub async fn reach(&self, point: &str) {
        let Some((_, nth)) = self.halt.as_ref().filter(|(halt, _)| halt == point) else { return };
        if self.reached.fetch_add(1, Ordering::SeqCst) + 1 != *nth {
            return;
        }
        self.say(halts_at(point));
        // Cannot fail, because the semaphore is never closed.
        if let Ok(permit) = self.go_on.acquire().await {
            permit.forget();
        }
    }

    /// Waits for the next line from the parent.
    pub async fn hear(&self) -> String {
        match self.received.lock().await.recv().await {
            Some(line) => line,
            // The parent is gone, so the reading thread is about to exit the process.
            None => std::future::pending().await,
        }
    }

    /// Returns a line from the parent if one has arrived that neither this nor [`hear`](Self::hear)
    /// has returned yet.
    pub fn heard(&self) -> Option<String> {
        self.received.try_lock().ok()?.try_recv().ok()
    }
}

fn read_lines(go_on: &Semaphore, sender: &UnboundedSender<String>) {
    for line in io::stdin().lines().map_while(Result::ok) {
        if line == GO_ON {
            go_on.add_permits(1);
        } else if sender.send(line).is_err() {
            break;
        }
    }
    std::process::exit(0);
}
