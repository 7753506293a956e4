use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// What the thread of MPI shows to the others of its process.
#[derive(Default)]
pub(super) struct Health {
    /// What ended the group.
    error: Mutex<Option<Error>>,
    /// Changes while the thread goes round, and stands still while it is inside a call of MPI.
    rounds: AtomicU64,
}

impl Health {
    pub(super) fn get(&self) -> Result<(), Error> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone().map_or(Ok(()), Err)
    }

    /// The first error stays.
    pub(super) fn fail(&self, error: Error) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    pub(super) fn go_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}
