//! The child's side.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Mutex, Semaphore};

use super::{HALT, Line, ROLE, TEXT};

/// What has a child that halts go on.
pub(super) const GO_ON: &str = "go on";

/// What a child says when it halts.
pub(super) fn halts_at(point: &str) -> String {
    format!("halts at `{point}`")
}

/// The role in which this process was started by a parent, if it was.
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
    told: Mutex<UnboundedReceiver<String>>,
}

impl Parent {
    /// The parent, if this process is a child. To be asked once: from then on, the standard input is read, and
    /// its end ends this process.
    #[must_use]
    pub fn find() -> Option<Self> {
        let role = role()?;
        let variable = |name| std::env::var(name).ok();
        let halt = variable(HALT).and_then(|halt| {
            let (nth, point) = halt.split_once(' ')?;
            Some((point.to_owned(), nth.parse().ok()?))
        });
        let (tell, told) = mpsc::unbounded_channel();
        let go_on = Arc::new(Semaphore::new(0));
        let text = variable(TEXT).unwrap_or_default();
        let permits = Arc::clone(&go_on);
        std::thread::spawn(move || listen(&permits, &tell));
        Some(Self { role, text, halt, reached: AtomicU32::new(0), go_on, told: Mutex::new(told) })
    }

    /// What this process was started for.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The text of its [`Orders`](super::Orders).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Says a line. It is on its way when this returns, so a process that is killed right after has said it.
    pub fn say(&self, text: impl fmt::Display) {
        let wire = Line::now(text.to_string()).to_wire();
        let mut output = io::stdout().lock();
        if output.write_all(wire.as_bytes()).and_then(|()| output.flush()).is_err() {
            // Nobody is left to do it for.
            std::process::exit(0);
        }
    }

    /// Names a point: goes on at once, unless the orders were to halt here.
    pub async fn reach(&self, point: &str) {
        let Some((_, nth)) = self.halt.as_ref().filter(|(halt, _)| halt == point) else { return };
        if self.reached.fetch_add(1, Ordering::SeqCst) + 1 != *nth {
            return;
        }
        self.say(halts_at(point));
        // Never closed.
        if let Ok(permit) = self.go_on.acquire().await {
            permit.forget();
        }
    }

    /// The next line that the parent tells.
    pub async fn hear(&self) -> String {
        match self.told.lock().await.recv().await {
            Some(line) => line,
            // The parent is gone, and so is this process in a moment.
            None => std::future::pending().await,
        }
    }

    /// A line that the parent has told and nobody has heard, if there is one.
    pub fn heard(&self) -> Option<String> {
        self.told.try_lock().ok()?.try_recv().ok()
    }
}

fn listen(go_on: &Semaphore, tell: &UnboundedSender<String>) {
    for line in io::stdin().lines().map_while(Result::ok) {
        if line == GO_ON {
            go_on.add_permits(1);
        } else if tell.send(line).is_err() {
            break;
        }
    }
    std::process::exit(0);
}
