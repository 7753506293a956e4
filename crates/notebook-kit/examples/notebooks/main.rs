//! The notebooks' cells, for the compiler. Arguments name the notebooks to run, such as `03`; without any, all run.
//! Made by `cargo xtask notebooks sync`.
#![allow(warnings, clippy::all, clippy::print_stdout, missing_docs)]

#[rustfmt::skip]
mod n01_data;
#[rustfmt::skip]
mod n02_tokens_and_offsets;
#[rustfmt::skip]
mod n03_model;
#[rustfmt::skip]
mod n04_fine_tuning;
#[rustfmt::skip]
mod n05_evaluation;
#[rustfmt::skip]
mod n06_inference;
#[rustfmt::skip]
mod n07_faster_and_larger;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w));
    if runs("01-data") {
        n01_data::cells()?;
    }
    if runs("02-tokens-and-offsets") {
        n02_tokens_and_offsets::cells()?;
    }
    if runs("03-model") {
        n03_model::cells()?;
    }
    if runs("04-fine-tuning") {
        n04_fine_tuning::cells()?;
    }
    if runs("05-evaluation") {
        n05_evaluation::cells()?;
    }
    if runs("06-inference") {
        n06_inference::cells()?;
    }
    if runs("07-faster-and-larger") {
        n07_faster_and_larger::cells()?;
    }
    Ok(())
}
