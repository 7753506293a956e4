use std::path::Path;

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
            Err(error) => complaints.push(format!("{}: {}", error.path(), error.inner().message())),
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
                (Some(Value::Integer(_)), Value::Integer(value)) if *value < 0 => {
                    self.complain(format!("{path} must not be negative"));
                }
                (Some(Value::Array(_)), Value::Array(items))
                    if !items.iter().all(|item| item.is_str()) =>
                {
                    self.complain(format!("{path} must be a list of file names"));
                }
                (Some(known), value) if known.same_type(value) => {
                    merged.insert(key.clone(), value.clone());
                }
                (Some(known), value) => self.complain(format!(
                    "{path} must be {}, not {}",
                    with_article(known.type_str()),
                    with_article(value.type_str())
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

/// The path of the key that is most like an unknown one: in its section, or in another, because the section may be what is wrong.
fn nearest(defaults: &Table, prefix: &str, unknown: &str) -> Option<String> {
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
    paths.max_by(|a, b| {
        let ((a, a_here), (b, b_here)) = (rank(a), rank(b));
        a.total_cmp(&b).then(a_here.cmp(&b_here))
    })
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

/// `section.key=value` as a nested table. A value that is not TOML is a string, and a string for a list is its items
/// separated by commas, so that a shell needs no quotes.
fn parse_setting(setting: &str, defaults: &Table) -> Result<Table, String> {
    let complaint = || format!("{setting}: settings are written section.key=value");
    let (path, text) = setting.split_once('=').ok_or_else(complaint)?;
    let (section, key) = path.split_once('.').ok_or_else(complaint)?;
    let parsed = format!("value = {text}").parse::<Table>().ok();
    let mut value = parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let expected = defaults.get(section).and_then(|section| section.get(key));
    if let (Some(Value::Array(_)), Value::String(items)) = (expected, &value) {
        let items = items
            .split(',')
            .map(|item| Value::String(item.trim().to_owned()));
        value = Value::Array(items.collect());
    }
    let inner = Table::from_iter([(key.to_owned(), value)]);
    Ok(Table::from_iter([(
        section.to_owned(),
        Value::Table(inner),
    )]))
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
            "train.per_device_train_batch_size must be an integer, not a string",
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
    fn an_unknown_key_suggests_the_nearest_one() {
        for (key, nearest) in [
            ("train.epochs", "train.num_train_epochs"),
            ("train.batch_sise", "train.per_device_train_batch_size"),
            ("train.learning_rat", "train.learning_rate"),
            ("train.on_bad_answers", "train.on_bad_answer"),
            ("eval.on_bad_answers", "eval.on_bad_answer"),
            ("train.long_questions", "features.long_questions"),
            ("trian.seed", "train"),
        ] {
            let complaints = resolve("", &[&format!("{key}=1")]).unwrap_err();
            let hint = format!(" (did you mean {nearest}?)");
            assert!(complaints.contains(&hint), "{complaints}");
        }
        let complaints = resolve("epochs = 3", &[]).unwrap_err();
        assert!(
            complaints.contains("mean train.num_train_epochs?"),
            "{complaints}"
        );
    }

    #[test]
    fn a_number_that_is_too_large_names_its_key() {
        let complaints = resolve("", &["eval.every_steps=9223372036854775807"]).unwrap_err();
        assert!(complaints.starts_with("eval.every_steps: "), "{complaints}");
        assert!(complaints.contains("9223372036854775807"), "{complaints}");
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
