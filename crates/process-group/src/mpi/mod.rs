//! Many processes with buffers in host memory, through MPI.

mod clock;
mod control;
mod engine;
mod ffi;
mod health;
mod pieces;
mod place;
mod shape;
mod task;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mpi::Threading;

use self::engine::Engine;
use self::health::Health;
use self::place::Place;
use self::task::{Command, Reply, Task};
use crate::{Collective, Collectives, Error, Limits, Pending, ProcessGroup};

/// All processes that `mpirun` or `srun` started; the only one where neither did.
///
/// Collectives are MPI's own, started at once (`MPI_Iallreduce`) and driven by a thread of this group,
/// so they go on while the program computes. The same thread shows the other ranks that this one lives,
/// and finds those that do not; see [`Limits`].
///
/// Dropped, it waits until all ranks have dropped theirs. A program that fails calls
/// [`abort`](ProcessGroup::abort) instead.
pub struct MpiGroup {
    place: Arc<Place>,
    limits: Limits,
    health: Arc<Health>,
    /// Taken when the group is dropped, which ends the thread.
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// How long `abort` waits for MPI to end the process.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl MpiGroup {
    /// Initialises MPI, which can be done once in a process.
    ///
    /// # Errors
    /// If MPI was initialised before, or not all ranks arrive within [`Limits::startup`].
    pub fn connect(limits: Limits) -> Result<Self, Error> {
        let health = Arc::new(Health::default());
        let (commands, received) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let shown = Arc::clone(&health);
        let thread = thread::Builder::new()
            .name("mpi".into())
            .spawn(move || serve(limits, shown, &ready, &received))
            .map_err(|error| Error::Launch(format!("cannot start a thread for MPI: {error}")))?;
        let place = match started.recv_timeout(limits.startup) {
            Ok(place) => place?,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = limits.startup.as_secs();
                return Err(Error::Startup { seconds });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Closed { here: 0 }),
        };
        let (commands, thread) = (Some(commands), Some(thread));
        Ok(Self {
            place,
            limits,
            health,
            commands,
            thread,
        })
    }

    /// Asks for a task, which sends its result to the reply that it is given.
    fn ask<B: Send + 'static>(&self, task: impl FnOnce(Reply<B>) -> Task) -> Pending<B> {
        let (reply, result) = mpsc::channel();
        let here = self.place.rank;
        let sent = self
            .commands
            .as_ref()
            .map(|commands| commands.send(Command::Do(task(reply))));
        if !matches!(sent, Some(Ok(()))) {
            return Pending::ready(Err(Error::Closed { here }));
        }
        let (health, silence) = (Arc::clone(&self.health), self.limits.silence);
        Pending::new(move || wait(&result, &health, silence, here))
    }
}

/// The result, which comes in time unless MPI does not come back from a call.
fn wait<B>(
    result: &Receiver<Result<B, Error>>,
    health: &Health,
    silence: Duration,
    here: usize,
) -> Result<B, Error> {
    const LOOK: Duration = Duration::from_secs(1);
    let (mut rounds, mut still) = (health.rounds(), Duration::ZERO);
    loop {
        match result.recv_timeout(LOOK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(health.get().err().unwrap_or(Error::Closed { here }));
            }
            Err(RecvTimeoutError::Timeout) if health.rounds() != rounds => {
                (rounds, still) = (health.rounds(), Duration::ZERO);
            }
            Err(RecvTimeoutError::Timeout) => still += LOOK,
        }
        if still >= silence {
            let error = Error::Blocked {
                seconds: still.as_secs(),
                here,
            };
            health.fail(error.clone());
            return Err(error);
        }
    }
}

/// The life of the thread that alone calls MPI.
fn serve(
    limits: Limits,
    health: Arc<Health>,
    ready: &Sender<Result<Arc<Place>, Error>>,
    commands: &Receiver<Command>,
) {
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        let twice = "MPI was initialised before in this process";
        let _ = ready.send(Err(Error::Launch(twice.into())));
        return;
    };
    if threading < Threading::Funneled {
        let alone = "this MPI library cannot be used by a program with threads";
        let _ = ready.send(Err(Error::Launch(alone.into())));
        return std::mem::forget(universe);
    }
    let world = universe.world();
    let place = Arc::new(Place::find(&world));
    let peace = match Engine::new(world, Arc::clone(&place), limits, health) {
        Ok(mut engine) => {
            let _ = ready.send(Ok(place));
            let peace = engine.run(commands);
            if !peace {
                // It still has operations in flight and communicators that cannot be freed.
                std::mem::forget(engine);
            }
            peace
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            false
        }
    };
    if !peace {
        // Without the other ranks, MPI_Finalize would wait for ever.
        std::mem::forget(universe);
    }
}

impl Drop for MpiGroup {
    fn drop(&mut self) {
        let commands = self.commands.take();
        if thread::panicking() {
            // Such a rank goes without a word: the launcher sees it end without MPI_Finalize, and ends
            // the others.
            std::mem::forget(commands);
            return;
        }
        drop(commands);
        if let Some(thread) = self.thread.take() {
            // A thread inside a call of MPI that does not come back is left to itself.
            while !thread.is_finished() && !matches!(self.health.get(), Err(Error::Blocked { .. }))
            {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Collectives<Vec<f32>> for MpiGroup {
    fn start(&self, collective: Collective, buffer: Vec<f32>) -> Pending<Vec<f32>> {
        match collective.part_len(buffer.len(), self.world_size()) {
            Ok(_) => self.ask(|reply| Task::Numbers(collective, buffer, reply)),
            Err(error) => Pending::ready(Err(error)),
        }
    }
}

/// MPI's counts are of 32 bits; numbers go in pieces.
fn check_len(len: usize) -> Result<(), Error> {
    match i32::try_from(len) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::TooLong { len }),
    }
}

impl ProcessGroup for MpiGroup {
    fn rank(&self) -> usize {
        self.place.rank
    }

    fn world_size(&self) -> usize {
        self.place.hosts.len()
    }

    fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    fn barrier(&self) -> Result<(), Error> {
        self.ask(Task::Barrier).wait()
    }

    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        check_len(mine.len().saturating_mul(self.world_size()))?;
        self.ask(|reply| Task::Bytes(mine, reply)).wait()
    }

    fn health(&self) -> Result<(), Error> {
        self.health.get()
    }

    fn abort(&self, exit_code: i32) -> ! {
        if let Some(commands) = &self.commands {
            let _ = commands.send(Command::Abort(exit_code));
            thread::sleep(LAST_WORDS);
        }
        // MPI cannot end this process, so it ends without destructors that might wait for MPI.
        std::process::abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_no_message_can_have_is_an_error() {
        assert_eq!(check_len(0x7fff_ffff), Ok(()));
        let error = check_len(0x8000_0000).unwrap_err();
        assert!(error.to_string().starts_with("2147483648 bytes"), "{error}");
    }

    #[test]
    fn a_thread_inside_of_mpi_is_noticed() {
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
