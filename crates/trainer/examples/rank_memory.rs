//! Measures the memory of rank 0 in training, between steps and at its peak within a step.
//!
//!     mpirun -n 4 rank_memory CONFIG [KEY=VALUE…]
//!
//! Counts the bytes that the program has allocated. With short features and small batches these are parameters, gradients
//! and moments. Prints one line: processes, MiB between steps, peak MiB of a step.
#![allow(clippy::print_stdout, clippy::print_stderr)] // An example.

use std::process::ExitCode;

use peak_alloc::PeakAlloc;
use process_group::Timeouts;
use trainer::{Config, Error, Trainer};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The first steps allocate the moments.
const WARM_UP_STEPS: u32 = 2;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or("configs/quickstart.toml".into());
    let config = Config::resolve(file.as_ref(), &arguments.collect::<Vec<_>>())?;
    let group = process_group::connect(Timeouts::default())?;
    let run_dir = std::env::temp_dir().join(format!("rank-memory-{}", std::process::id()));
    let (mut between, mut most) = (0, 0);
    let trainer = Trainer::new(config)?.run_dir(&run_dir);
    let trainer = trainer.group(group.clone()).on_step(|step| {
        if step.step > WARM_UP_STEPS {
            between = between.max(MEMORY.current_usage());
            most = most.max(MEMORY.peak_usage());
        }
        MEMORY.reset_peak_usage();
    });
    trainer.fit()?;
    if group.rank() == 0 {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!(
            "{} {:.0} {:.0}",
            group.world_size(),
            mib(between),
            mib(most)
        );
        let _ = std::fs::remove_dir_all(run_dir);
    }
    Ok(())
}
