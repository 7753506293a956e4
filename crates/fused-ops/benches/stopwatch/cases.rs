use burn::tensor::{Device, Tensor, TensorData};
use fused_ops::{
    Activation, AdamW, CuSeqlens, Dropout, DropoutKey, adamw_step, attention_qkv_packed,
    dropout_add_layer_norm, linear, reference, span_loss,
};

/// Eight windows as long as SQuAD's, 1400 tokens; `tools/reference/time_ops.py` has the same.
const LENGTHS: [usize; 8] = [97, 118, 136, 152, 168, 187, 224, 318];
const HEADS: usize = 12;
const DROPOUT: f64 = 0.1;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Fused,
    Reference,
}

/// What every operation needs to know.
pub(crate) struct Request<'a> {
    pub(crate) device: Device,
    pub(crate) form: Form,
    /// `minilm` or `bert-base`.
    pub(crate) width: &'a str,
    /// Forward with dropout, and backward; else forward alone, as in answering.
    pub(crate) training: bool,
}

impl Request<'_> {
    /// What is to be timed, with its tensors made.
    pub(crate) fn case(self, operation: &str) -> Box<dyn FnMut()> {
        let (hidden, intermediate) = match self.width {
            "minilm" => (384, 1536),
            "bert-base" => (768, 3072),
            other => panic!("no width {other}"),
        };
        match operation {
            "linear_gelu" => self.linear_gelu(hidden, intermediate),
            "attention" => self.attention(hidden),
            "dropout_add_layer_norm" => self.norm(hidden),
            "adamw" => self.adamw(hidden, intermediate),
            "span_loss" => self.span_loss(),
            other => panic!("no operation {other}"),
        }
    }

    fn linear_gelu(self, hidden: usize, intermediate: usize) -> Box<dyn FnMut()> {
        let input = self.matrix(1, [tokens(), hidden]);
        let weight = self.matrix(2, [hidden, intermediate]);
        let bias = self.vector(3, intermediate);
        let op = pick(self.form, linear as fn(_, _, _, _) -> _, reference::linear);
        self.run(move || {
            op(
                input.clone(),
                weight.clone(),
                bias.clone(),
                Activation::Gelu,
            )
        })
    }

    /// Query, key and value side by side, as the encoder's one product gives them.
    fn attention(self, hidden: usize) -> Box<dyn FnMut()> {
        let qkv = self.matrix(1, [tokens(), 3 * hidden]);
        let (lengths, dropout) = (CuSeqlens::new(&LENGTHS), self.dropout());
        let op = pick(
            self.form,
            attention_qkv_packed as fn(_, &_, _, _) -> _,
            |qkv: Tensor<2>, lengths, heads, dropout| {
                let parts = qkv.chunk(3, 1);
                let [query, key, value] = parts.try_into().expect("three parts");
                reference::attention(query, key, value, lengths, heads, dropout)
            },
        );
        self.run(move || op(qkv.clone(), &lengths, HEADS, dropout))
    }

    fn norm(self, hidden: usize) -> Box<dyn FnMut()> {
        let [input, residual] = [1, 2].map(|seed| self.matrix(seed, [tokens(), hidden]));
        let [gamma, beta] = [3, 4].map(|seed| self.vector(seed, hidden));
        let dropout = self.dropout();
        let fused = dropout_add_layer_norm as fn(_, _, _, _, _, _) -> _;
        let op = pick(self.form, fused, reference::dropout_add_layer_norm);
        self.run(move || {
            op(
                input.clone(),
                residual.clone(),
                gamma.clone(),
                beta.clone(),
                1e-12,
                dropout,
            )
        })
    }

    fn span_loss(self) -> Box<dyn FnMut()> {
        let logits = self.matrix(1, [tokens(), 2]);
        let lengths = CuSeqlens::new(&LENGTHS);
        let starts = LENGTHS.map(|length| length / 2);
        let ends = starts.map(|start| start + 3);
        let shape = [1, 1];
        let fused = span_loss as fn(_, &_, &_, &_) -> Tensor<1>;
        let op = pick(self.form, fused, reference::span_loss);
        self.run(move || op(logits.clone(), &lengths, &starts, &ends).reshape(shape))
    }

    /// Has no passes; one step of one matrix.
    fn adamw(mut self, hidden: usize, intermediate: usize) -> Box<dyn FnMut()> {
        self.training = false;
        let shape = [hidden, intermediate];
        let gradient = self.matrix(2, shape);
        let zeros = || Tensor::zeros(shape, &self.device);
        let mut state = Some((self.matrix(1, shape), (zeros(), zeros())));
        let op = pick(
            self.form,
            adamw_step::<2> as fn(_, _, _, &_) -> _,
            reference::adamw_step::<2>,
        );
        let mut step = 0;
        Box::new(move || {
            step += 1;
            let (beta1, beta2) = (0.9, 0.999);
            let adamw = AdamW {
                learning_rate: 3e-5,
                beta1,
                beta2,
                eps: 1e-8,
                weight_decay: 0.01,
                step,
                gradient_scale: 1.0,
            };
            let (parameter, moments) = state.take().expect("put back below");
            state = Some(op(parameter, gradient.clone(), moments, &adamw));
        })
    }

    fn run(self, forward: impl Fn() -> Tensor<2> + 'static) -> Box<dyn FnMut()> {
        match self.training {
            true => Box::new(move || drop(forward().sum().backward())),
            false => Box::new(move || drop(forward())),
        }
    }

    fn dropout(&self) -> Option<Dropout> {
        let key = DropoutKey {
            seed: 0,
            rank: 0,
            micro_batch: 0,
            step: 0,
            site: 1,
        };
        self.training.then(|| Dropout::new(DROPOUT, key)).flatten()
    }

    fn matrix(&self, seed: u64, shape: [usize; 2]) -> Tensor<2> {
        self.tensor(seed, shape)
    }

    fn vector(&self, seed: u64, len: usize) -> Tensor<1> {
        self.tensor(seed, [len])
    }

    fn tensor<const D: usize>(&self, seed: u64, shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(numbers(seed, shape.iter().product()), shape);
        match self.training {
            true => Tensor::from_data(data, &self.device.clone().autodiff()).require_grad(),
            false => Tensor::from_data(data, &self.device),
        }
    }
}

fn tokens() -> usize {
    LENGTHS.iter().sum()
}

fn pick<T>(form: Form, fused: T, reference: T) -> T {
    match form {
        Form::Fused => fused,
        Form::Reference => reference,
    }
}

/// Numbers in -1..1 that look random and are the same every time.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
