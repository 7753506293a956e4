use crate::Error;

/// A started collective; it owns its buffer until [`wait`](Self::wait) returns it.
///
/// A collective that is dropped without `wait` still completes, because the other ranks take part in it. Its result is lost.
#[must_use = "`wait` returns the buffer"]
pub struct Pending<B>(Box<dyn FnOnce() -> Result<B, Error> + Send>);

impl<B> Pending<B> {
    /// For implementations of [`Collectives`](crate::Collectives): `wait` blocks until the result is there.
    pub fn new(wait: impl FnOnce() -> Result<B, Error> + Send + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// A collective that has completed or failed already.
    pub fn ready(result: Result<B, Error>) -> Self
    where
        B: Send + 'static,
    {
        Self::new(|| result)
    }

    /// Waits for the end of the collective and returns its buffer.
    ///
    /// # Errors
    /// If a rank is lost, has finished, calls another collective or does not join this one in time. After an error the
    /// group cannot be used any more.
    pub fn wait(self) -> Result<B, Error> {
        (self.0)()
    }
}

impl<B> std::fmt::Debug for Pending<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}
