//! Measures processor time of this program and of a server on this machine.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

/// The unit of times in a `stat` file on Linux (`USER_HZ`), independent of the kernel's tick.
const TICK: Duration = Duration::from_millis(10);

/// Measures the processor time of a function in both programs.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    server: Option<u32>,
}

/// The processor time of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    pub(crate) program: Duration,
    /// Unknown for a server that the bench did not start, and on systems other than Linux.
    pub(crate) server: Option<Duration>,
}

impl CpuMeter {
    /// `server` is the postmaster of a server on this machine, if the bench started it.
    pub(crate) fn new(server: Option<u32>) -> Self {
        let kernel_counts = fs::exists("/proc/self/schedstat").unwrap_or_default();
        Self { server: server.filter(|_| kernel_counts) }
    }

    /// Runs the function. The program's time is read between the two readings of the server,
    /// because these use processor time of the program.
    pub(crate) fn measure<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, CpuTime)> {
        let server_before = self.server()?;
        let program_before = program()?;
        let result = work()?;
        let program = program()?.saturating_sub(program_before);
        let server_after = self.server()?;
        let server = server_after.zip(server_before);
        let server = server.map(|(after, before)| after.saturating_sub(before));
        Ok((result, CpuTime { program, server }))
    }

    fn server(&self) -> Result<Option<Duration>> {
        self.server.map(with_children).transpose()
    }
}

/// The time of all threads of this process, including ended threads.
fn program() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}

/// The time of a process and its children, including ended children.
fn with_children(id: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // The time of a process that has just ended is counted in its parent.
        let Some(stat) = stat(process) else { continue };
        if process == id {
            total += stat.ended_children;
        }
        if process == id || stat.parent == id {
            total += ran(process).unwrap_or_default();
        }
    }
    Ok(total)
}

/// The time of a process with one thread, which a server process of PostgreSQL is.
///
/// Reads nanoseconds, because a round may last only a few ticks of `stat`.
fn ran(process: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    ended_children: Duration,
}

fn stat(process: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Parses past the name of the program, which is in brackets and may itself contain blanks and
/// brackets.
fn parse(stat: &str) -> Option<Stat> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
    let ended_children = TICK * (ticks(13)? + ticks(14)?);
    Some(Stat { parent: ticks(1)?, ended_children })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn stat_is_parsed_past_a_name_with_brackets() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 1 0 9 0 0";
        let expected = Stat { parent: 3, ended_children: Duration::from_millis(1500) };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn work_of_this_program_is_counted() {
        let spin = || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {}
            Ok(())
        };
        let ((), time) = CpuMeter::new(None).measure(spin).unwrap();
        assert!(time.program > Duration::ZERO, "{time:?}");
        assert_eq!(time.server, None);
    }
}
