"""What the scripts that make fixtures share: tokenizers of letters, weights by a formula, dropout masks by Philox.

needs numpy, tokenizers and transformers. The formula and the masks are written a second time in Rust (crates/bert-qa/tests/bert_qa/
case.rs and crates/fused-ops/src/dropout/): that both agree is what the fixtures' tests find out.
"""
import string
import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AlbertTokenizer, CamembertTokenizer, MPNetTokenizer, RobertaTokenizer, XLMRobertaTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_tokenizer(lowercase=True):
    """Letters, one token each, and three marks: 60 entries, or 112 with capital letters."""
    letters = list(string.ascii_lowercase if lowercase else string.ascii_letters)
    vocab = SPECIAL + letters + ["##" + letter for letter in letters] + [".", ",", "?"]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def mpnet_tokenizer():
    """WordPiece with RoBERTa's special tokens and form of a pair: 60 entries."""
    letters = list(string.ascii_lowercase)
    vocab = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"] + letters + ["##" + letter for letter in letters] + [".", ",", "?"]
    return MPNetTokenizer(vocab={token: id for id, token in enumerate(vocab)})._tokenizer


def byte_level_tokenizer():
    """RoBERTa's kind: byte-level BPE with capital letters and a few merges."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = list("Ġ.,?" + string.ascii_letters)
    merges = [("Ġ", letter) for letter in "acbAsi"] + [("t", "e"), ("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("a", "w"), ("e", "a")]
    tokens = special + alphabet + ["".join(merge) for merge in merges] + ["<mask>"]
    vocab = {token: id for id, token in enumerate(tokens)}
    return RobertaTokenizer(vocab=vocab, merges=merges)._tokenizer


def unigram_tokenizer(kind):
    """CamemBERT's, XLM-RoBERTa's or ALBERT's kind: Unigram. Spaces become "▁"."""
    special = {CamembertTokenizer: ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"],
               XLMRobertaTokenizer: ["<s>", "<pad>", "</s>", "<unk>"],
               AlbertTokenizer: ["<pad>", "<unk>", "[CLS]", "[SEP]"]}[kind]
    pieces = list("▁.,?" + string.ascii_letters) + ["▁the", "at", "▁it", "▁A", "▁a", "▁c", "▁b", "▁s", "read"]
    vocab = [(token, 0.0) for token in special] + [(piece, -3.0 - i / 64) for i, piece in enumerate(pieces)]
    mask = "[MASK]" if kind is AlbertTokenizer else "<mask>"
    return kind(vocab=vocab + [(mask, 0.0)])._tokenizer


def weights(name, shape, scale, offset):
    """float32 numbers in offset - scale .. offset + scale that look random: a hash of the tensor's name (FNV-1a) and the
    element's index (SplitMix64). Every operation is exact or rounds once, so that any language gives the same bits."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, np.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return (np.float32(offset) + np.float32(scale) * unit).reshape(shape)


def philox(counter, key):
    """Philox4x32 with 7 rounds (Salmon et al. 2011): four arrays of 32-bit words in, four out."""
    c, (k0, k1) = [np.asarray(word, dtype=np.uint64) for word in counter], key
    mask, low = np.uint64(2**32 - 1), np.uint64(32)
    for _ in range(7):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> low) ^ c[1] ^ np.uint64(k0), b & mask, (a >> low) ^ c[3] ^ np.uint64(k1), a & mask]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c


def dropout_factors(rows, columns, prob, site, seed, step):
    """0 or 1 / (1 - prob) for the numbered rows of a matrix: rank and micro-batch are 0."""
    place = np.arange(columns)
    lane, word, upper = place // 128 * 16 + place % 16, place % 64 // 16, place // 64 % 2
    counter = np.broadcast_arrays(lane[None, :], np.asarray(rows)[:, None], step, site)
    words = np.stack(philox(counter, (seed % 2**32, seed >> 32)))
    bits = np.take_along_axis(words, np.broadcast_to(word, words.shape[1:])[None], axis=0)[0]
    bits = (bits >> np.uint64(16) * upper.astype(np.uint64)) & np.uint64(2**16 - 1)
    prob = np.float32(prob)
    return np.where(bits < round(float(prob) * 2**16), np.float32(0), 1 / (1 - prob))


# The generator's authors' known answer (Random123, kat_vectors, philox4x32 7 rounds).
assert [int(w) for w in philox([0] * 4, (0, 0))] == [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]
