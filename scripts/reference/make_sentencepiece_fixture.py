"""Makes crates/squad-data/tests/fixtures/sentencepiece: folders with a SentencePiece model and no tokenizer.json, and what transformers'
fast tokenizers make of texts written for this project.

usage: PYTHONPATH=transformers-4.57.6:SENTENCEPIECE python scripts/reference/make_sentencepiece_fixture.py [--nmt-nfkc FOLDER]
needs transformers 4.57 (5 reads DeBERTa's and CamemBERT's models without their normalization rules), sentencepiece 0.2.1 and protobuf.
Made with transformers 4.57.6 and tokenizers 0.22.2.

The models are of this script's text, with some 300 pieces each and a few normalization rules, so that the files are small. With --nmt-nfkc
the models have SentencePiece's usual 240 KB of rules and go to FOLDER, which the test compares too:
SQUAD_BURN_SENTENCEPIECE=FOLDER cargo test -p squad-data --test squad_data a_model_alone_equals_transformers
"""
import argparse, io, json, os, pathlib
import sentencepiece
from transformers import AutoTokenizer

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/squad-data/tests/fixtures/sentencepiece"

TEXT = """The old baker of Ørsted Street was Zoë Müller.
In 1871 she sold 1,250 loaves a day – "the best bread by the sea", as the town's newspaper wrote.
Her café (now a school) stood on the first bridge and burned down in the night of 3 May 1902; nobody was hurt.
The new house was built by her grandson for 40,000 crowns, with stone from the river.
La boulangère était née à Besançon, où l'été est très chaud.
Der Fluß heißt seit 1950 „Große Aa“, die Brücke trägt 12,5 Tonnen.
El niño comió una manzana y bebió agua en la señal número 7.
Пекарь продал хлеб у реки, и город написал об этом в газете.
パン屋は川の橋の上にあります。東京 の 漢字 と 日本 の かな。
빵집은 다리 위에 있습니다. 한국어 문장 하나.
The queen ate bread in the garden, and the king read a book about the war and the peace.
Who was the baker? When did the school burn? How many loaves were sold, and what did they cost?
Bees collect nectar and pollen from flowers; hives stand in the water meadow by the lighthouse.
THE FIRE OF 1902 WAS SEEN FROM THE HARBOUR. ITALIC, BOLD AND UPPER CASE ARE LETTERS TOO.
A list: 1, 2, 3, 10, 20, 30, 100, 200, 300; x = 5, y = 7,
It's the baker's, isn't it? They've said we're late, she'd said "no" and he'll say ``yes''."""

# Written as SentencePiece wants its rules: code points, a tab, code points.
RULES = {"\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u2009": " ", "\u3000": " ", "\u200b": "", "\u00ad": "", "ﬁ": "fi", "ﬂ": "fl", "²": "2", "½": "1⁄2",
         "…": "...", "Ａ": "A", "Ｂ": "B", "１": "1", "，": ",", "㎞": "km", "™": "TM", "e\u0301": "é", "o\u0308": "ö", "\u0000": ""}

