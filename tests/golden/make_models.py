#!/usr/bin/env python3
"""Make the small models of odd shapes and options in models/.

    make_models.py [NAME]...

Each is a directory as Hugging Face or sentence-transformers ships it, written by their
own code where that can write it. The weights are random, with a fixed seed, and wide:
scores of attention and what goes into the activation span about -6 to 6, biases and
LayerNorms are far from 0 and 1, so that an error anywhere is seen at the end. The deep
model's layers are gentler, as rounding errors would grow from layer to layer otherwise.

The three that are too big to be kept are made at test time, by make_tiny_model.pl with
the options in made_models.tsv.
"""
import json
import math
import shutil
import sys
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (BertConfig, BertForMaskedLM, BertForPreTraining, BertModel)

from make_embeddings import read_texts

MODELS = Path(__file__).resolve().parent / "models"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def main(names):
    for name, make in MAKERS.items():
        if not names or name in names:
            shutil.rmtree(MODELS / name, ignore_errors=True)
            (MODELS / name).mkdir(parents=True)
            torch.manual_seed(1 + list(MAKERS).index(name))
            make(MODELS / name)


# ---- vocabularies ----

def vocabulary(size, special=SPECIAL, **options):
    """The commonest words, beginnings, ends and characters of the texts in a hundred
    languages, as the tokenizer's options leave them."""
    counts = Counter()
    normalizer = normalizers.BertNormalizer(**options)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    for name, text, _ in read_texts():
        if name.startswith(("lang", "message", "prose", "code", "numbers")):
            counts.update(piece for word, _ in split(normalizer.normalize_str(text))
                          for piece in pieces_of(word))
    ascii_pieces = [mark + chr(c) for mark in ("", "##") for c in range(33, 127)
                    if mark == "" or chr(c).isalnum()]
    if options.get("lowercase"):
        ascii_pieces = [piece for piece in ascii_pieces if piece == piece.lower()]
    commonest = sorted(counts, key=lambda piece: (-counts[piece], piece))
    return list(dict.fromkeys([*special, *ascii_pieces, *commonest]))[:size]


def pieces_of(word):
    yield from word[:1]
    yield from ("##" + c for c in word[1:])
    yield from (word, word[:3], "##" + word[-2:]) if 3 < len(word) < 10 else ()


def write_tokenizer(path, size, special=SPECIAL, added=(), **options):
    """tokenizer.json and tokenizer_config.json that agree. Returns the vocabulary's size."""
    options = {"lowercase": True, "strip_accents": None, "handle_chinese_chars": True, **options}
    pieces = vocabulary(size - len(added), special, **options)
    pad, unk, cls, sep, mask = special
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token=unk))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, **options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0", pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, pieces.index(cls)), (sep, pieces.index(sep))])
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens(list(added))
    tokenizer.save(str(path / "tokenizer.json"))
    write_json(path / "tokenizer_config.json", {
        "do_lower_case": options["lowercase"], "strip_accents": options["strip_accents"],
        "tokenize_chinese_chars": options["handle_chinese_chars"],
        "pad_token": pad, "unk_token": unk, "cls_token": cls, "sep_token": sep,
        "mask_token": mask, "model_max_length": 1000000000000000019884624838656,
        "tokenizer_class": "BertTokenizer"})
    return len(pieces) + len(added)


# ---- weights ----

def bert(path, vocab_size, hidden, heads, layers, intermediate, kind=BertModel, gain=1.0,
         **config):
    model = kind(BertConfig(
        vocab_size=vocab_size, hidden_size=hidden, num_attention_heads=heads,
        num_hidden_layers=layers, intermediate_size=intermediate,
        **{"max_position_embeddings": 64, **config}))
    for name, parameter in model.named_parameters():
        parameter.data = weights(name, parameter.shape, gain)
    return model


