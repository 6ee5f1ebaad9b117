//! diesel and the queue in one program, on one SQLite file.

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    use queue::EnqueuerExt;

    #[tokio::test]
    async fn both_use_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db").display().to_string();
        let mut database = SqliteConnection::establish(&path).unwrap();
        database.batch_execute("CREATE TABLE users (name)").unwrap();
        let jobs = queue::connect(&path).await.unwrap();
        jobs.enqueue_value("greet", "ada").await.unwrap();
        database.batch_execute("INSERT INTO users VALUES ('ada')").unwrap();
    }
}
