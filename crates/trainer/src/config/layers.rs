use std::path::Path;

use squad_data::plain_types;
use toml::{Table, Value};

use super::Config;
use crate::Error;

impl Config {
    /// The defaults, overlaid with a TOML file, overlaid with `key=value` settings.
    ///
    /// # Errors
    /// If there are unknown keys, values of another type or values out of range; lists all complaints.
    pub fn resolve(file: &Path, settings: &[String]) -> Result<Self, Error> {
        let text = atomic_fs::read_text(file).map_err(|e| {
            let message = format!("{}: give --config a TOML file (see configs/)", e.source);
            Error::file(file, message)
        })?;
        let table = parse(file, &text)?;
        Self::layered(&[(file.display().to_string(), table)], settings)
    }

    /// As [`Config::resolve`], with `configs/quickstart.toml` of the repository, which is compiled in.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn quick_start(settings: &[String]) -> Result<Self, Error> {
        const NAME: &str = "configs/quickstart.toml";
        let table = parse(NAME.as_ref(), include_str!("quickstart.toml"))?;
        Self::layered(&[(NAME.to_owned(), table)], settings)
    }

    /// As [`Config::resolve`], from a text that messages call `name`.
    pub(crate) fn from_toml(name: &str, text: &str) -> Result<Self, Error> {
        let table = parse(name.as_ref(), text)?;
        Self::layered(&[(name.to_owned(), table)], &[])
    }

    /// As [`Config::resolve`], from tables, each with the name that complaints give it.
    pub(crate) fn layered(tables: &[(String, Table)], settings: &[String]) -> Result<Self, Error> {
        let defaults = Table::try_from(Self::default()).expect("the defaults are a table");
        let mut merged = defaults.clone();
        let mut complaints = Vec::new();
        let mut overlay = |name: &str, table: &Table, complaints: &mut Vec<String>| {
            let defaults = &defaults;
            Overlay {
                defaults,
                name,
                complaints,
            }
            .merge(&mut merged, table, defaults, "");
        };
        for (name, table) in tables {
            overlay(name, table, &mut complaints);
        }
        for setting in settings {
            match parse_setting(setting, &defaults) {
                Ok(table) => overlay(setting, &table, &mut complaints),
                Err(complaint) => complaints.push(complaint),
            }
        }
        // Values of another type are complaints and not merged, so the merged table parses.
        match serde_path_to_error::deserialize::<_, Self>(merged) {
            Ok(config) => {
                complaints.extend(config.complaints());
                if complaints.is_empty() {
                    return Ok(config);
                }
            }
            Err(error) => {
                let message = plain_types(&error.inner().message());
                complaints.push(format!("{}: {message}", error.path()));
            }
        }
        Err(Error::Config(complaints))
    }

    /// The resolved configuration as TOML, all defaults written out.
    ///
    /// # Panics
    /// If a value cannot be written as TOML, which [`Config::check`] finds.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration can be written as TOML")
    }
}

fn parse(file: &Path, text: &str) -> Result<Table, Error> {
    text.parse()
        .map_err(|e: toml::de::Error| Error::toml(file, text, &e))
}

/// Lays a table over the configuration.
struct Overlay<'a> {
    /// The default configuration, which has every key.
    defaults: &'a Table,
    /// What complaints call the table.
    name: &'a str,
    complaints: &'a mut Vec<String>,
}

impl Overlay<'_> {
    /// Copies the values of `table` into `merged` where `known`, the part of the defaults behind `prefix`, has the key with the
    /// same type.
    fn merge(&mut self, merged: &mut Table, table: &Table, known: &Table, prefix: &str) {
        for (key, value) in table {
            let path = format!("{prefix}{key}");
            match (known.get(key), value) {
                (Some(Value::Table(known)), Value::Table(value)) => {
                    let Some(Value::Table(merged)) = merged.get_mut(key) else {
                        unreachable!("`merged` began as a copy of the defaults");
                    };
                    self.merge(merged, value, known, &format!("{path}."));
                }
                (Some(Value::Float(_)), Value::Integer(value)) => {
                    merged.insert(key.clone(), Value::Float(*value as f64));
                }
                // No setting of this type may be negative.
                (Some(Value::Integer(_)), Value::Integer(_) | Value::Float(_)) => {
                    match count(value) {
                        Ok(value) => drop(merged.insert(key.clone(), Value::Integer(value))),
                        Err(wrong) => self.complain(format!("{path} {wrong}")),
                    }
                }
                (Some(Value::Array(_)), Value::Array(items))
                    if !items.iter().all(|item| item.is_str()) =>
                {
                    self.complain(format!("{path} must be a list of file names"));
                }
                // One file is a list of one.
                (Some(Value::Array(_)), Value::String(_)) => {
                    merged.insert(key.clone(), Value::Array(vec![value.clone()]));
                }
                (Some(known), value) if known.same_type(value) => {
                    merged.insert(key.clone(), value.clone());
                }
                (Some(known), value) => self.complain(format!(
                    "{path} must be {}, not {}",
                    kind(known),
                    kind(value)
                )),
                (None, _) => {
                    let hint = nearest(self.defaults, prefix, key);
                    let hint = hint.map(|near| format!(" (did you mean {near}?)"));
                    let hint = hint.unwrap_or_default();
                    self.complain(format!("unknown key {path}{hint}"));
                }
            }
        }
    }

    fn complain(&mut self, complaint: String) {
        self.complaints.push(format!("{}: {complaint}", self.name));
    }
}

