//! Q4, Q19: a settle that is done in parts says of each part what became of it.

use queue_core::backend::{Completion, SettleRequest, Settled, Settlement, Verdict};
use queue_core::{Backend, ErrorKind};

use crate::common::{Place, claim, insert, register, spec};

/// One result is never accepted, so the request is done in halves; then, for another one, there is no space. That is not
/// said of those that were settled before it.
#[tokio::test]
async fn an_error_in_a_later_part_is_not_said_of_the_earlier_ones() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, (0..16).map(|_| spec("1")).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, 16)).await.unwrap().jobs;
    let client = place.connect().await;
    let sql = "
        CREATE FUNCTION {s}.fault() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.result = 'refused' THEN RAISE EXCEPTION 'refused'; END IF;
            IF NEW.result = 'full' THEN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER fault BEFORE INSERT ON {s}.outcomes FOR EACH ROW EXECUTE FUNCTION {s}.fault()";
    client.batch_execute(&sql.replace("{s}", place.schema())).await.unwrap();
    let result = |place: usize| match place {
        3 => b"refused".to_vec(),
        12 => b"full".to_vec(),
        _ => b"fine".to_vec(),
    };
    let complete = |place: usize| Verdict::Complete(Completion::new().result(result(place)));
    let settlements = || {
        let each = jobs.iter().enumerate();
        each.map(|(place, job)| Settlement::new(job.token, complete(place))).collect()
    };
    let fates = backend.settle(SettleRequest::new(worker, settlements())).await.unwrap();
    let stored = backend.extensions().audit.unwrap().stored().await.unwrap();
    for (place, (job, fate)) in jobs.iter().zip(&fates).enumerate() {
        let is_ended = stored.outcomes.iter().any(|row| row.id == job.token.job);
        match fate {
            Ok(settled) => assert!(*settled == Settled::Done && is_ended, "{place}"),
            Err(error) => assert!(!is_ended, "{place}: {error}"),
        }
    }
    assert_eq!(fates[3].as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(fates[12].as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(fates[..8].iter().filter(|fate| fate.is_ok()).count() == 7, "{fates:?}");

    client.batch_execute(&format!("DROP FUNCTION {}.fault CASCADE", place.schema())).await.unwrap();
    for fate in backend.settle(SettleRequest::new(worker, settlements())).await.unwrap() {
        assert_eq!(fate.unwrap(), Settled::Done);
    }
}
