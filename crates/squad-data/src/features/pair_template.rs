//! The special tokens around a question and its context.

use std::collections::HashMap;

use serde::Deserialize;

/// Far more than any tokenizer has. A file that asks for more is no tokenizer's.
const MAX_SPECIAL: usize = 64;

/// The special tokens around a question and its context, and the token types of all.
///
/// The tokenizer's post-processor says what they are: `[CLS] question [SEP] context [SEP]` with types 0 and 1 for BERT,
/// `<s> question </s></s> context </s>` with type 0 for RoBERTa.
///
/// ```
/// use squad_data::PairTemplate;
///
/// let template = PairTemplate::bert(101, 102);
/// assert_eq!(template.input_ids(&[7, 8], &[9]), [101, 7, 8, 102, 9, 102]);
/// assert!(template.token_type_ids(2, 1).eq([0, 0, 0, 0, 1, 1]));
/// assert_eq!(template.context_start(2), 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairTemplate {
    before: Vec<SpecialId>,
    question_type: u32,
    between: Vec<SpecialId>,
    context_type: u32,
    after: Vec<SpecialId>,
}

/// A special token's id and its token type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SpecialId {
    id: u32,
    type_id: u32,
}

impl PairTemplate {
    /// BERT's: `[CLS] question [SEP]` with token type 0, then `context [SEP]` with token type 1.
    pub fn bert(cls_id: u32, sep_id: u32) -> Self {
        let special = |id, type_id| vec![SpecialId { id, type_id }];
        Self {
            before: special(cls_id, 0),
            question_type: 0,
            between: special(sep_id, 0),
            context_type: 1,
            after: special(sep_id, 1),
        }
    }

    /// RoBERTa's: `<s> question </s></s> context </s>`, all with token type 0.
    pub fn roberta(cls_id: u32, sep_id: u32) -> Self {
        let special = |id| SpecialId { id, type_id: 0 };
        Self {
            before: vec![special(cls_id)],
            question_type: 0,
            between: vec![special(sep_id); 2],
            context_type: 0,
            after: vec![special(sep_id)],
        }
    }

    /// The same with all token types 0.
    pub(super) fn without_types(&self) -> Self {
        let mut template = self.clone();
        let parts = [
            &mut template.before,
            &mut template.between,
            &mut template.after,
        ];
        for special in parts.into_iter().flatten() {
            special.type_id = 0;
        }
        (template.question_type, template.context_type) = (0, 0);
        template
    }

    /// Reads `post_processor` of a `tokenizer.json`, or says what is wrong with it.
    pub(super) fn from_post_processor(json: &serde_json::Value) -> Result<Self, String> {
        if json.is_null() {
            return Err(
                "post_processor is null, so questions and contexts would get no special tokens; \
                 save the tokenizer again with transformers' save_pretrained"
                    .to_owned(),
            );
        }
        let processor = PostProcessor::deserialize(json).map_err(|e| {
            format!("post_processor: {e}; supported are BertProcessing, RobertaProcessing and TemplateProcessing")
        })?;
        let mut templates = Vec::new();
        processor.templates(&mut templates)?;
        match templates.len() {
            1 => Ok(templates.swap_remove(0)),
            0 => Err("post_processor adds no special tokens".to_owned()),
            _ => Err("post_processor adds special tokens twice".to_owned()),
        }
    }

    /// Number of special tokens in a feature.
    pub fn num_special_tokens(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    /// The position of the context's first token, behind a question of `num_question` tokens.
    pub fn context_start(&self, num_question: usize) -> usize {
        self.before.len() + num_question + self.between.len()
    }

    /// Number of tokens of the question, if the context's first token is at `context_start`.
    pub(crate) fn num_question(&self, context_start: usize) -> usize {
        context_start.saturating_sub(self.before.len() + self.between.len())
    }

    /// Ids of all special tokens, in the order of the positions; a token may occur several times.
    pub fn special_ids(&self) -> impl Iterator<Item = u32> + '_ {
        let parts = [&self.before, &self.between, &self.after];
        parts.into_iter().flatten().map(|special| special.id)
    }

    /// The first special token's id, and the last one's.
    pub(crate) fn end_ids(&self) -> [u32; 2] {
        let first = self.special_ids().next().unwrap_or_default();
        [first, self.special_ids().last().unwrap_or(first)]
    }

    /// Number of token types that the model needs: the largest plus one.
    pub fn num_token_types(&self) -> usize {
        let parts = [&self.before, &self.between, &self.after];
        let special = parts.into_iter().flatten().map(|special| special.type_id);
        let largest = special.chain([self.question_type, self.context_type]).max();
        largest.unwrap_or(0) as usize + 1
    }

    /// The token type of a feature's last token.
    pub(crate) fn last_type(&self) -> u32 {
        let last = self.after.last();
        last.map_or(self.context_type, |special| special.type_id)
    }

