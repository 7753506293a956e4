//! `trainer` from the outside, library and command: one binary, one module per subject.

// Shared with `bert-qa`'s tests, which use more of them.
#[allow(dead_code)]
#[path = "../../../bert-qa/tests/bert_qa/case.rs"]
mod case;
#[allow(dead_code)]
#[path = "../../../bert-qa/tests/bert_qa/tensors.rs"]
mod tensors;

mod command_line;
mod configs;
mod fetch;
mod gradients;
mod mistaken_folders;
mod mistakes;
mod optimizer;
mod parity;
mod real_data;
mod reproducible;
mod run;
mod support;
mod tensorboard;
mod tiny_model;
