//! Application state, looked up by its type.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The values that the handlers of a worker share, at most one per type.
#[derive(Clone, Default)]
pub(crate) struct StateMap(HashMap<TypeId, (Arc<dyn Any + Send + Sync>, &'static str)>);

impl StateMap {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.0.insert(TypeId::of::<T>(), (value, type_name::<T>()));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let (value, _) = self.0.get(&TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok()
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn has(&self, need: StateType) -> bool {
        self.0.contains_key(&need.id)
    }
}

/// The types that it has, in alphabetical order.
#[cfg(feature = "runtime")]
impl fmt::Display for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<String> = self.0.values().map(|(_, name)| format!("`{name}`")).collect();
        names.sort();
        if names.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values().map(|(_, name)| name)).finish()
    }
}

/// A type of application state, by which a handler finds its value.
#[derive(Clone, Copy)]
pub struct StateType {
    #[cfg_attr(not(feature = "runtime"), expect(dead_code, reason = "only a worker checks it"))]
    id: TypeId,
    pub(crate) name: &'static str,
}

impl StateType {
    /// Returns the type `T`.
    #[must_use]
    pub fn of<T: Send + Sync + 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }
}

impl fmt::Debug for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
