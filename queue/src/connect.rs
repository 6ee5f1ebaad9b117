//! Opens a backend by URL.

use std::env::{self, VarError};
use std::sync::Arc;

use queue_core::{Backend, Error, JobQueue, Result};

/// Environment variable with the URL of the job database.
pub const DATABASE_URL_VARIABLE: &str = "JOBS_DATABASE_URL";

/// Environment variable with the URL of the application's database, used if the other one is not
/// set.
pub const FALLBACK_URL_VARIABLE: &str = "DATABASE_URL";

/// Opens the database of the URL, migrates its schema, and returns the handle of its jobs.
///
/// | URL | backend |
/// |---|---|
/// | `sqlite:jobs.db`, `sqlite:///var/lib/app/jobs.db` | an SQLite file, created if it does not exist |
/// | `jobs.db`, `./data/jobs.db`, `/var/lib/app/jobs.db`, `C:\data\jobs.db`, `file:jobs.db` | the same, as diesel writes it |
/// | `sqlite::memory:` | SQLite in memory |
/// | `postgres://user:password@host/database`, `postgresql://…` | a PostgreSQL database, with the parameters of `PostgresConfig::from_url` |
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let jobs = queue::connect("sqlite::memory:").await?;
/// assert_eq!(jobs.backend().name(), "sqlite");
/// # Ok::<(), queue::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if the text is empty or if no backend of this build
/// supports it, and the errors of the backend.
pub async fn connect(url: &str) -> Result<JobQueue> {
    Ok(JobQueue::new(open(url).await?))
}

async fn open(url: &str) -> Result<Arc<dyn Backend>> {
    match Database::of(url)? {
        #[cfg(feature = "sqlite")]
        Database::Sqlite => {
            let config = queue_sqlite::SqliteConfig::from_url(url)?;
            Ok(Arc::new(queue_sqlite::SqliteBackend::open(config).await?))
        }
        #[cfg(not(feature = "sqlite"))]
        Database::Sqlite => Err(unsupported("`sqlite:` URLs and paths of files")),
        #[cfg(feature = "postgres")]
        Database::Postgres => {
            let config = queue_postgres::PostgresConfig::from_url(url)?;
            Ok(Arc::new(queue_postgres::PostgresBackend::open(config).await?))
        }
        #[cfg(not(feature = "postgres"))]
        Database::Postgres => Err(unsupported("`postgres:` URLs")),
    }
}

/// The kind of database of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    fn of(url: &str) -> Result<Self> {
        if url.trim().is_empty() {
            return Err(refuse("the URL is empty"));
        }
        if is_key_value(url) {
            return Err(refuse(
                "pairs such as `host=…` are not supported; write `postgres://user@host/database`",
            ));
        }
        let Some((scheme, rest)) = url.split_once(':') else { return Ok(Self::Sqlite) };
        let is_drive = scheme.len() == 1 && rest.starts_with(['\\', '/']) && !rest.starts_with("//");
        let is_scheme = !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        match scheme {
            "sqlite" | "file" => Ok(Self::Sqlite),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            _ if is_scheme && !is_drive => Err(unsupported(&format!("`{scheme}:` URLs"))),
            _ => Ok(Self::Sqlite),
        }
    }
}

/// Whether the text has the key-value form of libpq, which diesel accepts for PostgreSQL. It must
/// not become a file name, because it may contain a password.
fn is_key_value(text: &str) -> bool {
    let keys = ["dbname", "host", "hostaddr", "password", "port", "service", "user"];
    text.split_once('=').is_some_and(|(key, _)| keys.contains(&key.trim()))
}

/// Calls [`connect`] with the URL in `JOBS_DATABASE_URL`, otherwise with the URL in `DATABASE_URL`.
/// So jobs are stored in the application's database unless they have one of their own.
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if neither variable is set, or if the one used is
/// empty or not Unicode, and the errors of [`connect`].
pub async fn connect_from_env() -> Result<JobQueue> {
    connect(&url_from(|variable| env::var(variable))?).await
}

