//! Removes the schemas of finished cases while others run.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use queue_postgres::tokio_postgres::{Error, NoTls, connect};

/// A thread with a separate connection, once it is started.
pub(crate) struct Sweeper {
    names: Mutex<Option<Sender<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sweeper {
    pub(crate) const fn new() -> Self {
        Self { names: Mutex::new(None), thread: Mutex::new(None) }
    }

    /// Removes schemas of this database.
    pub(crate) fn start(&self, url: &str) {
        let (names, removed) = channel();
        let url = url.to_owned();
        let thread = std::thread::spawn(move || {
            if let Err(error) = sweep(&url, &removed) {
                #[expect(clippy::print_stderr, reason = "no other output reports it")]
                let () = eprintln!("schemas of the tests are left behind: {error}");
            }
        });
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = Some(names);
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    /// Queues the removal of a schema.
    pub(crate) fn remove(&self, schema: &str) {
        if let Ok(names) = self.names.lock()
            && let Some(names) = &*names
        {
            // If the thread ended early, it has printed the cause.
            let _ = names.send(schema.to_owned());
        }
    }

    /// Waits until all are removed.
    pub(crate) fn finish(&self) {
        drop(self.names.lock().ok().and_then(|mut names| names.take()));
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        drop(thread.map(JoinHandle::join));
    }
}

fn sweep(url: &str, names: &Receiver<String>) -> Result<(), Error> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Ok(());
    };
    runtime.block_on(async {
        let (client, connection) = connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SET client_min_messages = 'warning'").await?;
        // The thread has no other task.
        while let Ok(name) = names.recv() {
            client.batch_execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE")).await?;
        }
        Ok(())
    })
}
