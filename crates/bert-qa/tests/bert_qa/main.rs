//! `bert-qa` from the outside: one binary, one module per subject.
//!
//! What transformers computes with the tiny model in `tests/fixtures` stands beside it, written by
//! `tools/reference/make_bert_fixture.py`, which says how to renew it.

mod answering;
mod bad_models;
mod bad_weights;
mod common;
mod dropout;
mod gradients;
mod hub;
mod hub_accidents;
mod hub_server;
mod loading;
mod packed;
mod parity;
mod saving;
mod weight_files;
