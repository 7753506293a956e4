//! Exact match and F1 of token spans as tensor operations (feature `tensor`).

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorReadError};

/// One token span per feature.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use qa_metrics::TokenSpans;
///
/// let device = Device::default();
/// let spans = TokenSpans {
///     start: Tensor::<1, Int>::from_ints([3, 0], &device),
///     end: Tensor::<1, Int>::from_ints([5, 0], &device),
/// };
/// assert_eq!(spans.start.dims(), [2]);
/// ```
#[derive(Clone, Debug)]
pub struct TokenSpans {
    /// Position of the first token, `[features]`.
    pub start: Tensor<1, Int>,
    /// Position of the last token (inclusive), `[features]`.
    pub end: Tensor<1, Int>,
}

impl TokenSpans {
    /// Positions as `f32`, which is exact up to 2^24 and exists on every backend, without autodiff.
    fn into_float(self) -> (Tensor<1>, Tensor<1>) {
        let as_f32 = |positions: Tensor<1, Int>| positions.without_autodiff().cast(FloatDType::F32);
        (as_f32(self.start), as_f32(self.end))
    }
}

/// Sums over a batch of [`span_exact_match`](crate::span_exact_match) and [`span_f1`](crate::span_f1).
///
/// Returns `[2]`: exact matches, F1; `f32` on the device of the spans. Nothing is copied to the host. [`SpanMetrics`]
/// adds batches up and reads the sums once.
///
/// # Panics
///
/// If the four tensors differ in length or device.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use qa_metrics::{TokenSpans, span_sums};
///
/// let device = Device::default();
/// let spans = |start: [i32; 2], end: [i32; 2]| TokenSpans {
///     start: Tensor::<1, Int>::from_ints(start, &device),
///     end: Tensor::<1, Int>::from_ints(end, &device),
/// };
/// let sums = span_sums(spans([3, 3], [5, 6]), spans([3, 5], [5, 8]));
/// assert_eq!(sums.try_into_vec_as::<f32>()?, [1.0, 1.5]);
/// # Ok::<(), burn::tensor::TensorReadError>(())
/// ```
pub fn span_sums(prediction: TokenSpans, gold: TokenSpans) -> Tensor<1> {
    num_features(&prediction, &gold);
    let (start, end) = prediction.into_float();
    let (gold_start, gold_end) = gold.into_float();

    let overlap = num_tokens(
        start.clone().max_pair(gold_start.clone()),
        end.clone().min_pair(gold_end.clone()),
    );
    let is_same = start
        .clone()
        .equal(gold_start.clone())
        .bool_and(end.clone().equal(gold_end.clone()));
    let lengths = num_tokens(start, end) + num_tokens(gold_start, gold_end);

    let exact = is_same
        .bool_and(overlap.clone().greater_scalar(0.0))
        .cast(FloatDType::F32);
    let f1 = overlap.mul_scalar(2.0) / lengths.clamp_min(1.0);
    Tensor::cat(vec![exact.sum(), f1.sum()], 0)
}

/// Number of features of a batch. Checks all four lengths, because Burn would broadcast a single position.
fn num_features(prediction: &TokenSpans, gold: &TokenSpans) -> usize {
    let [num_features] = gold.start.dims();
    for positions in [&prediction.start, &prediction.end, &gold.end] {
        assert_eq!(
            positions.dims(),
            [num_features],
            "spans must be of one batch"
        );
    }
    num_features
}

fn num_tokens(start: Tensor<1>, end: Tensor<1>) -> Tensor<1> {
    (end - start).add_scalar(1.0).clamp_min(0.0)
}

/// Mean exact match and F1 of token spans over many batches. Sums stay on the device until they are read.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use qa_metrics::{SpanMetrics, TokenSpans};
///
/// let device = Device::default();
/// let spans = |start: [i32; 2], end: [i32; 2]| TokenSpans {
///     start: Tensor::<1, Int>::from_ints(start, &device),
///     end: Tensor::<1, Int>::from_ints(end, &device),
/// };
/// let mut metrics = SpanMetrics::new();
/// metrics.update(spans([3, 3], [5, 6]), spans([3, 5], [5, 8]));
/// metrics.update(spans([7, 1], [7, 2]), spans([7, 4], [7, 4]));
/// let scores = metrics.into_scores()?;
/// assert_eq!((scores.exact_match, scores.f1, scores.total), (0.5, 0.625, 4));
/// # Ok::<(), burn::tensor::TensorReadError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SpanMetrics {
    /// `[2]`: exact matches, F1; `None` before the first batch.
    sums: Option<Tensor<1>>,
    total: usize,
}

