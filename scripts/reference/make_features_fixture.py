"""Makes crates/squad-data/tests/fixtures/{tokenizer,features}.json: a small WordPiece tokenizer, texts written for this
project, and the windows and labels that Hugging Face's `transformers` makes of them.

usage: python scripts/reference/make_features_fixture.py        (needs transformers and tokenizers; made with 5.23)

The tokenizer is written with truncation to 128 tokens and padding switched on, as sentence-embedding models ship theirs:
a reader that forgets to switch them off fails the test. Labels follow run_qa.py's rule, taken from the first answer.
"""
import json, pathlib, string
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "squad-data" / "tests" / "fixtures"

WORDS = """the a an of in on and to was who what where when why how many did is it its by for with from old new river
bridge baker bread cat ate town year people stone market school book night day first second
lamp ship sea king queen war peace song tree garden house street water fire""".split()
PIECES = ["##s", "##ed", "##ing", "##er", "##ly", "##tion", "##ville", "##berg", "er", "an", "ter", "##ter", "##ow"]
letters = list(string.ascii_lowercase + string.digits) + list("éñøß한국어漢字日本かな🙂한")
vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(string.punctuation) + ["–", "“", "”", "’"]
vocab += letters + ["##" + c for c in letters] + WORDS + PIECES
vocab = {token: i for i, token in enumerate(dict.fromkeys(vocab))}

tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
tok.normalizer = normalizers.BertNormalizer(lowercase=True)
tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tok.decoder = decoders.WordPiece()
tok.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
tok.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
tok.enable_truncation(128); tok.enable_padding(length=128)
tok.save(str(OUT / "tokenizer.json"))
tok.no_truncation(); tok.no_padding()
hf = PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")

CONTEXTS = [
    ("The old baker of Ørsted Street was Zoë Müller. In 1871 she sold 1,250 loaves a day – “the best bread by the sea”, "
     "as the town’s newspaper wrote. Her café (now a school) stood on the first bridge and burned down in the night of "
     "3 May 1902; nobody was hurt. The new house was built by her grandson for 40,000 crowns, with stone from the river.",
     [("  Who was the baker?", "Zoë Müller"), ("How many loaves?", "1,250"), ("When did it burn down?", "the night of 3 May 1902"),
      ("What is the house built with?", "stone from the river."), ("How much?", "000"), ("Where?", "Ørsted Street")]),
    ("A song 🙂 about the sea 🌊🌊 was sung by Ane\u0301 and Jose\u0301.\r\nIts second verse\u200b names 한국어 and 漢字 in one line;\r\n"
     "it ends with na\u0131ve cafe\u0301s,\u00a0queens and kings\u2009\u2014 and [SEP] is only a word here. Fin 🙂",
     [("Who sang?", "Ane\u0301 and Jose\u0301"), ("What languages?", "한국어 and 漢字"), ("What stands before the queens?", "cafe\u0301s"),
      ("What is a word here?", "[SEP]"), ("Which emoji?", "🌊🌊"), ("How does it end?", "🙂")]),
    ("Cat.", [("What ate?", "Cat"), ("\tWho?", "Cat.")]),
]
SETTINGS = [dict(max_seq_length=384, doc_stride=128), dict(max_seq_length=48, doc_stride=12), dict(max_seq_length=64, doc_stride=0),
            dict(max_seq_length=90, doc_stride=50)]

def label(offsets, seq, start, end):
    lo = seq.index(1); hi = len(seq) - 1 - seq[::-1].index(1)
    if not (offsets[lo][0] <= start and offsets[hi][1] >= end):
        return 0, 0
    while lo < len(offsets) and offsets[lo][0] <= start: lo += 1
    while offsets[hi][1] >= end: hi -= 1
    return lo - 1, hi + 1

examples, windows = [], []
for c, (context, qas) in enumerate(CONTEXTS):
    for q, (question, answer) in enumerate(qas):
        start = context.rindex(answer) if answer == "🙂" else context.index(answer)
        examples.append(dict(id=f"c{c}q{q}", context=context, question=question, text=answer, answer_start=start))
for setting in SETTINGS:
    e = hf([x["question"].lstrip() for x in examples], [x["context"] for x in examples], truncation="only_second",
           max_length=setting["max_seq_length"], stride=setting["doc_stride"], return_overflowing_tokens=True,
           return_offsets_mapping=True, return_token_type_ids=True)
    rows = []
    for i, k in enumerate(e["overflow_to_sample_mapping"]):
        x, seq, off = examples[k], e.sequence_ids(i), e["offset_mapping"][i]
        s, t = label(off, seq, x["answer_start"], x["answer_start"] + len(x["text"]))
        lo, hi = seq.index(1), len(seq) - seq[::-1].index(1)
        rows.append(dict(example=k, input_ids=e["input_ids"][i], token_type_ids=e["token_type_ids"][i],
                         context=[lo, hi], offsets=off[lo:hi], labels=[s, t]))
    windows.append(dict(setting, features=rows))
line = lambda x: json.dumps(x, ensure_ascii=True, separators=(",", ":"))
with open(OUT / "features.json", "w") as f:
    f.write('{"examples":[\n' + ",\n".join(map(line, examples)) + '],\n"settings":[\n')
    f.write(",\n".join('{"max_seq_length":%d,"doc_stride":%d,"features":[\n%s]}' % (
        w["max_seq_length"], w["doc_stride"], ",\n".join(map(line, w["features"]))) for w in windows) + "]}\n")
print(len(examples), "examples;", [len(w["features"]) for w in windows], "windows;", len(vocab), "vocabulary entries")
