#!/usr/bin/env python3
"""train.py DIR: two WordPiece vocabularies from DIR/corpus.txt, by tokenizers' trainer.

Writes DIR/cased and DIR/uncased, model directories of which only tokenizer.json is
more than a stub, and prints the SHA-256 of each vocabulary.

With a real model's vocabulary two words in three are [UNK] in Chinese or Telugu, which
hides what became of their characters. These have every character of the corpus.

The trainer numbers the characters inside words ("##a") in the order in which it comes
upon them, and that is its hash table's: two runs differ. So they are given to it as
special tokens, in order; with that two runs give the same vocabulary.
"""

import hashlib
import pathlib
import sys

import reference
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 160_000


def characters(lines, lowercase):
    normalize = normalizers.BertNormalizer(lowercase=lowercase).normalize_str
    found = set()
    for line in lines:
        found.update(line)
    normal = set()
    for character in found:
        normal.update(normalize(character))
    return sorted(normal - {" "})


def train(lines, lowercase, size=VOCABULARY):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    alphabet = characters(lines, lowercase)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=reference.SPECIAL + ["##" + c for c in alphabet],
        continuing_subword_prefix="##",
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer.get_vocab(with_added_tokens=False)


def main():
    directory = pathlib.Path(sys.argv[1])
    with open(directory / "corpus.txt", encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")
    for name, lowercase in ("cased", False), ("uncased", True):
        vocabulary = train(lines, lowercase)
        reference.write_model(
            reference.make_tokenizer(vocabulary, lowercase=lowercase), directory / name
        )
        pieces = "".join(p + "\n" for p in sorted(vocabulary, key=vocabulary.get))
        digest = hashlib.sha256(pieces.encode()).hexdigest()
        (directory / name / "vocab.txt").write_text(pieces, encoding="utf-8")
        print(f"{name}: {len(vocabulary)} pieces, SHA-256 {digest}", flush=True)


if __name__ == "__main__":
    main()
