"""Strings that are hard for a tokenizer, and tokenizers with hard options.

batch(N) is the same whenever it is called: its random numbers begin with N. Each batch
has options, a vocabulary and added tokens of its own. A string is made of a few parts,
each of one kind: see KINDS.
"""

import functools
import random
import unicodedata

import reference
from tokenizers import AddedToken

BATCH = 10_000
VOCABULARIES = "MiniLM's", "cased", "uncased", "of the batch"  # of batch N: N % 4

# ---- characters by what is hard about them ----

ALL = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
ASSIGNED = [c for c in ALL if unicodedata.category(c) not in ("Cn", "Co")]


def with_category(*categories):
    return [c for c in ASSIGNED if unicodedata.category(c) in categories]


MARKS = with_category("Mn", "Mc", "Me")
CONTROLS = with_category("Cc", "Cf", "Zs", "Zl", "Zp") + list("\ufffd\ue000\U000f0000")
SIGNS = [c for c in ASSIGNED if unicodedata.category(c)[0] in "PS"]
CASED = [c for c in ASSIGNED if c.lower() != c or c.upper() != c]
TURKISH_AND_GREEK = list("İIıiİ̇i̇ΣσςΌΑΣᾼᾳΐΰẞßŉǅǄΩKÅ") + ["i\u0307", "ΟΔΟΣ", "\u0345"]
DECOMPOSED = [c for c in ASSIGNED if unicodedata.normalize("NFD", c) != c]
JAMO = [chr(c) for c in range(0x1100, 0x1200)]
JAMO += [chr(c) for c in (*range(0xA960, 0xA97D), *range(0xD7B0, 0xD7FC))]
JAMO += [chr(c) for c in range(0x3131, 0x318F)]
HANGUL = [chr(c) for c in range(0xAC00, 0xD7A4)]

# Where blocks of ideographs begin and end, in the reference and in Unicode.
CJK_EDGES = [0x2E80, 0x3000, 0x3040, 0x30A0, 0x3100, 0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900,
             0xFAFF, 0x20000, 0x2A6DF, 0x2A700, 0x2B73F, 0x2B740, 0x2B81F, 0x2B820, 0x2B920,
             0x2CEAF, 0x2CEB0, 0x2EBE0, 0x2F800, 0x2FA1F, 0x30000, 0x3134F, 0x31350]  # fmt: skip
CJK = [chr(c + i) for c in CJK_EDGES for i in range(-2, 3)]

EMOJI = [chr(c) for c in (*range(0x1F300, 0x1FB00), *range(0x2600, 0x27C0))]
FLAGS = [chr(c) for c in range(0x1F1E6, 0x1F200)]
SKIN = [chr(c) for c in range(0x1F3FB, 0x1F400)]
TAGS = [chr(c) for c in range(0xE0020, 0xE0080)]
SPACES = [" "] * 8 + list("\t\n\r\u00a0\u3000\u2003\u0085\u200b")

# ---- kinds of parts ----


def some(characters, most):
    return "".join(random.choices(characters, k=random.randint(1, most)))


def any_plane():
    plane = random.randrange(17)
    codes = (random.randrange(max(1, plane << 16), (plane + 1) << 16) for _ in range(3))
    return "".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000)


def storm():
    """Marks of many classes on one letter, to be put in order."""
    return random.choice("aé각中\u0915\u05d0\u0627") + some(MARKS, 12)


def emoji():
    if random.random() < 0.3:
        return some(FLAGS, 4) + random.choice(
            ["", "1\ufe0f\u20e3", "\U0001f3f4" + some(TAGS, 5)]
        )
    people = [
        random.choice(EMOJI)
        + random.choice(["", "\ufe0f", "\ufe0e", random.choice(SKIN)])
        for _ in range(random.randint(1, 4))
    ]
    return random.choice(["\u200d", ""]).join(people)


def long_word():
    """About as long as the longest, before or after normalization."""
    unit = random.choice(
        ["a", "é", "ệ", "각", "e\u0301", "ß", "İ", "\u1100\u1161", "𝒳"]
    )
    if random.random() < 0.3:
        unit = random.choice(CASED + DECOMPOSED)
    target = random.choice([100, 100, 50, 33, 34, 25, 200])
    return unit * max(1, target + random.randint(-2, 2)) + random.choice(
        ["", "x", "́", "."]
    )


def special():
    return random.choice(
        reference.SPECIAL
        + ["[mask]", "[SEP", "[[SEP]]", "[CLS][SEP]", "##a", "[ SEP ]"]
    )


