//! The test that plays a case in the processes that other tests start.

use process_group::{Timeouts, connect};

use crate::launch::{CASE, single};

/// Plays the case that the launcher names. Without one it is a negative control: an unknown case fails.
#[test]
fn rank() {
    match std::env::var(CASE).as_deref() {
        Ok("connect") => connect_and_print(),
        #[cfg(feature = "mpi")]
        Ok(case) => crate::cases::play(case),
        #[cfg(not(feature = "mpi"))]
        Ok(case) => panic!("unknown case {case}"),
        Err(_) => {
            let ended = single("none", &[]);
            assert!(
                !ended.success && ended.text.contains("unknown case none"),
                "{ended:?}"
            );
        }
    }
}

fn connect_and_print() {
    match connect(Timeouts::default()) {
        Ok(group) => {
            let sums = group.all_reduce(vec![1.5, 2.5]).expect("no rank is lost");
            println!("rank {} of {}: {sums:?}", group.rank(), group.world_size());
        }
        Err(error) => println!("error: {error}"),
    }
}
