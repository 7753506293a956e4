//! Every collective against values computed by hand.

use std::time::{Duration, Instant};

use process_group::{Collective, Collectives, Error, MpiGroup, Part, Pending, ProcessGroup};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::launch::{alone, mpirun};

/// What rank `rank` brings at `index`: whole numbers, so that sums are exact in every order.
#[allow(clippy::cast_precision_loss)]
fn value(rank: usize, index: usize) -> f32 {
    ((index * 7 + rank * 13) % 101) as f32
}

fn brought(rank: usize, len: usize) -> Vec<f32> {
    (0..len).map(|index| value(rank, index)).collect()
}

fn summed(ranks: usize, index: usize) -> f32 {
    (0..ranks).map(|rank| value(rank, index)).sum()
}

/// What must come back on `rank`, where each rank has brought `brought`.
fn expected(collective: Collective, rank: usize, ranks: usize, len: usize) -> Vec<f32> {
    let part = Part::of(len, rank, ranks).range;
    match collective {
        Collective::AllReduce => (0..len).map(|index| summed(ranks, index)).collect(),
        Collective::Broadcast { root } => brought(root, len),
        Collective::AllGather => {
            let owner = |index| index / (len / ranks);
            (0..len).map(|index| value(owner(index), index)).collect()
        }
        Collective::ReduceScatter => part.map(|index| summed(ranks, index)).collect(),
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

/// A length that the collective can have, near this one.
fn fit(collective: Collective, len: usize, ranks: usize) -> usize {
    match collective {
        Collective::AllReduce | Collective::Broadcast { .. } => len,
        Collective::AllGather | Collective::ReduceScatter => Part::padded(len, ranks),
    }
}

/// One after the other, with lengths on both sides of where MPI changes its ways.
pub(crate) fn values(group: &MpiGroup) -> Result<(), Error> {
    let (rank, ranks) = (group.rank(), group.world_size());
    for collective in all(ranks) {
        for len in [0, 1, 2, 3, 5, 1000, 4099, 1_050_003] {
            let len = fit(collective, len, ranks);
            let result = group.start(collective, brought(rank, len)).wait()?;
            let right = expected(collective, rank, ranks, len);
            assert!(
                result == right,
                "{collective} of {len} on rank {rank} of {ranks}"
            );
            // The check sees a single wrong number.
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
    group.agree("the weather", b"fair")?;
    group.barrier()?;
    println!("rank {rank} is done as local rank {}", group.local_rank());
    Ok(())
}

/// Many at once, awaited in an order of each rank's own.
pub(crate) fn plans(group: &MpiGroup) -> Result<(), Error> {
    let (rank, ranks) = (group.rank(), group.world_size());
    let collective = prop::sample::select(all(ranks).collect::<Vec<_>>());
    let plan = prop::collection::vec((collective, 0_usize..3000), 1..20);
    // The same plans on every rank.
    let mut runner = TestRunner::deterministic();
    for _ in 0..60 {
        let plan = plan.new_tree(&mut runner).expect("a plan").current();
        let start = |(collective, len): &(Collective, usize)| {
            let len = fit(*collective, *len, ranks);
            let pending = group.start(*collective, brought(rank, len));
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
            let len = fit(collective, len, ranks);
            let result = group.start(collective, brought(rank, len)).wait()?;
            assert!(
                result == expected(collective, rank, ranks, len),
                "{collective} of {len}"
            );
        }
    }
    Ok(())
}

/// Sums that depend on their order, bit by bit the same on all ranks; one line says what they are.
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
        group.agree("a sum", &bytes)?;
        for byte in bytes {
            digest = digest.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
        }
    }
    if group.rank() == 0 {
        println!("digest {digest:016x}");
    }
    Ok(())
}

/// What was started goes on while the program does something else.
pub(crate) fn overlap(group: &MpiGroup) -> Result<(), Error> {
    let buffer = || vec![1.0; 16 << 20];
    group.all_reduce(buffer())?;
    let start = Instant::now();
    group.all_reduce(buffer())?;
    let whole = start.elapsed();

    let pending = group.start_all_reduce(buffer());
    std::thread::sleep(whole * 3 + Duration::from_secs(1));
    let start = Instant::now();
    pending.wait()?;
    let rest = start.elapsed();
    assert!(rest < whole / 4, "{rest:?} of {whole:?} remained");
    Ok(())
}

fn passes(case: &str, ranks: usize) -> Option<String> {
    let ended = match ranks {
        // Without mpirun.
        0 => alone("worker::worker", case, &[]),
        _ => mpirun(ranks, case)?,
    };
    assert!(ended.success, "{case}, {ranks} ranks:\n{}", ended.text);
    let done = ended.text.matches(" is done\n").count();
    assert_eq!(done, ranks.max(1), "{}", ended.text);
    Some(ended.text)
}

#[test]
fn every_collective_gives_what_is_computed_by_hand() {
    for ranks in 0..=4 {
        let Some(text) = passes("values", ranks) else {
            return;
        };
        // On one machine they are the same.
        for rank in 0..ranks {
            assert!(
                text.contains(&format!("rank {rank} is done as local rank {rank}")),
                "{text}"
            );
        }
    }
}

#[test]
fn many_at_once_are_awaited_in_any_order() {
    for ranks in 1..=4 {
        passes("plans", ranks);
    }
}

#[test]
fn large_buffers() {
    for ranks in [1, 2, 4] {
        passes("large", ranks);
    }
}

#[test]
fn sums_are_the_same_bits_on_every_rank_and_in_every_run() {
    for ranks in 2..=4 {
        let line = || {
            let text = passes("digest", ranks)?;
            // Another rank may have begun its line.
            let (_, digest) = text.split_once("digest ")?;
            Some(digest[..16].to_owned())
        };
        let (one, other) = (line(), line());
        assert_eq!(one, other, "{ranks} ranks");
        let is_digest = |text: &String| u64::from_str_radix(text, 16).is_ok();
        assert!(one.is_none_or(|one| is_digest(&one)));
    }
}

#[test]
fn a_collective_goes_on_while_the_program_does_something_else() {
    passes("overlap", 2);
}
