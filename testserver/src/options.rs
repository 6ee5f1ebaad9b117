//! Options of a server.

use std::path::PathBuf;

/// The options of a [`Server`](crate::Server). Begin with [`Options::throwaway`] or
/// [`Options::durable`].
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) installs: bool,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) progress: fn(&str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// No commit waits for the disk: data survives the end of the server, but not a crash of the
    /// machine.
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
    /// For tests: no commit waits for the disk. All other settings are the defaults, so commits
    /// survive a crash of the server.
    pub fn throwaway() -> Self {
        let progress = |_: &str| {};
        Self {
            durability: Durability::Throwaway,
            folders: vec![],
            installs: false,
            parameters: vec![],
            tls: None,
            progress,
        }
    }

    /// For benches: commits are as durable as by default.
    pub fn durable() -> Self {
        Self { durability: Durability::Durable, ..Self::throwaway() }
    }

    /// The parent of the server's folder (default: the system's folder for temporary files). Of
    /// several, the first one that the account of the server has access to.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Lets root install PostgreSQL if there is none, whatever the environment says.
    #[must_use]
    pub fn installs(mut self) -> Self {
        self.installs = true;
        self
    }

    /// Sets a parameter of the server, as in `postgresql.conf`; the last value of a parameter
    /// counts.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Enables TLS on the server with a certificate and its key, both as PEM text.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.tls = Some(Tls { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Calls `progress` with a line before each long step, such as the installation of PostgreSQL.
    #[must_use]
    pub fn progress(mut self, progress: fn(&str)) -> Self {
        self.progress = progress;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::throwaway()
    }
}
