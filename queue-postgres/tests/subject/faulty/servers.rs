//! Servers that a case may stop. They are reused, because a new one takes a second.

use std::sync::{Arc, Mutex, PoisonError};

use queue_testkit::conformance::SetupResult;
use queue_testserver::{Options, Server, Shutdown};
use tokio::task::spawn_blocking;

/// Servers that no case uses. They stop with this process.
static FREE: Mutex<Vec<Server>> = Mutex::new(Vec::new());

/// A server for one case.
pub(super) struct Leased {
    url: String,
    server: Arc<Mutex<Option<Server>>>,
}

impl Leased {
    pub(super) async fn take() -> SetupResult<Self> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let start = move || {
            let mut server = free.map_or_else(|| Server::start(&Options::throwaway()), Ok)?;
            server.start_again()?;
            SetupResult::Ok(server)
        };
        let server = spawn_blocking(start).await??;
        Ok(Self { url: server.url(), server: Arc::new(Mutex::new(Some(server))) })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) async fn stop(&self, shutdown: Shutdown) -> SetupResult<()> {
        self.with(move |server| Ok(server.stop(shutdown)?)).await
    }

    pub(super) async fn start_again(&self) -> SetupResult<()> {
        self.with(|server| Ok(server.start_again()?)).await
    }

    async fn with(
        &self,
        act: impl FnOnce(&mut Server) -> SetupResult<()> + Send + 'static,
    ) -> SetupResult<()> {
        let server = Arc::clone(&self.server);
        let acting = move || match &mut *server.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(server) => act(server),
            None => Err("the server was returned".into()),
        };
        spawn_blocking(acting).await?
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        }
    }
}
