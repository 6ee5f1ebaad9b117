//! Reads the finished jobs of a run, each once, while the run continues.
//!
//! Reads only the database, so it does not matter which process ran a job, or when. Pages are in
//! the order of ids. Only jobs that later jobs have overtaken are kept by id, so that memory does
//! not grow with the run.

use std::collections::VecDeque;

use queue::JobId;
use queue::backend::{Inspect, JobRecord, ListRequest};
use queue_examples::Result;

use crate::run::Tasks;
use crate::tally::Tally;
use crate::tasks::Run;

/// Jobs per read.
const PAGE: u32 = 500;

/// The position in a run and the figures so far.
pub(crate) struct Follower<'a> {
    jobs: &'a dyn Inspect,
    tasks: &'a Tasks,
    run: Run,
    after: JobId,
    /// Jobs that were unfinished when they were read: they run, or are to be retried.
    overtaken: VecDeque<JobId>,
    pub(crate) tally: Tally,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(jobs: &'a dyn Inspect, tasks: &'a Tasks, run: Run) -> Self {
        // The id of the run is the id of its urgent job. The pages begin after it.
        let overtaken = VecDeque::from([run.id]);
        Self { jobs, tasks, run, after: run.id, overtaken, tally: Tally::default() }
    }

    pub(crate) fn is_at_the_end(&self) -> bool {
        self.tally.jobs >= self.run.jobs()
    }

    /// Adds the jobs that finished since the last call. May be dropped at any time.
    pub(crate) async fn catch_up(&mut self) -> Result {
        self.read_overtaken().await?;
        loop {
            let mut request = ListRequest::new(PAGE);
            request.queue = Some(self.tasks.queue.clone());
            request.after = Some(self.after);
            let page = self.jobs.list(request).await?;
            let is_last = page.len() < PAGE as usize;
            // Jobs start in this order, so all jobs before a started one were overtaken.
            let passed = page.iter().rposition(has_started).map_or(0, |last| last + 1);
            for record in page.into_iter().take(passed) {
                self.after = record.job.id;
                self.add(record)?;
            }
            if is_last || passed == 0 {
                return Ok(());
            }
        }
    }

    /// Reads the overtaken jobs in turn, up to a page without a finished job.
    async fn read_overtaken(&mut self) -> Result {
        for _ in 0..self.overtaken.len().div_ceil(PAGE as usize) {
            let ids: Vec<JobId> = self.overtaken.iter().take(PAGE as usize).copied().collect();
            let records = self.jobs.jobs(&ids).await?;
            let before = self.tally.jobs;
            for record in records {
                self.overtaken.pop_front();
                self.add(record.ok_or("failed to read the run: one of its jobs is gone")?)?;
            }
            if self.tally.jobs == before {
                return Ok(());
            }
        }
        Ok(())
    }

    fn add(&mut self, record: JobRecord) -> Result {
        if record.state.is_finished() {
            return self.tally.add(self.tasks, record);
        }
        self.overtaken.push_back(record.job.id);
        Ok(())
    }
}

fn has_started(record: &JobRecord) -> bool {
    record.attempt > 0 || record.state.is_finished()
}
