//! Loops compiled for the vector instructions that the processor has, chosen at run time.

use pulp::{Arch, Simd, WithSimd};

/// Runs `work`, a closure with `#[inline(always)]`, as if its code were compiled for this processor.
///
/// `Arch::dispatch` takes a closure by value, which goes through a shim that the compiler does not
/// always inline; the code then stays what every processor has. By reference there is no shim.
#[inline(always)]
pub(crate) fn vectorised<R>(arch: Arch, mut work: impl FnMut() -> R) -> R {
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
