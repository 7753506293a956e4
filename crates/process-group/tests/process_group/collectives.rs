//! Every collective against values computed by hand.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use process_group::{Collective, Collectives, Error, MpiGroup, Pending, ProcessGroup, ShardRange};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::launch::{mpirun, single};

/// The input of `rank` at `index`: whole numbers, so that sums are exact in every order.
#[allow(clippy::cast_precision_loss)]
fn value(rank: usize, index: usize) -> f32 {
    ((index * 7 + rank * 13) % 101) as f32
}

fn input(rank: usize, len: usize) -> Vec<f32> {
    (0..len).map(|index| value(rank, index)).collect()
}

fn summed(ranks: usize, index: usize) -> f32 {
    (0..ranks).map(|rank| value(rank, index)).sum()
}

/// The result on `rank` if every rank brings `input`.
fn expected(collective: Collective, rank: usize, ranks: usize, len: usize) -> Vec<f32> {
    let shard = ShardRange::of(len, rank, ranks).range;
    match collective {
        Collective::AllReduce => (0..len).map(|index| summed(ranks, index)).collect(),
        Collective::Broadcast { root } => input(root, len),
        Collective::AllGather => {
            let owner = |index| index / (len / ranks);
            (0..len).map(|index| value(owner(index), index)).collect()
        }
        Collective::ReduceScatter => shard.map(|index| summed(ranks, index)).collect(),
    }
}

fn all(ranks: usize) -> impl Iterator<Item = Collective> {
    let one_each = [
        Collective::AllReduce,
        Collective::AllGather,
        Collective::ReduceScatter,
    ];
    let roots = (0..ranks).map(|root| Collective::Broadcast { root });
    one_each.into_iter().chain(roots)
}

/// The next length that the collective can have.
fn padded(collective: Collective, len: usize, ranks: usize) -> usize {
    match collective {
        Collective::AllReduce | Collective::Broadcast { .. } => len,
        Collective::AllGather | Collective::ReduceScatter => ShardRange::padded(len, ranks),
    }
}

/// One after the other, with lengths on both sides of those at which MPI changes its algorithms.
pub(crate) fn values(group: &MpiGroup) -> Result<(), Error> {
    let (rank, ranks) = (group.rank(), group.world_size());
    for collective in all(ranks) {
        for len in [0, 1, 2, 3, 5, 1000, 4099, 1_050_003] {
            let len = padded(collective, len, ranks);
            let result = group.start(collective, input(rank, len)).wait()?;
            let right = expected(collective, rank, ranks, len);
            assert!(
                result == right,
                "{collective} of {len} on rank {rank} of {ranks}"
            );
            // Negative control: the check notices one wrong number.
            if let Some(last) = right.len().checked_sub(1) {
                let mut wrong = right;
                wrong[last] += 1.0;
                assert!(result != wrong);
            }
        }
    }
    let theirs = group.all_gather_bytes(vec![7; 3 * rank])?;
    let right: Vec<_> = (0..ranks).map(|rank| vec![7; 3 * rank]).collect();
    assert_eq!(theirs, right);
    assert_eq!(
        group.all_gather_bytes(Vec::new())?,
        vec![Vec::<u8>::new(); ranks]
    );
    // In the order of ranks: 0.1 + 0.1 + … is not associative.
    assert_eq!(
        group.sum(&[0.1, 1.0])?[0],
        (0..ranks).fold(0.0, |sum, _| sum + 0.1)
    );
    group.check_equal("a digest", b"same")?;
    group.barrier()?;
    println!("rank {rank} is done as local rank {}", group.local_rank());
    Ok(())
}

/// Many at once, awaited in an order that differs between ranks.
pub(crate) fn plans(group: &MpiGroup) -> Result<(), Error> {
    let (rank, ranks) = (group.rank(), group.world_size());
    let collective = prop::sample::select(all(ranks).collect::<Vec<_>>());
    let plan = prop::collection::vec((collective, 0_usize..3000), 1..20);
    // The same plans on every rank.
    let mut runner = TestRunner::deterministic();
    for _ in 0..60 {
        let plan = plan.new_tree(&mut runner).expect("a plan").current();
        let start = |(collective, len): &(Collective, usize)| {
            let len = padded(*collective, *len, ranks);
            let pending = group.start(*collective, input(rank, len));
            (pending, expected(*collective, rank, ranks, len))
        };
        let mut pending: Vec<(Pending<_>, _)> = plan.iter().map(start).collect();
        let middle = rank * pending.len() / ranks;
        pending.rotate_left(middle);
        for (pending, right) in pending {
            assert!(
                pending.wait()? == right,
                "{plan:?} on rank {rank} of {ranks}"
            );
        }
    }
    Ok(())
}

