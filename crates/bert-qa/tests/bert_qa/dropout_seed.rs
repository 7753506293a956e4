//! Dropout is a function of its seed and place, and absent where it should be.

use bert_qa::{DropoutSeed, Pretrained};

use crate::common::{batch, copy_of, cpu, edit, largest_difference, logits, tiny};
use crate::parity::Expected;

const SEED: DropoutSeed = DropoutSeed {
    seed: 1,
    rank: 0,
    step: 2,
    micro_batch: 0,
};
const HIDDEN: &str = "\"hidden_dropout_prob\": 0.1";
const ATTENTION: &str = "\"attention_probs_dropout_prob\": 0.1";
/// Dropping a tenth of the tiny model's numbers moves some logit by more than this; rounding moves none by 1e-5.
const DROPPED: f32 = 1e-2;

#[test]
fn a_seed_drops_and_the_same_seed_drops_the_same() {
    let (model, batch) = (tiny().model, batch(&Expected::read().windows()));
    let without = logits(&model, &batch, None);
    let with = logits(&model, &batch, Some(SEED));
    let difference = largest_difference(&without, &with);
    assert!(difference > DROPPED, "{difference}");
    assert_eq!(with, logits(&model, &batch, Some(SEED)));
    assert_eq!(without, logits(&model, &batch, None));
}

#[test]
fn every_part_of_the_seed_gives_other_masks() {
    let (model, batch) = (tiny().model, batch(&Expected::read().windows()));
    let first = logits(&model, &batch, Some(SEED));
    for other in [
        DropoutSeed { seed: 2, ..SEED },
        DropoutSeed { rank: 1, ..SEED },
        DropoutSeed { step: 3, ..SEED },
        DropoutSeed {
            micro_batch: 1,
            ..SEED
        },
    ] {
        let difference = largest_difference(&first, &logits(&model, &batch, Some(other)));
        assert!(difference > DROPPED, "{other:?}: {difference}");
    }
}

#[test]
fn both_probabilities_of_the_configuration_count() {
    let batch = batch(&Expected::read().windows());
    let zero = |probability: &str| probability.replace("0.1", "0.0");
    for (zeroed, drops) in [
        (&[HIDDEN, ATTENTION][..], false),
        (&[HIDDEN], true),
        (&[ATTENTION], true),
    ] {
        let folder = copy_of("tiny-bert");
        for probability in zeroed {
            edit(
                &folder.path().join("config.json"),
                probability,
                &zero(probability),
            );
        }
        let model = Pretrained::load(folder.path(), 0, &cpu()).unwrap().model;
        let (without, with) = (
            logits(&model, &batch, None),
            logits(&model, &batch, Some(SEED)),
        );
        let difference = largest_difference(&without, &with);
        match drops {
            true => assert!(difference > DROPPED, "{zeroed:?}: {difference}"),
            false => assert_eq!(without, with),
        }
    }
}
