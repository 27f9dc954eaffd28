#!/usr/bin/env python3
"""Write tests/golden/tokens.tsv: what Hugging Face's tokenizers makes of hard texts.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install tokenizers==0.23.3 transformers==5.23.0
    /tmp/venv/bin/python tests/golden/make_tokens.py > tests/golden/tokens.tsv

Read by tests/unit/test_tokenizer.c, which also takes the name of such a file. So the
large comparisons, whose files are not kept, are

    make_tokens.py --code-points  | build/unit/test_tokenizer /dev/stdin
    make_tokens.py --random 1000000 | build/unit/test_tokenizer /dev/stdin
    make_tokens.py FILE ...       | build/unit/test_tokenizer /dev/stdin    (each line)

The vocabulary there has every character, but few words. tests/golden/languages.tsv is
the same for texts of texts.tsv in more than a hundred languages and a vocabulary that
was trained on those languages (tests/tokens/train.py): of its pieces, those that the
texts can be cut into.

    make_tokens.py --languages DIR > tests/golden/languages.tsv

Lines of tab-separated fields:

    piece   TEXT                                        ids from 0, for all that follows
    config  NAME  OPTIONS  MAX_CHARS                    what the next lines are made with
    added   ID  FLAGS  TEXT
    text    TEXT  ID:START-STOP ...                     without special tokens
    single  MAX_TOKENS  TEXT  TRUNCATED  IDS
    pair    MAX_TOKENS  TEXT  TEXT  TRUNCATED  FIRST_SIZE  IDS
    decoder PREFIX  CLEANUP                             for the decodes that follow
    decode  SKIP_SPECIAL  CLEAN_UP  IDS  TEXT

OPTIONS are five digits: clean_text, handle_chinese_chars, strip_accents, lowercase,
split_special_tokens.
FLAGS are five: single_word, lstrip, rstrip, normalized, special. In a TEXT, a
backslash and six hex digits are a code point.

The vocabulary has every character that the texts can become, so that no [UNK] hides
what normalization did.
"""
import itertools
import pathlib
import random
import re
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers
from tokenizers.processors import TemplateProcessing

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the un ##aff ##able hello world ##ing ##s run is it 2 ##0 ##2 don caf ##é ##e"

SENTENCES = """
The unaffable runners don't like it: hello, world! (Is 2 + 2 = 4?) $5.00 ~50% `x` a|b
Žluťoučký kůň příšerně úpěl ďábelské ódy; ÅNGSTRÖM naïve Ærøskøbing façade İstanbul ışık
Съешь ещё этих мягких французских булок, да выпей же чаю. Їжак Ґанок
Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. ΌΔΟΣ ΟΔΥΣΣΕΎΣ ᾳ ᾼ ᾠδή
نص حكيم له سر قاطع وذو شأن عظيم مَكتُوبٌ
דג סקרן שט בים מאוכזב שָׁלוֹם ולפתע
ऋषियों को सताने वाले दुष्ट राक्षसों के राजा क़ख़ग़ज़ड़ढ़फ़
আমি বাংলায় গান গাই ড়ঢ়য় কোকৌ
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า น้ำ
ကြက်တူရွေး ភាសាខ្មែរ ພາສາລາວ བོད་སྐད་ གངས་ཅན
தமிழ் மொழி கொ கோ கௌ తెలుగు ಕನ್ನಡ ೊ മലയാളം සිංහල ො ෝ
天地玄黃，宇宙洪荒。日月盈昃abc漢字かな交じり文カタカナガギグ㐀𠀀𫠠𫤠豈更
한국어 텍스트 각각 갂 ㄱㄴ 뷁
ქართული ᲥᲐᲠᲗᲣᲚᲘ Ꭰꭰ Ⴀⴀ አማርኛ Ա և ﬁ ß ẞ ŉ ǰ Ǆ ǅ
👩‍👩‍👧‍👦 🏳️‍🌈 🥱🤏🦾 ☕️ e\u0301\u0316 €©™ №5 …“quoted”—dash‐x
zero\u200bwidth soft\u00adhyphen \ufeffbom \u2060 rtl\u200f nbsp\u00a0x ideographic\u3000y
tab\tnl\ncr\rvt\x0bff\x0cnel\x85us\x1fnul-less del\x7f \ue000private \ufffdreplaced \u0378x
""".strip().split("\n")  # fmt: skip

