//! Removing the schemas of cases that are over, while others run.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use queue_postgres::tokio_postgres::{Error, NoTls, connect};

/// A thread with a connection of its own.
pub(crate) struct Sweeper {
    names: Mutex<Option<Sender<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sweeper {
    pub(crate) fn start(url: &str) -> Self {
        let (names, removed) = channel();
        let url = url.to_owned();
        let thread = std::thread::spawn(move || {
            if let Err(error) = sweep(&url, &removed) {
                #[expect(clippy::print_stderr, reason = "nobody else would say it")]
                let () = eprintln!("schemas of the tests are left behind: {error}");
            }
        });
        Self { names: Mutex::new(Some(names)), thread: Mutex::new(Some(thread)) }
    }

    /// Has a schema removed.
    pub(crate) fn remove(&self, schema: &str) {
        if let Ok(names) = self.names.lock()
            && let Some(names) = &*names
        {
            // The thread says why it ended early.
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
        // Nothing else happens on this thread.
        while let Ok(name) = names.recv() {
            client.batch_execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE")).await?;
        }
        Ok(())
    })
}
