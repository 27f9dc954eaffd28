#!/usr/bin/env python3
"""read_corpus.py DIR: the text in DIR/packages and DIR/descriptions, as lines.

The second half of gather. Writes, in DIR,

    corpus.txt    UTF-8, one text a line: all lines of a language after each other
    corpus.tsv    language, lines, bytes, most frequent script: the order of corpus.txt
    packages.tsv  package and version

A text is a message, a paragraph of a manual (long, often), or an entry of a dictionary.
No text comes twice. What is not translated is English, so English has the first claim.
Of a language that has more lines than MAX_TEXTS and MAX_ENTRIES, every n-th is kept.
"""

import collections
import gzip
import hashlib
import html
import itertools
import pathlib
import re
import struct
import subprocess
import sys
import tarfile
import unicodedata

MAX_TEXTS = 30_000  # of one language: messages and paragraphs
MAX_ENTRIES = 5_000  # of word lists and dictionaries
SAMPLE = 50  # every so many lines one is looked at for its script

# ---- from the bytes of a file to texts ----


def decoded(data, *encodings):
    """Old files do not say what they are in: the first that fits, else none."""
    for encoding in encodings or ("utf-8", "iso-8859-1"):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            pass
    return ""


def read_catalogue(data):
    """The format of GNU gettext's .mo: two tables of length and offset."""
    magic = struct.unpack_from("<I", data)[0]
    order = "<" if magic == 0x950412DE else ">"
    n, originals, translations = struct.unpack_from(order + "3I", data, 8)
    pairs = []
    for i in range(n):
        pair = []
        for table in originals, translations:
            size, start = struct.unpack_from(order + "2I", data, table + 8 * i)
            pair.append(data[start : start + size])
        pairs.append(pair)
    header = decoded(pairs[0][1]) if pairs and not pairs[0][0] else ""
    charset = re.search(r"charset=([\w-]+)", header)
    charset = charset[1] if charset else "utf-8"
    for original, translation in pairs:
        if original:
            context, _, original = original.rpartition(b"\4")
            yield "en", decoded(original, "utf-8").replace("\0", "\n")
            yield None, decoded(translation, charset).replace("\0", "\n")


INLINE = r"</?(?:a|b|i|em|strong|code|span|tt|u|s|font|sub|sup|kbd|gui\w*|key\w*|link|"
INLINE += r"file|cmd|app|input|output|var|sys|br|acronym|emph|literal)\b[^>]*>"


def read_markup(data):
    """HTML and XML: what stands between tags, those inside a sentence left out."""
    text = decoded(data)
    text = re.sub(r"(?s)<!--.*?-->|<(script|style)\b.*?</\1>|<[!?][^>]*>", "\n", text)
    text = re.sub(INLINE, "", text)
    for part in re.split(r"<[^>]*>", text):
        yield None, " ".join(html.unescape(part).split("\n")).strip()


