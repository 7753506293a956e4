//! Helpers that the tests of several crates and the workspace's chores share. No crate that is published depends on it.

mod files;
mod http;
mod python;
mod random;
mod safetensors;
mod tiny_model;

pub use files::{copy_folder, files_below, shared_data, temp_dir, workspace_path};
pub use http::{HttpServer, Reply, Request, Step};
pub use python::run_python;
pub use random::Random;
pub use safetensors::safetensors_file;
pub use tempfile::TempDir;
pub use tiny_model::TinyModel;
