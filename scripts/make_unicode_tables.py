#!/usr/bin/env python3
"""Write extension/unicode_tables.h from the Unicode Character Database.

    scripts/make_unicode_tables.py [/usr/share/unicode] > extension/unicode_tables.h

Run by maintainers only; the header is committed. The directory is that of Debian's
package unicode-data 15.0.0. A later version should give the same tables but for the
last two, which it may take beyond the versions below.

The tables are those that tokenizers 0.23.3 is built with, and its crates are of
different ages. A table of an old Unicode version is made from a newer database: take
the characters that were assigned by then (DerivedAge.txt), for the properties of an
assigned character rarely change, and decompositions never do. The few that did change
are patched by name.

    unicode_categories 0.1.1                  Unicode 8.0   categories P*, C*, Mn
    unicode-normalization-alignments 0.1.12   Unicode 9.0   NFD
    Rust's char::to_lowercase                 Unicode 17
    regex's \\w                                Unicode 16

"tests/golden/make_tokens.py --code-points" compares every character with the library.
"""
import re
import sys

DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)  # decomposed by rule, not by table

# Categories changed after 8.0, or read otherwise by unicode_categories.
MARKS_ADDED = {0x1734}
MARKS_MISSING = {0x1885, 0x1886, 0xA9BD, 0x111C9}
PUNCTUATION_ADDED = {0x166D, 0x111C9}

# Capital letters of Unicode 16 and 17: (first, last, distance, step).
LOWER_ADDED = [
    (0x1C89, 0x1C89, 1, 1), (0xA7CB, 0xA7CB, 0x264 - 0xA7CB, 1),
    (0xA7CC, 0xA7CE, 1, 2), (0xA7D2, 0xA7D4, 1, 2), (0xA7DA, 0xA7DA, 1, 1),
    (0xA7DC, 0xA7DC, 0x19B - 0xA7DC, 1), (0x10D50, 0x10D65, 0x20, 1),
    (0x16EA0, 0x16EB8, 0x1B, 1),
]  # fmt: skip

# Word characters of Unicode 15.1 and 16.
WORD_ADDED = [
    (0x897, 0x897), (0x1C89, 0x1C8A), (0xA7CB, 0xA7CD), (0xA7DA, 0xA7DC),
    (0x105C0, 0x105F3), (0x10D40, 0x10D65), (0x10D69, 0x10D6D), (0x10D6F, 0x10D85),
    (0x10EC2, 0x10EC4), (0x10EFC, 0x10EFC), (0x11380, 0x11389), (0x1138B, 0x1138B),
    (0x1138E, 0x1138E), (0x11390, 0x113B5), (0x113B7, 0x113C0), (0x113C2, 0x113C2),
    (0x113C5, 0x113C5), (0x113C7, 0x113CA), (0x113CC, 0x113D3), (0x113E1, 0x113E2),
    (0x116D0, 0x116E3), (0x11BC0, 0x11BE0), (0x11BF0, 0x11BF9), (0x11F5A, 0x11F5A),
    (0x13460, 0x143FA), (0x16100, 0x16139), (0x16D40, 0x16D6C), (0x16D70, 0x16D79),
    (0x18CFF, 0x18CFF), (0x1CCF0, 0x1CCF9), (0x1E5D0, 0x1E5FA), (0x2EBF0, 0x2EE5D),
]  # fmt: skip