def real():
    """A cut from the corpus."""
    line = random.choice(lines)
    start = random.randrange(len(line))
    return line[start : start + random.randint(1, 40)]


def spoiled():
    """The same with something hard in it."""
    text = real()
    place = random.randint(0, len(text))
    return text[:place] + random.choice(KINDS)() + text[place:]


KINDS = [
    any_plane,
    storm,
    emoji,
    long_word,
    special,
    real,
    spoiled,
    lambda: some(ALL, 4),
    lambda: some(ASSIGNED, 6),
    lambda: some(MARKS, 3),
    lambda: some(CONTROLS, 3),
    lambda: some(SIGNS, 3),
    lambda: some(CASED, 6),
    lambda: some(TURKISH_AND_GREEK, 6),
    lambda: some(DECOMPOSED, 5),
    lambda: some(JAMO, 6),
    lambda: some(HANGUL, 4),
    lambda: some(JAMO + HANGUL + MARKS, 6),
    lambda: some(CJK, 5),
    lambda: some(SPACES, 3),
    lambda: some("abcXYZ019 '.-", 12),
]

# ---- added tokens ----

ADDED = ["[A]", "word", "wordy", "Café", "b c", "中", "new", "İx", "ß!", "ΟΔΟΣ", "각", "##a",
         "don't", "<|x|>", "e\u0301", "  two", " lead", "trail ", "🙂", "हिन्दी", "。", "ab", "a",
         "é", "한국", "[a]", "WORD", "i\u0307", "one two", "-", "𠀀", "a\u0316\u0301",
         " ", "  ", "\n", "\t\t", "\u3000"]  # fmt: skip


def added_tokens():
    contents = random.sample(ADDED, random.randint(2, 8))
    flag = functools.partial(random.choice, (False, True))
    return [
        AddedToken(content, single_word=flag(), lstrip=flag(), rstrip=flag(),
                   normalized=flag(), special=random.random() < 0.3)
        for content in contents
    ]  # fmt: skip


def near(token):
    """An added token as a text may have it: in other letters, or nearly."""
    content = token.content
    forms = [
        content,
        content,
        content.upper(),
        content.lower(),
        content[:-1],
        content * 2,
    ]
    forms += [
        unicodedata.normalize("NFD", content),
        unicodedata.normalize("NFC", content),
    ]
    forms += [
        " " + content + " ",
        "\u3000" + content,
        content + "\u200b",
        "x" + content,
        content + "\u0301",
    ]
    return random.choice(forms)


# ---- batches ----


def string(added):
    parts = []
    for _ in range(random.randint(1, 6)):
        if added and random.random() < 0.5:
            parts.append(near(random.choice(added)))
        else:
            parts.append(random.choice(KINDS)())
        if random.random() < 0.3:
            parts.append(random.choice(SPACES))
    return "".join(parts)


def own_vocabulary(texts):
    """Each character of the texts, in all its forms, and some pieces of two and three."""
    characters = set("".join(texts))
    for form in "NFD", "NFC":
        characters.update(unicodedata.normalize(form, "".join(sorted(characters))))
    characters.update("".join(sorted(characters)).lower())
    pieces = dict.fromkeys(reference.SPECIAL)
    for text in texts[::4]:
        start = random.randrange(max(1, len(text)))
        piece = text[start : start + random.randint(2, 3)]
        pieces[piece or "a"] = pieces["##" + piece.lower()] = None
    for character in sorted(characters):
        pieces[character] = pieces["##" + character] = None
    return {piece: i for i, piece in enumerate(pieces)}


def read_lines(directory):
    global lines
    with open(directory / "corpus.txt", encoding="utf-8", newline="\n") as file:
        lines = [line[:-1] for i, line in enumerate(file) if i % 20 == 0]


lines = []


def batch(number, models, directory):
    """(tokenizer, texts, split_special) number N, of the three models' vocabularies."""
    if not lines:
        read_lines(directory)
    random.seed(number)
    options = dict(
        clean_text=random.random() < 0.7,
        chinese=random.random() < 0.7,
        strip_accents=random.choice([None, True, False]),
        lowercase=random.choice([True, False]),
        max_chars=random.choice([100, 100, 100, 5, 20, 101]),
        added=added_tokens() if random.random() < 0.5 else (),
    )
    split_special = random.random() < 0.25
    texts = [string(options["added"]) for _ in range(BATCH)]
    if number % 4 == len(models):
        vocabulary = own_vocabulary(texts)
    else:
        model = reference.open_model(models[number % 4])
        vocabulary = model.get_vocab(with_added_tokens=False)
    return reference.make_tokenizer(vocabulary, **options), texts, split_special
