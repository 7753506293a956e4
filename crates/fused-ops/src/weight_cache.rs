use std::any::Any;
#[cfg(kernels)]
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::precision::Precision;

/// Weights of linear layers in the order and type in which the kernels of a [`Precision`] read them, kept from one pass to
/// the next; as the cache of PyTorch's `torch.autocast`.
///
/// For inference: a cached weight stays in memory, also after an optimizer step has put another in its place. Clones share
/// their weights.
#[derive(Clone, Default)]
pub struct WeightCache(Arc<Mutex<Weights>>);

type Weights = HashMap<Key, Entry>;

/// The address of a weight's elements, their number and the precision.
type Key = (usize, usize, Precision);

struct Entry {
    /// The weight itself: while something else holds its memory, no tensor is written there, in place or anew.
    _weight: Box<dyn Any + Send>,
    packed: Arc<dyn Any + Send + Sync>,
}

thread_local! {
    static CURRENT: RefCell<Option<WeightCache>> = const { RefCell::new(None) };
}

impl WeightCache {
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
        // The copy of a strided view.
        let Cow::Borrowed(elements) = elements else {
            return Arc::new(pack());
        };
        let key = (elements.as_ptr().addr(), elements.len(), precision);
        let mut weights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = weights.entry(key).or_insert_with(|| Entry {
            _weight: Box::new(weight.clone()),
            packed: Arc::new(pack()),
        });
        let packed = entry.packed.clone().downcast();
        packed.expect("a precision has one type of packed weights")
    }
}

impl fmt::Debug for WeightCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "WeightCache({} weights)", weights.len())
    }
}
