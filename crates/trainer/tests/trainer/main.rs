//! `trainer` from the outside, library and command: one binary, one module per subject.

// Shared with `bert-qa`'s tests, which use more of them.
#[allow(dead_code)]
#[path = "../../../bert-qa/tests/bert_qa/case.rs"]
mod case;
#[allow(dead_code)]
#[path = "../../../bert-qa/tests/bert_qa/tensors.rs"]
mod tensors;

mod architectures;
mod bad_files;
mod checkpoints;
mod command_line;
mod configs;
mod devices;
mod distributed;
mod durability;
mod evaluate;
mod faults;
mod feature_options;
mod fetch_dataset;
mod fetch_model;
mod gradients;
mod memory;
mod memory_of_forms;
mod mistaken_folders;
mod mistakes;
#[cfg(feature = "mpi")]
mod mpi;
mod not_finite;
#[cfg(feature = "libtorch")]
mod operations;
mod optimization;
mod optimizer;
mod output;
mod parity;
mod pointer_model;
mod postprocessing;
mod precision;
mod predict;
mod predict_dataset;
mod qa_config;
mod real_data;
mod report;
mod reproducible;
mod resume;
mod run;
mod scoring;
#[cfg(feature = "serve")]
mod serve;
mod support;
mod tensorboard;