PAIRS = [
    ("Who was the baker?", "The old baker of Ørsted Street was Zoë Müller."),
    ("  Who was the baker?  ", "  The old baker was Zoë.  "),
    ("When did it burn down?", "It burned down in the night of 3 May 1902; nobody was hurt."),
    ("How many loaves?", "She sold 1,250 loaves a day – “the best bread by the sea”, as the town’s newspaper wrote."),
    ("What does it cost?", "40,000 crowns, 12,5 Tonnen, 1,2,3, 7, and 1902, then x,1 and ,5"),
    ("Où est née la boulangère ?", "La boulangère était née à Besançon, où l'été est très chaud."),
    ("Où ?", "e\u0301te\u0301 o\u0308 a\u0300 c\u0327 e\u0301\u0323 n\u0303 İ ı ß ẞ ǅ ﬃ"),
    ("Где пекарь?", "Пекарь продал хлеб у реки, и город написал об этом в газете. ЁЖИК й ё"),
    ("東京はどこですか。", "パン屋は川の橋の上にあります。東京 の 漢字 と 日本 の かな。ガギグ ㎞ ｶﾞ"),
    ("빵집은?", "빵집은 다리 위에 있습니다. 한국어 문장 하나. \u1112\u1161\u11ab"),
    ("Which emoji?", "A song 🙂 about 🌊🌊 the sea 👩‍👩‍👧 🇫🇷 ✋🏽 ok"),
    ("NBSP?", "one\u00a0two\u00a0\u00a0three \u00a0 four\u2009five\u3000six\u200bseven\u00adeight"),
    ("double  spaces   here", "a  b   c    d \t e \n f\r\ng\n\nh  "),
    ("\tWho?\n", "\tCat.\n"),
    ("UPPER CASE?", "THE FIRE OF 1902 WAS SEEN FROM THE HARBOUR. ÉTÉ ÇA ÑU ΣΑΣ"),
    ("Quotes?", "``yes'' \"no\" 'maybe' ``` ''' `a' ''"),
    ("It's?", "It's the baker's, isn't it? They've said we're late, she'd said no."),
    ("Punctuation?", "(a) [b] {c} <d> a-b_c/d\\e f@g.h #i $j %k ^l &m *n +o =p ~q |r !s ?t :u ;v"),
    ("Punctuation 2?", "…‥ — – ‘’ “” «» ¿¡ § ¶ † ‡ • · ″ ′ ， 。 、 「」 ！"),
    ("Special?", "[CLS] a [SEP] b [MASK] c [PAD] d [UNK] e"),
    ("Special without spaces?", "a[CLS]b[SEP]c[MASK]d[PAD]e[UNK]f"),
    ("Special with spaces?", "a  [MASK]  b   <mask>   c \u00a0[MASK]\u00a0 d  [UNK]  e  <unk>  f"),
    ("<s> Special? </s>", "<s> a </s> b <mask> c <pad> d <unk> e <s>NOTUSED f <unk>NOTUSED g </s>NOTUSED"),
    ("<s>Special?</s>", "a<s>b</s>c<mask>d<pad>e<unk>f<s>NOTUSEDg"),
    ("[MASK]", "[MASK]"),
    ("<mask>", " <mask> "),
    ("lower [mask] <MASK>", "[mask] [cls] <MASK> <S> [Mask] [Unk]"),
    ("Own tokens?", "a <q1> b<q1>c  <q1>  <Q1> the harbourmaster's harbourmasters harbourmaster  end"),
    ("User symbols?", "a (b) c£d €5 –6 \"x\" - . £€"),
    ("Metaspace?", "▁a ▁ b▁c ▁▁ d ▁"),
    ("▁Who?", "▁the▁baker"),
    ("Full width?", "ＡＢ１，２ ﬁsh ﬂat x² ½ cup ™ …"),
    ("Digits?", "0123456789 1.5 1 000 000 ٣٤ 二〇二六 Ⅳ ①"),
    ("Rare?", "𝔘𝔫𝔦 ☃ \u0301 \u200d \ufeffx \u0000y \u0007z \U0001F9FF \ue000"),
    ("Arabic and Hebrew?", "هذا خبز طازج. שלום עולם אֱ"),
    ("Thai and Hindi?", "ขนมปัง नमस्ते दुनिया"),
    ("a", "b"),
    ("?", "."),
    ("Long word?", "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrikantentochter " * 3),
    ("What ate the cat in the garden by the river?", "The queen ate bread in the garden, and the king read a book about the war and the peace. " * 2),
    ("Bees?", "Bees collect nectar and pollen from flowers; hives stand in the water meadow by the lighthouse."),
    ("Trailing spaces?   ", "text   \u00a0 \u3000 "),
]

# The pieces before the vocabulary, as each type's models have them.
BERT_LIKE = dict(pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", unk_id=3, unk_piece="[UNK]")
ALBERT = dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"], user_defined_symbols=list("()\"-.–£€"))
FAIRSEQ = dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)

