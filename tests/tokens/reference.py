"""The reference, tokenizers 0.23.3, as BERT's models configure it; and model directories."""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread is what we compare with

import json  # noqa: E402

import tokenizers  # noqa: E402
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing  # noqa: E402

if tokenizers.__version__ != "0.23.3":
    raise SystemExit(f"this is tokenizers {tokenizers.__version__}, not 0.23.3")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_tokenizer(vocabulary, clean_text=True, chinese=True, strip_accents=None,
                   lowercase=True, max_chars=100, added=()):  # fmt: skip
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary, unk_token="[UNK]", max_input_chars_per_word=max_chars
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text, chinese, strip_accents, lowercase
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, vocabulary[t]) for t in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens(list(added))
    return tokenizer


def open_model(directory):
    """As sentence-transformers has it: truncation and padding are the caller's."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def write_model(tokenizer, directory):
    """A directory that both sides read: tokenizer.json, and stubs of the rest."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    lowercase = tokenizer.normalizer.lowercase
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": lowercase})
    )
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_text("")
