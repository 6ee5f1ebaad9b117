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
/// [`Invalid`](queue_core::ErrorKind::Invalid) if no backend of this build has the scheme, and those
/// of the backend.
pub async fn connect(url: &str) -> Result<Arc<dyn Backend>> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => {
            let config = queue_sqlite::SqliteConfig::from_url(url)?;
            Ok(Arc::new(queue_sqlite::SqliteBackend::open(config).await?))
        }
        #[cfg(feature = "postgres")]
        Some("postgres" | "postgresql") => {
            let config = queue_postgres::PostgresConfig::from_url(url)?;
            Ok(Arc::new(queue_postgres::PostgresBackend::open(config).await?))
        }
        Some(scheme) => Err(Error::invalid(
            "connect to the job database",
            format!("no backend of this build serves `{scheme}:` URLs; it serves {}", schemes()),
        )),
        None => Err(Error::invalid("connect to the job database", "the URL has no scheme such as `sqlite:`")),
    }
}

/// [`connect`] to the URL in `JOBS_DATABASE_URL`, else to that in `DATABASE_URL`: jobs live beside the
/// application's own tables unless they are given a database apart.
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if neither is set, or is no Unicode, and those of
/// [`connect`].
pub async fn connect_from_env() -> Result<Arc<dyn Backend>> {
    connect(&url_from(|variable| env::var(variable))?).await
}

fn url_from(read: impl Fn(&str) -> Result<String, VarError>) -> Result<String> {
    for variable in [DATABASE_URL_VARIABLE, FALLBACK_URL_VARIABLE] {
        match read(variable) {
            Ok(url) => return Ok(url),
            Err(VarError::NotPresent) => {}
            Err(error @ VarError::NotUnicode(_)) => {
                let message = format!("the variable {variable} is not Unicode");
                return Err(Error::invalid("connect to the job database", message).with_source(error));
            }
        }
    }
    let message = format!("neither {DATABASE_URL_VARIABLE} nor {FALLBACK_URL_VARIABLE} is set");
    Err(Error::invalid("connect to the job database", message))
}

fn schemes() -> String {
    let known: &[&str] = &[
        #[cfg(feature = "sqlite")]
        "`sqlite:`",
        #[cfg(feature = "postgres")]
        "`postgres:`",
    ];
    if known.is_empty() { "none: pick a backend by a feature".to_owned() } else { known.join(" and ") }
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
}
