//! The handlers of a queue or a worker, by kind.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "runtime")]
use crate::middleware::Layers;
use crate::{Error, ErrorKind, Handler, Kind, Result, TaskOptions};

/// The handler of a kind, and its options.
#[cfg_attr(not(feature = "runtime"), expect(dead_code, reason = "only a worker runs handlers"))]
pub(crate) struct Registration {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) options: TaskOptions,
}

#[cfg(feature = "runtime")]
impl Registration {
    /// The same with these layers around its handler.
    pub(crate) fn inside(&self, layers: &Layers) -> Self {
        Self { handler: layers.around(Arc::clone(&self.handler)), options: self.options.clone() }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(crate) type Registrations = HashMap<Kind, Arc<Registration>>;

/// Registers the handler of a kind.
///
/// # Errors
/// [`Conflict`](ErrorKind::Conflict) if the kind has one already.
pub(crate) fn add_handler(all: &mut Registrations, kind: Kind, new: Arc<Registration>) -> Result<()> {
    if all.contains_key(&kind) {
        let operation = format!("register a handler for kind `{kind}`");
        return Err(Error::new(ErrorKind::Conflict, operation, "the kind has a handler already"));
    }
    all.insert(kind, new);
    Ok(())
}
