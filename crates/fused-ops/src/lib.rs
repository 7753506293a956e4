//! The few operations where a BERT-family encoder spends its time, as functions of Burn tensors.
//!
//! Every operation works on a *packed batch*: the windows of a batch lie one after the other in
//! one sequence of `tokens`, without padding, and hidden states are `[tokens, hidden_size]`. Only
//! [`attention`] and [`span_loss`] look at the boundaries, which [`CuSeqlens`] tells.
//!
//! Each operation has a reference form made of Burn primitives (the module of its name), which
//! runs on any backend and is what the specialised kernels are tested against. With the features
//! `ndarray` and `tch`, tensors on Burn's NdArray and LibTorch backends take specialised kernels,
//! forward and backward.
//!
//! Dropout is a function of a [`DropoutKey`] and an element's place, never of hidden state: see
//! [`Dropout`].
#![deny(missing_docs)]

mod adamw;
mod attention;
mod cu_seqlens;
mod dropout;
mod embedding;
mod linear;
mod norm;
mod reduce;
mod span_loss;

// What the specialised kernels share.
#[cfg(any(feature = "ndarray", feature = "tch"))]
mod extension;
#[cfg(any(feature = "ndarray", feature = "tch"))]
mod host;
#[cfg(any(feature = "ndarray", feature = "tch"))]
mod kernels;

#[cfg(feature = "tch")]
mod libtorch;
#[cfg(feature = "ndarray")]
mod ndarray;

pub use adamw::{AdamW, adamw_step};
pub use attention::{attention, attention_qkv_packed};
pub use cu_seqlens::CuSeqlens;
pub use dropout::{Dropout, DropoutKey, dropout};
pub use embedding::embedding;
pub use linear::{Activation, linear};
pub use norm::dropout_add_layer_norm;
pub use reduce::sum_of_squares;
pub use span_loss::{pad_span_logits, span_loss};

/// The reference forms, from Burn primitives only: for tests and benchmarks that compare.
pub mod reference {
    pub use crate::adamw::reference as adamw_step;
    pub use crate::attention::reference as attention;
    pub use crate::dropout::reference as dropout;
    pub use crate::embedding::reference as embedding;
    pub use crate::linear::reference as linear;
    pub use crate::norm::reference as dropout_add_layer_norm;
    pub use crate::reduce::reference as sum_of_squares;
    pub use crate::span_loss::reference as span_loss;
}
