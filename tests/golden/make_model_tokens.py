#!/usr/bin/env python3
"""Write tests/golden/model_tokens.tsv: what tokenizer files of every kind mean.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install tokenizers==0.23.3 transformers==5.23.0
    /tmp/venv/bin/python tests/golden/make_model_tokens.py > tests/golden/model_tokens.tsv

Read by tests/unit/test_model_tokens.c, which also takes the name of such a file, so a
larger comparison is

    make_model_tokens.py SEED MODELS | build/unit/test_model_tokens /dev/stdin

Models with random files: half with a vocab.txt, as transformers' AutoTokenizer reads
it with what lies beside, half with a tokenizer.json, as tokenizers reads it. Lines of
tab-separated fields, texts escaped as in make_tokens.py:

    model   NAME
    file    NAME  CONTENT
    text    TEXT  CLS  SEP  ID:START-STOP ...

Left out are those that the reference has no answer for: it panics beside tokens that
are white space, and of two added tokens that are normalized alike it takes one by
chance.
"""
import json
import os
import random
import sys
import tempfile

from tokenizers import Tokenizer

from make_tokens import escape

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the of a b c foo bar ##foo ##b ##c é e ! x y [ ] cls sep mask pad new unk <s>"
WORDS = WORDS.split() + "tok X F o ##o".split()
ADDED = ["the", "foo", "x y", "[NEW]", "FO", "é", "<s>", "[MASK]", "b ", "tok1", "[X]"]
ADDED += ["[CLS]", "CAFÉ"]
BLANK = ["", " ", "\u3000"]
TEXTS = [
    "the foo bar",
    "x y [NEW] Foo FOO é <s> </s>",
    "[MASK][CLS] [SEP] [PAD]",
    "b  tok1 [X] b foo",
    "[UNK] [new] x  y café CAFÉ",
    " the  b \u3000 foo [MASK]  x y ",
]
VOCAB_SIZE = 70
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")

chance = random.Random()


def often(probability):
    return chance.random() < probability


def flags(names, given=1.0):
    return {name: often(0.35) for name in names if often(given)}


# ---- vocab.txt ----


def named_token(typed):
    """A special token as tokenizer_config.json and special_tokens_map.json name it."""
    content = chance.choice(["[CLS]", "[SEP]", "[MASK]", "[X]", "foo", "<s>", "[BOS]"])
    if often(0.6):
        return content
    token = {"content": content, **flags(FLAGS)}
    return {**token, "__type": "AddedToken"} if typed else token


def tokenizer_config():
    config = {}
    if often(0.5):
        config["do_lower_case"] = often(0.5)
    if often(0.3):
        config["strip_accents"] = chance.choice([True, False, None])
    if often(0.3):
        config["split_special_tokens"] = often(0.7)
    if often(0.3):
        name = chance.choice(["mask_token", "bos_token", "pad_token"])
        config[name] = named_token(True)
    if often(0.1):
        config["mask_token"] = None
    if often(0.3):
        name = chance.choice(["additional_special_tokens", "extra_special_tokens"])
        config[name] = chance.sample(ADDED, chance.randint(0, 2))
    if often(0.4):
        config["added_tokens_decoder"] = {
            str(id): {"content": content, **flags((*FLAGS, "special"), 0.7)}
            for id, content in zip(
                chance.sample(range(60), 3), chance.sample(ADDED, 3)
            )
        }
    return config


def special_tokens_map():
    name = chance.choice(["mask_token", "bos_token", "cls_token"])
    tokens = {name: named_token(False)}
    if often(0.3):
        tokens["additional_special_tokens"] = chance.sample(ADDED, 2)
    return tokens


def vocab_txt():
    vocab = SPECIAL + WORDS
    if often(0.3):
        chance.shuffle(vocab)
    if often(0.2):
        vocab.insert(chance.randrange(len(vocab)), "the")
    if often(0.2):
        vocab.insert(chance.randrange(len(vocab)), "")
    if often(0.15):
        vocab.remove(chance.choice(["[MASK]", "[PAD]"]))
    end = chance.choice(["\n", "\r\n", " \n", "\u3000\n"])
    return end.join(vocab) + chance.choice(["", "\n"])


