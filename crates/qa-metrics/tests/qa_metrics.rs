//! The crate's tests, in one binary.

#[path = "qa_metrics/documentation.rs"]
#[path = "qa_metrics/fixture.rs"]
mod fixture;
#[path = "qa_metrics/official.rs"]
mod official;
#[path = "qa_metrics/properties.rs"]
mod properties;
#[path = "qa_metrics/real_cases.rs"]
mod real_cases;
#[path = "qa_metrics/scoring.rs"]
mod scoring;
#[path = "qa_metrics/span.rs"]
mod span;
#[cfg(feature = "tensor")]
#[path = "qa_metrics/tensor.rs"]
mod tensor;
