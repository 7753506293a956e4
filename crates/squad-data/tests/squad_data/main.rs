//! `squad-data` from the outside: one binary, one module per subject.

mod answers;
mod bad_input;
mod common;
mod golden;
mod offsets;
mod plain_search;
mod properties;
mod real_data;
