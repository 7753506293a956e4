//! The tests of `squad-data`, in one binary.

mod answers;
mod batching;
mod brute_force;
mod common;
mod data_loader;
mod features;
mod fields;
mod forms;
mod fuzz;
mod golden;
mod json_errors;
mod kinds;
mod lost;
mod parquet_errors;
mod parquet_writer;
mod pipeline;
mod predicted;
mod real_data;
mod round_trip;
mod sentencepiece;
mod step;
mod tokenizer;
