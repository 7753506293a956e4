use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::shared::Shared;
use crate::error::print_error;
use crate::{Error, ProcessGroup};

/// A thread that aborts the communicator when a rank is lost or a collective does not end, and ends the process if the
/// program does not react, because it waits inside NCCL or CUDA.
pub(super) struct Watchdog {
    /// Dropping the sender ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

const POLL: Duration = Duration::from_millis(200);
/// How long the program has to print the error itself.
const GRACE: Duration = Duration::from_secs(10);

impl Watchdog {
    pub(super) fn new(host: Arc<dyn ProcessGroup>, shared: Weak<Shared>) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("nccl-watchdog".into())
            .spawn(move || {
                let error = loop {
                    match stopped.recv_timeout(POLL) {
                        Err(RecvTimeoutError::Timeout) => {}
                        _ => return,
                    }
                    if let Err(error) = host.health().and_then(|()| check(&shared)) {
                        break error;
                    }
                };
                // Ends kernels that wait for the lost rank, and so the calls in which the program waits for them.
                if let Some(shared) = shared.upgrade() {
                    shared.abort(&error);
                }
                if stopped.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                    print_error(host.rank(), &error.to_string());
                    host.abort(1);
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

fn check(shared: &Weak<Shared>) -> Result<(), Error> {
    let Some(shared) = shared.upgrade() else {
        return Ok(());
    };
    shared.health()?;
    match shared.last() {
        Some(last) => shared.check_timeout(&last),
        None => Ok(()),
    }
}

impl Drop for Watchdog {
    /// Waits for the thread, which must not be the last owner of the host group.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
