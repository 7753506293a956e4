//! The arithmetic that a model asks for.

use serde_json::Value;

/// What of a `config.json` decides it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) layers: f64,
    pub(super) hidden: f64,
    pub(super) intermediate: f64,
}

/// Windows to be worked on, by their true lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Windows {
    pub(super) count: f64,
    pub(super) tokens: f64,
    /// The sum of the squares of the lengths.
    pub(super) squared_tokens: f64,
}

impl Shape {
    /// Of BERT's or DistilBERT's `config.json`.
    pub(super) fn of_config(config: &Value) -> Result<Self, String> {
        let number = |bert: &str, distilbert: &str| {
            let value = config[bert].as_f64().or(config[distilbert].as_f64());
            value.ok_or(format!("config.json: no {bert}"))
        };
        Ok(Self {
            layers: number("num_hidden_layers", "n_layers")?,
            hidden: number("hidden_size", "dim")?,
            intermediate: number("intermediate_size", "hidden_dim")?,
        })
    }

    /// Floating-point operations of a forward pass over all windows, a multiplication and an
    /// addition counted as two. A layer and a window of `n` tokens take
    ///
    /// - `8 n h²` for query, key, value and attention's output,
    /// - `4 n h i` for the two products of the feed-forward part,
    /// - `4 n² h` for attention's scores and its mix of values,
    ///
    /// and the span head `4 n h`. What is no matrix product is left out, and so is padding.
    pub(super) fn forward(&self, windows: &Windows) -> f64 {
        let Self {
            layers,
            hidden,
            intermediate,
        } = *self;
        let per_token = 8.0 * hidden * hidden + 4.0 * hidden * intermediate;
        let layer = per_token * windows.tokens + 4.0 * hidden * windows.squared_tokens;
        layers * layer + 4.0 * hidden * windows.tokens
    }

    /// Forward and backward: each product has two in the backward pass, for the gradients of both
    /// its factors.
    pub(super) fn training(&self, windows: &Windows) -> f64 {
        3.0 * self.forward(windows)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Counted product by product, `2 m k n` each.
    #[test]
    fn the_formula_is_the_sum_over_all_products() {
        let (layers, hidden, heads, intermediate) = (3, 8, 2, 20);
        let lengths = [5, 2, 7];
        let product = |m: usize, k: usize, n: usize| (2 * m * k * n) as f64;
        let mut expected = 0.0;
        for n in lengths {
            for _ in 0..layers {
                expected += 4.0 * product(n, hidden, hidden);
                expected += product(n, hidden, intermediate) + product(n, intermediate, hidden);
                let head = hidden / heads;
                expected += heads as f64 * (product(n, head, n) + product(n, n, head));
            }
            expected += product(n, hidden, 2);
        }
        let config = json!({"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": intermediate});
        let shape = Shape::of_config(&config).unwrap();
        let windows = Windows {
            count: 3.0,
            tokens: 14.0,
            squared_tokens: 78.0,
        };
        assert_eq!(shape.forward(&windows), expected);
        assert_eq!(shape.training(&windows), 3.0 * expected);
        // Padded to the longest, there would be more.
        let padded = Windows {
            tokens: 21.0,
            squared_tokens: 147.0,
            ..windows
        };
        assert!(shape.forward(&padded) > 1.4 * expected);
    }

    #[test]
    fn a_window_of_minilm_takes_twelve_gflop() {
        let config = json!({"n_layers": 6, "dim": 384, "hidden_dim": 1536});
        let window = Windows {
            count: 1.0,
            tokens: 171.0,
            squared_tokens: 171.0 * 171.0,
        };
        let training = Shape::of_config(&config).unwrap().training(&window);
        assert!((11e9..13e9).contains(&training), "{training}");
        assert!(
            Shape::of_config(&json!({"dim": 384}))
                .unwrap_err()
                .contains("num_hidden_layers")
        );
    }
}
