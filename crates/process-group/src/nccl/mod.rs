//! The ranks of another group with buffers in device memory, through NCCL.

mod buffer;
mod ffi;
mod watchdog;

use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

pub use self::buffer::{DeviceBuffer, DeviceType};
use self::ffi::{Communicator, Event, UniqueId, set_device};
use self::watchdog::Watchdog;
use crate::{Collective, Collectives, Error, Limits, Pending, ProcessGroup};

/// Collectives in place on the memory of one GPU per rank.
///
/// They are put on the stream of their buffer: work that is put there later has the result without
/// [`Pending::wait`], which is for the host, and for the deadline. A rank that is lost is found by the
/// group of processes below; then waiting kernels are aborted, waiting calls fail, and a program that
/// hangs inside of CUDA is ended. Unlike that group, NCCL does not compare what ranks call: different
/// lengths end at [`Limits::patience`].
///
/// Tested as far as a machine without a GPU allows: it is built and linked, and where there is no device
/// it is an error.
pub struct NcclGroup {
    shared: Arc<Shared>,
    host: Arc<dyn ProcessGroup>,
    limits: Limits,
    _watchdog: Watchdog,
}

struct Shared {
    /// None after it was aborted.
    communicator: Mutex<Option<Communicator>>,
}

impl NcclGroup {
    /// Joins the ranks of `host`, each with its own `device`, which becomes that of this thread. All call
    /// it at the same time.
    ///
    /// # Errors
    /// If NCCL or CUDA fails on any rank, or a rank is lost.
    pub fn connect(
        host: Arc<dyn ProcessGroup>,
        device: usize,
        limits: Limits,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            communicator: Mutex::new(None),
        });
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
        let communicator = Communicator::new(id, host.rank(), host.world_size())?;
        *shared.lock() = Some(communicator);
        Ok(Self {
            shared,
            host,
            limits,
            _watchdog: watchdog,
        })
    }

    /// The group of processes below: ranks, and collectives of the host.
    #[must_use]
    pub fn host(&self) -> &Arc<dyn ProcessGroup> {
        &self.host
    }

    fn enqueue(
        &self,
        collective: Collective,
        buffer: DeviceBuffer,
    ) -> Result<(DeviceBuffer, Event), Error> {
        let rank = self.host.rank();
        let part = collective.part_len(buffer.len, self.host.world_size())?;
        self.host.health()?;
        match &*self.shared.lock() {
            Some(communicator) => communicator.enqueue(collective, rank, part, &buffer)?,
            None => return Err(Error::Closed { here: rank }),
        }
        let event = Event::after(&buffer)?;
        Ok(match collective {
            Collective::ReduceScatter => (buffer.part(rank, part), event),
            _ => (buffer, event),
        })
    }
}

impl Collectives<DeviceBuffer> for NcclGroup {
    fn start(&self, collective: Collective, buffer: DeviceBuffer) -> Pending<DeviceBuffer> {
        let (shared, host) = (Arc::clone(&self.shared), Arc::clone(&self.host));
        let (started, patience) = (Instant::now(), self.limits.patience);
        match self.enqueue(collective, buffer) {
            Err(error) => Pending::ready(Err(error)),
            Ok((result, event)) => Pending::new(move || {
                while !event.is_past()? {
                    let stuck = || Error::Stuck {
                        operation: collective.to_string(),
                        seconds: patience.as_secs(),
                        here: host.rank(),
                    };
                    let late = (started.elapsed() >= patience).then(stuck);
                    let health = host.health().and_then(|()| shared.health());
                    if let Err(error) = late.map_or(health, Err) {
                        shared.try_abort();
                        return Err(error);
                    }
                    thread::sleep(LOOK);
                }
                // An aborted collective comes to an end too.
                host.health()
                    .and_then(|()| shared.health())
                    .map(|()| result)
            }),
        }
    }
}

/// How often a waiting thread looks.
const LOOK: Duration = Duration::from_micros(50);

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Communicator>> {
        self.communicator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> Result<(), Error> {
        self.lock().as_ref().map_or(Ok(()), Communicator::health)
    }

    /// Unless another thread is inside of NCCL with it.
    fn try_abort(&self) {
        let communicator = match self.communicator.try_lock() {
            Ok(mut communicator) => communicator.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(communicator) = communicator {
            communicator.abort();
        }
    }
}

impl Drop for NcclGroup {
    fn drop(&mut self) {
        // To destroy it is to wait for the others; a lost one would not come.
        if thread::panicking() || self.host.health().is_err() {
            self.shared.try_abort();
        }
    }
}
