//! [`FunctionBackend`] with autodiff: one node of the graph for any [`Function`].

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::extension::FunctionBackend;
use super::function::{Function, Kernels};

impl<B: Kernels, C: CheckpointStrategy> FunctionBackend for Autodiff<B, C> {
    fn apply1<F: Function<1>>(a: FloatTensor<Self>, function: F) -> FloatTensor<Self> {
        apply::<B, C, F, 1>([a], function)
    }

    fn apply2<F: Function<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        function: F,
    ) -> FloatTensor<Self> {
        apply::<B, C, F, 2>([a, b], function)
    }

    fn apply3<F: Function<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        function: F,
    ) -> FloatTensor<Self> {
        apply::<B, C, F, 3>([a, b, c], function)
    }

    fn apply4<F: Function<4>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        function: F,
    ) -> FloatTensor<Self> {
        apply::<B, C, F, 4>([a, b, c, d], function)
    }
}

fn apply<B: Kernels, C: CheckpointStrategy, F: Function<N>, const N: usize>(
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    function: F,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    let operation = Backward::<B, N>::prepare::<C>(Node(function.clone()), nodes).compute_bound();
    match operation.stateful() {
        OpsKind::UnTracked(prep) => prep.finish(B::forward(&function, inputs.each_ref(), false).0),
        OpsKind::Tracked(prep) => {
            let (output, saved) = B::forward(&function, inputs.each_ref(), true);
            prep.finish(saved, output)
        }
    }
}

/// The graph's node of a function.
#[derive(Debug)]
struct Node<F>(F);

impl<B: Kernels, F: Function<N>, const N: usize> Backward<B, N> for Node<F> {
    type State = Vec<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::backward(&self.0, &ops.state, grad);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}