HARD = list("aB1 .$é中文漢豈각İKÅΩς≠;`") + [
    *"\t\n\r\x0b\x0c\x85\xa0\u1680\u2003\u2028\u3000\u200b\u200d\ufeff\xad\ufffd\ue000",
    *"\u0300\u0301\u0316\u0327\u0345\u0344\u0f73\u0f71\u302a\u302e\u302f\u08d4\u1dfb",
    *"\u1b44\u0bcd\u094d\u093c\u0958\u09cb\u0b94\u0dde\u1b06\u1100\u1161\u11a8\ud7a3",
    *"\U0001d15e\U0001d165\U0001d16d\U0001d1bb\U0001e000\U0001e944\U00011442\U0001f600",
    *"\u1734\u1885\ua9bd\U000111c9\u166d\U00020000\U0002b820\U0002b920\U0002f800\u9fff",
    *"\u1c89\ua7cb\U00010d50\U00016ea0\U0001171d\u0e33\u0e49\u05b0\u064b\u0670\u20dd",
]  # fmt: skip

ADDED = [
    AddedToken("[A]", normalized=False, lstrip=True),
    AddedToken("[B]", normalized=False, rstrip=True),
    AddedToken("word", normalized=False, single_word=True),
    AddedToken("wordy", normalized=False, lstrip=True, rstrip=True),
    AddedToken("\u0301x", normalized=False),
    AddedToken("Café", normalized=True),
    AddedToken("b c", normalized=True, single_word=True),
    AddedToken("中", normalized=True, lstrip=True),
    AddedToken("new", normalized=True, rstrip=True, single_word=True),
]
ADDED_PARTS = [a.content for a in ADDED] + [" ", "  ", "\x0b", "\u3000", "x", "é", "."]
ADDED_PARTS += ["WORD", "CAFE\u0301", "\u0301", "B C", "文", "\u200b", "[A", "wor", "b "]

# Special ones that hide others, and strip, when they are found and skipped.
SPLIT = [
    AddedToken("[A]", normalized=False, lstrip=True, special=True),
    AddedToken("[B]", normalized=False, rstrip=True, special=True),
    AddedToken("A] [B", normalized=False),
    AddedToken("B][A]x", normalized=False, rstrip=True),
    AddedToken("[A]x", normalized=False, single_word=True),
    AddedToken("Café", normalized=True, special=True),
    AddedToken("fé b", normalized=True),
    AddedToken("b c", normalized=True, lstrip=True, rstrip=True, special=True),
    AddedToken("c d", normalized=True, lstrip=True),
    AddedToken("中", normalized=True, rstrip=True),
]
SPLIT_PARTS = [a.content for a in SPLIT] + [" ", "  ", "\u3000", "x", "é", ".", "[SEP]"]
SPLIT_PARTS += ["CAFE\u0301", "[", "]", "A", "B", "C", "D", "[MASK"]

# White space that is a token, and tokens that strip it.
BLANK = [
    AddedToken("[A]", normalized=True, rstrip=True),
    AddedToken("[B]", normalized=False, rstrip=True),
    AddedToken("[C]", normalized=True, lstrip=True),
    AddedToken(" ", normalized=True),
    AddedToken("\u3000\u3000", normalized=False, rstrip=True),
    AddedToken("  x", normalized=True, rstrip=True),
]
BLANK_PARTS = [a.content for a in BLANK] + [" ", "  ", "   ", "\u3000", "x", "中", "\xad"]

# name, clean_text, handle_chinese_chars, strip_accents, lowercase, max chars, added,
# split_special_tokens
CONFIGS = [
    ("uncased", True, True, None, True, 100, [], False),
    ("cased", True, True, None, False, 100, [], False),
    ("lowercase, accents kept", True, True, False, True, 100, [], False),
    ("cased, accents stripped", True, False, True, False, 100, [], False),
    ("nothing cleaned", False, False, True, True, 100, [], False),
    ("short words", True, True, None, True, 5, [], False),
    ("special tokens found, uncased", True, True, None, True, 100, SPLIT, False),
    ("special tokens split, uncased", True, True, None, True, 100, SPLIT, True),
    ("special tokens split, cased", True, False, None, False, 100, SPLIT, True),
    ("white space, uncased", True, True, None, True, 100, BLANK, False),
    ("added tokens, uncased", True, True, None, True, 100, ADDED, False),
    ("added tokens, cased", True, False, None, False, 100, ADDED, False),
]

# Each a list of ids, as texts that the vocabulary is given.
DECODED = [
    "##ing the un ##aff ##able run ##s . ? ! , ' s 's 'm 've 're n't do not",
    "[CLS] don ' t stop ##ping . [SEP]", "' ' ' x ' '", ". . .", "i 'm it 's we 've",
    "they ' re do not donot do nots", "a , b ; c : d ( e ) - f", "## ### ##.", "is n't",
    "[PAD] [UNK] [MASK] ##s [SEP] . [SEP] ' t", "中 文 ##漢 é ##é", "[CLS]", "' s", "",
]  # fmt: skip


