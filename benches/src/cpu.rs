//! Processor time of this program and of a server that runs beside it.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

/// Linux counts the times of a `stat` file in these (`USER_HZ`), however often the kernel ticks.
const TICK: Duration = Duration::from_millis(10);

/// Measures what a piece of work costs in both places.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    server: Option<u32>,
}

/// What a piece of work cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    pub(crate) program: Duration,
    /// Unknown for a server that the bench did not start, and on systems other than Linux.
    pub(crate) server: Option<Duration>,
}

impl CpuMeter {
    /// `server` is the first process of a server on this machine, if the bench started it.
    pub(crate) fn new(server: Option<u32>) -> Self {
        let kernel_counts = fs::exists("/proc/self/schedstat").unwrap_or_default();
        Self { server: server.filter(|_| kernel_counts) }
    }

    /// Runs the work. The program's clock is read inside of the server's readings, because these
    /// take time of the program.
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

/// All threads of this process so far, also those that have ended.
fn program() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}

/// A process and its children so far, also those that have ended.
fn with_children(id: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ended since the folder was read is among the ended children of its parent.
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
/// To the nanosecond, unlike the time in its `stat`: a round may last only a few ticks.
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

/// The name of the program comes second, in brackets, and may itself contain blanks and brackets.
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
    fn parent_and_ended_children_are_read_past_a_name_with_brackets() {
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
