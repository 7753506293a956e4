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
    pub(crate) fn rest(self) -> Result<Vec<String>, String> {
        match self.left.iter().find(|argument| argument.starts_with('-')) {
            Some(option) => Err(format!("unknown option {option}\n\n{}", self.usage)),
            None => Ok(self.left),
        }
    }
}
