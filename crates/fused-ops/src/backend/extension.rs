//! The Burn backend extension, whose implementation for `Dispatch` the macro generates. A backend with kernels stands in
//! both lists.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::function::{Function, Kernels, Update};

/// Applies a [`Function`] of one to four tensors.
#[backend_extension(NdArray: cfg(feature = "ndarray"), Flex: cfg(feature = "flex"), LibTorch: cfg(feature = "tch"), Autodiff)]
pub(crate) trait FunctionBackend: Backend {
    fn apply1<F: Function<1>>(a: FloatTensor<Self>, function: F) -> FloatTensor<Self>;

    fn apply2<F: Function<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        function: F,
    ) -> FloatTensor<Self>;

    fn apply3<F: Function<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        function: F,
    ) -> FloatTensor<Self>;

    fn apply4<F: Function<4>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        function: F,
    ) -> FloatTensor<Self>;
}

/// Applies an [`Update`] to tensors without autodiff.
#[backend_extension(NdArray: cfg(feature = "ndarray"), Flex: cfg(feature = "flex"), LibTorch: cfg(feature = "tch"))]
pub(crate) trait UpdateBackend: Backend {
    fn update<U: Update>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        update: U,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl<B: Kernels> FunctionBackend for B {
    fn apply1<F: Function<1>>(a: FloatTensor<B>, function: F) -> FloatTensor<B> {
        B::forward(&function, [&a], false).0
    }

    fn apply2<F: Function<2>>(a: FloatTensor<B>, b: FloatTensor<B>, function: F) -> FloatTensor<B> {
        B::forward(&function, [&a, &b], false).0
    }

    fn apply3<F: Function<3>>(
        a: FloatTensor<B>,
        b: FloatTensor<B>,
        c: FloatTensor<B>,
        function: F,
    ) -> FloatTensor<B> {
        B::forward(&function, [&a, &b, &c], false).0
    }

    fn apply4<F: Function<4>>(
        a: FloatTensor<B>,
        b: FloatTensor<B>,
        c: FloatTensor<B>,
        d: FloatTensor<B>,
        function: F,
    ) -> FloatTensor<B> {
        B::forward(&function, [&a, &b, &c, &d], false).0
    }
}

impl<B: Kernels> UpdateBackend for B {
    fn update<U: Update>(
        a: FloatTensor<B>,
        b: FloatTensor<B>,
        c: FloatTensor<B>,
        grad: FloatTensor<B>,
        update: U,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        <B as Kernels>::update(&update, [a, b, c], grad).into()
    }
}
