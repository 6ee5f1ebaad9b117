//! Defaults and refusals.

use queue_core::limits::{DEFAULT_MAX_PAYLOAD_BYTES, MAX_JSON_DEPTH, MAX_NAME_BYTES};
use queue_core::{EnqueuerExt, JobId, JobQueue, Kind, Payload, Timestamp};

use crate::test_schema::{TestSchema, driver};

/// A function that returns why a call was refused, or NULL if it was not.
const FAULT: &str = "CREATE FUNCTION {s}.fault(call text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN EXECUTE 'SELECT {s}.enqueue(' || call || ')'; RETURN NULL; EXCEPTION WHEN invalid_parameter_value THEN RETURN SQLERRM; END $$";

async fn faults(schema: &TestSchema, calls: &[String]) -> Vec<String> {
    schema.run(FAULT).await;
    let calls: Vec<String> = calls.iter().map(|call| format!("$call${call}$call$")).collect();
    schema.column(&format!("SELECT {{s}}.fault(call) FROM unnest(ARRAY[{}]) AS call", calls.join(", "))).await
}

#[tokio::test]
async fn defaults_match_the_library() {
    let schema = TestSchema::new("sql_defaults").await;
    let client = JobQueue::new(schema.open(driver()).await.unwrap());
    let by_library = client.enqueue_value("greet", "ada").await.unwrap();
    let by_sql = schema.column("SELECT {s}.ulid({s}.enqueue('greet', '\"ada\"'))").await;
    let by_sql: JobId = by_sql[0].parse().unwrap();
    let records = client.inspect().unwrap().jobs(&[by_library, by_sql]).await.unwrap();
    let [one, other] = [0, 1].map(|index| records[index].clone().unwrap());
    assert_eq!((one.job.run_at, other.job.run_at), (Some(one.created_at), Some(other.created_at)));
    assert_eq!(one.job, other.job.id(by_library).run_at(one.job.run_at));
    assert_eq!((one.state, one.attempt), (other.state, other.attempt));
    schema.remove().await;
}

#[tokio::test]
async fn arguments_are_stored() {
    let schema = TestSchema::new("sql_options").await;
    let client = JobQueue::new(schema.open(driver()).await.unwrap());
    let call = "{s}.enqueue('greet', ' {\"b\" : 1e400, \"a\": \"\\ud800\"} ', queue => 'mail', priority => -7, \
        run_at => '2999-12-31 12:00Z', max_retries => 65535, timeout => '1 month 1 day 1.000001 seconds')";
    let id: JobId = schema.column(&format!("SELECT {{s}}.ulid({call})")).await[0].parse().unwrap();
    let job = client.inspect().unwrap().jobs(&[id]).await.unwrap().pop().flatten().unwrap().job;
    assert_eq!(job.payload.as_str(), " {\"b\" : 1e400, \"a\": \"\\ud800\"} ");
    assert_eq!(
        (job.kind.as_str(), job.queue.as_str(), job.priority, job.max_retries),
        ("greet", "mail", -7, 65535)
    );
    assert_eq!(job.run_at.unwrap().to_string(), "2999-12-31T12:00:00.000000Z");
    assert_eq!(job.timeout.as_micros(), 31 * 24 * 60 * 60 * 1_000_000 + 1_000_001);
    assert_eq!(job.backoff, None);
    schema.remove().await;
}

