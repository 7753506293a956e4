//! `bert-qa` from the outside: one binary, one module per subject.
//!
//! What transformers computes with small models stands in `tests/fixtures`, written by scripts in `tools/reference`, which
//! say how to renew it.

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
mod packed;
mod parity;
mod real_weights;
mod saving;
mod tensors;
mod weight_files;
