//! Worker operations and maintenance.

use std::collections::BTreeSet;
use std::time::Duration;

use queue_core::backend::{Beat, HeartbeatRequest, Manage, ProgressReport, Prune};
use queue_core::{ErrorKind, JobId, Progress, WorkerId};

use super::super::super::super::case::CaseResult;
use super::super::super::super::check::{About as _, check_eq, fails_with};
use super::super::super::super::promise::Promise;
use super::super::super::super::session::queue;
use super::super::super::operation::TokenChoice;
use super::super::super::tally::{Rare, Tally};
use super::super::super::upkeep::Rescued;
use super::Run;

impl Run<'_> {
    pub(super) async fn heartbeat(
        &mut self,
        worker: WorkerId,
        progress: Option<&(TokenChoice, u64)>,
        tally: &mut Tally,
    ) -> CaseResult {
        let now = self.kit.now();
        let mut request = HeartbeatRequest::new(worker).at(now);
        let report = |(choice, done): &(TokenChoice, u64)| {
            let progress = Progress { done: *done, total: 100 };
            Some(ProgressReport::new(self.token(choice)?, progress))
        };
        request.progress.extend(progress.and_then(report));
        let answer = self.kit.backend()?.heartbeat(request.clone()).await;
        let Ok(expected) = self.model.heartbeat(now, worker, &request.progress) else {
            fails_with(answer, ErrorKind::WorkerLost).about(Promise::HeartbeatExtends)?;
            tally.reached(Rare::WorkerLost);
            return Ok(());
        };
        let reply = answer?;
        check_eq!(reply.beat, expected.beat, "`beat` of a heartbeat").about(Promise::HeartbeatExtends)?;
        check_eq!(reply.leases, expected.leases, "`leases` of a heartbeat")
            .about(Promise::SingleLiveLease)?;
        let seen: BTreeSet<JobId> = reply.cancels.into_iter().collect();
        check_eq!(seen, expected.cancels, "`cancels` of a heartbeat").about(Promise::CancelLinearizable)?;
        let is_overdue = |due: Duration| due.is_zero() && self.model.has_overdue(now);
        if let Some(due) = reply.next_due.filter(|due| !is_overdue(*due)) {
            let expected = self.model.next_due(now, None);
            check_eq!(Some(due), expected, "`next_due` of a heartbeat").about(Promise::NotBefore)?;
        }
        tally.reached_if(expected.beat == Beat::Late, Rare::LateHeartbeat);
        tally.reached_if(!expected.cancels.is_empty(), Rare::CancelSignalled);
        let live = self.model.live_tokens();
        for report in &request.progress {
            let is_live = live.contains(&report.token);
            tally.reached(if is_live { Rare::ProgressStored } else { Rare::ProgressStale });
        }
        Ok(())
    }

    pub(super) async fn retire(&mut self, worker: WorkerId, tally: &mut Tally) -> CaseResult {
        self.kit.retire(worker).await?;
        self.model.retire(worker);
        tally.reached_if(self.model.holds_any(worker), Rare::RetiredWithLeases);
        Ok(())
    }

    pub(super) async fn pause(&mut self, name: &str) -> CaseResult {
        let (backend, name) = (self.kit.backend()?, queue(name)?);
        if let Some(manage) = backend.extensions().manage {
            manage.pause(&name).await?;
            self.model.paused.insert(name);
            self.agree_on_paused(manage).await?;
        }
        Ok(())
    }

    pub(super) async fn resume(&mut self, name: &str) -> CaseResult {
        let (backend, name) = (self.kit.backend()?, queue(name)?);
        if let Some(manage) = backend.extensions().manage {
            manage.resume(&name).await?;
            self.model.paused.remove(&name);
            self.agree_on_paused(manage).await?;
        }
        Ok(())
    }

    async fn agree_on_paused(&self, manage: &dyn Manage) -> CaseResult {
        let expected: Vec<_> = self.model.paused.iter().cloned().collect();
        check_eq!(manage.paused().await?, expected, "the paused queues").about(Promise::QueueIsolation)
    }

    pub(super) async fn rescue(&mut self, tally: &mut Tally) -> CaseResult {
        let reply = self.kit.rescue(u32::MAX).await?;
        let expected = self.model.rescue(self.kit.now());
        let seen = Rescued { rescued: reply.rescued, died: reply.died, workers_lost: reply.workers_lost };
        check_eq!(seen.died, expected.died, "the jobs that died by a rescue").about(Promise::AttemptBound)?;
        check_eq!(seen, expected, "the reply to a rescue").about(Promise::ExpiryRecovers)?;
        tally.reached_if(expected.rescued > 0, Rare::Rescued);
        tally.reached_if(expected.died > 0, Rare::DiedByRescue);
        Ok(())
    }

    /// The backend chooses the jobs to promote, so the model accepts a due job that waits or is
    /// ready.
    pub(super) async fn promote(&mut self, limit: u32, tally: &mut Tally) -> CaseResult {
        let promoted = self.kit.promote(limit).await?.promoted;
        let is_within = promoted <= u64::from(limit);
        check_eq!(is_within, true, "whether {promoted} promoted jobs are at most {limit}")
            .about(Promise::NotBefore)?;
        tally.reached_if(promoted > 0, Rare::Promoted);
        Ok(())
    }

    pub(super) async fn prune(&mut self, retention: Duration, tally: &mut Tally) -> CaseResult {
        let prune = Prune::default()
            .completed(retention)
            .cancelled(retention / 2)
            .dead(retention * 2)
            .idempotency_window(retention)
            .limit(u32::MAX);
        let pruned = self.kit.prune(prune.clone()).await?.pruned;
        let expected = self.model.prune(self.kit.now(), &prune);
        check_eq!(usize::try_from(pruned)?, expected, "the number of pruned jobs")
            .about(Promise::TerminalFinal)?;
        tally.reached_if(expected > 0, Rare::Pruned);
        Ok(())
    }
}
