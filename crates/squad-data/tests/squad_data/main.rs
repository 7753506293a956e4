//! `squad-data` from the outside: one binary, one module per subject.

mod answers;
mod audit;
mod bad_input;
mod burn_data;
mod cache;
mod cache_damage;
mod common;
mod golden;
mod lost;
mod offsets;
mod plain_search;
mod properties;
mod real_data;
mod sampler;
mod step;
