//! Programs started as one process, or as one of several that they cannot reach.

use process_group::{Limits, connect};

use crate::launch::{CASE, alone};

/// Played in a process of its own: MPI starts once in a process.
#[test]
#[ignore = "started by the tests of this module"]
fn connects() {
    assert!(std::env::var_os(CASE).is_some(), "started by hand");
    match connect(Limits::default()) {
        Ok(group) => {
            let sums = group.all_reduce(vec![1.5, 2.5]).expect("nobody is lost");
            println!("rank {} of {}: {sums:?}", group.rank(), group.world_size());
        }
        Err(error) => println!("error: {error}"),
    }
}

#[test]
fn without_a_launcher_a_process_is_the_only_rank() {
    let ended = alone("alone::connects", "alone", &[]);
    assert!(ended.success, "{ended:?}");
    assert!(
        ended.text.contains("rank 0 of 1: [1.5, 2.5]"),
        "{}",
        ended.text
    );
}

#[test]
fn one_of_several_that_it_cannot_reach_says_what_to_do() {
    // Of `srun` without the plugin through which MPI learns of the others.
    let ended = alone("alone::connects", "alone", &[("SLURM_STEP_NUM_TASKS", "4")]);
    let advice = match cfg!(feature = "mpi") {
        true => {
            "error: 4 processes were started (SLURM_STEP_NUM_TASKS), but MPI of this process sees no other"
        }
        false => {
            "error: this is one of 4 processes (SLURM_STEP_NUM_TASKS), but the program was built without"
        }
    };
    assert!(ended.text.contains(advice), "{}", ended.text);
}
