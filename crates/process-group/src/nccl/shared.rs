use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::ffi::{Communicator, Event, set_device};
use crate::{Collective, Error};

/// What the group and its watchdog look at.
pub(super) struct Shared {
    rank: usize,
    pub(super) device: usize,
    patience: Duration,
    /// None before it is there and after it was aborted.
    communicator: Mutex<Option<Communicator>>,
    /// Why it was.
    failed: OnceLock<Error>,
    /// What was put on a stream last.
    last: Mutex<Option<Started>>,
}

/// A collective on its stream.
#[derive(Clone)]
pub(super) struct Started {
    pub(super) collective: Collective,
    pub(super) since: Instant,
    pub(super) end: Arc<Event>,
}

impl Shared {
    pub(super) fn new(rank: usize, device: usize, patience: Duration) -> Self {
        Self {
            rank,
            device,
            patience,
            communicator: Mutex::new(None),
            failed: OnceLock::new(),
            last: Mutex::new(None),
        }
    }

    pub(super) fn open(&self, communicator: Communicator) {
        *lock(&self.communicator) = Some(communicator);
    }

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

    pub(super) fn last(&self) -> Option<Started> {
        lock(&self.last).clone()
    }

    pub(super) fn set_last(&self, started: Started) {
        *lock(&self.last) = Some(started);
    }

    /// What went wrong so far, seen without waiting.
    pub(super) fn health(&self) -> Result<(), Error> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        match self.communicator.try_lock() {
            Ok(communicator) => communicator.as_ref().map_or(Ok(()), Communicator::health),
            // Another thread is inside of NCCL, and gets its errors.
            Err(_) => Ok(()),
        }
    }

    /// Fails where a collective that has not ended began too long ago.
    pub(super) fn check_time(&self, started: &Started) -> Result<(), Error> {
        if started.since.elapsed() < self.patience {
            return Ok(());
        }
        set_device(self.device)?;
        match started.end.is_past()? {
            true => Ok(()),
            false => Err(Error::Stuck {
                operation: started.collective.to_string(),
                seconds: self.patience.as_secs(),
                here: self.rank,
            }),
        }
    }

    /// Ends kernels that wait for other ranks, unless another thread is inside of NCCL.
    pub(super) fn abort(&self, why: &Error) {
        // Before the kernels end: whoever sees their end looks here.
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
