/*
 * token_chunk.c
 *	  A text cut into parts that a model reads whole.
 *
 * A chunk is tokenized as a text of its own, and that is not always what its part of
 * the whole text gives: cut inside a word, and "##ing" becomes "ing"; cut beside an
 * added token, and its white space is gone. So the next chunk is found by tokenizing
 * what is left from its own first character, and its tokens are counted again once its
 * end is known. n_tokens is that count, so it is right whatever the vocabulary does.
 *
 *		text        the state-of-the-art  tokenizer ...
 *		words       the state - of - the - art  tokenizer
 *		cuts           |                       |			strong
 *		                     | |  | |   | |					weak
 *
 * It ends at the last strong cut that leaves it small enough: before a word, where
 * there is white space, or a Chinese character on either side. Without one, at the
 * last weak cut, between two words; without that, between pieces of a word. The white
 * space before a cut belongs to the chunk before.
 *
 * The next chunk begins at the first cut, as strong as the one that ended this chunk,
 * from which no more than overlap tokens are left. Should the next word not fit beside
 * these, it begins where this one ended.
 */
#include "port.h"

#include "tokenizer_block.h"

#define MAX_MAX_TOKENS 1000000 /* bounds the list of words */

typedef enum Strength
{
	INSIDE_WORD,
	WEAK,
	STRONG
} Strength;

typedef struct Place
{
	const uint8 *at;
	int64 index; /* number of the character */
} Place;

/* A place where a chunk could end. */
typedef struct Cut
{
	Place place;
	Strength strength;
	int32 tokens_before; /* from the chunk's start on */
} Cut;

typedef struct Chunker
{
	const BertTokenizer *tokenizer;
	const uint8 *end;
	int32 room; /* tokens of a chunk, without [CLS] and [SEP] */
	int32 overlap;
	bool split_special;

	Place start; /* of the chunk, */
	Place least; /* which ends after this place */
	Cut *cuts;   /* in the order of the text; the last one has room tokens at most */
	int32 n_cuts;
	int32 max_cuts;

	/* while cuts are collected */
	Place reached;
	uint32 char_before;
	Place after_space; /* of what is reached, the last */
	int64 taken;       /* no cut before this character: words share characters */
	int32 n_tokens;
} Chunker;

static void check_sizes(int32 max_tokens, int32 overlap);
static const Cut *find_chunk(Chunker *chunker, int32 *n_tokens);
static void begin_next(Chunker *chunker, const Cut *cut);

void
bert_chunk(const BertTokenizer *tokenizer, const char *text, size_t nbytes,
		   int32 max_tokens, int32 overlap, bool split_special, BertChunkSink sink,
		   void *arg)
{
	Chunker chunker = {.tokenizer = tokenizer,
					   .end = (const uint8 *) text + nbytes,
					   .room = max_tokens - 2,
					   .overlap = overlap,
					   .split_special = split_special,
					   .start = {(const uint8 *) text, 0},
					   .least = {(const uint8 *) text, 0},
					   .max_cuts = 64};

	check_sizes(max_tokens, overlap);
	chunker.cuts = palloc(chunker.max_cuts * sizeof(Cut));
	while (chunker.least.at < chunker.end)
	{
		int32 n_tokens;
		const Cut *cut = find_chunk(&chunker, &n_tokens);
		BertChunk chunk = {chunker.start.index, cut->place.index, n_tokens + 2};

		CHECK_FOR_INTERRUPTS();
		sink(arg, &chunk);
		begin_next(&chunker, cut);
	}
	pfree(chunker.cuts);
}

static void
check_sizes(int32 max_tokens, int32 overlap)
{
	if (max_tokens < 3 || max_tokens > MAX_MAX_TOKENS)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_tokens must be from 3 to %d", MAX_MAX_TOKENS),
				errdetail("Two of a chunk's tokens are [CLS] and [SEP]."));
	if (overlap < 0 || overlap >= max_tokens - 2)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("overlap must be from 0 to %d with max_tokens %d",
					   max_tokens - 3, max_tokens));
}

