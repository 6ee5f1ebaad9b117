//! Compares what an operation announces with the rows that it changed.

use std::collections::BTreeMap;

use anyhow::anyhow;
use queue_core::backend::{Hint, LiveRow, Wakes};
use queue_core::testing::drop_after;
use queue_core::{JobId, JobState};
use tokio::time::timeout;

use super::super::super::super::case::CaseResult;
use super::super::super::super::check::About as _;
use super::super::super::super::promise::Promise;
use super::Run;

impl Run<'_> {
    /// Takes what earlier operations have announced.
    pub(super) async fn forget_wakes(&mut self) {
        self.signalled.clear();
        while drop_after(1, self.wakes.recv()).await.is_some() {}
    }

    /// Each job that became ready must be announced, and so must each that waits for another time.
    pub(super) async fn agree_on_ready_jobs(&mut self) -> CaseResult {
        let after = self.kit.stored().await?.live;
        let before = std::mem::replace(&mut self.live, after.clone());
        let earlier: BTreeMap<JobId, &LiveRow> = before.iter().map(|row| (row.id, row)).collect();
        let is_new = |row: &&LiveRow| {
            let earlier = earlier.get(&row.id);
            earlier.is_none_or(|earlier| (earlier.state, earlier.run_at) != (row.state, row.run_at))
        };
        let changed: Vec<&LiveRow> = after.iter().filter(is_new).collect();
        self.agree_on_wakes(&changed).await
    }

    /// Each job that was signalled must be announced, beside the changed ones. No other job may be
    /// announced as signalled.
    pub(super) async fn agree_on_wakes(&mut self, changed: &[&LiveRow]) -> CaseResult {
        let mut all = Wakes::default();
        let mut missing = self.missing(changed, &all);
        while missing.is_some() && !all.unknown {
            let Ok(next) = timeout(self.patience, self.wakes.recv()).await else { break };
            all.ready.extend(next.ready);
            all.cancels.extend(next.cancels);
            all.due_in = all.due_in.into_iter().chain(next.due_in).min();
            all.unknown |= next.unknown;
            missing = self.missing(changed, &all);
        }
        if let Some((promise, what)) = missing.filter(|_| !all.unknown) {
            let waited = self.patience;
            return Err(anyhow!("{what} was not announced within {waited:?}, only {all:?}")).about(promise);
        }
        // An announcement of an earlier operation may be late.
        self.ever_signalled.extend(&self.signalled);
        match all.cancels.iter().find(|job| !self.ever_signalled.contains(job)) {
            Some(job) => Err(anyhow!("the cancel of job {job} was announced, which was not signalled"))
                .about(Promise::CancelLinearizable),
            None => Ok(()),
        }
    }

    /// What is to be announced and was not.
    fn missing(&self, changed: &[&LiveRow], all: &Wakes) -> Option<(Promise, String)> {
        let now = self.kit.now();
        let is_of = |hint: &Hint, row: &LiveRow| {
            hint.queue == row.queue && hint.priority == row.priority && hint.run_at <= row.run_at
        };
        let is_announced = |row: &LiveRow| match row.state {
            JobState::Ready => all.ready.iter().any(|hint| is_of(hint, row)),
            JobState::Scheduled | JobState::Retrying => {
                let is_in_time = |due_in| due_in <= now.until(row.run_at);
                all.due_in.is_some_and(is_in_time) || all.ready.iter().any(|hint| is_of(hint, row))
            }
            _ => true,
        };
        // Of a paused queue, a resume announces all.
        let matters = |row: &LiveRow| !self.model.paused.contains(&row.queue);
        if let Some(row) = changed.iter().find(|row| matters(row) && !is_announced(row)) {
            return Some((Promise::PriorityOrder, format!("job {}, which is {} now,", row.id, row.state)));
        }
        let job = self.signalled.iter().find(|job| !all.cancels.contains(job))?;
        Some((Promise::CancelLinearizable, format!("the signal to job {job}")))
    }
}
