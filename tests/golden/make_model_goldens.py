#!/usr/bin/env python3
"""Make the goldens in float64: what Hugging Face's code computes with each model.

    make_model_goldens.py PYTHON4 > models.tsv
    make_model_goldens.py PYTHON4 MODEL_DIR > all-MiniLM-L6-v2.float64.tsv
    make_model_goldens.py PYTHON4 MODEL_DIR hidden > SOMEWHERE (500 MB)

The first is for the small models. PYTHON4 is a Python with transformers 4, which still
knows relative positions. The second is for a real model, with all texts; the third has
its hidden states after every layer.

A line is a call in SQL, and what it is to return:

    model  name of the text  call  value  float32

value was computed in float64, from the weights as they are in the files. float32 is how
far transformers' own result in float32 is from it (the largest difference). For
bert_tokens() the value is the list of ids. README.md tells the rest.
"""
import json
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import BertModel
from transformers.activations import ACT2CLS

from make_embeddings import NULL, in_base64, read_texts, unescape

HERE = Path(__file__).resolve().parent
DTYPES = (torch.float32, torch.float64)

SINGLES = """corner-empty corner-blank-mix corner-a short lang-en-1 lang-de-1 lang-tr-1
    lang-vi-1 lang-el-1 lang-ru-1 lang-he-1 lang-ar-1 lang-hi-1 lang-th-1 lang-zh-1 lang-ja-1
    lang-ko-1 corner-special-all corner-cjk-mixed corner-emoji-mix corner-decomposed
    corner-dotted-i corner-mixed-case corner-word-101 added-tokens code-1 prose-middle-1
    prose-large-1""".split()
PAIRS = "pair-short pair-empty-second pair-ru-en pair-sep-inside pair-tokens-10-300".split()
MORE = {"positions": ["thousands", "long-en-5000", "long-ja-5000", "too-many-thousands"],
        "vocabulary": ["four-letters"]}
FEW = ["corner-a", "short", "lang-ru-1", "prose-middle-1"]  # for calls of a single model
LOOK_INSIDE = ["short", "pair-short"]


def main(python4, *of_model):
    torch.set_num_threads(1)
    rows = read_texts() + ([] if of_model else more_texts())
    texts = {name: (text, second) for name, text, second in rows}
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(of_model[0])] if of_model else model_directories(Path(directory))
        for path in paths:
            old = config_of(path).get("position_embedding_type", "absolute") != "absolute"
            kind = Transformers4 if old else Transformers5
            single, double = (kind(path, dtype, python4) for dtype in DTYPES)
            for name, call in all_calls(double, texts, *of_model[1:]) if of_model else calls(double):
                ids, values = [], []
                for reference in (single, double):
                    ids, value = evaluate(reference, call, *texts[name])
                    values.append(value)
                if call.startswith("bert_tokens("):
                    value, far = ",".join(map(str, ids)), NULL
                else:
                    value, far = in_base64(values[1]), "%.3e" % np.abs(values[1] - values[0]).max()
                print(path.name, name, call, value, far, sep="\t")
            print(path.name, file=sys.stderr)


def more_texts():
    lines = (HERE / "model_texts.tsv").read_bytes().decode().split("\n")[:-1]
    return [tuple(map(unescape, line.split("\t"))) for line in lines]


# ---- the models ----

def model_directories(scratch):
    """Those that are kept, those that make_tiny_model.pl makes, and for each hidden_act one."""
    for path in sorted((HERE / "models").iterdir()):
        yield path
    for line in (HERE / "made_models.tsv").read_text().splitlines():
        name, options = line.split("\t")
        subprocess.run(["perl", HERE.parent / "make_tiny_model.pl", *options.split(),
                        scratch / name], check=True)
        yield scratch / name
    for activation in ACT2CLS:
        path = scratch / f"activations-{activation}"
        shutil.copytree(HERE / "models/activations", path)
        (path / "config.json").write_text(
            json.dumps({**config_of(path), "hidden_act": activation}))
        yield path


def encoder_directory(path):
    inner = path / "0_Transformer"
    return inner if inner.exists() else path


def config_of(path):
    return json.loads((encoder_directory(path) / "config.json").read_text())


class Transformers5:
    """A model in one precision."""

    def __init__(self, path, dtype, _):
        self.path, self.dtype = path, dtype
        self.sentence = SentenceTransformer(str(path), device="cpu",
                                            model_kwargs={"dtype": dtype}).eval()
        for module in list(self.sentence)[1:]:  # not the encoder: its xIELU stays bfloat16
            module.to(dtype)
        load = dict(dtype=dtype, output_hidden_states=True)
        directory = encoder_directory(path)
        self.bert = BertModel.from_pretrained(directory, **load).eval()
        self.eager = BertModel.from_pretrained(directory, attn_implementation="eager",
                                               **load).eval()
        self.config = self.bert.config
        self.last = None, None  # question and answer: layer after layer is asked for

    def tokens(self, text, second):
        return self.sentence.tokenizer([text], None if second is None else [second],
                                       truncation=True, return_tensors="pt",
                                       max_length=self.sentence.max_seq_length)

    def forward(self, tokens, attentions=False):
        question = attentions, tokens["input_ids"].tolist(), tokens["token_type_ids"].tolist()
        if self.last[0] != question:
            bert = self.eager if attentions else self.bert
            self.last = question, bert(**tokens, output_attentions=attentions)
        return self.last[1]

    def embedding(self, text, role="", positions=True, normalized=False, **options):
        encode = getattr(self.sentence, "encode" + role)
        table = self.sentence[0].auto_model.embeddings.position_embeddings.weight.data
        kept = table.clone()
        table *= positions
        result = encode(text, normalize_embeddings=normalized, **options)
        table.copy_(kept)
        return result