/* ---- collecting cuts ---- */

static void
add_cut(Chunker *chunker, Place place, Strength strength)
{
	if (chunker->n_cuts == chunker->max_cuts)
	{
		chunker->max_cuts *= 2;
		chunker->cuts = repalloc(chunker->cuts, chunker->max_cuts * sizeof(Cut));
	}
	chunker->cuts[chunker->n_cuts++] = (Cut){place, strength, chunker->n_tokens};
}

static void
go_to(Chunker *chunker, int64 index)
{
	Place *reached = &chunker->reached;

	while (reached->index < index && reached->at < chunker->end)
	{
		uint32 ch = bert_utf8_next(&reached->at, chunker->end);

		reached->index++;
		if (unlikely(reached->index % 65536 == 0))
			CHECK_FOR_INTERRUPTS();
		chunker->char_before = ch;
		if (ch == ' ' || (unlikely(ch < ' ' || ch > '~') && bert_is_space(ch)))
			chunker->after_space = *reached;
	}
}

static bool
is_chinese(const Chunker *chunker, uint32 ch)
{
	const BertCharmap *map = &chunker->tokenizer->map;
	BertElement element =
		map->pages[map->index[ch / BERT_PAGE_CHARS] * BERT_PAGE_CHARS +
				   ch % BERT_PAGE_CHARS];

	return BERT_ELEMENT_KIND(element) == BERT_CHAR_CHINESE;
}

/*
 * A cut before the word that begins at the place that is reached. What stands between
 * it and the white space, if anything, is deleted, or marks that belong to it.
 */
static void
add_word_cut(Chunker *chunker)
{
	const uint8 *next = chunker->reached.at;
	uint32 before = chunker->char_before;
	uint32 after = bert_utf8_next(&next, chunker->end);

	if (chunker->after_space.index >= chunker->taken)
		add_cut(chunker, chunker->after_space, STRONG);
	else if (is_chinese(chunker, before) || is_chinese(chunker, after) ||
			 bert_is_space(after))
		add_cut(chunker, chunker->reached, STRONG);
	else
		add_cut(chunker, chunker->reached, WEAK);
}

/* A word or a piece; false: it has a token too many. Offsets are from the start. */
static bool
take(Chunker *chunker, bool is_word, int32 n_tokens, int64 start, int64 stop)
{
	start += chunker->start.index;
	stop += chunker->start.index;
	go_to(chunker, start);
	if (start >= chunker->taken && chunker->n_tokens > 0)
	{
		if (is_word)
			add_word_cut(chunker);
		else
			add_cut(chunker, chunker->reached, INSIDE_WORD);
	}
	chunker->taken = Max(chunker->taken, stop);
	chunker->n_tokens += n_tokens;
	return chunker->n_tokens <= chunker->room;
}

/* A BertWordSink. */
static bool
take_word(void *chunker, int32 n_tokens, int64 start, int64 stop)
{
	return take(chunker, true, n_tokens, start, stop);
}

/* A BertTokenSink. */
static bool
take_piece(void *chunker, int32 id pg_attribute_unused(), int64 start, int64 stop)
{
	return take(chunker, false, 1, start, stop);
}

static void
begin_cuts(Chunker *chunker)
{
	chunker->n_cuts = 0;
	chunker->n_tokens = 0;
	chunker->reached = chunker->after_space = chunker->start;
	chunker->taken = chunker->start.index;
}

/* Before each word that still begins within the chunk, and after the text's last. */
static void
collect_words(Chunker *chunker)
{
	const char *text = (const char *) chunker->start.at;

	begin_cuts(chunker);
	if (!bert_tokenize_words(chunker->tokenizer, text, chunker->end - chunker->start.at,
							 chunker->split_special, take_word, chunker))
		return;
	go_to(chunker, PG_INT64_MAX);
	add_cut(chunker, chunker->reached, STRONG);
}

