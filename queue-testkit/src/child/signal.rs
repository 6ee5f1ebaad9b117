//! Stopping a process, and having it continue.

#[cfg(unix)]
mod system {
    use std::io;
    use std::process::Child;
    use std::time::Duration;

    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

    /// Nothing tells when another process has come to stand still.
    const LOOK: Duration = Duration::from_millis(1);

    pub(in super::super) async fn stop(process: &Child) -> io::Result<()> {
        let id = Pid::from_child(process);
        kill_process(id, Signal::STOP)?;
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(id), look)?.is_none() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    pub(in super::super) fn resume(process: &Child) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(process), Signal::CONT)?)
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::process::Child;

    pub(in super::super) async fn stop(_process: &Child) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in super::super) fn resume(_process: &Child) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) use system::{resume, stop};
