//! The notebooks' cells, for the compiler. Made by `cargo xtask notebooks sync`.
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
    n01_data::cells()?;
    n02_tokens_and_offsets::cells()?;
    n03_model::cells()?;
    n04_fine_tuning::cells()?;
    n05_evaluation::cells()?;
    n06_inference::cells()?;
    n07_faster_and_larger::cells()?;
    Ok(())
}