/* Before each piece, and after the first character, which may have more than one. */
static void
collect_pieces(Chunker *chunker)
{
	const char *text = (const char *) chunker->start.at;

	begin_cuts(chunker);
	go_to(chunker, chunker->start.index + 1);
	add_cut(chunker, chunker->reached, INSIDE_WORD);
	bert_tokenize(chunker->tokenizer, text, chunker->end - chunker->start.at, true,
				  chunker->split_special, take_piece, chunker);
}

/* ---- choosing one ---- */

static bool
count_token(void *n, int32 id pg_attribute_unused(), int64 start pg_attribute_unused(),
			int64 stop pg_attribute_unused())
{
	++*(int32 *) n;
	return true;
}

/* Could these two characters be one in EUC_JIS_2004? See offsets.c. */
static bool
is_one_letter(uint32 first, uint32 second)
{
	switch (second)
	{
		case 0x309A:
			return first >= 0x304B && first <= 0x31F7 && first != second;
		case 0x300:
		case 0x301:
			return first == 0xE6 || (first >= 0x254 && first <= 0x28C);
		case 0x2E5:
			return first == 0x2E9;
		case 0x2E9:
			return first == 0x2E5;
		default:
			return false;
	}
}

/* Would a mark be torn from its letter, which the database may have as one? */
static bool
tears_letter(const Chunker *chunker, const Cut *cut)
{
	const uint8 *next = cut->place.at;
	const uint8 *before = next;
	uint32 first;

	if (cut->strength != INSIDE_WORD || next == chunker->end)
		return false;
	do
		before--;
	while (before > chunker->start.at && (*before & 0xC0) == 0x80);
	first = bert_utf8_next(&before, chunker->end);
	return is_one_letter(first, bert_utf8_next(&next, chunker->end));
}

/* The last cut of this strength that makes a chunk of the right size, or NULL. */
static const Cut *
find_cut(const Chunker *chunker, Strength strength, int32 *n_tokens)
{
	for (int32 i = chunker->n_cuts; i-- > 0;)
	{
		const Cut *cut = &chunker->cuts[i];

		if (cut->place.at <= chunker->least.at)
			break;
		if (cut->strength < strength || tears_letter(chunker, cut))
			continue;
		*n_tokens = 0;
		bert_tokenize(chunker->tokenizer, (const char *) chunker->start.at,
					  cut->place.at - chunker->start.at, true, chunker->split_special,
					  count_token, n_tokens);
		if (*n_tokens <= chunker->room)
			return cut;
	}
	return NULL;
}

/* The end of the chunk that begins at start, or where there is no overlap. */
static const Cut *
find_chunk(Chunker *chunker, int32 *n_tokens)
{
	const Cut *cut;

	collect_words(chunker);
	cut = find_cut(chunker, STRONG, n_tokens);
	if (cut == NULL && chunker->start.at < chunker->least.at)
	{
		chunker->start = chunker->least;
		collect_words(chunker);
		cut = find_cut(chunker, STRONG, n_tokens);
	}
	if (cut == NULL)
		cut = find_cut(chunker, WEAK, n_tokens);
	if (cut == NULL)
	{
		collect_pieces(chunker);
		cut = find_cut(chunker, INSIDE_WORD, n_tokens);
	}
	if (cut == NULL)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("text cannot be cut into chunks of %d tokens", chunker->room + 2),
			errdetail("What begins at character %lld has more.",
					  (long long) chunker->start.index + 1));
	return cut;
}

/* Go to where the next chunk begins. */
static void
begin_next(Chunker *chunker, const Cut *cut)
{
	const Place start = chunker->start;

	chunker->start = chunker->least = cut->place;
	if (cut->strength == INSIDE_WORD)
		return;
	for (const Cut *earlier = cut; earlier >= chunker->cuts; earlier--)
	{
		if (cut->tokens_before - earlier->tokens_before > chunker->overlap)
			break;
		if (earlier->strength >= cut->strength && earlier->place.at > start.at)
			chunker->start = earlier->place;
	}
}
