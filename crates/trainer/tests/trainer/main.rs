//! `trainer` from the outside, library and command: one binary, one module per subject.

mod bad_files;
mod command_line;
mod configs;
mod fetch;
mod gradients;
mod memory;
mod mistaken_folders;
mod mistakes;
mod optimizer;
mod real_data;
mod reproducible;
mod run;
mod support;
mod tensorboard;
mod tiny_model;