impl SpanMetrics {
    /// No batches yet.
    ///
    /// ```
    /// assert_eq!(qa_metrics::SpanMetrics::new().into_scores()?.total, 0);
    /// # Ok::<(), burn::tensor::TensorReadError>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues from the result of [`SpanMetrics::sums`] on the device of the next batches.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use qa_metrics::SpanMetrics;
    ///
    /// let metrics = SpanMetrics::from_sums([1.0, 1.5], 2, &Device::default());
    /// assert_eq!(metrics.into_scores()?.f1, 0.75);
    /// # Ok::<(), burn::tensor::TensorReadError>(())
    /// ```
    pub fn from_sums(sums: [f32; 2], total: usize, device: &Device) -> Self {
        Self {
            sums: (total > 0).then(|| Tensor::from_floats(sums, device)),
            total,
        }
    }

    /// Copies the sums to the host: exact matches, F1, and the number of features.
    ///
    /// # Errors
    ///
    /// As [`SpanMetrics::into_scores`].
    ///
    /// ```
    /// assert_eq!(qa_metrics::SpanMetrics::new().sums()?, ([0.0, 0.0], 0));
    /// # Ok::<(), burn::tensor::TensorReadError>(())
    /// ```
    pub fn sums(&self) -> Result<([f32; 2], usize), TensorReadError> {
        let sums = match self.sums.clone() {
            Some(sums) => sums.try_into_vec_as::<f32>()?,
            None => vec![0.0, 0.0],
        };
        Ok(([sums[0], sums[1]], self.total))
    }

    /// Adds a batch without waiting for the device. The batch may be empty.
    ///
    /// # Panics
    ///
    /// As [`span_sums`], and if the batches are on different devices.
    ///
    /// ```
    /// use burn::tensor::{Device, Int, Tensor};
    /// use qa_metrics::{SpanMetrics, TokenSpans};
    ///
    /// let position = Tensor::<1, Int>::from_ints([4], &Device::default());
    /// let spans = TokenSpans { start: position.clone(), end: position };
    /// let mut metrics = SpanMetrics::new();
    /// metrics.update(spans.clone(), spans);
    /// assert_eq!(metrics.into_scores()?.exact_match, 1.0);
    /// # Ok::<(), burn::tensor::TensorReadError>(())
    /// ```
    pub fn update(&mut self, prediction: TokenSpans, gold: TokenSpans) {
        let num_features = num_features(&prediction, &gold);
        if num_features == 0 {
            return;
        }
        let batch = span_sums(prediction, gold);
        self.sums = Some(match self.sums.take() {
            Some(sums) => sums + batch,
            None => batch,
        });
        self.total += num_features;
    }

    /// Waits for the device and divides the sums. Without batches all scores are 0.
    ///
    /// # Errors
    ///
    /// The backend fails to read the sums.
    ///
    /// ```
    /// let scores = qa_metrics::SpanMetrics::new().into_scores()?;
    /// assert_eq!((scores.exact_match, scores.f1), (0.0, 0.0));
    /// # Ok::<(), burn::tensor::TensorReadError>(())
    /// ```
    pub fn into_scores(self) -> Result<SpanScores, TensorReadError> {
        let (sums, total) = self.sums()?;
        let mean = |sum: f32| f64::from(sum) / total.max(1) as f64;
        Ok(SpanScores {
            exact_match: mean(sums[0]),
            f1: mean(sums[1]),
            total,
        })
    }
}

/// Means over features, between 0 and 1. Unlike the text scores they are neither percentages nor official.
///
/// ```
/// let scores = qa_metrics::SpanScores { exact_match: 0.25, f1: 0.5, total: 8 };
/// assert!(scores.exact_match <= scores.f1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanScores {
    /// Share of features whose predicted span is the gold span.
    pub exact_match: f64,
    /// Mean F1 of tokens.
    pub f1: f64,
    /// Number of features.
    pub total: usize,
}