/// Each argument at the library's limit, and one step beyond it, with the error.
#[tokio::test]
async fn limits_match_the_library_and_are_named() {
    let schema = TestSchema::new("sql_limits").await;
    let name = |bytes: usize| format!("'{}'", "x".repeat(bytes));
    let nested = |depth: usize| format!("'{}1{}'", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2));
    let odd = |depth: usize| format!("'[{}]'", nested(depth - 1).trim_matches('\''));
    let large = |bytes: usize| format!("'\"{}\"'", "x".repeat(bytes - 2));
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    let fine = [
        format!("{}, '1'", name(MAX_NAME_BYTES)),
        format!("'k', '1', queue => {}", name(MAX_NAME_BYTES)),
        format!("'k', {}", nested(MAX_JSON_DEPTH)),
        format!(
            "'k', '[{}, \"{}\"]'",
            nested(MAX_JSON_DEPTH - 2).trim_matches('\''),
            r#"[{\\\"[{"#.repeat(300)
        ),
        format!("'k', {}", large(DEFAULT_MAX_PAYLOAD_BYTES)),
        format!("'k', 'null', priority => {}, max_retries => 0", i16::MIN),
        format!("'k', '1', priority => {}, max_retries => {}", i16::MAX, u16::MAX),
        "'k', '1', run_at => '1970-01-01 00:00Z', timeout => '0'".to_owned(),
        "'k', '1', run_at => '9999-12-31 23:59:59.999999Z', timeout => '100000 years'".to_owned(),
    ];
    assert_eq!(faults(&schema, &fine).await, ["NULL"; 9]);
    assert!(Kind::new("x".repeat(MAX_NAME_BYTES + 1)).is_err() && Kind::new("é".repeat(65)).is_err());
    assert!(Payload::json(odd(MAX_JSON_DEPTH + 1).trim_matches('\'')).is_err());
    schema.run("DROP FUNCTION {s}.fault").await;

    let refused = [
        ("'', '1'".to_owned(), "the kind is not 1 to 128 bytes long"),
        (format!("{}, '1'", name(MAX_NAME_BYTES + 1)), "the kind is not 1 to 128 bytes long"),
        (format!("'{}', '1'", "é".repeat(65)), "the kind is not 1 to 128 bytes long"),
        ("NULL, '1'".to_owned(), "the kind is not 1 to 128 bytes long"),
        ("'a b', '1'".to_owned(), "the kind holds white space or a control character"),
        ("'k', '1', queue => ''".to_owned(), "the name of the queue is not 1 to 128 bytes long"),
        ("'k', '1', queue => NULL".to_owned(), "the name of the queue is not 1 to 128 bytes long"),
        (format!("'k', '1', queue => {}", name(129)), "the name of the queue is not 1 to 128 bytes long"),
        (
            "'k', '1', queue => E'a\\tb'".to_owned(),
            "the name of the queue holds white space or a control character",
        ),
        ("'k', NULL".to_owned(), "there is no payload"),
        (format!("'k', {}", large(DEFAULT_MAX_PAYLOAD_BYTES + 1)), "the payload is larger than 1 MiB"),
        (format!("'k', {}", odd(MAX_JSON_DEPTH + 1)), "the payload is nested deeper than 128 levels"),
        ("'k', '1', priority => 32768".to_owned(), "the priority is not between -32768 and 32767"),
        ("'k', '1', priority => -32769".to_owned(), "the priority is not between -32768 and 32767"),
        ("'k', '1', priority => NULL".to_owned(), "the priority is not between -32768 and 32767"),
        ("'k', '1', max_retries => 65536".to_owned(), "the retries are not between 0 and 65535"),
        ("'k', '1', max_retries => -1".to_owned(), "the retries are not between 0 and 65535"),
        ("'k', '1', max_retries => NULL".to_owned(), "the retries are not between 0 and 65535"),
        (
            "'k', '1', run_at => '1969-12-31 23:59:59.999999Z'".to_owned(),
            "the time to run is not between 1970 and 9999",
        ),
        (
            "'k', '1', run_at => '10000-01-01 00:00Z'".to_owned(),
            "the time to run is not between 1970 and 9999",
        ),
        ("'k', '1', run_at => 'infinity'".to_owned(), "the time to run is not between 1970 and 9999"),
        ("'k', '1', run_at => '-infinity'".to_owned(), "the time to run is not between 1970 and 9999"),
        ("'k', '1', timeout => '-1 microsecond'".to_owned(), "the timeout is negative"),
        ("'k', '1', timeout => NULL".to_owned(), "there is no timeout"),
        ("'k', '1', timeout => '170000000 years'".to_owned(), "the timeout is longer than 100,000 years"),
    ];
    let (calls, why): (Vec<String>, Vec<&str>) = refused.into_iter().unzip();
    let why: Vec<String> = why.iter().map(|why| format!("failed to enqueue a job: {why}")).collect();
    assert_eq!(faults(&schema, &calls).await, why);
    schema.remove().await;
}

/// Every character below U+3100, which include all white space and control characters.
#[tokio::test]
async fn name_characters_match_the_library() {
    let schema = TestSchema::new("sql_characters").await;
    let last = '\u{30ff}';
    assert!(!('\u{3100}'..=char::MAX).any(|c| c.is_whitespace() || c.is_control()), "the last is the last");
    let refused = |c: &char| Kind::new(format!("a{c}b")).is_err();
    let by_library: Vec<String> =
        ('\u{1}'..=last).filter(refused).map(|c| u32::from(c).to_string()).collect();
    schema.run(FAULT).await;
    for call in ["quote_literal(name) || ', ''1'''", "'''k'', ''1'', queue => ' || quote_literal(name)"] {
        let sql = format!(
            "SELECT code FROM generate_series(1, {}) AS code, LATERAL (SELECT 'a' || chr(code) || 'b' AS name) AS n \
            WHERE {{s}}.fault({call}) IS NOT NULL ORDER BY code",
            u32::from(last)
        );
        assert_eq!(schema.column(&sql).await, by_library);
    }
    schema.remove().await;
}

/// Old programs still use a setting by which a backslash begins an escape in every string.
#[tokio::test]
async fn backslash_setting_of_the_session_is_ignored() {
    let schema = TestSchema::new("sql_backslashes").await;
    schema.run("SET standard_conforming_strings = off; SET escape_string_warning = off").await;
    let deep = format!("'k', '{}1{}'", "[".repeat(129), "]".repeat(129));
    let quoted = format!("'k', '[\"{}\"]'", "[".repeat(300));
    let answers = faults(&schema, &[deep, quoted, "'a b', '1'".to_owned(), "'k', '1'".to_owned()]).await;
    let why = ["nested deeper", "NULL", "white space", "NULL"];
    assert!(answers.iter().zip(why).all(|(answer, why)| answer.contains(why)), "{answers:?}");
    schema.remove().await;
}

#[tokio::test]
async fn invalid_json_is_refused_before_the_call() {
    let schema = TestSchema::new("sql_json").await;
    for bad in ["", "{", "{a: 1}", "[1,]", "nul"] {
        let sql = schema.filled(&format!("SELECT {{s}}.enqueue('k', '{bad}')"));
        let error = schema.owner.batch_execute(&sql).await.unwrap_err();
        assert!(format!("{error:?}").contains("invalid input syntax for type json"), "{error:?}");
    }
    assert_eq!(schema.column("SELECT count(*) FROM {s}.jobs").await, ["0"]);
    schema.remove().await;
}
