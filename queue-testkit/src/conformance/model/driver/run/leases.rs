//! Claims and settles.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use proptest::sample::Index;
use queue_core::backend::{
    ClaimReply, ClaimRequest, Completion, LeasesRequest, SettleRequest, Settled, Settlement, Verdict,
};
use queue_core::{ErrorKind, JobState, Kind};

use super::super::super::super::case::CaseResult;
use super::super::super::super::check::{About as _, check_eq, fails_with};
use super::super::super::super::promise::Promise;
use super::super::super::super::session::queue;
use super::super::super::operation::{Claiming, Ending, TokenChoice};
use super::super::super::tally::{Rare, Tally};
use super::super::claimed::agree_on_claim;
use super::Run;

impl Run<'_> {
    pub(super) async fn claim(&mut self, claiming: &Claiming, tally: &mut Tally) -> CaseResult {
        let request = self.claim_request(claiming)?;
        let answer = self.kit.backend()?.claim(request.clone()).await;
        self.agree_on_claim(&request, answer, tally)
    }

    pub(super) fn claim_request(&self, claiming: &Claiming) -> anyhow::Result<ClaimRequest> {
        let Claiming { worker, queue: name, kinds, limit, last_attempts, grace } = claiming;
        let kinds: Vec<Kind> = kinds.iter().map(Kind::new).collect::<queue_core::Result<_>>()?;
        let (worker, claim) = (self.worker(worker), self.kit.new_claim_id());
        let mut request = ClaimRequest::new(worker, claim, queue(name)?, kinds, *limit).at(self.kit.now());
        request.last_attempts = *last_attempts;
        request.grace = Duration::from_secs(*grace);
        Ok(request)
    }

    pub(super) fn agree_on_claim(
        &mut self,
        request: &ClaimRequest,
        answer: queue_core::Result<ClaimReply>,
        tally: &mut Tally,
    ) -> CaseResult {
        let now = self.kit.now();
        let Ok(expected) = self.model.claim(now, request) else {
            fails_with(answer, ErrorKind::WorkerLost).about(Promise::HeartbeatExtends)?;
            tally.reached(Rare::WorkerLost);
            return Ok(());
        };
        let reply = answer?;
        agree_on_claim(&self.model, now, request, &reply.jobs, &expected)?;
        tally.reached_if(request.limit > 0 && self.model.holds_back(now, request), Rare::ClaimMetPause);
        if let Some(due) = reply.next_due {
            let expected = self.model.next_due(now, Some(&request.queue));
            check_eq!(Some(due), expected, "`next_due` of a claim").about(Promise::NotBefore)?;
        }
        let was_cut =
            reply.jobs.len() < request.limit as usize && self.model.has_ready_last_attempt(now, request);
        tally.reached_if(was_cut, Rare::CutByLastAttempts);
        self.tokens.extend(reply.jobs.iter().map(|job| job.token));
        Ok(())
    }

    pub(super) async fn settle(
        &mut self,
        settlements: &[(TokenChoice, Ending)],
        worker: &Index,
        tally: &mut Tally,
    ) -> CaseResult {
        let mut chosen = BTreeSet::new();
        let mut request = Vec::new();
        for (choice, ending) in settlements {
            let token = self.token(choice).filter(|token| chosen.insert(*token));
            request
                .extend(token.map(|token| Settlement::new(token, verdict(ending)).ran_for(ran_for(ending))));
        }
        if request.is_empty() {
            return Ok(());
        }
        let now = self.kit.now();
        // Any worker may settle, even one that is not registered, because only the token counts.
        let position = worker.index(self.workers.len() + 1);
        let worker = self.workers.get(position).copied().unwrap_or_else(|| self.kit.new_worker_id());
        let answers = self.kit.backend()?.settle(SettleRequest::new(worker, request.clone()).at(now)).await?;
        ensure!(
            answers.len() == request.len(),
            "{} settlements, but {} results",
            request.len(),
            answers.len()
        );
        for (settlement, answer) in request.into_iter().zip(answers) {
            let Settlement { token, verdict, .. } = &settlement;
            let was_live = self.model.live_tokens().contains(token);
            let expected = self.model.settle(now, &settlement);
            check_eq!(answer?, expected, "the reply to {verdict:?} of {token:?}")
                .about(Promise::FencedSettle)?;
            tally.reached_if(expected == Settled::LeaseLost, Rare::LeaseLost);
            tally.reached_if(expected == Settled::Done && !was_live, Rare::SettledAgain);
            let has_died = was_live && self.model.state(token.job) == Some(JobState::Dead);
            tally.reached_if(has_died && matches!(verdict, Verdict::Retry { .. }), Rare::DiedByFailure);
        }
        Ok(())
    }

    pub(super) async fn leases(&mut self, index: &Index, tally: &mut Tally) -> CaseResult {
        if self.tokens.is_empty() {
            return Ok(());
        }
        // Mostly a claim with live leases, requested by its own worker.
        let live = self.model.live_tokens();
        let is_stale = live.is_empty() || index.index(4) == 0;
        let token = if is_stale { *index.get(&self.tokens) } else { *index.get(&live) };
        let worker =
            self.model.holder(token).filter(|_| !is_stale).unwrap_or_else(|| self.recent_worker(index));
        let seen = self.kit.backend()?.leases(LeasesRequest::new(worker, token.claim)).await?;
        let expected = self.model.leases(worker, token.claim);
        check_eq!(seen, expected, "the leases of the claim").about(Promise::SingleLiveLease)?;
        tally.reached_if(!seen.is_empty(), Rare::LeasesFound);
        Ok(())
    }
}

fn verdict(ending: &Ending) -> Verdict {
    match ending {
        Ending::Complete(result) => {
            Verdict::Complete(Completion::new().result(result.map(|byte| vec![byte])))
        }
        Ending::Retry { seconds } => {
            Verdict::Retry { error: "failed".to_owned(), delay: Duration::from_secs(*seconds) }
        }
        Ending::Bury => Verdict::Bury { error: "hopeless".to_owned() },
        Ending::Snooze { seconds } => Verdict::Snooze { delay: Duration::from_secs(*seconds) },
        Ending::Cancel => Verdict::Cancel { reason: "not wanted".to_owned() },
        Ending::Release => Verdict::Release,
    }
}

fn ran_for(ending: &Ending) -> Option<Duration> {
    match ending {
        Ending::Retry { seconds } => Some(Duration::from_micros(*seconds)),
        Ending::Complete(_) | Ending::Snooze { .. } => Some(Duration::from_secs(1)),
        Ending::Bury | Ending::Cancel | Ending::Release => None,
    }
}
