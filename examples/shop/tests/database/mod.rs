//! A database for one test.

pub struct Database {
    pub url: String,
    #[cfg(not(feature = "postgres"))]
    _folder: tempfile::TempDir,
}

#[cfg(not(feature = "postgres"))]
pub async fn create() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display());
    Database { url, _folder: folder }
}

/// A database on the server of the tests, which goes with the server.
#[cfg(feature = "postgres")]
pub async fn create() -> Database {
    use sqlx::Connection;

    let server = tokio::task::spawn_blocking(queue_testserver::url).await.unwrap().unwrap();
    let name = format!("shop_{}", queue::JobId::generate().to_string().to_lowercase());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
    let (start, _) = server.split_once('?').unwrap_or((&server, ""));
    let (host, _) = start.rsplit_once('/').unwrap();
    Database { url: format!("{host}/{name}") }
}
