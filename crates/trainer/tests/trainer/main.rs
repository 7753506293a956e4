//! `trainer` from the outside, library and command: one binary, one module per subject.

mod command_line;
mod configs;
mod fetch;
mod gradients;
mod mistaken_folders;
mod mistakes;
mod optimizer;
mod real_data;
mod report;
mod reproducible;
mod resume;
mod run;
mod support;
mod tensorboard;
mod tiny_model;