/// 64 MiB and an uneven one of 80 MB.
pub(crate) fn large(group: &MpiGroup) -> Result<(), Error> {
    let (rank, ranks) = (group.rank(), group.world_size());
    for collective in all(ranks) {
        for len in [16 << 20, 20_000_003] {
            let len = padded(collective, len, ranks);
            let result = group.start(collective, input(rank, len)).wait()?;
            assert!(
                result == expected(collective, rank, ranks, len),
                "{collective} of {len}"
            );
        }
    }
    Ok(())
}

/// Sums that depend on the order of additions: the same bits on all ranks. Prints their digest.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn digest(group: &MpiGroup) -> Result<(), Error> {
    let mut digest = 0_u64;
    for len in [3, 1000, 70_001, 3_000_000] {
        let number = |index: usize| 1.0 / (1 + index * 31 + group.rank() * 17) as f32;
        let sums = group.all_reduce((0..len).map(number).collect())?;
        let bytes = sums
            .iter()
            .flat_map(|sum| sum.to_le_bytes())
            .collect::<Vec<_>>();
        group.check_equal("a sum", &bytes)?;
        for byte in bytes {
            digest = digest.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
        }
    }
    if group.rank() == 0 {
        println!("digest {digest:016x}");
    }
    Ok(())
}

/// Rank 0 does not await its collective before rank 1 has the result, so it completes in the background.
pub(crate) fn overlap(group: &MpiGroup) -> Result<(), Error> {
    let file = std::env::temp_dir().join(format!("process-group-{}", std::process::id()));
    let file = &group.all_gather_bytes(file.display().to_string().into_bytes())?[0];
    let file = String::from_utf8_lossy(file).into_owned();
    let pending = group.start_all_reduce(vec![1.0; 16 << 20]);
    if group.rank() == 0 {
        let start = Instant::now();
        while !Path::new(&file).exists() {
            let has_failed = start.elapsed() > Duration::from_secs(100);
            assert!(!has_failed, "nothing completes in the background");
            thread::sleep(Duration::from_millis(10));
        }
        let _ = std::fs::remove_file(&file);
    }
    let sums = pending.wait()?;
    assert!(sums.iter().all(|sum| *sum == 2.0));
    if group.rank() == 1 {
        std::fs::write(&file, "").expect("a writable folder");
    }
    Ok(())
}

/// Plays a case that must succeed; no rank means no `mpirun`.
fn passes(case: &str, ranks: usize) -> String {
    let ended = match ranks {
        0 => single(case, &[]),
        _ => mpirun(ranks, case),
    };
    assert!(ended.success, "{case}, {ranks} ranks:\n{}", ended.text);
    let done = ended.text.matches(" is done\n").count();
    assert_eq!(done, ranks.max(1), "{}", ended.text);
    ended.text
}

#[test]
fn every_collective_gives_the_values_computed_by_hand() {
    for ranks in 0..=4 {
        let text = passes("values", ranks);
        // On one machine the local rank is the rank.
        for rank in 0..ranks {
            let line = format!("rank {rank} is done as local rank {rank}");
            assert!(text.contains(&line), "{text}");
        }
    }
}

#[test]
fn many_collectives_in_flight_can_be_awaited_in_any_order() {
    for ranks in 1..=4 {
        passes("plans", ranks);
    }
}

#[test]
fn large_buffers_give_the_values_computed_by_hand() {
    for ranks in [1, 2, 4] {
        passes("large", ranks);
    }
}

#[test]
fn sums_have_the_same_bits_on_every_rank_and_in_every_run() {
    for ranks in 2..=4 {
        let digest = || {
            let text = passes("digest", ranks);
            let (_, digest) = text.split_once("digest ").expect("a digest");
            u64::from_str_radix(&digest[..16], 16).expect("16 digits")
        };
        assert_eq!(digest(), digest(), "{ranks} ranks");
    }
}

#[test]
fn collectives_complete_while_the_program_does_something_else() {
    passes("overlap", 2);
}