def weights(name, shape, gain):
    """gain: how much a layer adds to what goes past it."""
    noise = torch.randn(shape)
    if "LayerNorm" in name:
        return 0.3 * noise + (name.endswith("weight"))
    if name.endswith("bias"):
        return 0.3 * noise
    if "_embeddings" in name:
        return noise if "word" in name else 0.7 * noise
    noise /= math.sqrt(shape[-1])
    if "query" in name or "key" in name:
        return 1.6 * noise
    if "intermediate" in name or "transform" in name:
        return 2.5 * noise
    return gain * noise


def save(model, path, dtype=torch.float32, **options):
    model.to(dtype).save_pretrained(path, **options)
    (path / "generation_config.json").unlink(missing_ok=True)


def edit_tensors(path, edit):
    """edit(tensors) -> tensors, of the model in that directory."""
    file = path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in edit(load_file(file)).items()},
              file, {"format": "pt"})


def edit_config(path, **keys):
    config = json.loads((path / "config.json").read_text())
    write_json(path / "config.json", {**config, **keys})


# ---- sentence-transformers ----

def write_pipeline(path, *modules, **settings):
    """modules: (folder, class, config.json or None, tensors or None); settings: of
    config_sentence_transformers.json. As the library's releases before 5 wrote them."""
    entries = []
    for i, (folder, kind, config, tensors) in enumerate(modules):
        entries.append({"idx": i, "name": str(i), "path": folder,
                        "type": f"sentence_transformers.models.{kind}"})
        (path / folder).mkdir(exist_ok=True)
        if config:
            write_json(path / folder / "config.json", config)
        if tensors:
            save_file(tensors, path / folder / "model.safetensors", {"format": "pt"})
    write_json(path / "modules.json", entries)
    if settings:
        write_json(path / "config_sentence_transformers.json", settings)


def legacy_pooling(folder, size, *modes, **more):
    every = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens",
             "weightedmean_tokens", "lasttoken")
    return (folder, "Pooling", {"word_embedding_dimension": size, **more,
                                **{f"pooling_mode_{m}": m in modes for m in every}}, None)


def dense(folder, in_size, out_size, activation, bias=True):
    tensors = {"linear.weight": 1.5 * torch.randn(out_size, in_size) / math.sqrt(in_size)}
    if bias:
        tensors["linear.bias"] = 0.3 * torch.randn(out_size)
    return (folder, "Dense", {"in_features": in_size, "out_features": out_size, "bias": bias,
                              "activation_function": f"torch.nn.modules.{activation}"}, tensors)


def write_json(file, value):
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


# ---- the models ----

def prime(path):
    """Sizes that are multiples of nothing; cased."""
    size = write_tokenizer(path, 701, lowercase=False)
    save(bert(path, size, hidden=7, heads=1, layers=1, intermediate=3, layer_norm_eps=1e-3),
         path)
    write_pipeline(path, ("", "Transformer", None, None), legacy_pooling("1_Pooling", 7, "cls_token"),
                   ("2_Normalize", "Normalize", None, None))


def deep(path):
    size = write_tokenizer(path, 400)
    save(bert(path, size, hidden=12, heads=2, layers=25, intermediate=17, gain=0.25), path)


def positions(path):
    """8192 positions in half precision; mean pooling over thousands of tokens."""
    size = write_tokenizer(path, 500)
    save(bert(path, size, hidden=8, heads=2, layers=2, intermediate=10,
              max_position_embeddings=8192), path, torch.float16)
    write_json(path / "sentence_bert_config.json", {"max_seq_length": 8192, "do_lower_case": False})


def one_type(path):
    """type_vocab_size 1; vocab.txt and tokenizer_config.json, no tokenizer.json; cased."""
    pieces = vocabulary(600, lowercase=False, strip_accents=False, handle_chinese_chars=True)
    (path / "vocab.txt").write_text("".join(piece + "\n" for piece in pieces))
    write_json(path / "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 512,
                                                "tokenizer_class": "BertTokenizer"})
    save(bert(path, len(pieces), hidden=26, heads=2, layers=2, intermediate=31, type_vocab_size=1),
         path)
    write_pipeline(path, ("", "Transformer", None, None),
                   legacy_pooling("1_Pooling", 26, "mean_sqrt_len_tokens"))