MASK_SAVED = {"content": "[MASK]", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
OWN = {"content": "<q1>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": False}
WORD = {**OWN, "content": "harbourmaster", "single_word": True, "rstrip": True}
# By folder: the model, the name of its file, and the configurations beside it. A number -1 is the first id after the vocabulary.
FOLDERS = {
    "deberta-v2": (BERT_LIKE, "spm.model", {
        "config.json": {"model_type": "deberta-v2"}, "tokenizer_config.json": {"do_lower_case": False, "vocab_type": "spm"}}),
    "deberta-v2-options": (BERT_LIKE, "spm.model", {
        "config.json": {"model_type": "deberta-v2"},
        "tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": True, "split_by_punct": True, "sp_model_kwargs": {}},
        "special_tokens_map.json": {"cls_token": "[CLS]", "mask_token": "[MASK]", "additional_special_tokens": ["<q1>"]},
        "added_tokens.json": {"[MASK]": -1}}),
    "deberta-v2-added": (BERT_LIKE, "spm.model", {
        "config.json": {"model_type": "deberta-v2"}, "added_tokens.json": {"[MASK]": -1}}),
    "deberta-v2-saved": (BERT_LIKE, "spm.model", {
        "config.json": {"model_type": "deberta-v2"},
        "tokenizer_config.json": {
            "tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": False, "split_by_punct": False, "unk_token": "[UNK]", "mask_token": "[MASK]",
            "added_tokens_decoder": {"3": {**MASK_SAVED, "content": "[UNK]", "normalized": True}, "-1": {**MASK_SAVED, "lstrip": True}}},
        "special_tokens_map.json": {"mask_token": "<not read>"}}),
    "xlm-roberta": (FAIRSEQ, "sentencepiece.bpe.model", {"config.json": {"model_type": "xlm-roberta"}}),
    "xlm-roberta-saved": (FAIRSEQ, "sentencepiece.bpe.model", {
        "config.json": {"model_type": "bert", "tokenizer_class": "XLMRobertaTokenizer"},
        "special_tokens_map.json": {"mask_token": {**MASK_SAVED, "content": "<mask>", "lstrip": True}, "pad_token": "<pad>"},
        "added_tokens.json": {"<q1>": -1, "harbourmaster": -2}}),
    "camembert": (FAIRSEQ, "sentencepiece.bpe.model", {"config.json": {"model_type": "camembert"}}),
    "camembert-saved": (FAIRSEQ, "sentencepiece.bpe.model", {
        "config.json": {"model_type": "camembert"},
        "tokenizer_config.json": {"tokenizer_class": "CamembertTokenizer", "added_tokens_decoder": {"-1": OWN, "-2": WORD},
                                  "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED"]}}),
    "albert": (ALBERT, "spiece.model", {"config.json": {"model_type": "albert"}}),
    "albert-options": (ALBERT, "spiece.model", {
        "config.json": {"model_type": "albert"},
        "tokenizer_config.json": {"do_lower_case": False, "keep_accents": True, "remove_space": True},
        "special_tokens_map.json": {"mask_token": {**MASK_SAVED, "lstrip": True}}}),
}


def train(special, all_rules, rules):
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines() * 4), model_writer=writer, model_type="unigram", vocab_size=330, num_threads=1,
        character_coverage=1.0, hard_vocab_limit=False, minloglevel=2, **special,
        **(dict(normalization_rule_name="nmt_nfkc") if all_rules else dict(normalization_rule_tsv=rules.name)))
    return writer.getvalue()


def with_ids(config, first):
    """Numbers below 0 become ids after the vocabulary."""
    text = json.dumps(config, ensure_ascii=False, indent=1)
    for number in (1, 2):
        text = text.replace(f'"-{number}"', f'"{first + number - 1}"').replace(f": -{number}", f": {first + number - 1}")
    return text + "\n"


def codes(text):
    return " ".join(f"{ord(c):X}" for c in text)


parser = argparse.ArgumentParser()
parser.add_argument("--nmt-nfkc", type=pathlib.Path)
all_rules = parser.parse_args().nmt_nfkc
out = pathlib.Path(all_rules).resolve() if all_rules else OUT
out.mkdir(parents=True, exist_ok=True)
rules = out / "rules.tsv"
os.chdir(out)  # A model holds the path of its rules.
rules.write_text("".join(f"{codes(a)}\t{codes(b)}\n" for a, b in RULES.items() if a != "\u0000"))
models = {}
expected = {}
for name, (special, file, configs) in FOLDERS.items():
    folder = out / name
    folder.mkdir(exist_ok=True)
    key = json.dumps(special)
    if key not in models:
        models[key] = train(special, all_rules, rules)
    (folder / file).write_bytes(models[key])
    pieces = sentencepiece.SentencePieceProcessor(model_proto=models[key]).get_piece_size()
    first = pieces + (2 if "xlm" in name else 5 if "camembert" in name else 0)
    for config, content in configs.items():
        (folder / config).write_text(with_ids(content, first))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.is_fast
    rows = []
    for question, context in PAIRS:
        pair = tokenizer(question, context, return_offsets_mapping=True)
        parts = [[list(o) for o, s in zip(pair["offset_mapping"], pair.sequence_ids()) if s == part] for part in (0, 1)]
        rows.append({"ids": pair["input_ids"], "question": parts[0], "context": parts[1]})
    expected[name] = {"size": len(tokenizer), "pairs": rows}
    print(f"{name}: {len(models[key])} bytes, {pieces} pieces, {len(tokenizer)} ids, {sum(len(row['ids']) for row in rows)} tokens")
rules.unlink()
line = lambda x: json.dumps(x, ensure_ascii=True, separators=(",", ":"))
with open(out / "expected.json", "w") as f:
    f.write('{"texts":[\n' + ",\n".join(map(line, PAIRS)) + '],\n"folders":{\n')
    f.write(",\n".join(f'{line(name)}:{{"size":{e["size"]},"pairs":[\n' + ",\n".join(map(line, e["pairs"])) + "]}"
                       for name, e in expected.items()) + "}}\n")
