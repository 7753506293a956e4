//! `bert-qa` from the outside: one binary, one module per subject.
//!
//! What transformers computes with the tiny model in `tests/fixtures` stands beside it, written by
//! `tools/reference/make_bert_fixture.py`, which says how to renew it.

mod answering;
mod bad_models;
mod common;
mod dropout;
mod gradients;
mod loading;
mod model_card;
mod packed;
mod parity;
mod saving;
