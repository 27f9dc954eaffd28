/*
 * unicode.c
 *	  Builds the table of unicode.h from the options of a normalizer.
 *
 * The reference applies its steps one after the other to the whole text:
 *
 *		clean_text				delete controls; every kind of space becomes U+0020
 *		handle_chinese_chars	spaces around each Chinese character
 *		strip_accents			canonical decomposition, delete nonspacing marks
 *		lowercase
 *		BertPreTokenizer		split at spaces, isolate punctuation
 *
 * Each step here asks the table, still without the steps before it, what becomes of a
 * character, so the table is filled from the last step to the first:
 *
 *		U+00C9 É	strip_accents: E and U+0301
 *						E: lowercase: e: a word character
 *						U+0301: a nonspacing mark, STRIPPED
 *					what is left is one element: WORD e
 *
 * Sources, in huggingface/tokenizers: normalizers/bert.rs, pre_tokenizers/bert.rs. The
 * Unicode versions are those of the crates that it uses: see
 * scripts/make_unicode_tables.py.
 */
#include "port.h"

#include "unicode.h"

typedef struct BertCharRange
{
	uint32 first;
	uint32 last;
} BertCharRange;

typedef struct BertCharClass
{
	uint32 first;
	uint32 last;
	uint32 class;
} BertCharClass;

typedef struct BertCharPair
{
	uint32 from;
	uint32 to;
} BertCharPair;

#define MAX_PARTS 4

typedef struct BertCharDecomposition
{
	uint32 from;
	uint32 to[MAX_PARTS]; /* unused ones are 0 */
} BertCharDecomposition;

#include "unicode_tables.h"

