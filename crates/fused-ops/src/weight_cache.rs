use std::any::Any;
#[cfg(kernels)]
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Tensor};

use crate::precision::Precision;

/// Weights of linear layers in the order and type in which the kernels of a [`Precision`] read them, kept from one pass to
/// the next; as the cache of PyTorch's `torch.autocast`.
///
/// A cached weight stays in memory, also after an optimizer step has put another in its place: training takes a new cache for
/// each step. Clones share their weights.
#[derive(Clone, Default)]
pub struct WeightCache(Arc<Mutex<Weights>>);

type Weights = HashMap<Key, Entry>;

/// The address of a weight's elements, their number and the precision.
type Key = (usize, usize, Precision);

struct Entry {
    /// The weights themselves: while the entry holds their memory, nothing writes to it and no other tensor gets its address.
    _weights: Box<dyn Any + Send>,
    packed: Arc<dyn Any + Send + Sync>,
}

thread_local! {
    static CURRENT: RefCell<Option<WeightCache>> = const { RefCell::new(None) };
}

impl WeightCache {
    /// A cache for the passes of one training step, on a device where it saves casting a weight for each micro-batch: on
    /// libtorch. `bf16` are the `f32` weights that the passes take in `bf16`, `[elements]` each, without autodiff.
    pub fn for_step(device: &Device, bf16: Vec<Tensor<1>>) -> Option<Self> {
        if !crate::precision::has_bf16_tensors(device) {
            return None;
        }
        let cache = Self::default();
        #[cfg(feature = "tch")]
        {
            let weights = bf16
                .into_iter()
                .map(crate::backend::libtorch::float_primitive);
            crate::backend::libtorch::cache_in_bf16(&cache, weights.collect());
        }
        #[cfg(not(feature = "tch"))]
        let _ = bf16;
        Some(cache)
    }

    /// Runs `work` with this cache. Holds on this thread alone.
    pub fn scope<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Restores the cache also when `work` panics.
        struct Restore(Option<WeightCache>);

        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }

        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// That of [`WeightCache::scope`] on this thread.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// What `pack` made of this weight, now or before.
    #[cfg(kernels)]
    #[expect(clippy::ptr_arg, reason = "a copy has no address to be found again by")]
    pub(crate) fn get<T: Any + Send + Sync>(
        &self,
        weight: &(impl Any + Send + Clone),
        elements: &Cow<'_, [f32]>,
        precision: Precision,
        pack: impl FnOnce() -> T,
    ) -> Arc<T> {
        // A strided view was copied.
        let Cow::Borrowed(elements) = elements else {
            return Arc::new(pack());
        };
        let key = (elements.as_ptr().addr(), elements.len(), precision);
        self.entry(key, || weight.clone(), pack)
    }

    /// What `pack` made for this key, now or before. `hold` returns the weights at its address, which stay in memory.
    #[cfg(kernels)]
    pub(crate) fn entry<W: Any + Send, T: Any + Send + Sync>(
        &self,
        key: Key,
        hold: impl FnOnce() -> W,
        pack: impl FnOnce() -> T,
    ) -> Arc<T> {
        let found = self.lock().get(&key).map(|entry| entry.packed.clone());
        // Without the lock: rayon's threads may begin other work that needs it.
        let packed = found.unwrap_or_else(|| {
            let packed: Arc<dyn Any + Send + Sync> = Arc::new(pack());
            let entry = Entry {
                _weights: Box::new(hold()),
                packed: packed.clone(),
            };
            self.lock().insert(key, entry);
            packed
        });
        let packed = packed.downcast();
        packed.expect("a precision has one type of packed weights")
    }

    fn lock(&self) -> MutexGuard<'_, Weights> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WeightCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeightCache({} weights)", self.lock().len())
    }
}
