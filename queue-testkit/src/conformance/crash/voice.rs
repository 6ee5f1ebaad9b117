//! Who says what it does: a child to its parent, or a task of this process to itself.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::event::Event;
use crate::child::{Line, Parent};

/// Takes down what is done, in order.
#[async_trait]
pub(crate) trait Voice: Send + Sync {
    fn say(&self, text: String);

    /// Names a point at which it may be halted.
    async fn reach(&self, point: &str);

    fn tell(&self, event: &Event) {
        // Events are made of names and numbers, which can always be written.
        self.say(serde_json::to_string(event).unwrap_or_default());
    }
}

#[async_trait]
impl Voice for Parent {
    fn say(&self, text: String) {
        Parent::say(self, text);
    }

    async fn reach(&self, point: &str) {
        Parent::reach(self, point).await;
    }
}

/// What tasks of this process said.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Vec<Line>>);

impl Notes {
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Voice for Notes {
    fn say(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Line::now(text));
    }

    async fn reach(&self, _point: &str) {}
}
