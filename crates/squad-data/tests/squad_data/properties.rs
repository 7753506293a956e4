//! Properties of windows, labels and batches on generated texts.

use proptest::prelude::*;
use squad_data::{
    Example, FeatureOptions, GoldAnswer, PackedBatch, Shuffle, batches, batches_by_tokens,
    make_features,
};

use crate::common::small_tokenizer;

/// Texts of words, digits, punctuation and what is awkward about Unicode.
fn text(max_pieces: usize) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "bread",
        "the",
        "king",
        "s",
        "x",
        "1,250",
        "é",
        "e\u{301}",
        "ß",
        "漢",
        "한국",
        "🙂",
        "👩\u{200d}👩",
        "İ",
        "\u{fb01}",
        " ",
        " ",
        " ",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{200b}",
        "\u{feff}",
        "\0",
        ".",
        "(",
        "’",
        "[SEP]",
        "[CLS",
        "\u{1e9e}",
        "½",
    ]);
    prop::collection::vec(piece, 1..max_pieces).prop_map(|pieces| pieces.concat())
}

/// A question about a generated context, with an answer that is not only white space where `cut` finds one.
fn example() -> impl Strategy<Value = Example> {
    (
        text(12),
        text(120),
        any::<(prop::sample::Index, prop::sample::Index)>(),
    )
        .prop_map(|(question, context, (from, length))| {
            let chars: Vec<char> = context.chars().collect();
            let start = from.index(chars.len());
            let end = start + 1 + length.index((chars.len() - start).min(40));
            let text: String = chars[start..end].iter().collect();
            let answers = if text.trim().is_empty() {
                vec![]
            } else {
                vec![GoldAnswer { text, start }]
            };
            Example {
                is_impossible: answers.is_empty(),
                answers,
                ..Example::new("q", question, context)
            }
        })
}

fn options() -> impl Strategy<Value = FeatureOptions> {
    (100..160usize, 0..40usize).prop_map(|(max_seq_length, doc_stride)| FeatureOptions {
        max_seq_length,
        doc_stride,
        ..FeatureOptions::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_cover_the_context_and_overlap_as_asked(example in example(), options in options()) {
        let tokenizer = small_tokenizer();
        let all = tokenizer.encode(&example.context).unwrap();
        let features = make_features(std::slice::from_ref(&example), &tokenizer, &options).unwrap();
        let mut ids: Vec<u32> = Vec::new();
        let mut offsets = Vec::new();
        for (number, feature) in features.iter().enumerate() {
            prop_assert!(feature.len() <= options.max_seq_length);
            prop_assert_eq!(feature.input_ids[0], tokenizer.cls_id());
            prop_assert_eq!(feature.input_ids[feature.context.start - 1], tokenizer.sep_id());
            prop_assert_eq!(feature.input_ids[feature.len() - 1], tokenizer.sep_id());
            prop_assert_eq!(feature.context.end, feature.len() - 1);
            let shared = if number == 0 { 0 } else { options.doc_stride };
            prop_assert_eq!(&feature.offsets[..shared], &offsets[offsets.len() - shared..]);
            ids.extend(&feature.input_ids[feature.context.clone()][shared..]);
            offsets.extend(&feature.offsets[shared..]);
            if number + 1 < features.len() {
                prop_assert_eq!(feature.len(), options.max_seq_length);
            }
        }
        prop_assert_eq!(ids, all.ids);
        prop_assert_eq!(offsets, all.offsets);
    }

    #[test]
    fn labels_are_the_tokens_that_touch_the_answer(example in example(), options in options()) {
        let tokenizer = small_tokenizer();
        let features = make_features(std::slice::from_ref(&example), &tokenizer, &options).unwrap();
        let gold = example.answers.first().map(|answer| {
            let left = answer.text.chars().take_while(|c| c.is_whitespace()).count();
            answer.start + left..answer.start + left + answer.text.trim().chars().count()
        });
        let touches = |&(start, end): &(u32, u32)| {
            gold.as_ref().is_some_and(|gold| (start as usize) < gold.end && (end as usize) > gold.start)
        };
        let all = tokenizer.encode(&example.context).unwrap().offsets;
        let touching = all.iter().filter(|offset| touches(offset)).count();
        for feature in &features {
            let inside: Vec<usize> =
                feature.context.clone().filter(|&token| touches(&feature.offsets[token - feature.context.start])).collect();
            if touching > 0 && inside.len() == touching {
                prop_assert_eq!((feature.start_position, feature.end_position), (inside[0], inside[touching - 1]));
            } else {
                prop_assert_eq!((feature.start_position, feature.end_position), (0, 0));
            }
        }
    }

    #[test]
    fn packing_is_undone_by_cutting(examples in prop::collection::vec(example(), 1..6), seed in any::<u64>()) {
        let features = make_features(&examples, &small_tokenizer(), &FeatureOptions::default()).unwrap();
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
    fn batches_hold_every_window_once(count in 0..300usize, size in 1..40usize, seed in any::<u64>(), epoch in any::<u64>()) {
        let batches = batches(count, size, Some(Shuffle { seed, epoch })).unwrap();
        prop_assert!(batches.iter().rev().skip(1).all(|batch| batch.len() == size));
        let mut all = batches.concat();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..count));
    }

    #[test]
    fn token_budgets_hold(lengths in prop::collection::vec(1..400usize, 0..200), budget in 0..2000usize) {
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
}
