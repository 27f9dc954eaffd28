#!/usr/bin/env python3
"""Compare our tokens with the reference's: ids, special-token masks, offsets.

    compare.py DIR MINILM [corpus] [code-points] [fuzz] [--jobs N] [--fuzz N] [--least N]

DIR is what gather and train.py made; MINILM a model directory with a real tokenizer.

    corpus        every line, with MiniLM's vocabulary and with both that were trained
    code-points   every code point but U+0000: alone; and between letters, marks and
                  ideographs, some at a time; under all 24 combinations of
                  BertNormalizer's options
    fuzz          N strings (a million) of what is hard, with all of these vocabularies,
                  options, added tokens and split_special_tokens; see fuzz.py

Says how many texts were compared and how many differed, of each language (or options);
the first that differ are shown. The exit status is 1 if one did, or if fewer texts were
compared than --least, a million (of the corpus: with each vocabulary).

Both sides read the same model directory, so that the options are read from its files,
too. U+0000 is not in it, as PostgreSQL's text cannot hold it.
"""

import argparse
import array
import collections
import itertools
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile
import time

import reference  # first: it switches the reference's threads off
import fuzz
from tokenizers import normalizers

ENCODER = pathlib.Path(__file__).parents[2] / "build/tokens/encode_texts"
BATCH = 10_000  # texts that the reference gets at once
LINES = 100_000  # lines of the corpus that make a piece of work
TOGETHER = 16  # code points in company that make a text: a call costs more than a word
SHOWN = 20  # differences that are printed in full

# ---- one piece of work ----

Difference = collections.namedtuple("Difference", "label text ours theirs")

# Of a column of the report: a vocabulary. Rows are labels: a Counter of texts by label.
Result = collections.namedtuple("Result", "column texts differences n_tokens n_unknown")


def our_tokens(directory, texts, split_special, tokens):
    """Runs encode_texts over the texts, its answer into the file."""
    command = [ENCODER, directory.parent, directory.name]
    with tempfile.TemporaryFile() as file:
        for text in texts:
            data = text.encode()
            file.write(len(data).to_bytes(4, sys.byteorder) + data)
        file.seek(0)
        subprocess.run(command + ["--split-special"] * split_special, stdin=file,
                       stdout=tokens, check=True)  # fmt: skip
    tokens.seek(0)


def numbers_of(encoding):
    """As encode_texts writes them."""
    ids = encoding.ids
    return array.array(
        "i",
        itertools.chain(
            (len(ids),),
            ids,
            encoding.special_tokens_mask,
            itertools.chain.from_iterable(encoding.offsets),
        ),
    )


def encodings_of(tokenizer, texts):
    """The reference's; None for a text that it panics on, as it does on some in which
    added tokens that are white space lie beside ones that strip it."""
    try:
        return tokenizer.encode_batch(texts)
    except BaseException as error:  # pyo3's PanicException is no Exception
        if "bad split" not in str(error):
            raise
    if len(texts) == 1:
        return [None]
    half = len(texts) // 2
    return encodings_of(tokenizer, texts[:half]) + encodings_of(tokenizer, texts[half:])


def read_numbers(file):
    """One text's, as encode_texts wrote them."""
    numbers = array.array("i")
    numbers.fromfile(file, 1)
    numbers.fromfile(file, 4 * numbers[0])
    return numbers


def compare_batch(texts, labels, wanted, file):
    """The differences. All at once where there are none, which is nearly always."""
    if None not in wanted:
        whole = b"".join(wanted)
        place = file.tell()
        if file.read(len(whole)) == whole:
            return []
        file.seek(place)
    found = [read_numbers(file) for _ in texts]
    pairs = map(Difference, labels, texts, found, wanted)
    return [d for d in pairs if d.theirs is not None and d.ours != d.theirs]


def compare(column, tokenizer, directory, texts, labels, split_special=False):
    """Texts, and the row of the report that each belongs to."""
    tokenizer.encode_special_tokens = split_special
    unknown = tokenizer.token_to_id("[UNK]")
    n_tokens = n_unknown = 0
    differences = []
    compared = collections.Counter()
    with tempfile.TemporaryFile() as file:
        our_tokens(directory, texts, split_special, file)
        for i in range(0, len(texts), BATCH):
            batch = texts[i : i + BATCH]
            wanted = [e and numbers_of(e) for e in encodings_of(tokenizer, batch)]
            differences += compare_batch(batch, labels[i : i + BATCH], wanted, file)
            compared.update(l for l, n in zip(labels[i : i + BATCH], wanted) if n)
            n_tokens += sum(n[0] for n in wanted if n)
            n_unknown += sum(n[1 : n[0] + 1].count(unknown) for n in wanted if n)
        if file.read(1):
            raise SystemExit(f"{column}: tokens of more texts than there are")
    return Result(column, compared, differences, n_tokens, n_unknown)


# ---- the corpus ----


def corpus_work(options):
    """Pieces of the corpus: (vocabulary, first language, lines by language)."""
    pieces = []
    with open(options.directory / "corpus.tsv") as table:
        for row in table:
            language, n = row.split("\t")[:2]
            if not pieces or sum(pieces[-1].values()) >= LINES:
                pieces.append({})
            pieces[-1][language] = int(n)
    models = options.minilm, options.directory / "cased", options.directory / "uncased"
    for model in models:
        start = 0
        for piece in pieces:
            yield compare_lines, (model, options.directory, start, piece)
            start += sum(piece.values())