def read_manual(data):
    """roff: lines up to the next request are a paragraph. Escapes are left as text."""
    text = decoded(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    lines = []
    for line in text.split("\n") + ["."]:
        if line[:1] not in (".", "'"):
            lines.append(line)
            continue
        yield None, " ".join(lines).strip()
        lines = []


def read_entries(*encodings):
    """One entry a line, in one of these encodings."""

    def read(data):
        text = decoded(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data,
                       *encodings)  # fmt: skip
        for line in text.split("\n"):
            yield None, line

    return read


def read_words(data):
    """hunspell: word/FLAGS, in an encoding that another file names."""
    for line in decoded(data, "utf-8", "koi8-r", "iso-8859-1").split("\n"):
        yield None, re.sub(r"/\S*|\t.*", "", line)


def read_descriptions(data):
    """apt: "Description-de: short", then a long one; " ." separates paragraphs."""
    for entry in decoded(data).split("\n\n"):
        short, _, rest = entry.partition("Description-")[2].partition("\n")
        yield None, short.partition(": ")[2]
        for paragraph in re.split(r"\n \.\n", rest):
            yield None, " ".join(paragraph.split("\n")).strip()


# Which files, and what of their path is the language. First texts, then word lists.
TEXTS = [
    (r"/([\w@.-]+)/LC_MESSAGES/[^/]+\.mo$", read_catalogue),
    (r"/share/man/([\w@]+)/man\d/[^/]+\.gz$", read_manual),
    (r"^manpages(?:-dev)?/usr/share/man/()man\d/[^/]+\.gz$", read_manual),
    (r"/share/help/([\w@]+)/.*\.page$", read_markup),
    (r"/libreoffice/help/([\w@-]+)/text/.*\.html$", read_markup),
    (r"/installation-guide-amd64/(\w+)/.*\.html$", read_markup),
    (r"\.([a-z][a-z](?:-[a-z][a-z])?)\.html$", read_markup),
    (r"^developers-reference-(\w\w)/.*\.html$", read_markup),
    (r"/aptitude/html/(\w+)/.*\.html$", read_markup),
    (r"/cldr/common/(?:main|annotations\w*|subdivisions)/(\w+)\.xml$", read_markup),
    (r"^fortunes-(..)/.*/games/fortunes/(?!.*\.dat$)", read_entries()),
    (r"^()fortunes/.*/games/fortunes/(?!.*\.dat$)", read_entries()),
]
ENTRIES = [
    (r"/share/hunspell/([\w@]+)\.dic$", read_words),
    (r"/freedict-(\w+)-\w+\.dict\.dz$", read_entries("utf-8")),
    (r"^dict-\w+/.*/()\w+\.dict\.dz$", read_entries()),
    (r"^(?:edict|kanjidic)/usr/share/()edict/\w+$", read_entries("euc-jp")),
    (r"/share/()skk/SKK-JISYO\.\w+$", read_entries("euc-jp")),
    (r"^elpa-pyim-basedict/.*()\.pyim(?:\.gz)?$", read_entries("utf-8")),
    (r"^mueller7-dict/.*/()mueller7\.dict\.dz$", read_entries("utf-8", "koi8-r")),
]
READERS = [(re.compile(pattern), read, True) for pattern, read in TEXTS]
READERS += [(re.compile(pattern), read, False) for pattern, read in ENTRIES]

# Where the path has no language, or another name for it.
OF_PACKAGE = {"edict": "ja", "kanjidic": "ja", "skkdic": "ja", "mueller7-dict": "ru",
              "elpa-pyim-basedict": "zh_CN"}  # fmt: skip
TWO_LETTERS = dict(
    pair.split(":")
    for pair in (
        "afr:af ara:ar bre:br ces:cs cym:cy dan:da deu:de ell:el eng:en epo:eo fin:fi "
        "fra:fr gla:gd gle:ga hrv:hr hun:hu isl:is ita:it jpn:ja kur:ku lat:la lit:lt "
        "mkd:mk nld:nl nno:nn oci:oc pol:pl por:pt san:sa slk:sk slv:sl spa:es srp:sr "
        "swe:sv swh:sw tur:tr wol:wo"
    ).split()
)
KEPT = {"zh_CN", "zh_TW", "pt_BR"}  # others lose their country
SAME = {"zh": "zh_CN", "zh_SG": "zh_CN", "zh_Hans": "zh_CN", "zh_Hant": "zh_TW",
        "zh_HK": "zh_TW", "yue_Hans": "yue", "iw": "he", "cmn": "zh_CN", "no": "nb",
        "sr@Latn": "sr@latin", "sr_Latn": "sr@latin", "sr_Cyrl": "sr",
        "": "en"}  # fmt: skip


def language_of(name, package):
    name = OF_PACKAGE.get(package) or re.sub(r"\..*", "", name)  # "ja.euc-jp"
    name = re.sub(r"[-_]([a-zA-Z]{2})\b", lambda m: "_" + m[1].upper(), name)
    name = SAME.get(name, name)
    if name not in KEPT:
        name = re.sub(r"_([A-Z]{2}|\d+|[A-Z]+|med)(_\w+)?(?=@|$)", "", name)
    return TWO_LETTERS.get(name, SAME.get(name, name))


# ---- from packages to languages ----


def files_of(package):
    """The packed files of a package, without unpacking it to the disk."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    yield member.name.lstrip("./"), archive.extractfile(member)


def texts_of_package(package):
    name = package.name.partition("_")[0]
    for path, file in files_of(package):
        path = f"{name}/{path}"
        for pattern, read, is_text in READERS:
            match = pattern.search(path)
            if match:
                language = language_of(match[1], name)
                for other, text in read(file.read()):
                    yield other or language, is_text, text
                break


def all_texts(directory):
    for file in sorted((directory / "descriptions").iterdir()):
        for _, text in read_descriptions(file.read_bytes()):
            yield language_of(file.name, None), True, text
    for package in sorted((directory / "packages").glob("*.deb")):
        yield from texts_of_package(package)


def thinned(lines, most):
    n = len(lines)
    return lines if n <= most else [lines[i * n // most] for i in range(most)]


def gather(directory):
    """Lines of each language, without those that English or another one has."""
    languages = collections.defaultdict(lambda: ({}, {}))
    for language, is_text, text in all_texts(directory):
        for line in text.split("\n"):
            if line and not line.isspace():
                languages[language][0 if is_text else 1][line] = None
    seen = set()
    for language in sorted(languages, key=lambda name: (name != "en", name)):
        lines = []
        for kind, most in zip(languages.pop(language), (MAX_TEXTS, MAX_ENTRIES)):
            new = [line for line in kind if line not in seen]
            seen.update(new)
            lines += thinned(new, most)
        if lines:
            yield language, lines


# ---- what there is ----


HAN = {"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO"}


def script_of(character):
    """By its name: "CYRILLIC SMALL LETTER A"."""
    first = unicodedata.name(character, "UNKNOWN").split()[0]
    return "Han" if first in HAN else first.capitalize()


def main_script(lines):
    letters = itertools.chain.from_iterable(lines[::SAMPLE])
    counts = collections.Counter(c for c in letters if c.isalpha())
    scripts = collections.Counter()
    for character, n in counts.items():
        scripts[script_of(character)] += n
    return scripts.most_common(1)[0][0] if scripts else "Unknown"


def write_versions(directory):
    with open(directory / "packages.tsv", "w") as out:
        for package in sorted((directory / "packages").glob("*.deb")):
            name, version = package.name.split("_")[:2]
            print(name, version.replace("%3a", ":"), sep="\t", file=out)


def main():
    directory = pathlib.Path(sys.argv[1])
    write_versions(directory)
    whole = hashlib.sha256()
    n_lines = n_languages = 0
    with open(directory / "corpus.txt", "wb") as corpus, open(
        directory / "corpus.tsv", "w"
    ) as table:
        for language, lines in gather(directory):
            data = "".join(line + "\n" for line in lines).encode()
            corpus.write(data)
            whole.update(data)
            print(language, len(lines), len(data), main_script(lines), sep="\t",
                  file=table)  # fmt: skip
            n_lines += len(lines)
            n_languages += 1
    print(f"{n_lines} lines of {n_languages} languages, SHA-256 {whole.hexdigest()}")


main()
