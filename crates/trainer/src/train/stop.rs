use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wish to stop, which can be made from another thread or a signal's handler. A run then
/// finishes its step, writes a checkpoint and returns.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    wished: Arc<AtomicBool>,
}

impl StopFlag {
    /// Asks the run to stop.
    pub fn stop(&self) {
        self.wished.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.wished.load(Ordering::Relaxed)
    }

    /// The flag itself, for libraries that set one in a signal's handler.
    pub fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wished)
    }
}