def vocab_files():
    files = {"vocab.txt": vocab_txt()}
    if often(0.8):
        files["tokenizer_config.json"] = json.dumps(tokenizer_config())
    if often(0.3):
        files["special_tokens_map.json"] = json.dumps(special_tokens_map())
    if often(0.4):
        ids = chance.sample(range(60), 3)
        added = dict(zip(chance.sample(ADDED, 3), ids))
        files["added_tokens.json"] = json.dumps(added)
    return files


def load_vocab(directory):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.backend_tokenizer.encode_special_tokens = tokenizer.split_special_tokens
    return tokenizer.backend_tokenizer


# ---- tokenizer.json ----


def added_tokens(vocab):
    contents = chance.sample(ADDED + BLANK, chance.randint(0, 6))
    contents += SPECIAL if often(0.7) else []
    if often(0.3):
        chance.shuffle(contents)
    for content in contents:
        id = chance.choice([vocab.get(content, 0), chance.randrange(60)])
        yield {"id": id, "content": content, **flags((*FLAGS, "special"))}


def tokenizer_json():
    vocab = SPECIAL + WORDS
    ids = range(len(vocab)) if often(0.7) else chance.sample(range(60), len(vocab))
    vocab = dict(zip(vocab, ids))
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": often(0.8),
        "handle_chinese_chars": often(0.8),
        "strip_accents": chance.choice([None, None, True, False]),
        "lowercase": often(0.6),
    }
    lower = {"type": "Lowercase"}
    normalizer = chance.choice(
        [normalizer] * 3
        + [{"type": "Sequence", "normalizers": [normalizer]}]
        + [{"type": "Sequence", "normalizers": [lower, normalizer]}]
        + [None]
    )
    pre_tokenizer = {"type": "BertPreTokenizer"}
    if often(0.3):
        pre_tokenizer = {"type": "Sequence", "pretokenizers": [pre_tokenizer]}
    post_processor = {
        "type": "BertProcessing",
        "sep": ["[SEP]", vocab["[SEP]"]],
        "cls": ["[CLS]", vocab["[CLS]"]],
    }
    if often(0.3):
        post_processor = {"type": "Sequence", "processors": [post_processor]}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added_tokens(vocab)),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor,
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }


def json_files():
    files = {"tokenizer.json": json.dumps(tokenizer_json())}
    if often(0.4):
        files["tokenizer_config.json"] = json.dumps({"split_special_tokens": True})
    return files


def load_json(directory):
    tokenizer = Tokenizer.from_file(directory + "/tokenizer.json")
    config = directory + "/tokenizer_config.json"
    tokenizer.encode_special_tokens = os.path.exists(config)
    return tokenizer


# ---- models ----


def is_clear(tokenizer):
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    tokens = tokenizer.get_added_tokens_decoder().values()
    forms = [normalize(t.content) for t in tokens if t.normalized]
    return len(set(forms)) == len(forms) and "" not in forms


def print_text(tokenizer, text):
    try:
        encoding = tokenizer.encode(text)
    except BaseException:  # a panic
        return
    tokens = [f"{i}:{a}-{b}" for i, (a, b) in zip(encoding.ids, encoding.offsets)]
    print("text", escape(text), encoding.ids[0], encoding.ids[-1],
          " ".join(tokens[1:-1]), sep="\t")  # fmt: skip


def print_model(name, files, load):
    with tempfile.TemporaryDirectory() as directory:
        config = {"model_type": "bert", "vocab_size": VOCAB_SIZE}
        for file, content in {**files, "config.json": json.dumps(config)}.items():
            with open(f"{directory}/{file}", "w", encoding="utf-8", newline="") as out:
                out.write(content)
        tokenizer = load(directory)
    if not is_clear(tokenizer):
        return
    print("model", name, sep="\t")
    for file, content in files.items():
        print("file", file, escape(content), sep="\t")
    for text in TEXTS:
        print_text(tokenizer, text)


seed, n_models = (int(a) for a in sys.argv[1:3] or (1, 80))
chance.seed(seed)
print("# Written by make_model_tokens.py with tokenizers 0.23.3, transformers 5.23.0.")
for i in range(0, n_models, 2):
    print_model(f"vocab.txt {i}", vocab_files(), load_vocab)
    print_model(f"tokenizer.json {i + 1}", json_files(), load_json)
