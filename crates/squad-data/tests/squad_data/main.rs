//! `squad-data` from the outside: one binary, one module per subject.

mod answers;
mod audit;
mod bad_input;
mod burn_data;
mod common;
mod forms;
mod fuzz;
#[cfg(feature = "parquet")]
mod fuzz_parquet;
mod golden;
mod lost;
mod offsets;
#[cfg(feature = "parquet")]
mod parquet_errors;
mod plain_search;
mod properties;
mod real_data;
mod rows;
mod sampler;
mod step;
#[cfg(feature = "parquet")]
mod tables;
mod texts;
