//! The tests of `qa-metrics`, in one binary.

mod fixture;
mod metrics;
mod official;
mod properties;
mod real_cases;
mod scoring;
mod span;
#[cfg(feature = "tensor")]
mod tensor;
