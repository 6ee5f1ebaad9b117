//! What a server is to be like.

use std::path::PathBuf;

/// How a [`Server`](crate::Server) is made. Begin with [`Options::throwaway`] or [`Options::durable`].
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) progress: fn(&str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The operating system writes when it likes: data survives the end of the server, not that of the machine.
    Throwaway,
    /// A commit waits for the disk.
    Durable,
}

#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Options {
    /// For tests: nothing waits for the disk. All else is as on any server, so commits survive a crash of
    /// the server itself.
    pub fn throwaway() -> Self {
        let progress = |_: &str| {};
        Self { durability: Durability::Throwaway, folder: None, parameters: vec![], tls: None, progress }
    }

    /// For benches: everything that makes a commit durable is on, as by default.
    pub fn durable() -> Self {
        Self { durability: Durability::Durable, ..Self::throwaway() }
    }

    /// The folder to make the server's own folder in; by default the system's for temporary files.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets a parameter of the server, as in `postgresql.conf`; the last one of a name counts.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Has the server offer TLS with a certificate and its key, both as PEM text.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.tls = Some(Tls { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Is given a line about what takes long, such as the installation of PostgreSQL.
    #[must_use]
    pub fn progress(mut self, progress: fn(&str)) -> Self {
        self.progress = progress;
        self
    }
}

impl Default for Options {
    /// A throwaway server.
    fn default() -> Self {
        Self::throwaway()
    }
}
