//! Batches, the sampler, shards and packing.

use proptest::prelude::*;
use squad_data::{
    BatchSampler, BatchSize, FeatureOptions, PackedBatch, SamplerState, Shard, Shuffle, batches,
    batches_by_tokens,
};

use crate::common;
use crate::features;

fn lengths(max: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(3..385usize, 0..max)
}

fn batch_size() -> impl Strategy<Value = BatchSize> {
    prop_oneof![
        (1..20usize).prop_map(BatchSize::Features),
        (1..3000usize).prop_map(BatchSize::Tokens)
    ]
}

/// All batches of epochs 1 to `epochs`.
fn run(sampler: &mut BatchSampler, epochs: u64) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for epoch in 1..=epochs {
        sampler.start_epoch(epoch);
        all.extend(sampler.by_ref());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_by_tokens_keep_the_budget(lengths in prop::collection::vec(1..400usize, 0..200), budget in 0..2000usize) {
        let batches = batches_by_tokens(&lengths, budget);
        for batch in &batches {
            let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
            prop_assert!(tokens <= budget || batch.len() == 1);
        }
        let order = batches.concat();
        prop_assert!(order.is_sorted_by_key(|&index| (std::cmp::Reverse(lengths[index]), index)));
        let mut all = order;
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..lengths.len()));
    }

    #[test]
    fn unpack_undoes_packing(examples in prop::collection::vec(features::examples(), 1..6), seed in any::<u64>()) {
        let features = common::features(&examples, &FeatureOptions::default());
        for indices in batches(features.len(), 3, Some(Shuffle { seed, epoch: 0 })).unwrap() {
            let batch = PackedBatch::new(&features, &indices);
            prop_assert_eq!(batch.len(), indices.len());
            prop_assert_eq!(batch.lengths.iter().sum::<usize>(), batch.num_tokens());
            let ids = batch.unpack(&batch.input_ids);
            let types = batch.unpack(&batch.token_type_ids);
            let positions = batch.unpack(&batch.position_ids);
            for (number, ((ids, types), positions)) in ids.zip(types).zip(positions).enumerate() {
                let feature = &features[batch.feature_indices[number]];
                prop_assert_eq!(ids, &feature.input_ids);
                prop_assert!(feature.token_type_ids().eq(types.iter().copied()));
                prop_assert!(positions.iter().copied().eq(0..feature.len() as u32));
                prop_assert_eq!(batch.start_positions[number], feature.start_position);
                prop_assert_eq!(batch.end_positions[number], feature.end_position);
            }
        }
    }

    #[test]
    fn a_restored_sampler_continues_the_run(
        lengths in lengths(120), batch_size in batch_size(), seed in any::<u64>(), at in any::<prop::sample::Index>(),
    ) {
        let new = || BatchSampler::new(lengths.clone(), batch_size, seed).unwrap();
        let whole = run(&mut new(), 3);
        let stop = at.index(whole.len() + 1);

        // The first sampler stops after `stop` batches, in any of the three epochs.
        let mut first = new();
        let mut seen = Vec::new();
        let mut saved = None;
        for epoch in 1..=3 {
            first.start_epoch(epoch);
            while saved.is_none() {
                if seen.len() == stop {
                    saved = Some(serde_json::to_string(&first.state()).unwrap());
                } else if let Some(batch) = first.next() {
                    seen.push(batch);
                } else {
                    break;
                }
            }
        }
        let state: SamplerState = serde_json::from_str(&saved.unwrap()).unwrap();
        let mut second = new();
        second.restore(&state).unwrap();
        prop_assert_eq!(second.state(), state);
        let mut epoch = second.epoch();
        loop {
            prop_assert_eq!(second.len(), second.clone().count());
            seen.extend(second.by_ref());
            epoch += 1;
            if epoch > 3 {
                break;
            }
            second.start_epoch(epoch);
        }
        prop_assert_eq!(seen, whole);
    }

    #[test]
    fn an_epoch_has_every_feature_once(
        lengths in lengths(200), batch_size in batch_size(), seed in any::<u64>(), epoch in any::<u64>(),
    ) {
        let mut sampler = BatchSampler::new(lengths.clone(), batch_size, seed).unwrap();
        let announced = sampler.num_batches(epoch);
        sampler.start_epoch(epoch);
        let all: Vec<_> = sampler.by_ref().collect();
        prop_assert_eq!((all.len(), sampler.num_batches(epoch)), (announced, announced));
        let tokens = |batch: &[usize]| batch.iter().map(|&index| lengths[index]).sum::<usize>();
        match batch_size {
            BatchSize::Features(size) => {
                let shuffle = Some(Shuffle { seed, epoch });
                prop_assert_eq!(&all, &batches(lengths.len(), size, shuffle).unwrap());
            }
            BatchSize::Tokens(budget) => {
                prop_assert!(all.iter().all(|batch| tokens(batch) <= budget || batch.len() == 1));
                // A batch is as large as possible: the next feature would exceed the budget.
                prop_assert!(all.windows(2).all(|pair| tokens(&pair[0]) + lengths[pair[1][0]] > budget));
                let one_by_one = batches(lengths.len(), 1, Some(Shuffle { seed, epoch })).unwrap();
                prop_assert_eq!(all.concat(), one_by_one.concat());
            }
        }
        let mut features = all.concat();
        features.sort_unstable();
        prop_assert!(features.into_iter().eq(0..lengths.len()));
    }

    #[test]
    fn the_ranks_parts_are_the_batch(batch in prop::collection::vec(any::<usize>(), 0..40), world_size in 1..12usize) {
        let parts: Vec<&[usize]> =
            (0..world_size).map(|rank| Shard::new(rank, world_size).unwrap().of_batch(&batch)).collect();
        prop_assert_eq!(&parts.concat(), &batch);
        let sizes = || parts.iter().map(|part| part.len());
        prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
    }

    #[test]
    fn each_feature_of_a_set_goes_to_one_rank(lengths in lengths(200), world_size in 1..12usize) {
        let shard = |rank| Shard::new(rank, world_size).unwrap().of_features(&lengths);
        let parts: Vec<Vec<usize>> = (0..world_size).map(shard).collect();
        prop_assert!(parts.iter().all(|part| part.is_sorted()));
        let mut all = parts.concat();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..lengths.len()), "each feature once");
        let tokens = || parts.iter().map(|part| part.iter().map(|&index| lengths[index]).sum::<usize>());
        let longest = lengths.iter().copied().max().unwrap_or(0);
        prop_assert!(tokens().max().unwrap() - tokens().min().unwrap() <= longest);
    }
}

