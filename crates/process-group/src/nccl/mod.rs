//! The ranks of another group with buffers in device memory, through NCCL.

mod buffer;
mod ffi;
mod shared;
#[cfg(feature = "tch")]
mod streams;
#[cfg(feature = "tch")]
mod tensor;
mod watchdog;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use self::buffer::{DeviceBuffer, DeviceType};
use self::ffi::{Communicator, Event, UniqueId, set_device};
use self::shared::{Enqueued, Shared};
#[cfg(feature = "tch")]
pub use self::tensor::EnqueuedTensor;
use self::watchdog::Watchdog;
use crate::error::join_ranks;
use crate::{Collective, Collectives, Error, Pending, ProcessGroup, Timeouts};

/// Collectives in place on the memory of one GPU per rank.
///
/// They run on the stream of their buffer: work that is enqueued there later sees the result without the host waiting. Those
/// of tensors (feature `tch`) run on a stream of the group's own, beside libtorch's, until `EnqueuedTensor::join`.
/// [`Pending::wait`] and [`synchronize`](Self::synchronize) make the host wait.
///
/// The host group detects lost ranks. Then waiting kernels are aborted, waiting calls fail, and a program that hangs
/// inside CUDA is ended. Unlike the host group, NCCL does not compare what ranks call: different lengths fail after
/// [`Timeouts::collective`].
///
/// Dropping the group aborts collectives that are in flight and does not wait. Call [`synchronize`](Self::synchronize)
/// before, or a collective of another rank may be cut off.
///
/// Collectives between several GPUs are untested.
pub struct NcclGroup {
    shared: Arc<Shared>,
    host: Arc<dyn ProcessGroup>,
    _watchdog: Watchdog,
    /// Of the collectives on tensors.
    #[cfg(feature = "tch")]
    stream: ffi::OwnStream,
}

impl NcclGroup {
    /// Connects the ranks of `host`, each with its own `device`. Every thread that starts a collective gets this device as
    /// its current one. All ranks must call it at the same time.
    ///
    /// # Errors
    /// If NCCL or CUDA fails on any rank, or a rank is lost.
    pub fn connect(
        host: Arc<dyn ProcessGroup>,
        device: usize,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(host.rank(), device, timeouts.collective));
        let watchdog = Watchdog::new(Arc::clone(&host), Arc::downgrade(&shared))
            .map_err(|error| Error::Launch(format!("cannot start a thread: {error}")))?;
        let id = set_device(device).and_then(|()| match host.rank() {
            0 => UniqueId::new().map(UniqueId::bytes),
            _ => Ok(Vec::new()),
        });
        // NCCL would wait for a rank that has no device.
        let has_failed = host.all_gather_bytes(vec![u8::from(id.is_err())])?;
        let failed: Vec<_> = (0..has_failed.len())
            .filter(|rank| has_failed[*rank] != [0])
            .collect();
        let id = id?;
        if !failed.is_empty() {
            let ranks = join_ranks(&failed, "has", "have");
            return Err(Error::Launch(format!("{ranks} no GPU that NCCL can use")));
        }
        let ids = host.all_gather_bytes(id)?;
        let id = ids.first().and_then(|id| UniqueId::from_bytes(id));
        let id = id.ok_or_else(|| Error::Launch("rank 0 sent no NCCL id".into()))?;
        shared.open(Communicator::new(id, host.rank(), host.world_size())?);
        Ok(Self {
            shared,
            host,
            _watchdog: watchdog,
            #[cfg(feature = "tch")]
            stream: ffi::OwnStream::new()?,
        })
    }

    /// The host group: ranks, and collectives in host memory.
    #[must_use]
    pub fn host(&self) -> &Arc<dyn ProcessGroup> {
        &self.host
    }

    /// Waits until all collectives that were enqueued so far have ended on every rank. All ranks must call it at the same
    /// time.
    ///
    /// # Errors
    /// Those of [`Pending::wait`], also of collectives that nobody has awaited.
    pub fn synchronize(&self) -> Result<(), Error> {
        match self.shared.last() {
            Some(last) => wait(&last, &self.shared, &*self.host)?,
            None => self.host.health().and_then(|()| self.shared.health())?,
        }
        self.host.barrier()
    }

    /// Enqueues a collective on the buffer's stream. Returns the length of each rank's shard too; see
    /// [`Collective::shard_len`].
    fn enqueue_buffer(
        &self,
        collective: Collective,
        buffer: &DeviceBuffer,
    ) -> Result<(usize, Enqueued), Error> {
        let shard_len = collective.shard_len(buffer.len, self.host.world_size())?;
        self.host.health().and_then(|()| self.shared.health())?;
        set_device(self.shared.device)?;
        self.shared.with(|communicator| {
            communicator.enqueue(collective, self.host.rank(), shard_len, buffer)
        })?;
        let enqueued = Enqueued {
            collective,
            since: Instant::now(),
            end: Arc::new(Event::after(buffer)?),
        };
        self.shared.set_last(enqueued.clone());
        Ok((shard_len, enqueued))
    }
}

impl Collectives<DeviceBuffer> for NcclGroup {
    fn start(&self, collective: Collective, buffer: DeviceBuffer) -> Pending<DeviceBuffer> {
        let (shared, host) = (Arc::clone(&self.shared), Arc::clone(&self.host));
        match self.enqueue_buffer(collective, &buffer) {
            Err(error) => Pending::ready(Err(error)),
            Ok((shard_len, enqueued)) => Pending::new(move || {
                wait(&enqueued, &shared, &*host)?;
                Ok(match collective {
                    Collective::ReduceScatter => buffer.shard(host.rank(), shard_len),
                    _ => buffer,
                })
            }),
        }
    }
}

/// Waits for the end of a collective.
fn wait(enqueued: &Enqueued, shared: &Shared, host: &dyn ProcessGroup) -> Result<(), Error> {
    const POLL: Duration = Duration::from_micros(50);
    loop {
        let is_past = enqueued.end.is_past();
        // Checked after the event, because an aborted collective ends too.
        let checks = host.health().and_then(|()| shared.health());
        let result = checks
            .and(is_past)
            .and_then(|past| shared.check_timeout(enqueued).map(|()| past));
        match result {
            Ok(true) => return Ok(()),
            Ok(false) => thread::sleep(POLL),
            Err(error) => {
                shared.abort(&error);
                return Err(error);
            }
        }
    }
}
