use burn::tensor::Tensor;
use fused_ops::{
    AttentionTerms, CuSeqlens, Dropout, RelativeBuckets, RelativeKind, RelativeTerm,
    RotaryEmbedding, attention_with_terms, reference,
};
use proptest::prelude::*;

use super::support::{Outcome, dropout, matrix, on_pools, outcome};

/// Sums of up to 512 products in `f32`, in another order than the reference's.
const TOLERANCE: f32 = 1e-5;

const T5: RelativeBuckets = RelativeBuckets::T5 {
    num_buckets: 32,
    max_distance: 128,
};
/// Distances from 9 on share rows.
const LOG: RelativeBuckets = RelativeBuckets::Log {
    position_buckets: 16,
    max_position: 64,
};
const LINEAR: RelativeBuckets = RelativeBuckets::Linear { max_position: 24 };
const BOTH: RelativeKind = RelativeKind::Disentangled {
    p2c: true,
    c2p: true,
};
const P2C: RelativeKind = RelativeKind::Disentangled {
    p2c: true,
    c2p: false,
};
const C2P: RelativeKind = RelativeKind::Disentangled {
    p2c: false,
    c2p: true,
};

/// Terms without a table's tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    theta: Option<f64>,
    window: Option<usize>,
    relative: Option<(RelativeKind, RelativeBuckets)>,
}

const ROTARY: Terms = Terms {
    theta: Some(10_000.0),
    window: None,
    relative: None,
};
const WINDOW: Terms = Terms {
    theta: None,
    window: Some(64),
    relative: None,
};

fn relative(kind: RelativeKind, buckets: RelativeBuckets) -> Terms {
    Terms {
        relative: Some((kind, buckets)),
        ..Terms::default()
    }
}

/// Each architecture's terms, and all of them together.
fn all_terms() -> Vec<Terms> {
    let both = Terms {
        window: Some(64),
        ..ROTARY
    };
    vec![
        Terms::default(),
        ROTARY,
        WINDOW,
        both,
        relative(RelativeKind::Bias, T5),
        relative(BOTH, LOG),
        relative(BOTH, LINEAR),
        relative(P2C, LOG),
        relative(C2P, LOG),
        Terms {
            relative: Some((BOTH, LOG)),
            window: Some(20),
            ..ROTARY
        },
        Terms {
            relative: Some((RelativeKind::Bias, T5)),
            window: Some(3),
            ..ROTARY
        },
    ]
}

type Op = fn(Tensor<2>, &CuSeqlens, usize, &AttentionTerms, Option<Dropout>) -> Tensor<2>;

fn run(
    op: Op,
    terms: Terms,
    lengths: &[usize],
    [heads, head_size]: [usize; 2],
    prob: f64,
    site: u16,
) -> Outcome {
    let cu_seqlens = CuSeqlens::new(lengths);
    let (tokens, width) = (cu_seqlens.tokens(), heads * head_size);
    let qkv = matrix(1, [tokens, 3 * width]);
    let mut inputs = vec![qkv.clone()];
    let relative = terms.relative.map(|(kind, buckets)| {
        let columns = match kind {
            RelativeKind::Bias => heads,
            RelativeKind::Disentangled { p2c, c2p } => {
                width * (usize::from(p2c) + usize::from(c2p))
            }
        };
        let table = matrix(2, [buckets.rows(), columns]);
        inputs.push(table.clone());
        RelativeTerm {
            table,
            kind,
            buckets,
        }
    });
    let terms = AttentionTerms {
        rotary: terms.theta.map(|theta| RotaryEmbedding { theta }),
        window: terms.window,
        relative,
    };
    // Larger numbers make the probabilities uneven.
    let output = op(qkv * 2.0, &cu_seqlens, heads, &terms, dropout(prob, site));
    outcome(&inputs, &[], output)
}

fn kernels_and_reference(
    terms: Terms,
    lengths: &[usize],
    heads: [usize; 2],
    prob: f64,
) -> [Outcome; 2] {
    [attention_with_terms as Op, reference::attention_with_terms]
        .map(|op| run(op, terms, lengths, heads, prob, 0))
}

#[test]
fn every_term_equals_the_reference() {
    for terms in all_terms() {
        println!("{terms:?}");
        let [ours, expected] =
            kernels_and_reference(terms, &[1, 300, 17, 1, 70, 129], [2, 32], 0.1);
        ours.assert_close(&expected, TOLERANCE);
    }
}