def read_properties(name):
    """Yield (range, value) for each line "first..last ; value" of a file."""
    for line in open(f"{DIRECTORY}/{name}", encoding="utf-8"):
        match = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*([^\s#]+)", line)
        if match:
            first, last, value = match.groups()
            yield range(int(first, 16), int(last or first, 16) + 1), value


def read_unicode_data():
    """Yield (range, fields) for each character or range of UnicodeData.txt."""
    first = None
    for line in open(f"{DIRECTORY}/UnicodeData.txt", encoding="utf-8"):
        fields = line.rstrip("\n").split(";")
        code = int(fields[0], 16)
        if fields[1].endswith("First>"):
            first = code
            continue
        yield range(code if first is None else first, code + 1), fields
        first = None


age, category, combining, decomposition, lower = {}, {}, {}, {}, {}
for codes, value in read_properties("DerivedAge.txt"):
    age.update(dict.fromkeys(codes, float(value)))
for codes, fields in read_unicode_data():
    category.update(dict.fromkeys(codes, fields[2]))
    if int(fields[3]):
        combining.update(dict.fromkeys(codes, int(fields[3])))
    if fields[5] and not fields[5].startswith("<"):
        decomposition[codes[0]] = [int(code, 16) for code in fields[5].split()]
    if fields[13]:
        lower[codes[0]] = int(fields[13], 16)
for first, last, distance, step in LOWER_ADDED:
    lower.update({code: code + distance for code in range(first, last + 1, step)})


def of_categories(version, pattern):
    return {c for c in category if age[c] <= version and re.match(pattern, category[c])}


def decompose(code):
    """The full canonical decomposition of a character of Unicode 9.0."""
    if code not in decomposition or age[code] > 9.0:
        return [code]
    return [part for half in decomposition[code] for part in decompose(half)]


def word_characters():
    """\\w of the regex crate: UTS #18, Annex C."""
    words = {c for c in category if re.match("M|Nd|Pc", category[c])}
    for name, wanted in (
        ("DerivedCoreProperties.txt", "Alphabetic"),
        ("PropList.txt", "Join_Control"),
    ):
        for codes, value in read_properties(name):
            if value == wanted:
                words.update(codes)
    for first, last in WORD_ADDED:
        words.update(range(first, last + 1))
    return words


def ranges(codes, value=lambda code: None):
    """Runs of adjacent codes of one value: [first, last, value]."""
    runs = []
    for code in sorted(codes):
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == value(code):
            runs[-1][1] = code
        else:
            runs.append([code, code, value(code)])
    return runs


def print_table(comment, declaration, rows):
    print(f"\n/* {comment} */\n{declaration}[] = {{")
    line = "\t"
    for row in rows:
        if len(line) + len(row) > 82:
            print(line.rstrip())
            line = "\t"
        line += row + ", "
    print(line.rstrip() + "\n};")


def print_ranges(comment, name, codes):
    rows = [f"{{0x{first:X}, 0x{last:X}}}" for first, last, _ in ranges(codes)]
    print_table(comment, f"static const BertCharRange {name}", rows)


print("""\
/*
 * unicode_tables.h
 *	  Written by scripts/make_unicode_tables.py: do not edit.
 *
 * Properties of characters, each of the Unicode version that the reference tokenizer
 * has it from. Included by unicode.c only, which also says what they are for.
 */
/* clang-format off */""")
punctuation = of_categories(8.0, "P") | PUNCTUATION_ADDED
print_ranges("P*, Unicode 8.0", "punctuation", punctuation)
print_ranges("Cc, Cf, Co, Unicode 8.0", "controls", of_categories(8.0, "Cc|Cf|Co"))
marks = (of_categories(8.0, "Mn") | MARKS_ADDED) - MARKS_MISSING
print_ranges("Mn, Unicode 8.0", "nonspacing_marks", marks)

print_table(
    "Canonical combining class where not 0, Unicode 9.0",
    "static const BertCharClass combining_classes",
    [
        f"{{0x{first:X}, 0x{last:X}, {value}}}"
        for first, last, value in ranges(
            {c for c in combining if age[c] <= 9.0}, combining.get
        )
    ],
)
rows = []
for code in sorted(set(decomposition) - set(HANGUL_SYLLABLES)):
    parts = decompose(code)
    if parts != [code]:
        rows.append(f"{{0x{code:X}, {{{', '.join(f'0x{p:X}' for p in parts)}}}}}")
print_table(
    "Full canonical decompositions but Hangul's, Unicode 9.0",
    "static const BertCharDecomposition decompositions",
    rows,
)
print_table(
    "char::to_lowercase() where it is one other character, Unicode 17",
    "static const BertCharPair lower_case",
    [f"{{0x{code:X}, 0x{lower[code]:X}}}" for code in sorted(lower) if code != 0x130],
)
print_ranges(r"regex's \w, Unicode 16", "word_characters", word_characters())
print("\n/* clang-format on */")
