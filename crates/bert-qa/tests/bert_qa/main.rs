//! Tests of `bert-qa`'s public interface: one binary, one module per subject.
//!
//! `tests/fixtures` holds transformers' results for small models. Scripts in `scripts/reference` write them.

#[macro_use]
mod backends;

mod answering;
mod architectures;
mod bad_models;
mod bad_weights;
mod case;
mod common;
mod dropout_seed;
mod dropout_sites;
mod forward;
mod gradients;
mod hub;
mod hub_server;
mod loading;
mod model_card;
mod other_tools;
mod packed;
mod parity;
mod real_weights;
mod saving;
mod tensors;
mod weight_files;
