use std::fmt;

/// What became of the tensors of a model's weights, by Hugging Face's names. As text: one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Names of the files that the weights were read from.
    pub files: Vec<String>,
    /// Parameters that were loaded.
    pub loaded: Vec<String>,
    /// Parameters that the files lack; they keep their initial values.
    pub missing: Vec<String>,
    /// Tensors of the files that the model has no place for.
    pub unexpected: Vec<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loaded {} tensors", self.loaded.len())?;
        match self.files.as_slice() {
            [] => {}
            [file] => write!(f, " from {file}")?,
            files => write!(f, " from {} files", files.len())?,
        }
        for (what, names) in [
            ("newly initialised", &self.missing),
            ("not used", &self.unexpected),
        ] {
            if !names.is_empty() {
                write!(f, "; {what}: {}", list(names))?;
            }
        }
        Ok(())
    }
}

/// A line stays one that can be read: the field has all the names.
fn list(names: &[String]) -> String {
    const MOST: usize = 8;
    match names.len().saturating_sub(MOST) {
        0 | 1 => names.join(", "),
        more => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("t{number}")).collect()
    }

    #[test]
    fn a_report_is_one_line_that_says_what_is_new_and_what_is_left_over() {
        let mut report = LoadReport {
            files: vec!["model.safetensors".into()],
            loaded: names(101),
            ..LoadReport::default()
        };
        assert_eq!(
            report.to_string(),
            "loaded 101 tensors from model.safetensors"
        );
        report.files.push("another".into());
        report.missing = vec!["qa_outputs.bias".into(), "qa_outputs.weight".into()];
        report.unexpected = names(9);
        assert_eq!(
            report.to_string(),
            "loaded 101 tensors from 2 files; newly initialised: qa_outputs.bias, qa_outputs.weight; \
             not used: t0, t1, t2, t3, t4, t5, t6, t7, t8"
        );
        report.unexpected = names(10);
        assert!(
            report.to_string().ends_with("t6, t7 and 2 more"),
            "{report}"
        );
    }
}
