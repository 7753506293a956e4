//! Many processes with buffers in host memory, through MPI.

mod chunking;
mod control;
mod descriptor;
mod ffi;
mod progress;
mod task;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::progress::{Health, Topology, serve};
use self::task::{Command, Reply, Task};
use crate::error::print_error;
use crate::{Collective, Collectives, Error, Pending, ProcessGroup, Timeouts};

/// All processes that `mpirun` or `srun` started, or a single process without them.
///
/// Collectives are MPI's nonblocking ones (`MPI_Iallreduce`). A thread of the group drives them, so they go on while the
/// program computes. The same thread sends heartbeats and detects lost ranks; see [`Timeouts`].
///
/// Dropping the group waits until all ranks have dropped theirs. If a rank is lost meanwhile, the error is printed and all
/// ranks end. A program that fails calls [`abort`](ProcessGroup::abort) instead of dropping the group.
pub struct MpiGroup {
    topology: Arc<Topology>,
    timeouts: Timeouts,
    health: Arc<Health>,
    /// Dropping the sender ends the thread.
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl MpiGroup {
    /// Initialises MPI, which is possible once in a process.
    ///
    /// # Errors
    /// If MPI was initialised before, or not all ranks start within [`Timeouts::startup`].
    pub fn connect(timeouts: Timeouts) -> Result<Self, Error> {
        let health = Arc::new(Health::default());
        let (commands, received) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let shared = Arc::clone(&health);
        let thread = thread::Builder::new()
            .name("mpi".into())
            .spawn(move || serve(timeouts, shared, &ready, &received))
            .map_err(|error| Error::Launch(format!("cannot start a thread for MPI: {error}")))?;
        let topology = match started.recv_timeout(timeouts.startup) {
            Ok(topology) => topology?,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = timeouts.startup.as_secs();
                return Err(Error::Startup { seconds });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Closed { here: 0 }),
        };
        Ok(Self {
            topology,
            timeouts,
            health,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Sends a task to the thread; the task sends its result to the given reply.
    fn run<B: Send + 'static>(&self, task: impl FnOnce(Reply<B>) -> Task) -> Pending<B> {
        let (reply, result) = mpsc::channel();
        let here = self.topology.rank;
        let sent = self
            .commands
            .as_ref()
            .map(|commands| commands.send(Command::Run(task(reply))));
        if !matches!(sent, Some(Ok(()))) {
            return Pending::ready(Err(Error::Closed { here }));
        }
        let (health, heartbeat) = (Arc::clone(&self.health), self.timeouts.heartbeat);
        Pending::new(move || wait(&result, &health, heartbeat, here))
    }
}

/// Waits for the result. It arrives in time, or as an error, unless a call of MPI does not return: that is an error after
/// `timeout`.
fn wait<B>(
    result: &Receiver<Result<B, Error>>,
    health: &Health,
    timeout: Duration,
    here: usize,
) -> Result<B, Error> {
    const POLL: Duration = Duration::from_secs(1);
    let mut stall = Stall::new(health);
    loop {
        match result.recv_timeout(POLL) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(health.get().err().unwrap_or(Error::Closed { here }));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let stalled = stall.after(POLL);
        if stalled >= timeout {
            let error = Error::Blocked {
                seconds: stalled.as_secs(),
                here,
            };
            health.fail(error.clone());
            return Err(error);
        }
    }
}

/// How long the progress thread has not returned from a call of MPI. Counts polls instead of reading a clock, so that
/// time in which this process is stopped does not count.
struct Stall<'a> {
    health: &'a Health,
    rounds: u64,
    time: Duration,
}

impl<'a> Stall<'a> {
    fn new(health: &'a Health) -> Self {
        Self {
            health,
            rounds: health.rounds(),
            time: Duration::ZERO,
        }
    }

    /// The length of the stall, after another poll.
    fn after(&mut self, poll: Duration) -> Duration {
        let rounds = self.health.rounds();
        if rounds == self.rounds {
            self.time += poll;
        } else {
            (self.rounds, self.time) = (rounds, Duration::ZERO);
        }
        self.time
    }
}

impl Drop for MpiGroup {
    fn drop(&mut self) {
        const POLL: Duration = Duration::from_millis(1);
        let commands = self.commands.take();
        if thread::panicking() {
            // The process exits without MPI_Finalize, upon which the launcher ends the other ranks.
            std::mem::forget(commands);
            return;
        }
        drop(commands);
        let Some(thread) = self.thread.take() else {
            return;
        };
        let mut stall = Stall::new(&self.health);
        while !thread.is_finished() {
            if matches!(self.health.get(), Err(Error::Blocked { .. })) {
                // The program knows that MPI does not return.
                return;
            }
            thread::sleep(POLL);
            let stalled = stall.after(POLL);
            if stalled >= self.timeouts.heartbeat {
                let (seconds, here) = (stalled.as_secs(), self.topology.rank);
                print_error(here, &Error::Blocked { seconds, here }.to_string());
                std::process::abort();
            }
        }
    }
}

impl Collectives<Vec<f32>> for MpiGroup {
    fn start(&self, collective: Collective, buffer: Vec<f32>) -> Pending<Vec<f32>> {
        match collective.shard_len(buffer.len(), self.world_size()) {
            Ok(_) => self.run(|reply| Task::Numbers(collective, buffer, reply)),
            Err(error) => Pending::ready(Err(error)),
        }
    }
}

impl ProcessGroup for MpiGroup {
    fn rank(&self) -> usize {
        self.topology.rank
    }

    fn world_size(&self) -> usize {
        self.topology.hosts.len()
    }

    fn local_rank(&self) -> usize {
        self.topology.local_rank
    }

    fn barrier(&self) -> Result<(), Error> {
        self.run(Task::Barrier).wait()
    }

    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        // They travel in one message.
        ffi::int(mine.len().saturating_mul(self.world_size()))?;
        self.run(|reply| Task::Bytes(mine, reply)).wait()
    }

    fn health(&self) -> Result<(), Error> {
        self.health.get()
    }

    fn abort(&self, exit_code: i32) -> ! {
        /// How long MPI has to end this process.
        const GRACE: Duration = Duration::from_secs(5);
        if let Some(commands) = &self.commands {
            let _ = commands.send(Command::Abort(exit_code));
            thread::sleep(GRACE);
        }
        // Without destructors, which might wait for MPI.
        std::process::abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_mpi_that_does_not_return_is_an_error() {
        let (_reply, result) = mpsc::channel::<Result<(), Error>>();
        let health = Health::default();
        let error = wait(&result, &health, Duration::from_secs(2), 3).unwrap_err();
        assert_eq!(
            error,
            Error::Blocked {
                seconds: 2,
                here: 3
            }
        );
        assert_eq!(health.get(), Err(error));
    }
}
