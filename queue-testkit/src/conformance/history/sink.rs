//! Where the events of a process go.

use async_trait::async_trait;

use super::event::Event;
use crate::child::Parent;

/// Takes the events of one process, in their order, with the moment of each.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    fn write(&self, event: Event);

    /// Names a point at which the process may be halted, to be killed there.
    async fn reach(&self, _point: &str) {}
}

/// A child writes its events to its parent.
#[async_trait]
impl Sink for Parent {
    fn write(&self, event: Event) {
        // Events are made of names and numbers, which can always be written.
        self.say(serde_json::to_string(&event).unwrap_or_default());
    }

    async fn reach(&self, point: &str) {
        Self::reach(self, point).await;
    }
}