fn url_from(read: impl Fn(&str) -> Result<String, VarError>) -> Result<String> {
    for variable in [DATABASE_URL_VARIABLE, FALLBACK_URL_VARIABLE] {
        match read(variable) {
            Ok(url) if url.trim().is_empty() => {
                return Err(refuse(&format!("the variable {variable} is empty")));
            }
            Ok(url) => return Ok(url),
            Err(VarError::NotPresent) => {}
            Err(error @ VarError::NotUnicode(_)) => {
                return Err(refuse(&format!("the variable {variable} is not Unicode")).with_source(error));
            }
        }
    }
    Err(refuse(&format!("neither {DATABASE_URL_VARIABLE} nor {FALLBACK_URL_VARIABLE} is set")))
}

fn unsupported(what: &str) -> Error {
    let fault = format!("no backend of this build supports {what}; it supports {}", schemes());
    refuse(&format!("{fault}; a feature of the crate `queue` adds a backend"))
}

/// Security: the error never contains the URL, because it may contain a password.
fn refuse(fault: &str) -> Error {
    Error::invalid("connect to the job database", fault)
}

fn schemes() -> String {
    let known: &[&str] = &[
        #[cfg(feature = "sqlite")]
        "`sqlite:` and paths of files",
        #[cfg(feature = "postgres")]
        "`postgres:`",
    ];
    if known.is_empty() { "none: enable the feature of a backend".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(variables: &[(&str, &str)]) -> Result<String> {
        url_from(|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn jobs_database_url_overrides_database_url() {
        let application = ("DATABASE_URL", "sqlite:app.db");
        assert_eq!(url(&[application]).unwrap(), "sqlite:app.db");
        assert_eq!(url(&[application, ("JOBS_DATABASE_URL", "sqlite:jobs.db")]).unwrap(), "sqlite:jobs.db");
        let error = url(&[]).unwrap_err().to_string();
        assert!(error.contains("JOBS_DATABASE_URL") && error.contains("DATABASE_URL"), "{error}");
    }

    #[test]
    fn empty_variable_is_named_in_the_error() {
        let error = url(&[("JOBS_DATABASE_URL", " "), ("DATABASE_URL", "sqlite:app.db")]).unwrap_err();
        assert!(error.to_string().contains("JOBS_DATABASE_URL is empty"), "{error}");
    }

    #[test]
    fn file_path_selects_sqlite() {
        for url in [
            "app.db",
            "./data/app.db",
            "../app.db",
            "/abs/app.db",
            "/abs/12:30.db",
            r"C:\data\app.db",
            "c:/data/app.db",
            "file:app.db",
            "file:///abs/app.db?mode=rwc",
            "sqlite://app.db",
            ":memory:",
        ] {
            assert_eq!(Database::of(url).unwrap(), Database::Sqlite, "{url}");
        }
        for url in ["postgres://host/shop", "postgresql:///shop"] {
            assert_eq!(Database::of(url).unwrap(), Database::Postgres, "{url}");
        }
    }

    #[test]
    fn invalid_url_error_hides_the_password() {
        for (url, fault) in [
            ("", "the URL is empty"),
            (" ", "the URL is empty"),
            ("mysql://ada:secret@host/shop", "`mysql:` URLs"),
            ("x://ada:secret@host/shop", "`x:` URLs"),
            ("host=localhost password=secret", "postgres://user@host/database"),
            (" dbname = shop password=secret", "postgres://user@host/database"),
        ] {
            let error = Database::of(url).unwrap_err();
            assert_eq!(error.kind(), queue_core::ErrorKind::Invalid);
            assert!(
                error.to_string().contains(fault) && !format!("{error:?}").contains("secret"),
                "{error:?}"
            );
        }
    }
}
