//! Who receives training events: callbacks, JSON lines, TensorBoard, the progress bar.

pub(crate) mod jsonl;
pub(crate) mod observer;
pub(crate) mod output;
pub(crate) mod progress;
#[cfg(feature = "tensorboard")]
pub(crate) mod tensorboard;
