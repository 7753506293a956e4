//! The ranks of another group with buffers in device memory, through NCCL.

mod buffer;
mod ffi;
mod shared;
#[cfg(feature = "tch")]
mod tensor;
mod watchdog;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use self::buffer::{DeviceBuffer, DeviceType};
use self::ffi::{Communicator, Event, UniqueId, set_device};
use self::shared::{Shared, Started};
use self::watchdog::Watchdog;
use crate::{Collective, Collectives, Error, Limits, Pending, ProcessGroup};

/// Collectives in place on the memory of one GPU per rank.
///
/// They are put on the stream of their buffer, or for tensors (feature `tch`) on libtorch's current one: work
/// that is put there later has the result without any waiting of the host. [`Pending::wait`] and
/// [`settle`](Self::settle) are for the host.
///
/// A rank that is lost is found by the group of processes below; then waiting kernels are aborted, waiting
/// calls fail, and a program that hangs inside of CUDA is ended. Unlike that group, NCCL does not compare
/// what ranks call: different lengths end at [`Limits::patience`].
///
/// Dropped, it aborts what is still on its way and waits for nobody. [`settle`](Self::settle) before, or a
/// collective of another rank may be cut off.
///
/// Tested as far as a machine without a GPU allows: it is built and linked, and where there is no device
/// it is an error.
pub struct NcclGroup {
    shared: Arc<Shared>,
    host: Arc<dyn ProcessGroup>,
    _watchdog: Watchdog,
}

impl NcclGroup {
    /// Joins the ranks of `host`, each with its own `device`, which becomes that of every thread that starts
    /// a collective. All call it at the same time.
    ///
    /// # Errors
    /// If NCCL or CUDA fails on any rank, or a rank is lost.
    pub fn connect(
        host: Arc<dyn ProcessGroup>,
        device: usize,
        limits: Limits,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(host.rank(), device, limits.patience));
        let watchdog = Watchdog::new(Arc::clone(&host), Arc::downgrade(&shared))
            .map_err(|error| Error::Launch(format!("cannot start a thread: {error}")))?;
        let ready = set_device(device).and_then(|()| match host.rank() {
            0 => UniqueId::new().map(UniqueId::bytes),
            _ => Ok(Vec::new()),
        });
        // NCCL would wait for a rank that has no device.
        let without = host.all_gather_bytes(vec![u8::from(ready.is_err())])?;
        let without: Vec<_> = (0..without.len())
            .filter(|rank| without[*rank] != [0])
            .collect();
        let mine = ready?;
        if !without.is_empty() {
            let ranks = crate::group::names(&without, "has", "have");
            return Err(Error::Launch(format!("{ranks} no GPU that NCCL can use")));
        }
        let ids = host.all_gather_bytes(mine)?;
        let id = ids.first().and_then(|id| UniqueId::from_bytes(id));
        let id = id.ok_or_else(|| Error::Launch("rank 0 has no name for NCCL".into()))?;
        shared.open(Communicator::new(id, host.rank(), host.world_size())?);
        Ok(Self {
            shared,
            host,
            _watchdog: watchdog,
        })
    }

    /// The group of processes below: ranks, and collectives of the host.
    #[must_use]
    pub fn host(&self) -> &Arc<dyn ProcessGroup> {
        &self.host
    }

    /// Waits until all collectives that were put on streams so far have ended, on every rank. All call it at
    /// the same time.
    ///
    /// # Errors
    /// As [`Pending::wait`]; also where a collective was cut off whose result nobody has waited for.
    pub fn settle(&self) -> Result<(), Error> {
        match self.shared.last() {
            Some(last) => wait(&last, &self.shared, &*self.host)?,
            None => self.host.health().and_then(|()| self.shared.health())?,
        }
        self.host.barrier()
    }

    /// Puts a collective on the buffer's stream. Gives the length of each rank's part, or of the whole where
    /// there are none.
    fn enqueue(
        &self,
        collective: Collective,
        buffer: &DeviceBuffer,
    ) -> Result<(usize, Started), Error> {
        let part = collective.part_len(buffer.len, self.host.world_size())?;
        self.host.health().and_then(|()| self.shared.health())?;
        set_device(self.shared.device)?;
        self.shared.with(|communicator| {
            communicator.enqueue(collective, self.host.rank(), part, buffer)
        })?;
        let started = Started {
            collective,
            since: Instant::now(),
            end: Arc::new(Event::after(buffer)?),
        };
        self.shared.set_last(started.clone());
        Ok((part, started))
    }
}

impl Collectives<DeviceBuffer> for NcclGroup {
    fn start(&self, collective: Collective, buffer: DeviceBuffer) -> Pending<DeviceBuffer> {
        let (shared, host) = (Arc::clone(&self.shared), Arc::clone(&self.host));
        match self.enqueue(collective, &buffer) {
            Err(error) => Pending::ready(Err(error)),
            Ok((part, started)) => Pending::new(move || {
                wait(&started, &shared, &*host)?;
                Ok(match collective {
                    Collective::ReduceScatter => buffer.part(host.rank(), part),
                    _ => buffer,
                })
            }),
        }
    }
}

/// How often a waiting thread looks.
const LOOK: Duration = Duration::from_micros(50);

/// Waits for the end of a collective.
fn wait(started: &Started, shared: &Shared, host: &dyn ProcessGroup) -> Result<(), Error> {
    loop {
        let is_past = started.end.is_past();
        // Looked at afterwards: an aborted collective comes to an end too.
        let health = host.health().and_then(|()| shared.health());
        let late = || shared.check_time(started);
        match health.and(is_past).and_then(|past| late().map(|()| past)) {
            Ok(true) => return Ok(()),
            Ok(false) => thread::sleep(LOOK),
            Err(error) => {
                shared.abort(&error);
                return Err(error);
            }
        }
    }
}