/// A number of something. `3.0` is 3: Python's tools write numbers of epochs so.
fn count(value: &Value) -> Result<i64, String> {
    /// Larger numbers have neighbours that are no floats.
    const EXACT: f64 = (1_i64 << 53) as f64;
    match *value {
        Value::Integer(value) if value >= 0 => Ok(value),
        Value::Float(value) if (0.0..EXACT).contains(&value) && value.fract() == 0.0 => {
            Ok(value as i64)
        }
        Value::Float(value) if value >= EXACT => {
            Err(format!("must be less than 2^53, not {value}"))
        }
        Value::Float(value) if value.fract() != 0.0 => {
            Err(format!("must be a whole number, not {value}"))
        }
        _ => Err("must not be negative".into()),
    }
}

/// What transformers' `TrainingArguments` and run_qa.py call otherwise.
const TRANSFORMERS: &[(&str, &str)] = &[
    ("lr", "train.learning_rate"),
    ("model_name_or_path", "model.source"),
    ("model_name", "model.source"),
    ("name", "model.source"),
    ("train_file", "train.files"),
    ("validation_file", "eval.file"),
    ("test_file", "eval.file"),
    ("output_dir", "--run-dir"),
    ("resume_from_checkpoint", "--resume"),
    ("eval_steps", "eval.every_steps"),
    ("eval_strategy", "eval.every_epochs"),
    ("evaluation_strategy", "eval.every_epochs"),
    ("save_steps", "checkpoints.every_steps"),
    ("save_strategy", "checkpoints.every_epochs"),
    ("fp16", "run.bf16"),
    ("dataloader_num_workers", "run.threads"),
];

/// The path of the key that is most like an unknown one: in its section, or in another, because the section may be what is
/// wrong. `None` if no key is much like it.
fn nearest(defaults: &Table, prefix: &str, unknown: &str) -> Option<String> {
    const LEAST: f64 = 0.75;
    if let Some((_, path)) = TRANSFORMERS.iter().find(|(name, _)| *name == unknown) {
        return Some((*path).to_owned());
    }
    // Compares the end of a key too: `epochs` is nearest to `num_train_epochs`.
    let likeness = |path: &str| {
        let key = path.rsplit('.').next().unwrap_or(path);
        let ends = key.match_indices('_').map(|(at, _)| &key[at + 1..]);
        let ends = ends.chain([key]);
        ends.map(|end| strsim::jaro(end, unknown))
            .fold(0.0, f64::max)
    };
    let paths = defaults.iter().flat_map(|(section, value)| {
        let keys = value.as_table().into_iter().flat_map(Table::keys);
        let paths = keys.map(move |key| format!("{section}.{key}"));
        paths.chain([section.clone()])
    });
    let rank = |path: &String| (likeness(path), path.starts_with(prefix));
    let best = paths.max_by(|a, b| {
        let ((a, a_here), (b, b_here)) = (rank(a), rank(b));
        a.total_cmp(&b).then(a_here.cmp(&b_here))
    });
    best.filter(|path| likeness(path) >= LEAST)
}

/// What a value is, for a person.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// `section.key=value` as a nested table.
fn parse_setting(setting: &str, defaults: &Table) -> Result<Table, String> {
    let complaint = |hint: &str| format!("{setting}: settings are written section.key=value{hint}");
    let (path, text) = setting
        .split_once('=')
        .ok_or_else(|| complaint(", and no command has this name"))?;
    let (section, key) = path.split_once('.').ok_or_else(|| {
        let near = nearest(defaults, "", path);
        let near = near.filter(|near| near.contains('.') && !path.is_empty());
        complaint(&near.map_or(String::new(), |near| {
            format!(" (did you mean {near}={text}?)")
        }))
    })?;
    let expected = defaults.get(section).and_then(|section| section.get(key));
    let inner = Table::from_iter([(key.to_owned(), parse_value(text, expected))]);
    Ok(Table::from_iter([(
        section.to_owned(),
        Value::Table(inner),
    )]))
}

