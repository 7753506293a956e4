//! Helpers that the tests of several crates share. A dev-dependency only.

mod files;
mod http;
mod random;

pub use files::{copy_folder, files_below, shared_data, temp_dir, workspace_path};
pub use http::{HttpServer, Reply, Request, Step};
pub use random::Random;
pub use tempfile::TempDir;
