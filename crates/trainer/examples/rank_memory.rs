//! Memory of rank 0 in training: what it keeps between steps, and the most it has in one.
//!
//!     mpirun -n 4 rank_memory CONFIG [KEY=VALUE…]
//!
//! Counted are the bytes that the program has taken from its allocator. Short windows and small batches
//! leave little but parameters, gradients and moments. One line on standard output: processes, MiB
//! between steps, the most MiB from one step's end to the next's.

use std::process::ExitCode;

use peak_alloc::PeakAlloc;
use process_group::Timeouts;
use trainer::{Config, Error, Trainer};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The first steps make the moments; those after are all alike.
const SKIPPED: u32 = 2;

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
        if step.step > SKIPPED {
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
