//! Files of known size and SHA-256, downloaded whole or not at all.

mod download;
mod manifest;
mod part;
mod request;

pub use download::{FetchEvent, FetchOptions, fetch_file};
pub use manifest::{DatasetFile, Manifest};
