//! Q4, Q19: a settle in several parts returns the result of each part.

use queue_core::backend::{Completion, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Backend, ErrorKind};

use crate::common::{TestSchema, claim, insert, register, spec};

/// One result is always refused, so the request is divided into halves. For another one, the disk
/// is full. That error must not be returned for settlements before it.
#[tokio::test]
async fn error_in_a_later_part_spares_earlier_ones() {
    let schema = TestSchema::new();
    let backend = schema.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..16).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 16)).await.unwrap().jobs;
    let client = schema.connect().await;
    let sql = "
        CREATE FUNCTION {s}.fault() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.result = 'refused' THEN RAISE EXCEPTION 'refused'; END IF;
            IF NEW.result = 'full' THEN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER fault BEFORE INSERT ON {s}.outcomes FOR EACH ROW EXECUTE FUNCTION {s}.fault()";
    client.batch_execute(&sql.replace("{s}", schema.name())).await.unwrap();
    let result = |index: usize| match index {
        3 => b"refused".to_vec(),
        12 => b"full".to_vec(),
        _ => b"fine".to_vec(),
    };
    let complete = |index: usize| Verdict::Complete(Completion::new().result(result(index)));
    let settlements = || {
        let each = jobs.iter().enumerate();
        each.map(|(index, job)| Settlement::new(job.token, complete(index))).collect()
    };
    let results = backend.settle(SettleRequest::new(worker, settlements())).await.unwrap();
    let stored = backend.extensions().audit.unwrap().stored().await.unwrap();
    for (index, (job, result)) in jobs.iter().zip(&results).enumerate() {
        let is_ended = stored.outcomes.iter().any(|row| row.id == job.token.job);
        match result {
            Ok(settled) => assert!(*settled == Settled::Done && is_ended, "{index}"),
            Err(error) => assert!(!is_ended, "{index}: {error}"),
        }
    }
    assert_eq!(results[3].as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(results[12].as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(results[..8].iter().filter(|result| result.is_ok()).count() == 7, "{results:?}");

    client.batch_execute(&format!("DROP FUNCTION {}.fault CASCADE", schema.name())).await.unwrap();
    for result in backend.settle(SettleRequest::new(worker, settlements())).await.unwrap() {
        assert_eq!(result.unwrap(), Settled::Done);
    }
}