class Transformers4(Transformers5):
    """Relative positions: the encoder of transformers 4, the rest from the new libraries."""

    def __init__(self, path, dtype, python4):
        super().__init__(path, dtype, python4)
        self.worker = subprocess.Popen(
            [python4, HERE / "transformers4.py", path, str(dtype).removeprefix("torch.")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def forward(self, tokens, attentions=False, positions=True):
        request = {name: tensor.tolist() for name, tensor in tokens.items()}
        pickle.dump((request, positions), self.worker.stdin)
        self.worker.stdin.flush()
        return pickle.load(self.worker.stdout)

    def embedding(self, text, positions=True):
        """This model has no prompt, and pools by the mean."""
        hidden = self.forward(self.tokens(text, None), positions=positions).last_hidden_state
        return hidden[0].mean(dim=0).numpy()


# ---- the calls ----

def calls(reference):
    """(text, call), of which each is evaluated in both precisions."""
    model, config = reference.path.name, reference.config
    if model.startswith("activations-"):
        yield from ((name, "bert_embed(model, text)") for name in FEW)
        yield "short", f"bert_hidden(model, text, {config.num_hidden_layers})"
        return
    for name in SINGLES + MORE.get(model, []):
        yield name, "bert_tokens(model, text)"
        yield name, "bert_embed(model, text)"
    for name in PAIRS if config.type_vocab_size > 1 else ():
        yield name, "bert_tokens(model, text, second)"
        yield name, "bert_cls(model, text, second)"
    for name in LOOK_INSIDE if config.type_vocab_size > 1 else LOOK_INSIDE[:1]:
        yield from inside(name, model, config)
    for call in OF_MODEL.get(model, ()):
        yield from ((name, call) for name in FEW)


def all_calls(reference, texts, what=""):
    """For a real model."""
    layers = reference.config.num_hidden_layers
    for name, (_, second) in texts.items():
        args = "model, text" if second is None else "model, text, second"
        if what == "hidden":
            yield from ((name, f"bert_hidden({args}, {layer})") for layer in range(layers + 1))
        elif second is None:
            yield name, f"bert_embed({args})"
        else:
            yield name, f"bert_cls({args})"
    if what != "hidden":
        yield "corner-repeat-punct", "bert_cls(model, text)"  # rounding errors are largest there
        for name, args in (("corner-a", "model, text"), ("pair-short", "model, text, second")):
            yield from ((name, f"bert_hidden({args}, {layer})") for layer in (0, 1, layers // 2, layers))
            yield from ((name, f"bert_attention({args}, {layer}, 11)") for layer in (1, layers))


def inside(name, model, config):
    args = "model, text, second" if name.startswith("pair") else "model, text"
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    yield name, f"bert_cls({args})"
    if model not in ("masked",):
        yield name, f"bert_pooled({args})"
    for layer in sorted({0, (layers + 1) // 2, layers}):
        yield name, f"bert_hidden({args}, {layer})"
    for layer, head in sorted({(1, 0), (layers, heads - 1)}):
        yield name, f"bert_attention({args}, {layer}, {head})"


EMBED = "bert_embed(model, text, %s)"
PROMPTED = [EMBED % options for options in (
    "normalized => true", "dimensions => 5", "dimensions => 7, normalized => true",
    "prompt => ''", "prompt => 'Some words: '")]
ROLES = ["bert_embed_query(model, text)", "bert_embed_document(model, text)",
         "bert_embed_query(model, text, normalized => true, dimensions => 6)"]
OF_MODEL = {
    "new-pipeline": [*PROMPTED, *ROLES, EMBED % "prompt => '@query'"],
    "prompts": [*PROMPTED, *ROLES, EMBED % "prompt => '@task', normalized => true"],
    "old-pipeline": [*PROMPTED, *ROLES],
    "three-types": [EMBED % "normalized => true", EMBED % "positions => false"],
    "relative-key": [EMBED % "positions => false"],
    "relative-key-query": [EMBED % "positions => false"],
    "tokens": PROMPTED[:3],
}
PYTHON = {"normalized": "normalized", "dimensions": "truncate_dim", "prompt": "prompt",
          "positions": "positions"}


@torch.inference_mode()
def evaluate(reference, call, text, second):
    """(ids, value) of a call in SQL."""
    function, arguments = re.fullmatch(r"bert_(\w+)\(model, text(?:, second)?(?:, )?(.*)\)", call).groups()
    if function.startswith("embed"):
        options = {}
        for option in arguments.split(", ") if arguments else ():
            name, value = option.split(" => ")
            value = {"true": True, "false": False}.get(value, value)
            value = int(value) if str(value).isdigit() else value
            if name == "prompt":
                value = value.strip("'")
                name = "prompt_name" if value.startswith("@") else name
                value = value.removeprefix("@")
            options[PYTHON.get(name, name)] = value
        if function != "embed":
            options["role"] = function.removeprefix("embed")
        return None, reference.embedding(text, **options)
    tokens = reference.tokens(text, second if ", second" in call else None)
    ids = tokens["input_ids"][0].tolist()
    numbers = [int(argument) for argument in arguments.split(", ") if argument]
    output = reference.forward(tokens, attentions=function == "attention")
    value = {"tokens": lambda: output.last_hidden_state,
             "cls": lambda: output.last_hidden_state[0, 0],
             "pooled": lambda: output.pooler_output[0],
             "hidden": lambda: output.hidden_states[numbers[0]][0],
             "attention": lambda: output.attentions[numbers[0] - 1][0, numbers[1]]}[function]()
    return ids, value.numpy().ravel()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
