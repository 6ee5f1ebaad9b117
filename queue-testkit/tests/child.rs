//! The runner of child processes. This program is its own child.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output must be kept apart from the lines of the child"
)]

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use queue_core::testing::drop_after;
use queue_testkit::child::{Child, Orders, Parent, Record, moment};
use tokio::runtime::Runtime;
use tokio::time::timeout;

fn main() -> ExitCode {
    let runtime = Runtime::new().unwrap();
    if let Some(parent) = Parent::find() {
        runtime.block_on(act(parent));
        return ExitCode::from(7);
    }
    let trial = |name: &'static str, run: fn(&Runtime)| {
        Trial::test(name, move || {
            run(&Runtime::new().unwrap());
            Ok(())
        })
    };
    let trials = vec![
        trial("orders_arrive_and_lines_come_back", |runtime| runtime.block_on(lines())),
        trial("a_child_halts_where_it_is_told_and_goes_on", |runtime| runtime.block_on(halts())),
        trial("a_killed_child_has_said_what_it_said", |runtime| runtime.block_on(killed())),
        trial("a_stopped_child_says_nothing_until_it_is_continued", |runtime| runtime.block_on(stopped())),
        trial("a_child_that_ends_is_not_waited_for", |runtime| runtime.block_on(ended())),
        trial("a_dropped_child_is_gone", |runtime| runtime.block_on(dropped())),
        trial("a_dropped_wait_for_a_child_can_be_repeated", |runtime| {
            runtime.block_on(a_dropped_wait_for_a_child_can_be_repeated());
        }),
        trial("a_child_whose_end_is_not_waited_for_is_gone", |runtime| {
            runtime.block_on(a_child_whose_end_is_not_waited_for_is_gone());
        }),
        trial("what_a_child_waits_for_is_kept", |runtime| runtime.block_on(what_a_child_waits_for_is_kept())),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs a role as a child.
async fn act(parent: Parent) {
    match parent.role() {
        "echo" => {
            println!("the output of somebody else");
            eprintln!("and an error");
            parent.say(parent.text());
            let heard = parent.hear().await;
            parent.say(format!("heard {heard}"));
        }
        "count" => {
            for number in 1.. {
                parent.say(number);
                parent.reach("counted").await;
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        }
        "impatient" => {
            assert_eq!(drop_after(1, parent.reach("here")).await, None);
            for polls in 0..2 {
                assert_eq!(drop_after(polls, parent.hear()).await, None);
            }
            parent.say("listens");
            let heard = parent.hear().await;
            parent.say(format!("heard {heard}"));
        }
        role => parent.say(format!("unknown role {role}")),
    }
}

fn count() -> Orders {
    Orders::new("count")
}

async fn lines() {
    let before = moment();
    let mut child = Orders::new("echo").text("two\nlines").start().unwrap();
    let line = child.until(|text| !text.starts_with('(')).await.unwrap();
    assert_eq!(line.text, "two lines");
    assert!(before < line.at && line.at < moment());
    child.tell("this").unwrap();
    child.until(|text| text == "heard this").await.unwrap();
    let (status, record) = child.ended().await.unwrap();
    assert_eq!(status.code(), Some(7));
    let said: Vec<String> = record.lines().into_iter().map(|line| line.text).collect();
    assert!(said.contains(&"(output) the output of somebody else".to_owned()), "{said:?}");
    assert!(said.contains(&"(error) and an error".to_owned()), "{said:?}");
}

async fn halts() {
    let mut child = count().halt_at("counted", 3).start().unwrap();
    child.halted("counted").await.unwrap();
    let last = |child: &Child| child.record().lines().into_iter().rev().nth(1).unwrap().text;
    assert_eq!(last(&child), "3");
    assert!(timeout(Duration::from_millis(30), child.next()).await.is_err(), "the child does not halt");
    child.go_on().unwrap();
    child.until(|text| text == "9").await.unwrap();
}

async fn killed() {
    let mut child = count().start().unwrap();
    child.until(|text| text == "5").await.unwrap();
    let record = child.kill().await.unwrap();
    let lines = record.lines();
    let expected: Vec<String> = (1..=lines.len()).map(|number| number.to_string()).collect();
    assert!(lines.len() >= 5);
    assert_eq!(lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), expected);
}

async fn stopped() {
    let mut child = count().start().unwrap();
    for _ in 0..3 {
        child.next().await.unwrap();
        child.stop().await.unwrap();
        let stopped_at = moment();
        let silent = async { while child.next().await.unwrap().unwrap().at < stopped_at {} };
        assert!(timeout(Duration::from_millis(30), silent).await.is_err(), "the child does not stop");
        child.resume().unwrap();
        child.next().await.unwrap();
    }
    child.stop().await.unwrap();
    child.kill().await.unwrap();
}

async fn ended() {
    let mut child = Orders::new("nobody").start().unwrap();
    let error = child.halted("anything").await.unwrap_err();
    assert!(error.to_string().contains("ended without the expected line"), "{error}");
    assert!(error.to_string().contains("unknown role nobody"), "{error}");
}

async fn dropped() {
    let mut child = count().start().unwrap();
    child.until(|text| text == "1").await.unwrap();
    let record = child.record();
    drop(child);
    is_gone(&record).await;
}

/// Waits until the record grows no more. The pipe may still hold lines, but a live child writes
/// thousands per second.
async fn is_gone(record: &Record) {
    let quiet = async {
        let mut many = usize::MAX;
        while record.lines().len() != many {
            many = record.lines().len();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), quiet).await.unwrap();
}

/// Drops a future after each number of polls, until it returns.
macro_rules! at_each_poll {
    ($make:expr) => {{
        let mut polls = 0;
        loop {
            if let Some(answer) = drop_after(polls, $make).await {
                break answer;
            }
            polls += 1;
        }
    }};
}

async fn a_dropped_wait_for_a_child_can_be_repeated() {
    let mut child = count().halt_at("counted", 9).start().unwrap();
    assert_eq!(at_each_poll!(child.next()).unwrap().unwrap().text, "1");
    assert_eq!(at_each_poll!(child.until(|text| text == "4")).unwrap().text, "4");
    at_each_poll!(child.halted("counted")).unwrap();
    at_each_poll!(child.stop()).unwrap();
    child.resume().unwrap();
    child.go_on().unwrap();
    child.until(|text| text == "12").await.unwrap();
}

async fn a_child_whose_end_is_not_waited_for_is_gone() {
    for polls in 0..2 {
        let child = count().start().unwrap();
        let record = child.record();
        if drop_after(polls, child.kill()).await.is_none() {
            is_gone(&record).await;
        }
        let child = count().start().unwrap();
        let record = child.record();
        assert!(drop_after(polls, child.ended()).await.is_none());
        is_gone(&record).await;
    }
}

async fn what_a_child_waits_for_is_kept() {
    let mut child = Orders::new("impatient").halt_at("here", 1).start().unwrap();
    child.until(|text| text == "listens").await.unwrap();
    child.tell("this").unwrap();
    child.until(|text| text == "heard this").await.unwrap();
}
