use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::shared::Shared;
use crate::{Error, ProcessGroup};

/// Ends the process where a rank is lost, or a collective has no end, and the program cannot notice, because
/// it waits inside of NCCL or CUDA. It lives until it is dropped.
pub(super) struct Watchdog {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

const LOOK: Duration = Duration::from_millis(200);
/// How long the program has to notice by itself, and to say so.
const GRACE: Duration = Duration::from_secs(10);

impl Watchdog {
    pub(super) fn new(host: Arc<dyn ProcessGroup>, shared: Weak<Shared>) -> std::io::Result<Self> {
        let (alive, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("nccl-watchdog".into())
            .spawn(move || {
                let error = loop {
                    match ended.recv_timeout(LOOK) {
                        Err(RecvTimeoutError::Timeout) => (),
                        _ => return,
                    }
                    if let Err(error) = host.health().and_then(|()| look(&shared)) {
                        break error;
                    }
                };
                // Kernels that wait for the lost rank end, and with them what the program waits for.
                if let Some(shared) = shared.upgrade() {
                    shared.abort(&error);
                }
                if ended.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                    let line = format!("error on rank {}: {error}\n", host.rank());
                    let _ = std::io::stderr().write_all(line.as_bytes());
                    host.abort(1);
                }
            })?;
        Ok(Self {
            alive: Some(alive),
            thread: Some(thread),
        })
    }
}

fn look(shared: &Weak<Shared>) -> Result<(), Error> {
    let Some(shared) = shared.upgrade() else {
        return Ok(());
    };
    shared.health()?;
    match shared.last() {
        Some(last) => shared.check_time(&last),
        None => Ok(()),
    }
}

impl Drop for Watchdog {
    /// Its thread has the group of processes, which must not be dropped there.
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
