//! Ranks that are lost or call something else: all ranks end soon, and a line says why.

use std::time::Duration;

use crate::cases::TIMEOUTS;
use crate::launch::{Launched, mpirun, single};

/// Four ranks play a case that must fail, print these lines and end soon after `timeout`.
fn fails(case: &str, lines: &[&str], timeout: Duration) {
    let ended = mpirun(4, case);
    assert!(!ended.success, "{case}:\n{}", ended.text);
    for line in lines {
        let text = &ended.text;
        assert!(text.contains(line), "{case}: no {line:?} in\n{text}");
    }
    // Generous: a busy machine needs time to start and to end four processes.
    let limit = timeout + Duration::from_secs(60);
    assert!(ended.after < limit, "{case} took {:?}", ended.after);
}

#[test]
fn mpirun_names_a_killed_rank() {
    fails("killed", &["rank 1", "signal 9 (Killed)"], Duration::ZERO);
}

#[test]
fn other_ranks_name_a_stopped_rank() {
    let lines = [
        "error on rank ",
        ": rank 1 (",
        ") has not answered for 5 s",
        "waiting at collective 1001, all-reduce of 100 numbers",
    ];
    fails("stopped", &lines, TIMEOUTS.heartbeat);
}

#[test]
fn other_ranks_name_a_rank_that_stops_in_the_middle_of_a_transfer() {
    let lines = [
        ": rank 1 (",
        ") has not answered for 5 s",
        "in collective ",
        "all-reduce of 8388608 numbers",
    ];
    fails("stopped in flight", &lines, TIMEOUTS.heartbeat);
}

#[test]
fn other_ranks_notice_a_stopped_rank_without_a_collective() {
    let lines = [": rank 1 (", ") has not answered for 5 s", "computing"];
    fails("stopped while others compute", &lines, TIMEOUTS.heartbeat);
}

#[test]
fn ranks_that_leave_notice_a_stopped_rank() {
    let lines = [
        ": rank 1 (",
        ") has not answered for 5 s",
        "closing the group",
    ];
    fails("stopped while others leave", &lines, TIMEOUTS.heartbeat);
}

#[test]
fn a_rank_that_is_lost_while_it_leaves_ends_all() {
    let lines = ["rank 1", "signal 9 (Killed)"];
    fails("killed while it leaves", &lines, Duration::ZERO);
}

/// It has said that it leaves, so it is not missed; but MPI waits for it.
#[test]
fn other_ranks_end_when_a_rank_stops_while_it_leaves() {
    let line = "MPI has not returned from a call for 5 s";
    let launched = Launched::start(
        Some(process_group::mpirun(4)),
        "stopped while it leaves",
        &[],
    );
    launched.wait_for_line(line);
}

#[test]
fn ranks_that_leave_do_not_wait_for_ever() {
    let line = ") has not joined the end of the run for 8 s";
    fails("leaves late", &[": rank 1 (", line], TIMEOUTS.collective);
}

#[test]
fn ranks_that_leave_wait_for_one_that_is_still_busy() {
    let ended = mpirun(3, "leaves after a while");
    assert!(ended.success, "{}", ended.text);
    assert!(ended.after > TIMEOUTS.heartbeat, "{:?}", ended.after);
}

#[test]
fn a_suspended_job_goes_on() {
    let ended = mpirun(3, "suspended");
    assert!(ended.success, "{}", ended.text);
    assert!(ended.after > TIMEOUTS.heartbeat * 2, "was it suspended?");
}

#[test]
fn other_ranks_name_a_rank_that_does_not_join_a_collective() {
    let line = ") has not joined collective 1, all-reduce of 1 numbers for 8 s";
    fails("late", &[": rank 1 (", line], TIMEOUTS.collective);
}

#[test]
fn different_lengths_and_different_collectives_are_errors() {
    let lines = [
        "all-reduce of 4 numbers",
        "all-reduce of 5 numbers",
        "ranks disagree",
    ];
    fails("other length", &lines, Duration::ZERO);
    fails(
        "other operation",
        &["all-reduce of 1 numbers", "barrier"],
        Duration::ZERO,
    );
}

#[test]
fn other_ranks_name_a_rank_that_finishes_early() {
    let lines = [
        "rank 1 (",
        ") has finished, but rank ",
        "collective 1, all-reduce",
    ];
    fails("leaves", &lines, Duration::ZERO);
}

#[test]
fn a_rank_with_a_different_configuration_is_named() {
    fails(
        "unequal",
        &["the configuration of rank 1 is not that of rank 0"],
        Duration::ZERO,
    );
}

#[test]
fn a_rank_that_fails_ends_all_ranks() {
    fails("panics", &["no memory"], Duration::ZERO);
    fails(
        "out of memory",
        &["error on rank 1: out of memory"],
        Duration::ZERO,
    );
}

#[test]
fn invalid_calls_fail_at_once() {
    let line = "all-gather: a buffer of 5 cannot be divided by 4 ranks";
    fails("no shard", &[line], Duration::ZERO);
    fails("no root", &["there is no rank 9 among 4"], Duration::ZERO);
    let ended = single("no root", &[]);
    let line = "there is no rank 9 among 1";
    assert!(ended.text.contains(line), "{}", ended.text);
}
