//! From a URL to a backend.

use std::env::{self, VarError};
use std::sync::Arc;

use queue_core::{Backend, Error, Result};

/// The variable that names the database of the jobs.
pub const DATABASE_URL_VARIABLE: &str = "JOBS_DATABASE_URL";

/// The variable that names the application's own database, which serves if there is no other.
pub const FALLBACK_URL_VARIABLE: &str = "DATABASE_URL";

/// Opens the backend that the URL's scheme names, and brings its schema up to date.
///
/// | URL | backend |
/// |---|---|
/// | `sqlite:jobs.db`, `sqlite:///var/lib/app/jobs.db` | a SQLite file, made if there is none |
/// | `jobs.db`, `./data/jobs.db`, `/var/lib/app/jobs.db`, `C:\data\jobs.db`, `file:jobs.db` | the same, as diesel writes it |
/// | `sqlite::memory:` | SQLite in memory |
/// | `postgres://user:password@host/database`, `postgresql://…` | a PostgreSQL database, with the parameters of `PostgresConfig::from_url` |
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let backend = queue::connect("sqlite::memory:").await?;
/// assert_eq!(backend.name(), "sqlite");
/// # Ok::<(), queue::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if the text is empty or no backend of this build serves it, and those of
/// the backend.
pub async fn connect(url: &str) -> Result<Arc<dyn Backend>> {
    match Database::of(url)? {
        #[cfg(feature = "sqlite")]
        Database::Sqlite => {
            let config = queue_sqlite::SqliteConfig::from_url(url)?;
            Ok(Arc::new(queue_sqlite::SqliteBackend::open(config).await?))
        }
        #[cfg(not(feature = "sqlite"))]
        Database::Sqlite => Err(unserved("`sqlite:` URLs and paths of files")),
        #[cfg(feature = "postgres")]
        Database::Postgres => {
            let config = queue_postgres::PostgresConfig::from_url(url)?;
            Ok(Arc::new(queue_postgres::PostgresBackend::open(config).await?))
        }
        #[cfg(not(feature = "postgres"))]
        Database::Postgres => Err(unserved("`postgres:` URLs")),
    }
}

/// The kind of database that a text names.
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
            return Err(refuse("pairs such as `host=…` are not read; write `postgres://user@host/database`"));
        }
        let Some((scheme, rest)) = url.split_once(':') else { return Ok(Self::Sqlite) };
        let is_drive = scheme.len() == 1 && rest.starts_with(['\\', '/']) && !rest.starts_with("//");
        let is_scheme = !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        match scheme {
            "sqlite" | "file" => Ok(Self::Sqlite),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            _ if is_scheme && !is_drive => Err(unserved(&format!("`{scheme}:` URLs"))),
            _ => Ok(Self::Sqlite),
        }
    }
}

/// Whether the text has libpq's other form, which diesel takes for PostgreSQL. It must not become the name of a file,
/// because it may hold a password.
fn is_key_value(text: &str) -> bool {
    let keys = ["dbname", "host", "hostaddr", "password", "port", "service", "user"];
    text.split_once('=').is_some_and(|(key, _)| keys.contains(&key.trim()))
}

/// [`connect`] to the URL in `JOBS_DATABASE_URL`, else to that in `DATABASE_URL`: jobs live beside the
/// application's own tables unless they are given a database apart.
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if neither is set, or the one that counts is empty or no Unicode, and those
/// of [`connect`].
pub async fn connect_from_env() -> Result<Arc<dyn Backend>> {
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

fn unserved(what: &str) -> Error {
    refuse(&format!("no backend of this build serves {what}; it serves {}", schemes()))
}

/// Without the URL itself: it may hold a password.
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
    if known.is_empty() { "none: pick a backend by a feature".to_owned() } else { known.join(", ") }
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
    fn the_jobs_own_database_comes_before_the_applications() {
        let application = ("DATABASE_URL", "sqlite:app.db");
        assert_eq!(url(&[application]).unwrap(), "sqlite:app.db");
        assert_eq!(url(&[application, ("JOBS_DATABASE_URL", "sqlite:jobs.db")]).unwrap(), "sqlite:jobs.db");
        let error = url(&[]).unwrap_err().to_string();
        assert!(error.contains("JOBS_DATABASE_URL") && error.contains("DATABASE_URL"), "{error}");
    }

    #[test]
    fn a_variable_that_is_empty_is_named() {
        let error = url(&[("JOBS_DATABASE_URL", " "), ("DATABASE_URL", "sqlite:app.db")]).unwrap_err();
        assert!(error.to_string().contains("JOBS_DATABASE_URL is empty"), "{error}");
    }

    #[test]
    fn a_path_of_a_file_means_sqlite() {
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
    fn what_names_no_database_is_refused_without_its_password() {
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