def three_types(path):
    """type_vocab_size 3, heads of 13, positions from a table of sines, half precision."""
    size = write_tokenizer(path, 600)
    model = bert(path, size, hidden=39, heads=3, layers=2, intermediate=50, type_vocab_size=3,
                 layer_norm_eps=1e-5)
    table = model.embeddings.position_embeddings.weight.data
    angles = torch.arange(64)[:, None] / 10000 ** (torch.arange(20) / 20)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()[:, :19]
    save(model, path, torch.float16)
    write_pipeline(path, ("", "Transformer", None, None), legacy_pooling("1_Pooling", 39, "max_tokens"))


def activations(path):
    """For every hidden_act: the parameters of prelu and xielu lie beside the rest. Those of
    xielu are bfloat16 whatever the model is, also in transformers' computations."""
    size = write_tokenizer(path, 500)
    model = bert(path, size, hidden=16, heads=2, layers=2, intermediate=37)
    for layer in model.encoder.layer:
        layer.intermediate.dense.weight.data *= 2  # beyond gelu_10's bounds
    save(model, path)
    learned = {}
    for layer, shift in enumerate((0.0, 0.3)):
        of_layer = {"weight": [0.4 - shift], "alpha_p": [-0.2 + shift],
                    "alpha_n": [0.3 + shift], "beta": 0.5 + shift, "eps": -1e-6}
        for name, value in of_layer.items():
            learned[f"encoder.layer.{layer}.intermediate.intermediate_act_fn.{name}"] = (
                torch.tensor(value, dtype=torch.float32 if name == "weight" else torch.bfloat16))
    edit_tensors(path, lambda tensors: {**tensors, **learned})


def relative(position_type):
    def make(path):
        size = write_tokenizer(path, 500)
        save(bert(path, size, hidden=20, heads=4, layers=3, intermediate=29, gain=0.7,
                  max_position_embeddings=40), path)
        edit_tensors(path, lambda tensors: {**tensors, **{
            f"encoder.layer.{layer}.attention.self.distance_embedding.weight": torch.randn(79, 5)
            for layer in range(3)}})
        edit_config(path, position_embedding_type=position_type)
    return make


def pretraining(path):
    """As Google's models were first converted: heads, prefix, gamma and beta."""
    size = write_tokenizer(path, 400)
    model = bert(path, size, hidden=18, heads=3, layers=2, intermediate=45,
                 kind=BertForPreTraining, hidden_act="gelu_new")
    save(model, path)
    edit_tensors(path, lambda tensors: {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"):
        tensor for name, tensor in tensors.items()})


def masked(path):
    """No pooler, a decoder of its own, bfloat16, in shards."""
    size = write_tokenizer(path, 400)
    model = bert(path, size, hidden=22, heads=2, layers=2, intermediate=33, kind=BertForMaskedLM,
                 tie_word_embeddings=False, hidden_act="silu")
    save(model, path, torch.bfloat16, max_shard_size="20KB")


def tokens(path):
    """Other special tokens; added tokens with flags; accents and Chinese left alone."""
    added = [AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True),
             AddedToken("word", single_word=True, normalized=False),
             AddedToken("GROẞ", normalized=True), AddedToken("q.e.d.", normalized=False)]
    size = write_tokenizer(path, 700, ("<pad>", "<unk>", "<s>", "</s>", "<mask>"), added,
                           strip_accents=False, handle_chinese_chars=False)
    save(bert(path, size, hidden=15, heads=3, layers=1, intermediate=16), path)
    write_pipeline(path, ("", "Transformer", None, None),
                   legacy_pooling("1_Pooling", 15, "weightedmean_tokens"))