    /// The ids of a whole feature, `[tokens]`, from those of the question and of a part of the context.
    pub fn input_ids(&self, question: &[u32], context: &[u32]) -> Vec<u32> {
        let length = self.num_special_tokens() + question.len() + context.len();
        let mut input_ids = Vec::with_capacity(length);
        input_ids.extend(self.before.iter().map(|special| special.id));
        input_ids.extend_from_slice(question);
        input_ids.extend(self.between.iter().map(|special| special.id));
        input_ids.extend_from_slice(context);
        input_ids.extend(self.after.iter().map(|special| special.id));
        input_ids
    }

    /// The token types of a whole feature, `[tokens]`.
    pub fn token_type_ids(
        &self,
        num_question: usize,
        num_context: usize,
    ) -> impl Iterator<Item = u32> + '_ {
        let types = |part: &'_ [SpecialId]| part.iter().map(|special| special.type_id).collect();
        let [before, between, after]: [Vec<u32>; 3] = [
            types(&self.before),
            types(&self.between),
            types(&self.after),
        ];
        (before.into_iter())
            .chain(std::iter::repeat_n(self.question_type, num_question))
            .chain(between)
            .chain(std::iter::repeat_n(self.context_type, num_context))
            .chain(after)
    }
}

/// `post_processor` of a `tokenizer.json`.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum PostProcessor {
    BertProcessing {
        sep: (String, u32),
        cls: (String, u32),
    },
    RobertaProcessing {
        sep: (String, u32),
        cls: (String, u32),
    },
    TemplateProcessing {
        single: Vec<Piece>,
        pair: Vec<Piece>,
        special_tokens: HashMap<String, SpecialToken>,
    },
    /// Corrects offsets, and adds no token.
    ByteLevel {},
    Sequence {
        processors: Vec<PostProcessor>,
    },
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: Sequence, type_id: u32 },
    SpecialToken { id: String, type_id: u32 },
}

#[derive(Deserialize, PartialEq, Eq)]
enum Sequence {
    A,
    B,
}

#[derive(Deserialize)]
struct SpecialToken {
    ids: Vec<u32>,
    tokens: Vec<String>,
}

impl PostProcessor {
    fn templates(self, found: &mut Vec<PairTemplate>) -> Result<(), String> {
        match self {
            Self::BertProcessing { sep, cls } => found.push(PairTemplate::bert(cls.1, sep.1)),
            Self::RobertaProcessing { sep, cls } => found.push(PairTemplate::roberta(cls.1, sep.1)),
            Self::TemplateProcessing {
                single,
                pair,
                special_tokens,
            } => {
                let in_template = |form, problem| format!("post_processor.{form}: {problem}");
                check_single(&single, &special_tokens).map_err(|p| in_template("single", p))?;
                let template = pair_template(&pair, &special_tokens);
                found.push(template.map_err(|p| in_template("pair", p))?);
            }
            Self::ByteLevel {} => {}
            Self::Sequence { processors } => {
                for processor in processors {
                    processor.templates(found)?;
                }
            }
        }
        Ok(())
    }
}

/// The `tokenizers` crate looks special tokens up without a check.
fn special_ids(
    id: &str,
    type_id: u32,
    special_tokens: &HashMap<String, SpecialToken>,
) -> Result<Vec<SpecialId>, String> {
    let token = special_tokens
        .get(id)
        .ok_or_else(|| format!("{id:?} is not in special_tokens"))?;
    if token.ids.is_empty() || token.ids.len() != token.tokens.len() {
        return Err(format!("{id:?} needs as many ids as tokens, at least one"));
    }
    let ids = token.ids.iter();
    Ok(ids.map(|&id| SpecialId { id, type_id }).collect())
}

fn check_single(
    pieces: &[Piece],
    special_tokens: &HashMap<String, SpecialToken>,
) -> Result<(), String> {
    let mut sequences = 0;
    for piece in pieces {
        match piece {
            Piece::Sequence { id, .. } if *id == Sequence::B => {
                return Err("has $B, which stands in pairs alone".to_owned());
            }
            Piece::Sequence { .. } => sequences += 1,
            Piece::SpecialToken { id, type_id } => {
                special_ids(id, *type_id, special_tokens)?;
            }
        }
    }
    if sequences == 1 {
        Ok(())
    } else {
        Err(format!("has $A {sequences} times, not once"))
    }
}

