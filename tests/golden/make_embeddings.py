#!/usr/bin/env python3
"""Make the golden vectors: what Hugging Face's own code says about every text.

    make_embeddings.py MODEL_DIR > all-MiniLM-L6-v2.tsv

In goes texts.tsv, a text or a pair of texts a line. Out comes one line for each,
with its token ids and vectors; README.md describes both files.

Every text goes through the model alone, so unpadded, on one thread. What is
written was computed in float32, as a user of these libraries would have it. A tenth
is computed again in float64, and standard error says how far apart the two are: so
much of a test's tolerance is used up by the reference itself.
"""
import base64
import importlib.metadata
import re
import sys
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import BertModel

TEXTS = Path(__file__).resolve().parent / "texts.tsv"
PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
SAMPLE = slice(None, None, 10)  # lines with pooler output, and checked in float64

# The text format of COPY, so that psql's \copy reads both files.
NULL = r"\N"
ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r",
           "\b": r"\b", "\f": r"\f", "\v": r"\v"}
UNESCAPES = {escape: plain for plain, escape in ESCAPES.items()}


def main(model_dir):
    for package in PACKAGES:
        print(package, importlib.metadata.version(package), file=sys.stderr)
    torch.set_num_threads(1)
    texts = read_texts()
    single = list(goldens_of(texts, Reference(model_dir, torch.float32)))
    pooled_names = {name for name, _, _ in texts[SAMPLE]}
    for (name, text, second), (ids, vectors) in zip(texts, single):
        if name not in pooled_names:
            vectors = vectors[:-1] + (None,)
        print(name, escape(text), escape(second), ",".join(map(str, ids)),
              *map(in_base64, vectors), sep="\t")
    sys.stdout.flush()
    double = goldens_of(texts[SAMPLE], Reference(model_dir, torch.float64))
    report([row[1] for row in single[SAMPLE]], [row[1] for row in double])


def read_texts():
    """[(name, text, second text of a pair or None)]"""
    lines = TEXTS.read_bytes().decode().split("\n")[:-1]
    return [tuple(map(unescape, line.split("\t"))) for line in lines]


class Reference:
    """The model in one precision, by both libraries."""

    def __init__(self, model_dir, dtype):
        self.sentence = SentenceTransformer(model_dir, device="cpu",
                                            model_kwargs={"dtype": dtype})
        self.bert = BertModel.from_pretrained(model_dir, dtype=dtype).eval()

    def tokens(self, text, second):
        """Through the form for lists: the one for single texts takes an empty second
        text for none at all."""
        seconds = None if second is None else [second]
        return self.sentence.tokenizer([text], seconds, truncation=True,
                                       max_length=self.sentence.max_seq_length,
                                       return_tensors="pt")

    def embedding(self, text):
        return self.sentence.encode(text, convert_to_numpy=True)

    @torch.inference_mode()
    def cls_and_pooled(self, tokens):
        output = self.bert(**tokens)
        return output.last_hidden_state[0, 0].numpy(), output.pooler_output[0].numpy()


def goldens_of(texts, reference):
    """For each text (ids, (embedding or None, cls, pooled))."""
    for _, text, second in texts:
        tokens = reference.tokens(text, second)
        embedding = reference.embedding(text) if second is None else None
        yield tokens["input_ids"][0].tolist(), (embedding, *reference.cls_and_pooled(tokens))


def report(single, double):
    for kind, ours, exact in zip(("embedding", "cls", "pooled"), zip(*single), zip(*double)):
        far = [np.abs(a - b).max() for a, b in zip(ours, exact) if a is not None]
        print(f"{kind}: float32 is at most {max(far):.1e} from float64 in {len(far)} texts",
              file=sys.stderr)


def escape(text):
    return NULL if text is None else "".join(ESCAPES.get(c, c) for c in text)


def unescape(field):
    return None if field == NULL else re.sub(r"\\.", lambda m: UNESCAPES[m[0]], field)


def in_base64(vector):
    """Little-endian float32, or NULL."""
    return NULL if vector is None else base64.b64encode(vector.astype("<f4")).decode()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
