//! What a run leaves on disk, and the models it starts from.

pub(crate) mod checkpoint;
pub(crate) mod digest;
pub(crate) mod model_card;
pub(crate) mod model_folder;
pub(crate) mod predictions;
pub(crate) mod run_dir;
mod run_lock;