MAX_LINE = 1000  # characters of a line of FILE


def escape(text):
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        c if c.isprintable() and c != "\\" else f"\\{ord(c):06x}" for c in text
    )


def random_text(choices, length):
    return "".join(random.choice(choices) for _ in range(random.randint(1, length)))


def make_vocabulary(texts):
    characters = {c for text in texts for c in text}
    for strip in False, True:
        for lower in False, True:
            options = dict(strip_accents=strip, lowercase=lower)
            plain = normalizers.BertNormalizer(False, False, **options)
            characters.update(plain.normalize_str("".join(sorted(characters))))
    pieces = SPECIAL + WORDS.split()
    pieces += [p for c in sorted(characters) for p in (c, "##" + c)]
    pieces += [p for text in DECODED for p in text.split()]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def make_tokenizer(vocabulary, config):
    _, clean, chinese, strip, lower, max_chars, added, split = config
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary, unk_token="[UNK]", max_input_chars_per_word=max_chars
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(clean, chinese, strip, lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, vocabulary[t]) for t in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens(added)
    tokenizer.encode_special_tokens = split
    return tokenizer


def print_config(tokenizer, config):
    name, clean, chinese, strip, lower, max_chars, _, split = config
    options = (clean, chinese, lower if strip is None else strip, lower, split)
    print("config", name, "".join(str(int(o)) for o in options), max_chars, sep="\t")
    for i, token in sorted(tokenizer.get_added_tokens_decoder().items()):
        flags = (token.single_word, token.lstrip, token.rstrip, token.normalized)
        flags += (token.special,)
        print("added", i, "".join(str(int(f)) for f in flags), escape(token.content),
              sep="\t")  # fmt: skip


def print_text(tokenizer, text):
    try:
        encoding = tokenizer.encode(text, add_special_tokens=False)
    except BaseException:  # the reference panics: "AddedVocabulary bad split"
        return
    tokens = [f"{i}:{a}-{b}" for i, (a, b) in zip(encoding.ids, encoding.offsets)]
    print("text", escape(text), " ".join(tokens), sep="\t")


def check_masks(single, pair):
    """Special are [CLS] and [SEP] around the texts, and nothing that a text has."""
    ends = {0, len(single.ids) - 1}
    assert single.special_tokens_mask == [int(i in ends) for i in range(len(single.ids))]
    ends = {0, pair.type_ids.index(1) - 1, len(pair.ids) - 1}
    assert pair.special_tokens_mask == [int(i in ends) for i in range(len(pair.ids))]


def print_cuts(tokenizer, texts):
    for max_tokens in 3, 4, 5, 6, 9, 16, 17:
        tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        for _ in range(4):
            a, b = random.choice(texts), random.choice(texts)
            single, pair = tokenizer.encode(a), tokenizer.encode(a, b)
            check_masks(single, pair)
            print("single", max_tokens, escape(a), int(bool(single.overflowing)),
                  " ".join(map(str, single.ids)), sep="\t")  # fmt: skip
            print("pair", max_tokens, escape(a), escape(b), int(bool(pair.overflowing)),
                  pair.type_ids.index(1), " ".join(map(str, pair.ids)),
                  sep="\t")  # fmt: skip
    tokenizer.no_truncation()


def print_decodes(tokenizer, vocabulary, ids):
    # transformers takes a second or two to import, and the large runs don't need it.
    from transformers import PreTrainedTokenizerBase as transformers

    lists = [[tokenizer.token_to_id(p) for p in text.split()] for text in DECODED]
    lists += [random.choices(ids, k=random.randint(1, 12)) for _ in range(60)]
    lists += [[len(vocabulary) + 1000, 5, len(vocabulary) + 1001, 6]]
    for prefix, cleanup in ("##", True), ("##", False), ("", True), ("a", True):
        print("decoder", prefix, int(cleanup), sep="\t")
        tokenizer.decoder = decoders.WordPiece(prefix, cleanup)
        for ids in lists:
            for skip, clean_up in (False, False), (True, False), (False, True):
                text = tokenizer.decode(ids, skip_special_tokens=skip)
                if clean_up:
                    text = transformers.clean_up_tokenization(None, text)
                print("decode", int(skip), int(clean_up), " ".join(map(str, ids)),
                      escape(text), sep="\t")  # fmt: skip


def every_code_point():
    """Each alone, in a word, twice, and among marks that sort around it."""
    for code in [*range(1, 0xD800), *range(0xE000, 0x110000)]:
        c = chr(code)
        yield f"{c} a{c}b {c}{c} e\u0301\u0316{c}\u302e\u08d4{c}\u0316z"


