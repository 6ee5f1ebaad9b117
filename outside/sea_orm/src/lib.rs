//! SeaORM and the queue in one program, on one SQLite file.

#[cfg(test)]
mod tests {
    use queue::EnqueuerExt;
    use sea_orm::{ConnectionTrait, Database};

    #[tokio::test]
    async fn both_use_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("app.db").display());
        let database = Database::connect(&url).await.unwrap();
        database.execute_unprepared("CREATE TABLE users (name)").await.unwrap();
        let jobs = queue::connect(&url).await.unwrap();
        jobs.enqueue_value("greet", "ada").await.unwrap();
        database.execute_unprepared("INSERT INTO users VALUES ('ada')").await.unwrap();
    }
}