/// A feature that the window reaches over whole is one block, with more scores than the blocks of a longer one.
#[test]
fn a_feature_may_be_just_shorter_than_the_window() {
    for (window, lengths) in [(64, [65, 66]), (75, [76, 79]), (300, [301, 350])] {
        let terms = Terms {
            window: Some(window),
            ..Terms::default()
        };
        let [ours, expected] = kernels_and_reference(terms, &lengths, [2, 8], 0.1);
        ours.assert_close(&expected, TOLERANCE);
    }
}

/// Negative controls: each term, and each of its numbers, changes output and gradients.
#[test]
fn another_term_changes_output_and_gradients() {
    let lengths = [90, 30];
    let other_theta = Terms {
        theta: Some(160_000.0),
        ..ROTARY
    };
    let other_window = Terms {
        window: Some(63),
        ..WINDOW
    };
    let bias = |max_distance| {
        relative(
            RelativeKind::Bias,
            RelativeBuckets::T5 {
                num_buckets: 32,
                max_distance,
            },
        )
    };
    let log = |max_position| {
        relative(
            BOTH,
            RelativeBuckets::Log {
                position_buckets: 16,
                max_position,
            },
        )
    };
    for (ours, other) in [
        (ROTARY, Terms::default()),
        (ROTARY, other_theta),
        (WINDOW, Terms::default()),
        (WINDOW, other_window),
        (bias(128), bias(64)),
        (log(64), log(40)),
        (relative(P2C, LOG), relative(C2P, LOG)),
    ] {
        println!("{ours:?} and {other:?}");
        let ours = run(attention_with_terms, ours, &lengths, [2, 8], 0.0, 0);
        let other = run(attention_with_terms, other, &lengths, [2, 8], 0.0, 0);
        ours.assert_far(&other, 1e-3);
    }
}

#[test]
fn another_dropout_key_changes_output_and_gradients() {
    for terms in all_terms() {
        let ours = run(attention_with_terms, terms, &[20, 9], [2, 8], 0.1, 0);
        let other = run(
            reference::attention_with_terms,
            terms,
            &[20, 9],
            [2, 8],
            0.1,
            1,
        );
        ours.assert_far(&other, 1e-2);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for terms in all_terms() {
        let run = || {
            run(
                attention_with_terms,
                terms,
                &[40, 3, 150, 7, 70],
                [4, 16],
                0.1,
                0,
            )
        };
        let [one, three] = on_pools(run);
        assert!(one == three, "{terms:?}: some bit differs");
    }
}

#[test]
#[should_panic(expected = "the table of Bias")]
fn a_table_of_another_shape_panics() {
    let terms = AttentionTerms {
        relative: Some(RelativeTerm {
            table: matrix(1, [31, 2]),
            kind: RelativeKind::Bias,
            buckets: T5,
        }),
        ..AttentionTerms::default()
    };
    attention_with_terms(matrix(2, [3, 12]), &CuSeqlens::new(&[3]), 2, &terms, None);
}

#[test]
#[should_panic(expected = "heads of odd size")]
fn a_rotary_embedding_of_odd_heads_panics() {
    let terms = AttentionTerms {
        rotary: Some(RotaryEmbedding { theta: 1e4 }),
        ..AttentionTerms::default()
    };
    attention_with_terms(matrix(2, [3, 18]), &CuSeqlens::new(&[3]), 2, &terms, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]
    #[test]
    fn terms_equal_the_reference_for_any_lengths(
        lengths in prop::collection::vec(1usize..90, 1..6),
        heads in 1usize..4,
        half in 1usize..10,
        theta in prop::option::of(100.0..1e6),
        window in prop::option::of(0usize..80),
        kind in prop::option::of(prop::sample::select(vec![RelativeKind::Bias, BOTH, P2C, C2P])),
        buckets in prop::sample::select(vec![T5, LOG, LINEAR]),
        prob in prop::sample::select(vec![0.0, 0.1, 0.5]),
    ) {
        let terms = Terms { theta, window, relative: kind.map(|kind| (kind, buckets)) };
        let [ours, expected] = kernels_and_reference(terms, &lengths, [heads, 2 * half], prob);
        ours.assert_close(&expected, TOLERANCE);
    }
}
