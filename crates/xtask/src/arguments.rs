//! The options and names that a chore is given.

use std::str::FromStr;

/// The arguments of a command that are not taken yet.
pub(crate) struct Arguments {
    left: Vec<String>,
    usage: &'static str,
}

impl Arguments {
    pub(crate) fn new(arguments: &[String], usage: &'static str) -> Self {
        Self {
            left: arguments.to_vec(),
            usage,
        }
    }

    /// The value of `--option VALUE`, or the default.
    pub(crate) fn number<T: FromStr>(&mut self, option: &str, default: T) -> Result<T, String> {
        match self.text(option)? {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map_err(|_| format!("{option} {value}: not a number in range\n\n{}", self.usage)),
        }
    }

    /// The value of `--option VALUE`, if it is there.
    pub(crate) fn text(&mut self, option: &str) -> Result<Option<String>, String> {
        let Some(place) = self.left.iter().position(|argument| argument == option) else {
            return Ok(None);
        };
        self.left.remove(place);
        if place == self.left.len() {
            return Err(format!("{option} has no value\n\n{}", self.usage));
        }
        Ok(Some(self.left.remove(place)))
    }

    /// What is left: names.
    pub(crate) fn names(self) -> Result<Vec<String>, String> {
        match self.left.iter().find(|argument| argument.starts_with('-')) {
            Some(option) => Err(format!("unknown option {option}\n\n{}", self.usage)),
            None => Ok(self.left),
        }
    }

    /// Checks that nothing is left.
    pub(crate) fn end(self) -> Result<(), String> {
        match self.left.first() {
            Some(argument) => Err(format!("unknown argument {argument}\n\n{}", self.usage)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        let words: Vec<_> = line.split_whitespace().map(String::from).collect();
        Arguments::new(&words, "usage")
    }

    #[test]
    fn options_are_taken_and_names_are_left() {
        let mut arguments = arguments("one --steps 7 two --plot a.svg");
        assert_eq!(arguments.number("--steps", 5), Ok(7));
        assert_eq!(arguments.number("--jobs", 1), Ok(1));
        assert_eq!(arguments.text("--plot"), Ok(Some("a.svg".into())));
        assert_eq!(arguments.names().unwrap(), ["one", "two"]);
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for (line, part) in [
            ("--steps", "--steps has no value"),
            ("--steps many", "--steps many: not a number"),
            ("100", "unknown argument 100"),
            ("--step 100", "unknown argument --step"),
        ] {
            let mut arguments = arguments(line);
            let result = arguments.number("--steps", 5).and_then(|_| arguments.end());
            let message = result.unwrap_err();
            assert!(
                message.starts_with(part) && message.ends_with("usage"),
                "{message}"
            );
        }
        assert!(arguments("one --two").names().is_err());
    }
}