#[test]
fn the_state_of_another_sampler_is_rejected() {
    let sampler =
        |count, length, size, seed| BatchSampler::new(vec![length; count], size, seed).unwrap();
    let size = BatchSize::Features(4);
    let mut state = sampler(10, 5, size, 0).state();
    for (mut other, part) in [
        (sampler(10, 5, size, 1), "seed: saved 0, here 1"),
        (
            sampler(11, 5, size, 0),
            "number of features: saved 10, here 11; number of tokens: saved 50, here 55",
        ),
        (
            sampler(10, 6, size, 0),
            "number of tokens: saved 50, here 60",
        ),
        (
            sampler(10, 5, BatchSize::Features(5), 0),
            "batch size: saved Features(4), here Features(5)",
        ),
        (
            sampler(10, 5, BatchSize::Tokens(4), 0),
            "batch size: saved Features(4), here Tokens(4)",
        ),
    ] {
        other.next();
        let before = other.state();
        let message = other.restore(&state).unwrap_err().to_string();
        assert!(message.ends_with(part), "{message}");
        assert_eq!(other.state(), before, "a rejected state changes nothing");
    }
    let mut same = sampler(10, 5, size, 0);
    state.next_batch = 3;
    same.restore(&state).unwrap();
    assert_eq!(same.next(), None);
    state.next_batch = 4;
    let message = same.restore(&state).unwrap_err().to_string();
    assert!(message.contains("4 batches of epoch 0"), "{message}");
    assert!(serde_json::from_str::<SamplerState>("{\"seed\": 0}").is_err());
}

#[test]
fn impossible_sizes_and_ranks_are_rejected() {
    for size in [BatchSize::Features(0), BatchSize::Tokens(0)] {
        let message = BatchSampler::new(vec![1], size, 0).unwrap_err().to_string();
        assert!(message.starts_with("batch_size = 0: "), "{message}");
    }
    for (rank, world_size) in [(0, 0), (4, 4), (usize::MAX, 2)] {
        let message = Shard::new(rank, world_size).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("rank = {rank}: ")),
            "{message}"
        );
    }
    let shard = Shard::new(1, 3).unwrap();
    assert_eq!((shard.rank(), shard.world_size()), (1, 3));
    assert!(shard.of_features(&[9]).is_empty() && shard.of_batch(&[0; 0]).is_empty());
}
