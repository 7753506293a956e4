//! Ranks that are lost or do something else: all ranks end soon, and a line says why.

use std::time::Duration;

use crate::launch::{alone, mpirun};
use crate::worker::LIMITS;

/// Four ranks play a case that cannot go well.
fn fails(case: &str, lines: &[&str], within: Duration) {
    let Some(ended) = mpirun(4, case) else {
        return;
    };
    assert!(!ended.success, "{case}:\n{}", ended.text);
    for line in lines {
        assert!(
            ended.text.contains(line),
            "{case}: no {line:?} in\n{}",
            ended.text
        );
    }
    // To start and to end four processes, on a machine that has other work.
    let within = within + Duration::from_secs(15);
    assert!(ended.after < within, "{case} took {:?}", ended.after);
}

#[test]
fn a_killed_rank_is_named_by_mpirun() {
    fails("killed", &["rank 1", "signal 9 (Killed)"], Duration::ZERO);
}

#[test]
fn a_stopped_rank_is_named() {
    let lines = [
        "error on rank ",
        ": rank 1 (",
        ") has not answered for 5 s",
        // It may have come to it before the signal did: the others then wait at it, or are in it.
        "collective 1001, all-reduce of 100 numbers",
    ];
    fails("stopped", &lines, LIMITS.silence);
}

#[test]
fn a_rank_stopped_in_the_middle_of_a_transfer_is_named() {
    let lines = [
        ": rank 1 (",
        ") has not answered for 5 s",
        "in collective 2, all-reduce of 134217728 numbers",
    ];
    fails("stopped in flight", &lines, LIMITS.silence);
}

#[test]
fn a_stopped_rank_is_noticed_without_any_collective() {
    let lines = [": rank 1 (", ") has not answered for 5 s", "computing"];
    fails("stopped while others compute", &lines, LIMITS.silence);
}

#[test]
fn a_suspended_job_goes_on() {
    let Some(ended) = mpirun(3, "suspended") else {
        return;
    };
    assert!(ended.success, "{}", ended.text);
    assert!(ended.after > LIMITS.silence * 2, "was it suspended at all?");
}

#[test]
fn a_rank_that_lives_and_does_not_come_is_named() {
    let lines = [
        ": rank 1 (",
        ") has not come to collective 1, all-reduce of 1 numbers for 8 s",
    ];
    fails("late", &lines, LIMITS.patience);
}

#[test]
fn other_lengths_and_other_operations_are_named() {
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
fn a_rank_that_has_finished_early_is_named() {
    let lines = [
        "rank 1 (",
        ") has finished, but rank ",
        "collective 1, all-reduce",
    ];
    fails("leaves", &lines, Duration::ZERO);
}

#[test]
fn a_rank_with_another_configuration_is_named() {
    fails(
        "unequal",
        &["the configuration of rank 1 is not that of rank 0"],
        Duration::ZERO,
    );
}

#[test]
fn a_rank_that_fails_ends_all() {
    fails("panics", &["no memory"], Duration::ZERO);
    fails(
        "out of memory",
        &["error on rank 1: out of memory"],
        Duration::ZERO,
    );
}

#[test]
fn what_no_group_can_do_is_an_error_at_once() {
    fails(
        "no part",
        &["all-gather: a buffer of 5 cannot be divided by 4 ranks"],
        Duration::ZERO,
    );
    fails("no root", &["there is no rank 9 among 4"], Duration::ZERO);
    let ended = alone("worker::worker", "no root", &[]);
    assert!(
        ended.text.contains("there is no rank 9 among 1"),
        "{}",
        ended.text
    );
}
