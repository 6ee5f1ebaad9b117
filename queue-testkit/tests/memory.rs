//! The conformance suite on the in-memory backend.

mod faulty;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::{Backend, MemoryBackend};
use queue_testkit::conformance::{self, Fault, FaultyStorage, SetupResult, Storage, Subject};

use faulty::{FAULTS, Faulty};

struct Memory;

#[async_trait]
impl Subject for Memory {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(Jobs(MemoryBackend::new())))
    }

    fn faults(&self) -> &'static [Fault] {
        FAULTS
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        Ok(Arc::new(Faulty::new(fault)))
    }
}

struct Jobs(MemoryBackend);

#[async_trait]
impl Storage for Jobs {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(self.0.clone()))
    }
}

fn main() -> ExitCode {
    conformance::main(Memory)
}
