//! Measures the speed of collectives: `mpirun -n 4 target/debug/examples/bandwidth [MIB]`.
//!
//! The argument is the largest buffer in MiB; the default is 64. The bandwidth is NCCL's "bus bandwidth": the least that each
//! of n ranks must send for an all-reduce, `2 (n - 1) / n` of the buffer, over the time.
#![allow(clippy::print_stdout)] // An example.

use std::io::Write;
use std::time::{Duration, Instant};

use process_group::{Collective, Error, ProcessGroup, Timeouts, connect};

fn main() -> Result<(), Error> {
    let group = connect(Timeouts::default())?;
    let result = measure(&*group);
    if let Err(error) = result {
        // In one write, because several ranks may print at once.
        let line = format!("error on rank {}: {error}\n", group.rank());
        let _ = std::io::stderr().write_all(line.as_bytes());
        group.abort(1);
    }
    Ok(())
}

fn measure(group: &dyn ProcessGroup) -> Result<(), Error> {
    let largest: usize = std::env::args()
        .nth(1)
        .and_then(|size| size.parse().ok())
        .unwrap_or(64);
    let first = group.rank() == 0;
    let ranks = format!("{}:{}", group.rank(), group.local_rank());
    let all = group.all_gather_bytes(ranks.into_bytes())?;
    if first {
        let all: Vec<_> = all
            .iter()
            .map(|ranks| String::from_utf8_lossy(ranks))
            .collect();
        println!(
            "{} ranks (rank:local rank): {}",
            group.world_size(),
            all.join(" ")
        );
        println!("| bytes | all-reduce | bandwidth | all-gather | reduce-scatter |");
        println!("|---|---|---|---|---|");
    }
    let mut len = 4;
    while len * 4 <= largest << 20 {
        let reduce = time(group, Collective::AllReduce, len)?;
        let gather = time(group, Collective::AllGather, len)?;
        let scatter = time(group, Collective::ReduceScatter, len)?;
        if first {
            #[allow(clippy::cast_precision_loss)]
            let (bytes, ranks) = ((len * 4) as f64, group.world_size() as f64);
            let bandwidth = bytes * 2.0 * (ranks - 1.0) / ranks / reduce.as_secs_f64() / 1e9;
            let bytes = len * 4;
            println!(
                "| {bytes} | {reduce:.1?} | {bandwidth:.3} GB/s | {gather:.1?} | {scatter:.1?} |"
            );
        }
        len *= 4;
    }
    Ok(())
}

/// The median time of several collectives.
fn time(group: &dyn ProcessGroup, collective: Collective, len: usize) -> Result<Duration, Error> {
    let ranks = group.world_size();
    let len = len.next_multiple_of(ranks);
    let repeats = if len < 1 << 20 { 51 } else { 7 };
    let mut times = Vec::new();
    for _ in 0..repeats {
        let buffer = vec![1.0; len];
        group.barrier()?;
        let start = Instant::now();
        let result = group.start(collective, buffer).wait()?;
        times.push(start.elapsed());
        drop(result);
    }
    times.sort();
    Ok(times[repeats / 2])
}
