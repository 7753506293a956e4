//! Loops compiled for the vector instructions of this processor, chosen at run time.

use pulp::{Arch, Simd, WithSimd};

/// Runs `work`, a closure marked `#[inline(always)]`, as if its code were compiled for this processor.
///
/// `Arch::dispatch` takes a closure by value through a shim that the compiler does not always inline; the code then uses
/// only the instructions that every processor has. A closure by reference needs no shim.
#[inline(always)]
pub(crate) fn vectorized<R>(arch: Arch, mut work: impl FnMut() -> R) -> R {
    arch.dispatch(Work(&mut work))
}

struct Work<'a, F>(&'a mut F);

impl<R, F: FnMut() -> R> WithSimd for Work<'_, F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)()
    }
}