fn pair_template(
    pieces: &[Piece],
    special_tokens: &HashMap<String, SpecialToken>,
) -> Result<PairTemplate, String> {
    let mut special: [Vec<SpecialId>; 3] = Default::default();
    let mut types = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Sequence { id, type_id } => {
                let expected = [Sequence::A, Sequence::B].into_iter().nth(types.len());
                if expected.as_ref() != Some(id) {
                    return Err("must have $A and then $B, each once".to_owned());
                }
                types.push(*type_id);
            }
            Piece::SpecialToken { id, type_id } => {
                special[types.len()].extend(special_ids(id, *type_id, special_tokens)?);
            }
        }
    }
    let [before, between, after] = special;
    let &[question_type, context_type] = types.as_slice() else {
        return Err("must have $A and then $B, each once".to_owned());
    };
    if before.is_empty() {
        // Its logits are those of "no answer".
        return Err("no special token stands before $A, as the span head needs it".to_owned());
    }
    let template = PairTemplate {
        before,
        question_type,
        between,
        context_type,
        after,
    };
    let count = template.num_special_tokens();
    if count > MAX_SPECIAL {
        return Err(format!(
            "has {count} special tokens, more than {MAX_SPECIAL}"
        ));
    }
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn template(pair: &[&str]) -> Value {
        let piece = |text: &&str| {
            let (name, type_id) = text.split_once(':').unwrap();
            let type_id: u32 = type_id.parse().unwrap();
            match name.strip_prefix('$') {
                Some(id) => json!({"Sequence": {"id": id, "type_id": type_id}}),
                None => json!({"SpecialToken": {"id": name, "type_id": type_id}}),
            }
        };
        json!({
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": pair.iter().map(piece).collect::<Vec<_>>(),
            "special_tokens": {
                "<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
                "two": {"id": "two", "ids": [5, 6], "tokens": ["a", "b"]},
            },
        })
    }

    fn read(json: &Value) -> (Vec<u32>, Vec<u32>) {
        let template = PairTemplate::from_post_processor(json).unwrap();
        let ids = template.input_ids(&[10, 11], &[20]);
        let types: Vec<u32> = template.token_type_ids(2, 1).collect();
        assert_eq!(ids.len(), types.len());
        assert_eq!(ids[template.context_start(2)], 20);
        (ids, types)
    }

    #[test]
    fn every_form_of_a_pair_is_read() {
        let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
        let of_bert = (vec![2, 10, 11, 3, 20, 3], vec![0, 0, 0, 0, 1, 1]);
        assert_eq!(read(&bert), of_bert);
        let roberta = json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
            "trim_offsets": true, "add_prefix_space": false});
        let of_roberta = (vec![0, 10, 11, 2, 2, 20, 2], vec![0; 7]);
        assert_eq!(read(&roberta), of_roberta);
        let byte_level = json!({"type": "ByteLevel", "trim_offsets": true});
        let sequence = json!({"type": "Sequence", "processors": [byte_level, roberta]});
        assert_eq!(read(&sequence), of_roberta);
        let mpnet = template(&["<s>:0", "$A:0", "</s>:0", "</s>:0", "$B:1", "</s>:1"]);
        let of_mpnet = (of_roberta.0.clone(), vec![0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(read(&mpnet), of_mpnet);
        let odd = template(&["two:3", "$A:2", "$B:1"]);
        assert_eq!(read(&odd), (vec![5, 6, 10, 11, 20], vec![3, 3, 2, 2, 1]));
        let odd = PairTemplate::from_post_processor(&odd).unwrap();
        assert_eq!((odd.num_token_types(), odd.num_special_tokens()), (4, 2));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let byte_level = json!({"type": "ByteLevel"});
        let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
        let mut without_a = template(&["<s>:0", "$A:0", "$B:0"]);
        without_a["single"] = json!([]);
        let mut lengths = template(&["two:0", "$A:0", "$B:0"]);
        lengths["special_tokens"]["two"]["ids"] = json!([5]);
        for (wrong, named) in [
            (Value::Null, "post_processor is null"),
            (json!({"type": "Other"}), "Other"),
            (
                json!({"type": "BertProcessing", "sep": 1}),
                "post_processor: ",
            ),
            (byte_level.clone(), "no special tokens"),
            (
                json!({"type": "Sequence", "processors": [bert, bert]}),
                "twice",
            ),
            (
                template(&["<s>:0", "$B:0", "$A:0"]),
                "post_processor.pair: must have $A",
            ),
            (template(&["<s>:0", "$A:0"]), "must have $A"),
            (template(&["<s>:0", "$A:0", "$B:0", "$B:0"]), "must have $A"),
            (template(&["$A:0", "</s>:0", "$B:0"]), "before $A"),
            (
                template(&["[CLS]:0", "$A:0", "$B:0"]),
                "\"[CLS]\" is not in special_tokens",
            ),
            (template(&["<s>:0"; 3]), "must have $A"),
            (without_a, "post_processor.single: has $A 0 times"),
            (lengths, "as many ids as tokens"),
        ] {
            let message = PairTemplate::from_post_processor(&wrong).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
        let many: Vec<&str> = [vec!["<s>:0"; 70], vec!["$A:0", "$B:0"]].concat();
        let message = PairTemplate::from_post_processor(&template(&many)).unwrap_err();
        assert!(message.contains("70 special tokens"), "{message}");
    }
}
