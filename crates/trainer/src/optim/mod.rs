//! AdamW over parameter groups, the learning rate's schedule, gradients.

pub(crate) mod adamw;
pub(crate) mod gradients;
pub(crate) mod lr_scheduler;
pub(crate) mod parameters;
pub(crate) mod state_file;
