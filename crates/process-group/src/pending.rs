use crate::Error;

/// A collective that was started and owns its buffer until it is awaited.
///
/// Dropped without [`wait`](Self::wait), it goes on, as the other ranks take part in it; its result
/// is lost.
#[must_use = "the buffer comes back from `wait`"]
pub struct Pending<B>(Box<dyn FnOnce() -> Result<B, Error> + Send>);

impl<B> Pending<B> {
    /// What `wait` is to do, for an implementation of [`Collectives`](crate::Collectives).
    pub fn new(wait: impl FnOnce() -> Result<B, Error> + Send + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// One that has come to its end already.
    pub fn ready(result: Result<B, Error>) -> Self
    where
        B: Send + 'static,
    {
        Self::new(|| result)
    }

    /// Waits for the end of the collective and gives the buffer back.
    ///
    /// # Errors
    /// If a rank is lost, calls something else, has finished or does not come; then the group is of
    /// no more use.
    pub fn wait(self) -> Result<B, Error> {
        (self.0)()
    }
}

impl<B> std::fmt::Debug for Pending<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}
