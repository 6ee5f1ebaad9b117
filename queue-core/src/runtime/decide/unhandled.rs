//! Which kinds no worker handles.

use std::collections::{HashMap, HashSet};

use crate::backend::NextReady;
use crate::{JobId, Kind, QueueName};

/// Finds kinds whose first ready job is the same at two looks. Workers take the first job first, so
/// no worker with a free slot handles its kind.
#[derive(Debug, Default)]
pub(crate) struct UnhandledKinds {
    /// The first ready job of each kind at the last look.
    before: HashMap<(QueueName, Kind), JobId>,
    reported: HashSet<Kind>,
}

impl UnhandledKinds {
    /// Returns the jobs whose kinds no worker handles, each kind once until one of its jobs is
    /// taken.
    pub(crate) fn look(
        &mut self,
        next: Vec<NextReady>,
        is_handled_here: impl Fn(&Kind) -> bool,
    ) -> Vec<NextReady> {
        let mut unhandled = Vec::new();
        let mut now = HashMap::new();
        for next in next.into_iter().filter(|next| !is_handled_here(&next.kind)) {
            let place = (next.queue.clone(), next.kind.clone());
            let before = self.before.get(&place);
            let stays = before == Some(&next.job);
            if before.is_some() && !stays {
                self.reported.remove(&next.kind);
            }
            now.insert(place, next.job);
            if stays && self.reported.insert(next.kind.clone()) {
                unhandled.push(next);
            }
        }
        self.before = now;
        unhandled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(kind: &str, job: u8) -> NextReady {
        NextReady::new(QueueName::default(), Kind::new(kind).unwrap(), JobId::from_bytes([job; 16]))
    }

    fn look(kinds: &mut UnhandledKinds, jobs: &[NextReady]) -> Vec<NextReady> {
        kinds.look(jobs.to_vec(), |kind| kind.as_str() == "here")
    }

    #[test]
    fn job_that_stays_is_reported_once() {
        let mut kinds = UnhandledKinds::default();
        let jobs = [next("here", 1), next("nowhere", 2)];
        assert!(look(&mut kinds, &jobs).is_empty());
        assert_eq!(look(&mut kinds, &jobs), [next("nowhere", 2)]);
        assert!(look(&mut kinds, &jobs).is_empty());
        let jobs = [next("nowhere", 3)];
        assert!(look(&mut kinds, &jobs).is_empty(), "a worker took the job before");
        assert_eq!(look(&mut kinds, &jobs), [next("nowhere", 3)]);
    }

    #[test]
    fn kind_whose_jobs_are_taken_is_handled_elsewhere() {
        let mut kinds = UnhandledKinds::default();
        for job in 1..5 {
            assert!(look(&mut kinds, &[next("elsewhere", job)]).is_empty());
        }
        assert!(look(&mut kinds, &[]).is_empty());
        assert!(look(&mut kinds, &[next("elsewhere", 4)]).is_empty(), "it was away in between");
    }
}
