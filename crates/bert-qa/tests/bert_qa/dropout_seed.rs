//! Dropout masks are a function of the seed.

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
/// Dropout of 0.1 changes some logit of the tiny model by more than this; rounding changes none by 1e-5.
const DROPPED: f32 = 1e-2;

#[test]
fn equal_seeds_give_equal_masks() {
    let (model, batch) = (tiny().model, batch(&Expected::read().windows()));
    let without = logits(&model, &batch, None);
    let with = logits(&model, &batch, Some(SEED));
    let difference = largest_difference(&without, &with);
    assert!(difference > DROPPED, "{difference}");
    assert_eq!(with, logits(&model, &batch, Some(SEED)));
    assert_eq!(without, logits(&model, &batch, None));
}

#[test]
fn every_field_of_the_seed_changes_the_masks() {
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
fn both_probabilities_of_the_configuration_are_used() {
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
        if drops {
            assert!(difference > DROPPED, "{zeroed:?}: {difference}");
        } else {
            assert_eq!(without, with);
        }
    }
}