def compare_lines(model, directory, start, by_language):
    with open(directory / "corpus.txt", encoding="utf-8", newline="\n") as file:
        stop = start + sum(by_language.values())
        texts = [line[:-1] for line in itertools.islice(file, start, stop)]
    labels = list(
        itertools.chain.from_iterable([l] * n for l, n in by_language.items())
    )
    return compare(model.name, reference.open_model(model), model, texts, labels)


# ---- every code point ----

OPTIONS = list(
    itertools.product((True, False), (True, False), (None, True, False), (True, False))
)


def code_points():
    return map(chr, itertools.chain(range(1, 0xD800), range(0xE000, 0x110000)))


def code_point_work(options):
    for number in range(len(OPTIONS)):
        yield compare_code_points, (options.directory, number)


def every_character():
    """A vocabulary of all of them, and of what normalization makes of them."""
    pieces = dict.fromkeys(reference.SPECIAL)
    for character in code_points():
        pieces[character] = pieces["##" + character] = None
    return {piece: i for i, piece in enumerate(pieces)}


def compare_code_points(directory, number):
    tokenizer = reference.make_tokenizer(every_character(), *OPTIONS[number])
    texts = list(code_points())
    company = [f"a{c}b é{c}\u0316 中{c}각" for c in texts]
    for i in range(0, len(company), TOGETHER):
        texts.append(" ".join(company[i : i + TOGETHER]))
    labels = [str(tokenizer.normalizer)] * len(texts)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        model = pathlib.Path(scratch) / "characters"
        reference.write_model(tokenizer, model)
        return compare("all characters", tokenizer, model, texts, labels)


# ---- fuzzed strings ----


def fuzz_work(options):
    for number in range(-(-options.fuzz // fuzz.BATCH)):
        yield compare_fuzzed, (options.directory, options.minilm, number)


def compare_fuzzed(directory, minilm, number):
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        model = pathlib.Path(scratch) / "fuzzed"
        models = minilm, directory / "cased", directory / "uncased"
        tokenizer, texts, split_special = fuzz.batch(number, models, directory)
        reference.write_model(tokenizer, model)
        label = f"batch {number}: {tokenizer.normalizer}, split_special {split_special}"
        return compare(fuzz.VOCABULARIES[number % 4], tokenizer, model, texts,
                       [label] * len(texts), split_special)  # fmt: skip


# ---- all of it ----

WORK = {"corpus": corpus_work, "code-points": code_point_work, "fuzz": fuzz_work}


def do(work):
    function, arguments = work
    return function(*arguments)


def show(column, difference):
    print(f"DIFFERENT, {column}, {difference.label}\n  text:   {difference.text!r}")
    for what, numbers in ("ours", difference.ours), ("theirs", difference.theirs):
        n = numbers[0]
        ids, mask, offsets = numbers[1 : n + 1], numbers[n + 1 :], numbers[2 * n + 1 :]
        tokens = zip(ids, mask, offsets[::2], offsets[1::2])
        print(f"  {what + ':':<7}", " ".join("%d/%d:%d-%d" % t for t in tokens),
              flush=True)  # fmt: skip


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=lambda name: pathlib.Path(name).resolve())
    parser.add_argument("minilm", type=lambda name: pathlib.Path(name).resolve())
    parser.add_argument("what", nargs="*", choices=[*WORK, []], default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fuzz", type=int, default=1_010_000)
    parser.add_argument("--least", type=int, default=1_000_000)
    return parser.parse_args()


class Totals:
    """What came of one kind of work."""

    def __init__(self):
        self.texts = collections.defaultdict(collections.Counter)  # column, label
        self.differences = collections.Counter()  # label
        self.tokens = collections.Counter()  # column
        self.unknown = collections.Counter()

    def add(self, result):
        for difference in result.differences:
            if self.differences.total() < SHOWN:
                show(result.column, difference)
            self.differences[difference.label] += 1
        self.texts[result.column].update(result.texts)
        self.tokens[result.column] += result.n_tokens
        self.unknown[result.column] += result.n_unknown

    def print(self):
        columns = sorted(self.texts)
        print(*columns, "differences", sep="\t")
        for label in sorted(set().union(*self.texts.values())):
            print(*(self.texts[c][label] for c in columns), self.differences[label],
                  label, sep="\t")  # fmt: skip
        for c in columns:
            share = 100 * self.unknown[c] / self.tokens[c]
            print(f"{c}: {self.texts[c].total()} texts, {self.tokens[c]} tokens, "
                  f"{share:.2f} % of them [UNK]")  # fmt: skip


def report(what, options):
    """Does one kind of work; returns whether it is well."""
    start = time.monotonic()
    totals = Totals()
    work = list(WORK[what](options))
    with multiprocessing.Pool(options.jobs) as pool:
        for i, result in enumerate(pool.imap_unordered(do, work)):
            totals.add(result)
            print(f"{what}: {i + 1} of {len(work)}", end="\r", file=sys.stderr)
    totals.print()
    n = sum(texts.total() for texts in totals.texts.values())
    if what == "corpus":
        n_least = min(texts.total() for texts in totals.texts.values())
    else:
        n_least = n
    print(f"{what}: {n} comparisons, {totals.differences.total()} differences, "
          f"{time.monotonic() - start:.0f} s", flush=True)  # fmt: skip
    if n_least < options.least:
        print(f"{what}: only {n_least} texts, {options.least} are wanted")
        return False
    return totals.differences.total() == 0


def main():
    options = parse_arguments()
    well = [report(what, options) for what in options.what or WORK]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