def contradiction(path):
    """tokenizer.json lower-cases; tokenizer_config.json says what counts."""
    size = write_tokenizer(path, 600, lowercase=False)
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    tokenizer["normalizer"].update(lowercase=True, strip_accents=True, handle_chinese_chars=True)
    tokenizer["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst",
                               "stride": 0}
    write_json(path / "tokenizer.json", tokenizer)
    write_json(path / "tokenizer_config.json", {
        "do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False,
        "model_max_length": 30, "tokenizer_class": "BertTokenizer"})
    save(bert(path, size, hidden=17, heads=1, layers=2, intermediate=24), path)
    write_pipeline(path, ("", "Transformer", None, None), legacy_pooling("1_Pooling", 17, "lasttoken"))


def old_pipeline(path):
    """Written by an old sentence-transformers: the encoder in a folder of its own, several
    poolings, two Dense in a row."""
    encoder = path / "0_Transformer"
    encoder.mkdir()
    size = write_tokenizer(encoder, 500)
    save(bert(path, size, hidden=14, heads=2, layers=2, intermediate=30), encoder)
    write_json(encoder / "sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": False})
    write_pipeline(path, ("0_Transformer", "Transformer", None, None),
                   legacy_pooling("1_Pooling", 14, "cls_token", "max_tokens", "mean_tokens",
                                  "mean_sqrt_len_tokens"),
                   dense("2_Dense", 56, 21, "activation.Tanh"),
                   dense("3_Dense", 21, 9, "linear.Identity", bias=False))


def new_pipeline(path):
    """Saved by sentence-transformers 6: a list of poolings in an order of its own, without
    the prompt's tokens; LayerNorm; Dense with residuals; prompts; a cut vector."""
    encoder = path / "encoder"
    encoder.mkdir()
    size = write_tokenizer(encoder, 500)
    save(bert(path, size, hidden=12, heads=3, layers=2, intermediate=26), encoder)
    norm = LayerNorm(36)
    same = Dense(36, 36, activation_function=torch.nn.GELU(), use_residual=True)
    other = Dense(36, 13, activation_function=torch.nn.SiLU(), use_residual=True)
    for module in (norm, same, other):
        for name, parameter in module.named_parameters():
            parameter.data = weights("LayerNorm." + name if module is norm else name,
                                     parameter.shape, 1.5)
    model = SentenceTransformer(
        modules=[Transformer(str(encoder)),
                 Pooling(12, ["lasttoken", "weightedmean", "cls"], include_prompt=False),
                 norm, same, other, Normalize()],
        prompts={"query": "query: ", "document": "Das Dokument: ", "other": "x "},
        default_prompt_name="other", truncate_dim=11, device="cpu")
    model.save(str(path), create_model_card=False)
    shutil.rmtree(encoder)


def prompts(path):
    """include_prompt false with all six poolings, a default prompt, modules in folders of
    other names."""
    size = write_tokenizer(path, 450)
    save(bert(path, size, hidden=10, heads=2, layers=2, intermediate=22,
              hidden_act="relu"), path, torch.bfloat16)
    write_json(path / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})
    write_pipeline(path, ("", "Transformer", None, None),
                   legacy_pooling("pool", 10, "cls_token", "max_tokens", "mean_tokens",
                                  "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken",
                                  include_prompt=False),
                   ("norm", "LayerNorm", {"dimension": 60},
                    {"norm.weight": 1 + 0.3 * torch.randn(60), "norm.bias": 0.3 * torch.randn(60)}),
                   dense("smaller", 60, 16, "activation.ReLU"),
                   prompts={"passage": "passage: ", "task": "Represent this: "},
                   default_prompt_name="passage", similarity_fn_name="dot")


MAKERS = {
    "prime": prime,
    "deep": deep,
    "positions": positions,
    "one-type": one_type,
    "three-types": three_types,
    "activations": activations,
    "relative-key": relative("relative_key"),
    "relative-key-query": relative("relative_key_query"),
    "pretraining": pretraining,
    "masked": masked,
    "tokens": tokens,
    "contradiction": contradiction,
    "old-pipeline": old_pipeline,
    "new-pipeline": new_pipeline,
    "prompts": prompts,
}

if __name__ == "__main__":
    main(sys.argv[1:])
