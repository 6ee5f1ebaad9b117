//! Ids from SQL are ids of the library.

use queue_core::JobId;

use crate::test_schema::TestSchema;

#[tokio::test]
async fn new_ids_have_current_time_and_sort() {
    let schema = TestSchema::new("sql_ids").await;
    let clock = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let before: i64 = schema.column(clock).await[0].parse().unwrap();
    let made = schema.column("SELECT {s}.ulid({s}.enqueue('k', '1')) FROM generate_series(1, 1000)").await;
    let after: i64 = schema.column(clock).await[0].parse().unwrap();
    let ids: Vec<JobId> = made.iter().map(|text| text.parse().unwrap()).collect();
    let times: Vec<i64> = ids.iter().map(|id| id.timestamp().as_micros() / 1000).collect();
    assert!(times.is_sorted(), "made one after the other");
    assert!(before <= times[0] && times[999] <= after, "{before} {times:?} {after}");

    // The order of ids is the order of the times of the inserts, to the millisecond.
    let stored = "SELECT floor(extract(epoch FROM created_at) * 1000)::bigint FROM {s}.jobs ORDER BY id";
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 1000);
    let stored: Vec<i64> = schema.column(stored).await.iter().map(|time| time.parse().unwrap()).collect();
    assert_eq!(stored, sorted.iter().map(|id| id.timestamp().as_micros() / 1000).collect::<Vec<_>>());
    schema.remove().await;
}

#[tokio::test]
async fn ids_convert_to_text_like_the_library() {
    let schema = TestSchema::new("sql_ulids").await;
    let edges = [[0; 16], [255; 16], [0x80; 16], std::array::from_fn(|byte| u8::try_from(byte).unwrap())];
    let ids = edges.into_iter().map(JobId::from_bytes).chain((0..100).map(|_| JobId::generate()));
    for id in ids {
        let hex: String = id.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let text = id.to_string();
        let sql = format!(
            "SELECT concat_ws(' ', {{s}}.ulid('{hex}'), {{s}}.id('{text}') = '{hex}', {{s}}.id(lower('{text}')) = '{hex}')"
        );
        assert_eq!(schema.column(&sql).await, [format!("{text} t t")]);
    }
    schema.remove().await;
}

#[tokio::test]
async fn text_that_is_not_an_id_is_refused() {
    let schema = TestSchema::new("sql_no_ulids").await;
    let fine = JobId::generate().to_string();
    let bad = [
        "",
        "nonsense",
        &fine[1..],
        &format!("{fine}0"),
        &format!("8{}", &fine[1..]),
        &format!("{}U", &fine[..25]),
    ];
    for text in bad {
        assert!(text.parse::<JobId>().is_err(), "{text}");
        let error = schema.owner.batch_execute(&schema.filled(&format!("SELECT {{s}}.id('{text}')"))).await;
        assert!(format!("{error:?}").contains("is not a ULID"), "{error:?}");
    }
    schema.remove().await;
}