static const BertCharRange spaces[] = {
	{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
	{0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
	{0x205F, 0x205F}, {0x3000, 0x3000}};

/* $ + < = > ^ ` | ~ are symbols in Unicode, punctuation for BERT. */
static const BertCharRange ascii_punctuation[] = {
	{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};

/* 2B920 is the reference's slip for 2B820; we do as it does. */
static const BertCharRange chinese[] = {
	{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
	{0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};

/* The table before it is cut into pages. */
typedef struct Draft
{
	BertElement *table; /* (BERT_MAX_CHAR + 1) */
	BertElement *sequences;
	uint32 n_sequence_elements;
	uint32 max_sequence_elements;
} Draft;

static void classify(Draft *draft);
static void apply_lowercase(Draft *draft);
static void apply_strip_accents(Draft *draft);
static void apply_chinese_chars(Draft *draft);
static void apply_clean_text(Draft *draft);
static void cut_into_pages(BertCharmap *map, const Draft *draft);

void
bert_charmap_build(BertCharmap *map, const BertCharmapOptions *options)
{
	Draft draft = {0};

	draft.table = palloc0((BERT_MAX_CHAR + 1) * sizeof(BertElement));
	draft.max_sequence_elements = MAX_PARTS * (lengthof(decompositions) + 1);
	draft.sequences = palloc(draft.max_sequence_elements * sizeof(BertElement));

	classify(&draft);
	if (options->lowercase)
		apply_lowercase(&draft);
	if (options->strip_accents)
		apply_strip_accents(&draft);
	if (options->handle_chinese_chars)
		apply_chinese_chars(&draft);
	if (options->clean_text)
		apply_clean_text(&draft);

	cut_into_pages(map, &draft);
	pfree(draft.table);
}

/* ---- the steps ---- */

static void
fill(Draft *draft, const BertCharRange *ranges, int n, BertElement element)
{
	for (int i = 0; i < n; i++)
		for (uint32 ch = ranges[i].first; ch <= ranges[i].last; ch++)
			draft->table[ch] = element;
}

/* What the later steps make of a character, with the character filled in. */
static BertElement
element_of(const Draft *draft, uint32 ch)
{
	BertElement element = draft->table[ch];

	return BERT_ELEMENT_CHAR(element) == 0 ? element | ch : element;
}

/* Let ch become these elements, in this order. */
static void
set_sequence(Draft *draft, uint32 ch, const BertElement *elements, uint32 n)
{
	Assert(draft->n_sequence_elements + n <= draft->max_sequence_elements);
	memcpy(draft->sequences + draft->n_sequence_elements, elements,
		   n * sizeof(BertElement));
	draft->table[ch] = BERT_ELEMENT(BERT_CHAR_SEQUENCE, n, draft->n_sequence_elements);
	draft->n_sequence_elements += n;
}

static void
classify(Draft *draft)
{
	fill(draft, punctuation, lengthof(punctuation),
		 BERT_ELEMENT(BERT_CHAR_ALONE, 0, 0));
	fill(draft, ascii_punctuation, lengthof(ascii_punctuation),
		 BERT_ELEMENT(BERT_CHAR_ALONE, 0, 0));
	fill(draft, spaces, lengthof(spaces), BERT_ELEMENT(BERT_CHAR_SPACE, 0, 0));
}

/* Character by character as char::to_lowercase: there is no final sigma. */
static void
apply_lowercase(Draft *draft)
{
	const BertElement dotted_i[] = {element_of(draft, 'i'), element_of(draft, 0x307)};

	for (int i = 0; i < (int) lengthof(lower_case); i++)
		draft->table[lower_case[i].from] = element_of(draft, lower_case[i].to);
	set_sequence(draft, 0x130, dotted_i, lengthof(dotted_i));
}

/*
 * Decompose one character. Marks that are deleted are left out, except where they
 * stand for the character in the order of marks (a first part).
 */
static void
decompose(Draft *draft, const BertCharDecomposition *decomposition)
{
	BertElement elements[MAX_PARTS];
	int n = 0;

	for (int i = 0; i < MAX_PARTS && decomposition->to[i] != 0; i++)
	{
		BertElement element = element_of(draft, decomposition->to[i]);

		if (i == 0 || BERT_ELEMENT_KIND(element) != BERT_CHAR_STRIPPED)
			elements[n++] = element;
	}
	if (n == 1)
		draft->table[decomposition->from] = elements[0];
	else
		set_sequence(draft, decomposition->from, elements, n);
}

static void
apply_strip_accents(Draft *draft)
{
	fill(draft, nonspacing_marks, lengthof(nonspacing_marks),
		 BERT_ELEMENT(BERT_CHAR_STRIPPED, 0, 0));
	for (int i = 0; i < (int) lengthof(combining_classes); i++)
		for (uint32 ch = combining_classes[i].first; ch <= combining_classes[i].last;
			 ch++)
			draft->table[ch] |= BERT_ELEMENT(0, combining_classes[i].class, 0);
	for (int i = 0; i < (int) lengthof(decompositions); i++)
		decompose(draft, &decompositions[i]);
	for (uint32 ch = BERT_HANGUL_FIRST; ch <= BERT_HANGUL_LAST; ch++)
		draft->table[ch] = BERT_ELEMENT(BERT_CHAR_HANGUL, 0, 0);
}

static void
apply_chinese_chars(Draft *draft)
{
	for (int i = 0; i < (int) lengthof(chinese); i++)
		for (uint32 ch = chinese[i].first; ch <= chinese[i].last; ch++)
			draft->table[ch] =
				BERT_ELEMENT(BERT_CHAR_CHINESE, 0, BERT_ELEMENT_CHAR(draft->table[ch]));
}

/*
 * Controls go first, so \v, \f and U+0085, which are also spaces, vanish and join
 * their neighbours.
 */
static void
apply_clean_text(Draft *draft)
{
	const BertCharRange deleted[] = {{0, 0}, {0xFFFD, 0xFFFD}};
	const BertCharRange controls_kept[] = {{'\t', '\n'}, {'\r', '\r'}};
	const BertElement space = BERT_ELEMENT(BERT_CHAR_SPACE, 0, ' ');
	const BertElement cleaned = BERT_ELEMENT(BERT_CHAR_CLEANED, 0, 0);

	fill(draft, spaces, lengthof(spaces), space);
	fill(draft, controls, lengthof(controls), cleaned);
	fill(draft, deleted, lengthof(deleted), cleaned);
	fill(draft, controls_kept, lengthof(controls_kept), space);
}

/* ---- pages ---- */

static uint32
find_or_add_page(BertElement *pages, uint32 *n_pages, const BertElement *page)
{
	const size_t nbytes = BERT_PAGE_CHARS * sizeof(BertElement);

	for (uint32 i = *n_pages; i-- > 0;)
		if (memcmp(pages + i * BERT_PAGE_CHARS, page, nbytes) == 0)
			return i;
	memcpy(pages + *n_pages * BERT_PAGE_CHARS, page, nbytes);
	return (*n_pages)++;
}

static void
cut_into_pages(BertCharmap *map, const Draft *draft)
{
	BertElement *pages = palloc((BERT_MAX_CHAR + 1) * sizeof(BertElement));
	uint16 *index = palloc(BERT_INDEX_PAGES * sizeof(uint16));
	uint32 n_pages = 0;

	for (int i = 0; i < BERT_INDEX_PAGES; i++)
		index[i] =
			find_or_add_page(pages, &n_pages, draft->table + i * BERT_PAGE_CHARS);

	map->index = index;
	map->pages = repalloc(pages, n_pages * BERT_PAGE_CHARS * sizeof(BertElement));
	map->n_pages = n_pages;
	map->sequences = draft->sequences;
	map->n_sequence_elements = draft->n_sequence_elements;
}

/* ---- tests of single characters ---- */

static bool
in_ranges(uint32 ch, const BertCharRange *ranges, int n)
{
	int low = 0;
	int high = n;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (ch > ranges[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && ch >= ranges[low].first;
}

bool
bert_is_space(uint32 ch)
{
	return in_ranges(ch, spaces, lengthof(spaces));
}

bool
bert_is_word_char(uint32 ch)
{
	return in_ranges(ch, word_characters, lengthof(word_characters));
}
