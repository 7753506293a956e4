//! `squad-data` from the outside: one binary, one module per subject.

mod answers;
mod bad_input;
mod common;
mod forms;
mod fuzz;
#[cfg(feature = "parquet")]
mod fuzz_parquet;
mod golden;
mod offsets;
#[cfg(feature = "parquet")]
mod parquet_errors;
mod plain_search;
mod properties;
mod real_data;
mod rows;
#[cfg(feature = "parquet")]
mod tables;
mod texts;