def random_mixes(n):
    """Hard characters, any others, and words about as long as the longest."""
    others = [chr(c) for c in range(1, 0x30000) if not 0xD800 <= c < 0xE000]
    choices = HARD * 4 + random.sample(others, 2000)
    for i in range(n):
        if i % 100 == 0:
            letter = random.choice(choices)
            yield letter * random.randint(97, 103) + random_text(HARD, 5)
        else:
            yield random_text(choices, 14)


def mixes_of_added(n):
    parts = {id(ADDED): ADDED_PARTS, id(SPLIT): SPLIT_PARTS, id(BLANK): BLANK_PARTS}
    return {
        tokens: [random_text(choices, 7) for _ in range(n)]
        for tokens, choices in parts.items()
    }


def lines_of(files):
    for name in files:
        with open(name, encoding="utf-8", errors="ignore") as file:
            yield from (line.rstrip("\n")[:MAX_LINE] for line in file)


def print_golden(texts, mixes, cuts):
    vocabulary = make_vocabulary(sum(mixes.values(), texts))
    for piece in vocabulary:
        print("piece", escape(piece), sep="\t")
    for config in CONFIGS:
        config_texts = mixes.get(id(config[6]), []) if config[6] else texts
        if not config_texts:
            continue
        tokenizer = make_tokenizer(vocabulary, config)
        print_config(tokenizer, config)
        for text in config_texts:
            print_text(tokenizer, text)
        if config[0] == "uncased" and cuts:
            print_cuts(tokenizer, cuts)
        if config[0].startswith("special tokens found") and cuts:
            added_ids = list(tokenizer.get_added_tokens_decoder())
            frequent = [tokenizer.token_to_id(p) for p in ". ' , ##ing ##s t s".split()]
            choices = 5 * (added_ids + frequent) + random.sample(range(1000), 100)
            print_decodes(tokenizer, vocabulary, choices)


# ---- languages.tsv ----


def language_texts():
    """Of texts.tsv, in COPY's format: sentences of languages, and corners."""
    escapes = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
    with open(pathlib.Path(__file__).with_name("texts.tsv"), encoding="utf-8") as file:
        for line in file:
            name, text, _ = line.rstrip("\n").split("\t")
            if name.startswith(("lang-", "message-", "corner-")) and len(text) < 400:
                yield re.sub(r"\\(.)", lambda m: escapes.get(m[1], m[1]), text)


def pieces_of(text, vocabulary, normalizer):
    """All that a word of the text could be cut into, whether or not it is."""
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(
        normalizer.normalize_str(text)
    )
    for word, _ in words:
        for start, stop in itertools.combinations(range(len(word) + 1), 2):
            piece = ("##" if start else "") + word[start:stop]
            if piece in vocabulary:
                yield piece


def print_languages(directory):
    texts = list(language_texts())
    pieces = set()
    for name in "uncased", "cased":
        with open(f"{directory}/{name}/vocab.txt", encoding="utf-8") as file:
            whole = {line[:-1] for line in file}
        normalizer = normalizers.BertNormalizer(lowercase=name == "uncased")
        for text in texts:
            pieces.update(pieces_of(text, whole, normalizer))
    vocabulary = {p: i for i, p in enumerate(dict.fromkeys(SPECIAL + sorted(pieces)))}
    for piece in vocabulary:
        print("piece", escape(piece), sep="\t")
    for name, *options in CONFIGS[:2]:
        config = (name + ", a trained vocabulary", *options)
        tokenizer = make_tokenizer(vocabulary, config)
        print_config(tokenizer, config)
        for text in texts:
            print_text(tokenizer, text)


def main():
    random.seed(1)
    print("# Written by make_tokens.py with tokenizers 0.23.3: do not edit.")
    if sys.argv[1:2] == ["--code-points"]:
        print_golden(list(every_code_point()), {}, [])
    elif sys.argv[1:2] == ["--random"]:
        n = int(sys.argv[2]) // len(CONFIGS)
        print_golden(list(random_mixes(n)), mixes_of_added(n), [])
    elif sys.argv[1:2] == ["--languages"]:
        print_languages(sys.argv[2])
    elif len(sys.argv) > 1:
        print_golden(list(lines_of(sys.argv[1:])), {}, [])
    else:
        hard = [random_text(HARD, 14) for _ in range(150)]
        hard += ["", " ", "a" * 100, "é" * 100 + " " + "b" * 101, "##ing"]
        hard += ["[MASK]x[SEP] [mask]"]
        cuts = ["hello", "the unaffable", "", "is it " * 9, "hello [MASK] " * 5]
        cuts += ["unaffable " * 6]
        print_golden(SENTENCES + hard, mixes_of_added(120), cuts)


if __name__ == "__main__":
    main()
