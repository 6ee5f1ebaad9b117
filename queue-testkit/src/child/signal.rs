//! Stops and continues a process.

#[cfg(unix)]
mod system {
    use std::io;
    use std::process::Child;
    use std::time::Duration;

    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

    /// Pause between two checks, because the system does not notify when a process has stopped.
    const CHECK_INTERVAL: Duration = Duration::from_millis(1);

    pub(in super::super) async fn stop(process: &Child) -> io::Result<()> {
        let id = Pid::from_child(process);
        kill_process(id, Signal::STOP)?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(id), options)?.is_none() {
            tokio::time::sleep(CHECK_INTERVAL).await;
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
