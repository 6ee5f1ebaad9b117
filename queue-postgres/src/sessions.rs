//! Sessions of the server: the handle's own, or those of the application's pool.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool::managed::{self, Object};
use deadpool_postgres::{ClientWrapper, Pool};
use queue_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;

use crate::config::PostgresConfig;
use crate::connect::{Connector, Unreached};

/// Makes the sessions of requests.
#[derive(Debug)]
pub(crate) enum Sessions {
    Own(Arc<Connector>),
    /// Borrows one for each request.
    Shared {
        pool: Pool,
        /// The pool's new connections must be driven by the application's runtime, because they
        /// outlive the handle.
        runtime: Handle,
    },
}

impl Sessions {
    /// The application's pool, if the configuration has one.
    pub(crate) fn of_requests(config: &PostgresConfig, connector: &Arc<Connector>) -> Result<Self> {
        let Some(pool) = config.shared_pool.clone() else { return Ok(Self::Own(Arc::clone(connector))) };
        let runtime = Handle::try_current().map_err(|error| {
            let fault = "with a shared pool it must be opened within the tokio runtime of the pool";
            Error::new(ErrorKind::Invalid, "open the database", fault).with_source(error)
        })?;
        Ok(Self::Shared { pool, runtime })
    }
}

impl Sessions {
    /// Whether they are those of the application.
    pub(crate) const fn are_shared(&self) -> bool {
        matches!(self, Self::Shared { .. })
    }

    /// Closes the idle sessions of the application's pool.
    pub(crate) fn close_idle(&self) {
        if let Self::Shared { pool, .. } = self {
            drop(pool.retain(|_, _| false));
        }
    }
}

/// A session, with its prepared statements.
#[derive(Debug)]
pub(crate) enum Session {
    Own(ClientWrapper),
    Shared(deadpool_postgres::Client),
}

impl Session {
    /// Whether it goes back to the application's pool after each request.
    const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

impl Deref for Session {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        match self {
            Self::Own(session) => session,
            Self::Shared(session) => session,
        }
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        match self {
            Self::Own(session) => session,
            Self::Shared(session) => session,
        }
    }
}

impl managed::Manager for Sessions {
    type Type = Session;
    type Error = Unreached;

    async fn create(&self) -> Result<Session, Unreached> {
        match self {
            // Boxed, because otherwise each request reserves room for this large and rare future.
            Self::Own(connector) => Box::pin(connector.session()).await.map(Session::Own),
            Self::Shared { pool, runtime } => {
                let pool = pool.clone();
                let taking = runtime.spawn(async move { pool.get().await });
                // If this future is dropped, the request does not take a session any more.
                let _abort = scopeguard::guard(taking.abort_handle(), |taking| taking.abort());
                match taking.await {
                    Ok(taken) => taken.map(Session::Shared).map_err(Unreached::of_pool),
                    Err(_) => Err(Unreached::of_ended_runtime()),
                }
            }
        }
    }

    async fn recycle(
        &self,
        session: &mut Session,
        _: &managed::Metrics,
    ) -> managed::RecycleResult<Unreached> {
        if session.is_closed() { Err(managed::RecycleError::message("it was closed")) } else { Ok(()) }
    }
}

/// Returns a session after use.
pub(crate) fn give_back(session: Object<Sessions>) {
    if session.is_shared() {
        drop(Object::take(session));
    }
}

/// Removes a session from its pool and closes it.
pub(crate) fn close(session: Object<Sessions>) {
    if let Session::Shared(shared) = Object::take(session) {
        drop(deadpool_postgres::Client::take(shared));
    }
}
