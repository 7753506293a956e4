//! Programs that are started as one process, or as one of several that they cannot reach.

use crate::launch::single;

#[test]
fn a_program_without_a_launcher_is_the_only_rank() {
    let ended = single("connect", &[]);
    assert!(ended.success, "{ended:?}");
    let line = "rank 0 of 1: [1.5, 2.5]";
    assert!(ended.text.contains(line), "{}", ended.text);
}

#[test]
fn one_of_several_processes_that_it_cannot_reach_says_what_to_do() {
    // As `srun` without the plugin through which MPI learns of the other processes.
    let ended = single("connect", &[("SLURM_STEP_NUM_TASKS", "4")]);
    let advice = if cfg!(feature = "mpi") {
        "error: 4 processes were launched (SLURM_STEP_NUM_TASKS), but MPI sees this one only"
    } else {
        "error: 4 processes were launched (SLURM_STEP_NUM_TASKS), but this program was built without"
    };
    assert!(ended.text.contains(advice), "{}", ended.text);
}
