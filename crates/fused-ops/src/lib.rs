//! The few operations where a BERT-family encoder spends its time, as functions of Burn tensors.
//!
//! Every operation works on a *packed batch*: the features of a batch lie one after the other in one sequence of `tokens`,
//! without padding, and hidden states are `[tokens, hidden_size]`. Only [`attention`] and [`span_loss`] depend on where
//! features begin and end, which [`CuSeqlens`] holds.
//!
//! Each operation has a [`mod@reference`] form made of Burn primitives, which runs on any backend and which the kernels are
//! tested against. With the features `ndarray`, `flex` and `tch`, tensors on those backends of Burn take kernels,
//! forward and backward.
//!
//! A dropout mask is a function of a [`DropoutKey`] and an element's position, without hidden state: see [`Dropout`].
//!
//! Modules from the bottom up: plain types and what several operations need (`cu_seqlens`, `philox`, `precision`, `upload`,
//! `weight_cache`), what kernels share (`kernels`), the tie to Burn (`backend`), then a folder for each operation.
#![deny(missing_docs)]
#![allow(deprecated)] // Burn marks NdArray and LibTorch as superseded.

mod cu_seqlens;
mod philox;
mod precision;
mod upload;
mod weight_cache;

#[cfg(kernels)]
mod kernels;

#[cfg(kernels)]
mod backend;

mod adamw;
mod attention;
mod concat;
mod dropout;
mod embedding;
mod geglu;
mod linear;
mod norm;
mod span_loss;
mod sum_of_squares;

#[cfg(all(test, kernels))]
mod tests;

pub use adamw::{AdamW, AdamWTensors, GradientScale, adamw_step, adamw_step_group};
pub use attention::{
    AttentionTerms, RelativeBuckets, RelativeKind, RelativeTerm, RotaryEmbedding, attention,
    attention_probabilities, attention_qkv_packed, attention_with_terms,
};
#[cfg(feature = "tch")]
pub use backend::libtorch::run_operations_of_gpu;
pub use concat::concat_columns;
pub use cu_seqlens::CuSeqlens;
pub use dropout::dropout;
pub use embedding::embedding;
pub use geglu::geglu;
pub use linear::{Activation, activate, linear, linear_side_by_side};
pub use norm::dropout_add_layer_norm;
pub use philox::{Dropout, DropoutKey};
pub use precision::{Precision, autocast, has_bf16_tensors};
pub use span_loss::{pad_span_logits, span_loss};
pub use sum_of_squares::{sum_of_squares, total_sum_of_squares};
pub use upload::{runs_asynchronously, upload_ints};
pub use weight_cache::WeightCache;

/// The operations from Burn primitives, for tests and benchmarks that compare.
pub mod reference {
    pub use crate::adamw::reference as adamw_step;
    pub use crate::attention::{
        reference as attention, reference_with_terms as attention_with_terms,
    };
    pub use crate::concat::reference as concat_columns;
    pub use crate::dropout::reference as dropout;
    pub use crate::embedding::reference as embedding;
    pub use crate::geglu::reference as geglu;
    pub use crate::linear::reference as linear;
    pub use crate::norm::reference as dropout_add_layer_norm;
    pub use crate::span_loss::reference as span_loss;
    pub use crate::sum_of_squares::reference as sum_of_squares;
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
