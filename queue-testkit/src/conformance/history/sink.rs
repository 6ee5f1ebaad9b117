//! The destination of the events of a process.

use async_trait::async_trait;

use super::event::Event;
use crate::child::Parent;

/// Receives the events of one process in order, and adds the time of each.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    fn write(&self, event: Event);

    /// Names a point at which a parent may halt and kill the process.
    async fn reach(&self, _point: &str) {}
}

/// Writes the events of a child to its parent.
#[async_trait]
impl Sink for Parent {
    fn write(&self, event: Event) {
        // Cannot fail, because events consist of names and numbers.
        self.say(serde_json::to_string(&event).unwrap_or_default());
    }

    async fn reach(&self, point: &str) {
        Self::reach(self, point).await;
    }
}
