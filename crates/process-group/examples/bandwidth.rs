//! How fast buffers are added up over ranks: `mpirun -n 4 target/debug/examples/bandwidth`.
//!
//! With one argument, the largest size in MiB (64 if there is none). The bandwidth is that of the bus,
//! as NCCL's tests count it: what each rank must send at least, `2 (n - 1) / n` of the buffer.

use std::io::Write;
use std::time::{Duration, Instant};

use process_group::{Collective, Error, Limits, ProcessGroup, connect};

fn main() -> Result<(), Error> {
    let group = connect(Limits::default())?;
    let result = measure(&*group);
    if let Err(error) = result {
        // In one write, as all ranks have something to say at once.
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
    let place = format!("{}:{}", group.rank(), group.local_rank());
    let places = group.all_gather_bytes(place.into_bytes())?;
    if first {
        let places: Vec<_> = places
            .iter()
            .map(|place| String::from_utf8_lossy(place))
            .collect();
        println!(
            "{} ranks (rank:local rank): {}",
            group.world_size(),
            places.join(" ")
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

/// The median of several.
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