/// The value of a setting: TOML, or what is not TOML as a text, so that a shell needs no quotes. What its key expects goes
/// first: a folder may be called `2024-05-01` or `1`, a list is its items separated by commas, and numbers and booleans may
/// be written as Python writes them.
fn parse_value(text: &str, expected: Option<&Value>) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    let parsed = parsed.and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(text.to_owned()));
    match (expected, &value) {
        (Some(Value::String(_)), value) if !value.is_str() => Value::String(text.to_owned()),
        (Some(Value::Array(_)), value) if !value.is_array() => {
            let items = value.as_str().unwrap_or(text).split(',');
            Value::Array(items.map(|item| item.trim().into()).collect())
        }
        (Some(Value::Boolean(_)), Value::String(word)) => {
            let word = word.to_ascii_lowercase();
            word.parse().map_or(value, Value::Boolean)
        }
        (Some(Value::Integer(_) | Value::Float(_)), Value::String(number)) => {
            number.parse().map_or(value, Value::Float)
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;

    fn resolve(text: &str, settings: &[&str]) -> Result<Config, String> {
        let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
        let base = "train.files = [\"a\"]\neval.file = \"b\"".parse().unwrap();
        let tables = [
            ("base".to_owned(), base),
            ("c.toml".to_owned(), text.parse().unwrap()),
        ];
        Config::layered(&tables, &settings).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_override_the_file_and_the_file_overrides_defaults() {
        let config = resolve(
            "[train]\nnum_train_epochs = 3\nlearning_rate = 1\nseed = 5",
            &[
                "train.num_train_epochs=4",
                "train.files=x.json,y.json",
                "model.source=a/b",
                "run.device=cuda:0",
            ],
        )
        .unwrap();
        assert_eq!((config.train.num_train_epochs, config.train.seed), (4, 5));
        assert_eq!(config.train.learning_rate, 1.0);
        assert_eq!(
            config.train.per_device_train_batch_size,
            TrainConfig::default().per_device_train_batch_size
        );
        assert_eq!(
            config.train.files,
            [Path::new("x.json"), Path::new("y.json")]
        );
        assert_eq!(
            (&*config.model.source, &*config.run.device),
            ("a/b", "cuda:0")
        );
    }

    #[test]
    fn all_complaints_are_listed() {
        let text = "[train]\nepoch = 3\nper_device_train_batch_size = \"8\"\n[other]\nx = 1";
        let settings = [
            "train.learning_rate=-1",
            "nonsense",
            "features.doc_stride=400",
        ];
        let complaints = resolve(text, &settings).unwrap_err();
        for part in [
            "c.toml: unknown key train.epoch (did you mean train.num_train_epochs?)",
            "train.per_device_train_batch_size must be a whole number, not text",
            "unknown key other",
            "train.learning_rate must be positive",
            "nonsense",
            "doc_stride",
        ] {
            assert!(complaints.contains(part), "{part}\nnot in\n{complaints}");
        }
        assert_eq!(complaints.lines().count(), 6, "{complaints}");
    }

    #[test]
    fn a_key_that_occurs_twice_is_named() {
        let text = "train.seed = 1\n\n[train]\nmax_steps = 2\n";
        let error = Config::from_toml("c.toml", text).unwrap_err().to_string();
        let expected =
            "c.toml: line 3: duplicate key train; write each key once, and a table in one place";
        assert_eq!(error, expected);
    }

    #[test]
    fn an_unknown_key_suggests_the_nearest_one() {
        for (key, nearest) in [
            ("train.epochs", "train.num_train_epochs"),
            ("train.batch_sise", "train.per_device_train_batch_size"),
            ("train.learning_rat", "train.learning_rate"),
            ("train.on_bad_answers", "train.on_bad_answer"),
            ("eval.on_bad_answers", "eval.on_bad_answer"),
            ("train.long_questions", "features.long_questions"),
            ("trian.seed", "train"),
            ("train.lr", "train.learning_rate"),
            ("train.model_name_or_path", "model.source"),
            ("train.save_steps", "checkpoints.every_steps"),
            ("train.output_dir", "--run-dir"),
        ] {
            let complaints = resolve("", &[&format!("{key}=1")]).unwrap_err();
            let hint = format!(" (did you mean {nearest}?)");
            assert!(complaints.contains(&hint), "{complaints}");
        }
        let far = resolve("", &["train.version_2_with_negative=True"]).unwrap_err();
        assert!(!far.contains("did you mean"), "{far}");
        let complaints = resolve("epochs = 3", &[]).unwrap_err();
        assert!(
            complaints.contains("mean train.num_train_epochs?"),
            "{complaints}"
        );
    }

    #[test]
    fn values_on_the_command_line_are_what_their_key_expects() {
        let settings = [
            "model.source=2024-05-01",
            "eval.file=1#b.json",
            "train.files=2024,true",
            "train.num_train_epochs=3.0",
            "train.max_steps=1e3",
            "train.warmup_ratio=.25",
            "train.learning_rate=1.e-5",
            "run.bf16=True",
            "train.dropout=FALSE",
        ];
        let config = resolve("[checkpoints]\nevery_steps = 50.0", &settings).unwrap();
        assert_eq!(config.model.source, "2024-05-01");
        assert_eq!(config.eval.file, Path::new("1#b.json"));
        assert_eq!(config.train.files, [Path::new("2024"), Path::new("true")]);
        let train = &config.train;
        assert_eq!((train.num_train_epochs, train.max_steps), (3, 1000));
        assert_eq!((train.warmup_ratio, train.learning_rate), (0.25, 1e-5));
        assert_eq!((config.run.bf16, train.dropout), (true, false));
        assert_eq!(config.checkpoints.every_steps, 50);
        let config = resolve("train.files = \"a,b.json\"", &[]).unwrap();
        assert_eq!(config.train.files, [Path::new("a,b.json")]);
        for (setting, part) in [
            (
                "train.num_train_epochs=2.5",
                "must be a whole number, not 2.5",
            ),
            (
                "train.num_train_epochs=nan",
                "must be a whole number, not NaN",
            ),
            ("train.seed=18446744073709551615", "must be less"),
            ("train.seed=-1.0", "must not be negative"),
            ("train.seed=-inf", "must be"),
            ("run.bf16=yes", "must be true or false, not text"),
            ("train.learning_rate=5e-5f", "must be a number, not text"),
            ("learning_rate=3e-5", "mean train.learning_rate=3e-5?"),
            ("lr=3e-5", "mean train.learning_rate=3e-5?"),
            ("epochs=3", "mean train.num_train_epochs=3?"),
            ("trian", "no command has this name"),
        ] {
            let complaints = resolve("", &[setting]).unwrap_err();
            assert!(complaints.contains(part), "{complaints}");
            assert_eq!(complaints.lines().count(), 1, "{complaints}");
        }
    }

    #[test]
    fn a_number_that_is_too_large_names_its_key() {
        let complaints = resolve("", &["eval.every_steps=9223372036854775807"]).unwrap_err();
        assert!(complaints.starts_with("eval.every_steps: "), "{complaints}");
        assert!(complaints.contains("9223372036854775807"), "{complaints}");
        let expected = "expected a whole number from 0 to 4294967295";
        assert!(complaints.ends_with(expected), "{complaints}");
    }

    #[test]
    fn a_name_that_is_no_choice_names_its_key_once() {
        for (setting, part) in [
            ("features.stride=steps", "`overlap` or `step`"),
            ("eval.metric=rouge", "mlqa"),
            ("train.on_bad_answer=ignore", "`repair`"),
        ] {
            let complaints = resolve("", &[setting]).unwrap_err();
            let (key, name) = setting.split_once('=').unwrap();
            assert!(complaints.starts_with(&format!("{key}: ")), "{complaints}");
            assert_eq!(complaints.matches(key).count(), 1, "{complaints}");
            for part in [name, part] {
                assert!(complaints.contains(part), "{complaints}");
            }
        }
    }

    #[test]
    fn values_that_no_run_can_use_are_complaints() {
        for (setting, part) in [
            ("train.files=", "train.files has an empty name"),
            ("train.files=a,,b", "train.files has an empty name"),
            ("train.files=[]", "train.files is empty"),
            // `qa_config.json` has no infinity, and 1e39 is none in f32.
            ("answers.null_score_diff_threshold=inf", "finite"),
            ("answers.null_score_diff_threshold=-1e39", "finite"),
            ("answers.temperature=1e39", "answers.temperature"),
        ] {
            let complaints = resolve("", &[setting]).unwrap_err();
            assert!(complaints.contains(part), "{complaints}");
            assert_eq!(complaints.lines().count(), 1, "{complaints}");
        }
    }

    #[test]
    fn a_value_that_toml_cannot_hold_is_a_complaint() {
        let mut config = resolve("", &[]).unwrap();
        config.train.seed = i64::MAX as u64;
        config.check().unwrap();
        config.train.seed += 1;
        let complaint = config.check().unwrap_err().to_string();
        assert!(complaint.contains("written as TOML"), "{complaint}");
    }

    #[test]
    fn a_written_configuration_reads_back_equal() {
        let config = resolve("[train]\nwarmup_ratio = 0.25", &["answers.n_best_size=7"]).unwrap();
        let table = config.to_toml().parse().unwrap();
        let again = Config::layered(&[("written".to_owned(), table)], &[]).unwrap();
        assert_eq!(config, again);
    }
}
