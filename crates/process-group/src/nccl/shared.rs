use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::ffi::{Communicator, Event, set_device};
use crate::{Collective, Error};

/// State that the group shares with its watchdog.
pub(super) struct Shared {
    rank: usize,
    pub(super) device: usize,
    /// [`Timeouts::collective`](crate::Timeouts::collective).
    timeout: Duration,
    /// `None` before it is connected and after it was aborted.
    communicator: Mutex<Option<Communicator>>,
    /// Why the communicator was aborted.
    failed: OnceLock<Error>,
    /// The collective that was enqueued last.
    last: Mutex<Option<Enqueued>>,
}

/// A collective on its stream.
#[derive(Clone)]
pub(super) struct Enqueued {
    pub(super) collective: Collective,
    pub(super) since: Instant,
    /// Follows it on the stream.
    pub(super) end: Arc<Event>,
}

impl Shared {
    pub(super) fn new(rank: usize, device: usize, timeout: Duration) -> Self {
        Self {
            rank,
            device,
            timeout,
            communicator: Mutex::new(None),
            failed: OnceLock::new(),
            last: Mutex::new(None),
        }
    }

    pub(super) fn open(&self, communicator: Communicator) {
        *lock(&self.communicator) = Some(communicator);
    }

    /// Calls `body` with the communicator, or returns the error for which it was aborted.
    pub(super) fn with<T>(
        &self,
        body: impl FnOnce(&Communicator) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let closed = || Error::Closed { here: self.rank };
        let failed = || self.failed.get().cloned().unwrap_or_else(closed);
        lock(&self.communicator)
            .as_ref()
            .map_or_else(|| Err(failed()), body)
    }

    pub(super) fn last(&self) -> Option<Enqueued> {
        lock(&self.last).clone()
    }

    pub(super) fn set_last(&self, enqueued: Enqueued) {
        *lock(&self.last) = Some(enqueued);
    }

    /// The error for which the communicator was aborted, or one that NCCL reports. Returns at once.
    pub(super) fn health(&self) -> Result<(), Error> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        match self.communicator.try_lock() {
            Ok(communicator) => communicator.as_ref().map_or(Ok(()), Communicator::health),
            // Another thread is inside NCCL and gets its errors.
            Err(_) => Ok(()),
        }
    }

    /// Fails if a collective has not ended within the timeout.
    pub(super) fn check_timeout(&self, enqueued: &Enqueued) -> Result<(), Error> {
        if enqueued.since.elapsed() < self.timeout {
            return Ok(());
        }
        set_device(self.device)?;
        if enqueued.end.is_past()? {
            return Ok(());
        }
        Err(Error::CollectiveStalled {
            operation: enqueued.collective.to_string(),
            seconds: self.timeout.as_secs(),
            here: self.rank,
        })
    }

    /// Ends kernels that wait for other ranks, unless another thread is inside NCCL.
    pub(super) fn abort(&self, why: &Error) {
        // Before the kernels end: a thread that sees their end checks for the error afterwards.
        let _ = self.failed.set(why.clone());
        let communicator = match self.communicator.try_lock() {
            Ok(mut communicator) => communicator.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(communicator);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
