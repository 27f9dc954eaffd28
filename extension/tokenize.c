/*
 * tokenize.c
 *	  From a text to tokens: normalize, split, look up, all in one pass.
 *
 * The reference makes five passes over the whole text and keeps an alignment for
 * every byte. Here each character goes all the way before the next one is read:
 *
 *		text -> added tokens (raw) -> characters -> elements -> marks in order
 *			 -> [added tokens (normalized)] -> word -> pieces -> sink
 *
 * An element is a normalized character together with its source, the number of the
 * text's character that it stands for. Offsets of a token are the source of its first
 * element and the source of its last plus one; that is what the reference's alignments
 * amount to, spaces put around Chinese characters and reordered marks included.
 *
 * Memory is one word and, where a model has added tokens that are looked for in the
 * normalized text, a window as long as the longest of these. A word with more than
 * max_chars_per_word characters is [UNK] whatever it holds, so its rest is counted,
 * not kept.
 *
 * Most text takes the fast path, take_plain_run(). Where the rest of a text could
 * change what comes next, and the text is not complete, the scan halts.
 *
 * Follows huggingface/tokenizers 0.23.3: tokenizer/added_vocabulary.rs,
 * normalizers/bert.rs, pre_tokenizers/bert.rs, models/wordpiece/mod.rs.
 */
#include "port.h"

#include "tokenizer_block.h"

#define INTERRUPT_BYTES 65536

/* An element on its way. */
typedef struct Char
{
	uint32 ch;
	BertCharKind kind; /* WORD, SPACE, ALONE */
	int64 source;
} Char;

typedef struct Piece
{
	int32 id;
	int32 start; /* bytes of the word */
	int32 stop;
} Piece;

typedef struct Word
{
	uint8 *bytes;   /* normalized, room for max_chars_per_word characters */
	int64 *sources; /* of the character that each byte is part of */
	Piece *pieces;
	int32 nbytes;
	int64 n_chars; /* beyond max_chars_per_word they are only counted */
	int64 first;   /* sources of the first and the last character */
	int64 last;
} Word;

/* A token that may still grow, or that comes after one. */
typedef struct Held
{
	int32 id;
	int64 start;
	int64 stop;
	bool grows; /* rstrip: up to the end of the white space */
} Held;

/* See "added tokens in the normalized text" below. */
typedef struct Window
{
	Char *chars;
	int32 first;
	int32 n;
	int32 max;
	int32 hold; /* decide on the first character when there are more than these */

	uint32 before;     /* the last character that has left, 0 at the segment's start */
	int32 unmatched;   /* characters at the front that begin no match */
	int64 space_start; /* source of the whitespace that has just left, or -1 */

	Held *held; /* since a token with rstrip, while there is white space */
	int32 n_held;
	int32 max_held;
	int64 held_stop; /* where that ends */
} Window;

typedef struct Scan
{
	const BertTokenizer *tokenizer;
	const BertTokenizerBlock *block;
	const uint8 *text;
	const uint8 *end;
	const uint8 *at; /* the next character, */
	int64 index;     /* and its number */
	bool complete;
	bool split_special;
	bool halted;  /* go no further: nothing more is wanted, or can be known yet */
	bool stopped; /* by the sink */
	int32 work;   /* bytes since the last check for interrupts */

	/* added tokens in the raw text */
	const uint8 *match_from;       /* no match begins before */
	const uint8 *text_from;        /* what is before belongs to a token */
	int64 text_from_index;         /* its number */
	const uint8 *no_lstrip_before; /* what find_owner() knows */

	/* Where elements go; NULL: into the word. */
	void (*filter)(struct Scan *scan, const Char *element);
	void *filter_arg;

	Word word;
	BertTokenSink sink;
	BertWordSink words; /* in its place */
	void *sink_arg;
} Scan;

typedef enum Found
{
	FOUND,
	NOT_FOUND,
	UNDECIDED /* the text is not complete */
} Found;

typedef struct Match
{
	const BertAddedEntry *added;
	const uint8 *start;
	const uint8 *stop;
} Match;

static bool tokenize(Scan *scan, const char *text, size_t nbytes, bool complete);
static bool scan_text(Scan *scan, const char *text, size_t nbytes, bool complete);
static void take_plain_run(Scan *scan);
static bool take_added(Scan *scan);
static void take_char(Scan *scan);
static void take_marks(Scan *scan);
static void put(Scan *scan, BertCharKind kind, uint32 ch, int64 source);
static void put_in_word(Scan *scan, const Char *element);
static void end_word(Scan *scan);
static void emit(Scan *scan, int32 id, int64 start, int64 stop);
static void emit_word(Scan *scan, int32 n_tokens, int64 start, int64 stop);
static void put_in_window(Scan *scan, const Char *element);
static void end_window(Scan *scan);

bool
bert_tokenize(const BertTokenizer *tokenizer, const char *text, size_t nbytes,
			  bool complete, bool split_special, BertTokenSink sink, void *arg)
{
	Scan scan = {.tokenizer = tokenizer,
				 .split_special = split_special,
				 .sink = sink,
				 .sink_arg = arg};

	return tokenize(&scan, text, nbytes, complete);
}

bool
bert_tokenize_words(const BertTokenizer *tokenizer, const char *text, size_t nbytes,
					bool split_special, BertWordSink sink, void *arg)
{
	Scan scan = {.tokenizer = tokenizer,
				 .split_special = split_special,
				 .words = sink,
				 .sink_arg = arg};

	return tokenize(&scan, text, nbytes, true);
}

/* ---- the scan ---- */

static bool
tokenize(Scan *scan, const char *text, size_t nbytes, bool complete)
{
	const int32 max_chars = scan->tokenizer->block->max_chars_per_word;
	const int32 hold = scan->tokenizer->block->longest_normalized;
	Window window = {.max = 2 * (hold + 4), .hold = hold, .space_start = -1};
	bool finished;

	/* Four bytes a character, and a source and perhaps a piece for each byte. */
	scan->word.sources = palloc(4 * max_chars * (sizeof(int64) + sizeof(Piece) + 1));
	scan->word.pieces = (Piece *) (scan->word.sources + 4 * max_chars);
	scan->word.bytes = (uint8 *) (scan->word.pieces + 4 * max_chars);
	if (hold > 0)
	{
		window.chars = palloc(window.max * sizeof(Char));
		window.max_held = 8;
		window.held = palloc(window.max_held * sizeof(Held));
		scan->filter = put_in_window;
		scan->filter_arg = &window;
	}

	finished = scan_text(scan, text, nbytes, complete);

	pfree(scan->word.sources);
	if (hold > 0)
	{
		pfree(window.chars);
		pfree(window.held);
	}
	return finished;
}

/* Without the beginning of a character whose rest has not come yet. */
static size_t
whole_characters(const uint8 *text, size_t nbytes)
{
	for (size_t back = 1; back <= 3 && back <= nbytes; back++)
	{
		uint8 byte = text[nbytes - back];
		size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;

		if ((byte & 0xC0) != 0x80)
			return length > back ? nbytes - back : nbytes;
	}
	return nbytes;
}

/* Scan for a while, and let the user interrupt. */
static inline void
worked(Scan *scan, int32 nbytes)
{
	scan->work += nbytes;
	if (unlikely(scan->work >= INTERRUPT_BYTES))
	{
		scan->work = 0;
		CHECK_FOR_INTERRUPTS();
	}
}

/* What is before this point and what is after it have nothing to do with each other. */
static void
end_segment(Scan *scan)
{
	if (scan->filter == put_in_window)
		end_window(scan);
	end_word(scan);
}

/* Quick to say that there is no added token here. */
static inline bool
could_be_added(const Scan *scan)
{
	return scan->block->starts_added[*scan->at] || scan->block->any_lstrip;
}

/* Returns false when the sink stopped it. */
static bool
scan_text(Scan *scan, const char *text, size_t nbytes, bool complete)
{
	scan->block = scan->tokenizer->block;
	scan->text = (const uint8 *) text;
	scan->end = scan->text + (complete ? nbytes : whole_characters(scan->text, nbytes));
	scan->complete = complete;
	scan->at = scan->text;
	scan->match_from = scan->text_from = scan->no_lstrip_before = scan->text;

	while (scan->at < scan->end && !scan->halted)
	{
		if (scan->block->plain[*scan->at] != 0 && scan->filter == NULL &&
			scan->word.n_chars < scan->block->max_chars_per_word)
			take_plain_run(scan);
		else if (!could_be_added(scan) || !take_added(scan))
			take_char(scan);
	}
	if (complete && !scan->halted)
		end_segment(scan);
	return !scan->stopped;
}

/* Letters and digits of ASCII, as many as there are. */
static void
take_plain_run(Scan *scan)
{
	const uint8 *plain = scan->block->plain;
	const int64 room = scan->block->max_chars_per_word - scan->word.n_chars;
	const uint8 *at = scan->at;
	const uint8 *stop = at + Min(room, scan->end - at);
	uint8 *bytes = scan->word.bytes + scan->word.nbytes;
	int64 *sources = scan->word.sources + scan->word.nbytes;
	int64 source = scan->index;
	int32 n;

	for (; at < stop && plain[*at] != 0; at++)
	{
		*bytes++ = plain[*at];
		*sources++ = source++;
	}
	n = at - scan->at;
	if (scan->word.n_chars == 0)
		scan->word.first = scan->index;
	scan->word.last = source - 1;
	scan->word.nbytes += n;
	scan->word.n_chars += n;
	scan->at = at;
	scan->index = source;
	worked(scan, n);
}

/* ---- characters ---- */

static inline BertElement
look_up(const Scan *scan, uint32 ch)
{
	const BertCharmap *map = &scan->tokenizer->map;

	return map->pages[map->index[ch / BERT_PAGE_CHARS] * BERT_PAGE_CHARS +
					  ch % BERT_PAGE_CHARS];
}

/* An element that stands for itself, with the character filled in. */
static inline BertElement
resolve(BertElement element, uint32 ch)
{
	return BERT_ELEMENT_CHAR(element) == 0 ? element | ch : element;
}

/* The elements of a character: where they are, and how many. */
static const BertElement *
elements_of(const Scan *scan, uint32 ch, BertElement element, BertElement buffer[3],
			int *n)
{
	uint32 jamo[3];

	switch (BERT_ELEMENT_KIND(element))
	{
		case BERT_CHAR_SEQUENCE:
			*n = BERT_ELEMENT_CLASS(element);
			if (*n == 0 || BERT_ELEMENT_CHAR(element) + *n >
							   scan->tokenizer->map.n_sequence_elements)
				bert_tokenizer_damaged();
			return scan->tokenizer->map.sequences + BERT_ELEMENT_CHAR(element);
		case BERT_CHAR_HANGUL:
			*n = bert_hangul_decompose(ch, jamo);
			for (int i = 0; i < *n; i++)
				buffer[i] = BERT_ELEMENT(BERT_CHAR_WORD, 0, jamo[i]);
			return buffer;
		default:
			*n = 1;
			buffer[0] = resolve(element, ch);
			return buffer;
	}
}

static void
take_elements(Scan *scan, uint32 ch, BertElement element)
{
	BertElement buffer[3];
	int n;
	const BertElement *elements = elements_of(scan, ch, element, buffer, &n);

	for (int i = 0; i < n; i++)
		put(scan, BERT_ELEMENT_KIND(elements[i]), BERT_ELEMENT_CHAR(elements[i]),
			scan->index);
}

/* Does it end in a mark, so that it may have to be sorted with what follows? */
static inline bool
ends_in_mark(const Scan *scan, uint32 ch, BertElement element)
{
	const BertElement *elements;
	BertElement buffer[3];
	int n;

	if (BERT_ELEMENT_KIND(element) != BERT_CHAR_SEQUENCE)
		return BERT_ELEMENT_CLASS(element) != 0;
	elements = elements_of(scan, ch, element, buffer, &n);
	return BERT_ELEMENT_CLASS(elements[n - 1]) != 0;
}

static void
take_char(Scan *scan)
{
	const uint8 *next = scan->at;
	uint32 ch = bert_utf8_next(&next, scan->end);
	BertElement element = look_up(scan, ch);
	BertCharKind kind = BERT_ELEMENT_KIND(element);

	if (scan->at >= scan->text_from)
	{
		if (ends_in_mark(scan, ch, element))
		{
			take_marks(scan);
			return;
		}
		if (kind == BERT_CHAR_SEQUENCE || kind == BERT_CHAR_HANGUL)
			take_elements(scan, ch, element);
		else
			put(scan, kind, BERT_ELEMENT_CHAR(resolve(element, ch)), scan->index);
	}
	worked(scan, next - scan->at);
	scan->at = next;
	scan->index++;
}

/*
 * Hand an element on. Spaces around Chinese characters matter only to normalized
 * added tokens; otherwise they are the same as being alone.
 */
static inline void
put(Scan *scan, BertCharKind kind, uint32 ch, int64 source)
{
	const Char element = {ch, kind == BERT_CHAR_CHINESE ? BERT_CHAR_ALONE : kind,
						  source};
	const Char space = {' ', BERT_CHAR_SPACE, source};

	if (kind == BERT_CHAR_STRIPPED || kind == BERT_CHAR_CLEANED)
		return;
	if (likely(scan->filter == NULL))
	{
		put_in_word(scan, &element);
		return;
	}
	if (kind == BERT_CHAR_CHINESE)
		scan->filter(scan, &space);
	scan->filter(scan, &element);
	if (kind == BERT_CHAR_CHINESE)
		scan->filter(scan, &space);
}

/* ---- marks in canonical order ---- */

/*
 * Decomposition sorts each run of marks (characters of a combining class other than
 * 0) by class. Nearly all marks are deleted afterwards, so this matters only where
 * one is kept: a spacing mark, or one younger than the table of nonspacing marks.
 *
 * The reference gives the sorted characters the sources of the run in the text's
 * order: the first in order gets the first source, and so on; further elements of one
 * character share the source of the one before. We do the same.
 *
 * A run may be as long as the text, so it isn't stored: it is read again for each
 * class that occurs in it, of which there are some fifty.
 */
typedef struct Run
{
	const uint8 *stop;
	int64 n_chars;
	bool kept; /* a mark is left */
	bool classes[256];
} Run;

static Found find_owner(Scan *scan, const uint8 *at, Match *match);

static void
note_elements(Run *run, const BertElement *elements, int n)
{
	for (int i = 0; i < n; i++)
	{
		run->classes[BERT_ELEMENT_CLASS(elements[i])] = true;
		if (BERT_ELEMENT_CLASS(elements[i]) != 0 &&
			BERT_ELEMENT_KIND(elements[i]) != BERT_CHAR_STRIPPED)
			run->kept = true;
	}
}

/*
 * The first character, whatever it is, and the marks after it, with characters that
 * are deleted before marks are sorted among them. False: the rest of the text could
 * make the run longer.
 */
static bool
find_run(Scan *scan, Run *run)
{
	Found end = NOT_FOUND;
	const uint8 *next;

	for (run->stop = scan->at; run->stop < scan->end; run->stop = next)
	{
		BertElement buffer[3];
		const BertElement *elements;
		Match match;
		uint32 ch;
		int n;

		if (run->n_chars > 0)
			end = find_owner(scan, run->stop, &match);
		if (end != NOT_FOUND)
			return end == FOUND;

		next = run->stop;
		ch = bert_utf8_next(&next, scan->end);
		elements = elements_of(scan, ch, look_up(scan, ch), buffer, &n);
		if (BERT_ELEMENT_KIND(elements[0]) != BERT_CHAR_CLEANED)
		{
			if (run->n_chars > 0 && BERT_ELEMENT_CLASS(elements[0]) == 0)
				return true;
			note_elements(run, elements, n);
		}
		run->n_chars++;
		worked(scan, next - run->stop);
	}
	return scan->complete;
}

/* The source to be given next: walks over the run's characters that are not deleted. */
typedef struct Sources
{
	const uint8 *at;
	int64 index;
} Sources;

static int64
next_source(const Scan *scan, Sources *sources)
{
	BertElement element;

	do
	{
		element = look_up(scan, bert_utf8_next(&sources->at, scan->end));
		sources->index++;
	} while (BERT_ELEMENT_KIND(element) == BERT_CHAR_CLEANED &&
			 sources->at < scan->end);
	return sources->index - 1;
}

static void
put_class(Scan *scan, const Run *run, uint32 class, Sources *sources)
{
	const uint8 *at = scan->at;
	int64 source = scan->index;

	while (at < run->stop && !scan->halted)
	{
		const uint8 *before = at;
		uint32 ch = bert_utf8_next(&at, scan->end);
		BertElement element = look_up(scan, ch);
		BertElement buffer[3];
		int n;
		const BertElement *elements = elements_of(scan, ch, element, buffer, &n);

		worked(scan, at - before);
		if (BERT_ELEMENT_KIND(element) == BERT_CHAR_CLEANED)
			continue;
		for (int i = 0; i < n; i++)
		{
			if (BERT_ELEMENT_CLASS(elements[i]) != class)
				continue;
			if (i == 0)
				source = next_source(scan, sources);
			else
				source = sources->index - 1;
			put(scan, BERT_ELEMENT_KIND(elements[i]), BERT_ELEMENT_CHAR(elements[i]),
				source);
		}
	}
}

static void
take_marks(Scan *scan)
{
	Run run = {0};
	Sources sources = {scan->at, scan->index};

	if (!find_run(scan, &run))
	{
		scan->halted = true;
		return;
	}
	for (uint32 class = 0; run.kept && class < lengthof(run.classes); class ++)
		if (run.classes[class])
			put_class(scan, &run, class, &sources);
	scan->at = run.stop;
	scan->index += run.n_chars;
}

/* ---- words ---- */

static inline void
put_in_word(Scan *scan, const Char *element)
{
	Word *word = &scan->word;

	if (element->kind != BERT_CHAR_WORD)
		end_word(scan);
	if (element->kind == BERT_CHAR_SPACE)
		return;

	if (word->n_chars == 0)
		word->first = element->source;
	if (word->n_chars < scan->block->max_chars_per_word)
	{
		int32 stop =
			word->nbytes + bert_utf8_put(word->bytes + word->nbytes, element->ch);

		while (word->nbytes < stop)
			word->sources[word->nbytes++] = element->source;
	}
	word->last = element->source;
	word->n_chars++;

	if (element->kind == BERT_CHAR_ALONE)
		end_word(scan);
}

/* The longest piece that the word goes on with at start; false: none. */
static inline bool
longest_piece(const Scan *scan, int32 start, Piece *piece)
{
	const BertTokenizer *tokenizer = scan->tokenizer;
	const uint8 *bytes = scan->word.bytes;
	const int32 nbytes = scan->word.nbytes;
	uint32 node = start == 0 ? scan->block->vocab_root : scan->block->continuing_root;

	piece->start = piece->stop = start;
	for (int32 i = start; i < nbytes; i++)
	{
		if (!bert_trie_step(tokenizer->nodes, tokenizer->n_nodes, &node, bytes[i]))
			break;
		if (tokenizer->nodes[node].number >= 0)
		{
			piece->id = tokenizer->nodes[node].number;
			piece->stop = i + 1;
		}
	}
	return piece->stop > start;
}

/* Cut the word into pieces, greedily; 0 where that fails anywhere. */
static int32
match_word(Scan *scan)
{
	Word *word = &scan->word;
	int32 n = 0;

	for (int32 at = 0; at < word->nbytes; at = word->pieces[n++].stop)
		if (!longest_piece(scan, at, &word->pieces[n]))
			return 0;
	return n;
}

static void
end_word(Scan *scan)
{
	Word *word = &scan->word;
	int32 n = 0;

	if (word->n_chars == 0)
		return;
	if (word->n_chars <= scan->block->max_chars_per_word)
		n = match_word(scan);
	if (scan->words != NULL)
		emit_word(scan, Max(n, 1), word->first, word->last + 1);
	else if (n == 0)
		emit(scan, scan->block->unk_id, word->first, word->last + 1);
	for (int32 i = 0; i < n && scan->words == NULL; i++)
		emit(scan, word->pieces[i].id, word->sources[word->pieces[i].start],
			 word->sources[word->pieces[i].stop - 1] + 1);
	word->n_chars = 0;
	word->nbytes = 0;
}

static void
emit_word(Scan *scan, int32 n_tokens, int64 start, int64 stop)
{
	if (!scan->stopped && !scan->words(scan->sink_arg, n_tokens, start, stop))
		scan->stopped = scan->halted = true;
}

/* A piece of a word, or an added token. */
static void
emit(Scan *scan, int32 id, int64 start, int64 stop)
{
	if (scan->words != NULL)
	{
		emit_word(scan, 1, start, stop);
		return;
	}
	if (scan->stopped)
		return;
	if (unlikely(id < 0 || id >= scan->block->n_ids))
		bert_tokenizer_damaged();
	if (!scan->sink(scan->sink_arg, id, start, stop))
		scan->stopped = scan->halted = true;
}

/* ---- added tokens in the raw text ---- */

/*
 * The leftmost match wins, among those that begin at one place the longest. A match
 * that single_word or split_special refuses stays text, but no other match may begin
 * inside it.
 */

static uint32
char_before(const Scan *scan, const uint8 *at)
{
	const uint8 *p = at - 1;

	while (p > scan->text && at - p < 4 && (*p & 0xC0) == 0x80)
		p--;
	return bert_utf8_next(&p, at);
}

/* What single_word asks for: no \w on either side. */
static Found
stands_alone(const Scan *scan, const Match *match)
{
	const uint8 *next = match->stop;

	if (match->start > scan->text && bert_is_word_char(char_before(scan, match->start)))
		return NOT_FOUND;
	if (match->stop == scan->end)
		return scan->complete ? FOUND : UNDECIDED;
	return bert_is_word_char(bert_utf8_next(&next, scan->end)) ? NOT_FOUND : FOUND;
}

static const BertAddedEntry *
added_entry(const Scan *scan, int32 number)
{
	if (number >= scan->tokenizer->n_added)
		bert_tokenizer_damaged();
	return &scan->tokenizer->added[number];
}

/* Is it a special token in the text, which is to be text? */
static inline bool
is_split(const Scan *scan, const BertAddedEntry *added)
{
	return scan->split_special && added->special;
}

/* The match that begins at this place. Places are asked for in ascending order. */
static Found
find_added(Scan *scan, const uint8 *at, Match *match)
{
	const BertTokenizer *tokenizer = scan->tokenizer;
	uint32 node = scan->block->raw_root;
	const uint8 *p = at;
	Found found = FOUND;

	if (at >= scan->end || at < scan->match_from || !scan->block->starts_added[*at])
		return NOT_FOUND;

	match->stop = NULL;
	while (p < scan->end &&
		   bert_trie_step(tokenizer->nodes, tokenizer->n_nodes, &node, *p))
	{
		p++;
		if (tokenizer->nodes[node].number < 0)
			continue;
		match->start = at;
		match->stop = p;
		match->added = added_entry(scan, tokenizer->nodes[node].number);
	}
	if (p == scan->end && !scan->complete)
		return UNDECIDED;
	if (match->stop == NULL)
		return NOT_FOUND;
	if (is_split(scan, match->added))
		found = NOT_FOUND;
	else if (match->added->single_word)
		found = stands_alone(scan, match);
	if (found == NOT_FOUND)
		scan->match_from = match->stop;
	return found;
}

/*
 * The match that owns this place. One with lstrip also owns the whitespace before it,
 * so a look at whitespace is a look at what comes after it. How far there is nothing
 * is remembered, or a long run of whitespace would be read again from each place.
 */
static Found
find_owner(Scan *scan, const uint8 *at, Match *match)
{
	const uint8 *p = at;
	Found found = find_added(scan, at, match);

	if (found != NOT_FOUND || !scan->block->any_lstrip || at < scan->no_lstrip_before)
		return found;
	while (found == NOT_FOUND)
	{
		const uint8 *next = p;

		if (p == scan->end && !scan->complete)
			return UNDECIDED;
		if (p == scan->end || !bert_is_space(bert_utf8_next(&next, scan->end)))
			break;
		worked(scan, next - p);
		p = next;
		found = find_added(scan, p, match);
	}
	if (found == FOUND && !match->added->lstrip)
		found = NOT_FOUND;
	if (found == NOT_FOUND)
		scan->no_lstrip_before = p;
	return found;
}

/* Where the whitespace that begins at this place ends. */
static const uint8 *
after_space(Scan *scan, const uint8 *at)
{
	while (at < scan->end)
	{
		const uint8 *next = at;

		if (!bert_is_space(bert_utf8_next(&next, scan->end)))
			break;
		worked(scan, next - at);
		at = next;
	}
	return at;
}

static int64
count_chars(Scan *scan, const uint8 *from, const uint8 *to)
{
	int64 n = 0;

	for (const uint8 *next = from; from < to; from = next, n++)
	{
		bert_utf8_next(&next, scan->end);
		worked(scan, next - from);
	}
	return n;
}

/*
 * Emit the match that begins here, or after whitespace that it strips. What it strips
 * to its right can still be the beginning of another match, but isn't text any more.
 */
static void
take_match(Scan *scan, const Match *match, const uint8 *stop)
{
	int64 start_index = scan->index;
	int64 match_stop_index = scan->index + count_chars(scan, scan->at, match->stop);
	int64 stop_index = match_stop_index + count_chars(scan, match->stop, stop);

	if (match->added->lstrip)
		start_index = Max(start_index, scan->text_from_index);
	end_segment(scan);
	if (start_index < stop_index) /* else the token before has it all */
		emit(scan, match->added->id, start_index, stop_index);
	scan->at = scan->match_from = match->stop;
	scan->index = match_stop_index;
	scan->text_from = stop;
	scan->text_from_index = stop_index;
}

/* True: a token was taken, or the scan has to halt. */
static bool
take_added(Scan *scan)
{
	Match match;
	const uint8 *stop = NULL;
	Found found = find_owner(scan, scan->at, &match);

	if (found == NOT_FOUND)
		return false;

	if (found == FOUND)
	{
		stop = match.added->rstrip ? after_space(scan, match.stop) : match.stop;
		if (match.added->rstrip && stop == scan->end && !scan->complete)
			found = UNDECIDED;
	}
	if (found == UNDECIDED)
		scan->halted = true;
	else
		take_match(scan, &match, stop);
	return true;
}

/* ---- added tokens in the normalized text ---- */

/*
 * The same rules, but in the normalized text, which exists nowhere as a whole. The
 * window holds back just enough elements to decide what begins at its front: more
 * than the longest of these tokens, and with them its right neighbour. Then the front
 * leaves, as text or as a token.
 */

static void
leave(Window *window, int32 n)
{
	window->before = window->chars[window->first + n - 1].ch;
	window->first += n;
	window->n -= n;
	window->unmatched = Max(0, window->unmatched - n);
}

static void
release_held(Scan *scan, Window *window)
{
	for (int32 i = 0; i < window->n_held; i++)
		emit(scan, window->held[i].id, window->held[i].start,
			 window->held[i].grows ? window->held_stop : window->held[i].stop);
	window->n_held = 0;
}

static void
hold_back(Window *window, Held held)
{
	if (window->n_held == window->max_held)
	{
		window->max_held *= 2;
		window->held = repalloc(window->held, window->max_held * sizeof(Held));
	}
	if (window->n_held == 0 || held.stop > window->held_stop)
		window->held_stop = held.stop;
	window->held[window->n_held++] = held;
}

/* Does the last token that is held back strip the white space that comes? */
static bool
is_stripped(const Window *window)
{
	return window->n_held > 0 && window->held[window->n_held - 1].grows;
}

/* The longest token at the window's front; returns its characters, 0: none. */
static int32
match_window(const Scan *scan, const Window *window, const BertAddedEntry **added)
{
	const BertTokenizer *tokenizer = scan->tokenizer;
	const Char *chars = window->chars + window->first;
	uint32 node = scan->block->normalized_root;
	int32 length = 0;

	for (int32 i = 0; i < window->n; i++)
	{
		uint8 bytes[4];
		int nbytes = bert_utf8_put(bytes, chars[i].ch);

		for (int j = 0; j < nbytes; j++)
			if (!bert_trie_step(tokenizer->nodes, tokenizer->n_nodes, &node, bytes[j]))
				return length;
		if (tokenizer->nodes[node].number >= 0)
		{
			*added = added_entry(scan, tokenizer->nodes[node].number);
			length = i + 1;
		}
	}
	return length;
}

static bool
window_stands_alone(const Window *window, int32 length)
{
	const Char *chars = window->chars + window->first;

	return !(window->before != 0 && bert_is_word_char(window->before)) &&
		   !(length < window->n && bert_is_word_char(chars[length].ch));
}

/* The front's n characters are a token. */
static void
take_window_match(Scan *scan, Window *window, const BertAddedEntry *added, int32 n)
{
	const Char *chars = window->chars + window->first;
	bool stripped = is_stripped(window);
	Held token = {added->id, chars[0].source, chars[n - 1].source + 1, added->rstrip};
	int32 n_space = 0;
	bool in_space;

	/* White space at its beginning still extends a token that strips it. */
	for (; window->n_held > 0 && n_space < n && bert_is_space(chars[n_space].ch);
		 n_space++)
		window->held_stop = chars[n_space].source + 1;
	in_space = n_space == n;
	if (added->lstrip && stripped && n_space > 0)
		token.start = in_space ? token.stop : chars[n_space].source;
	else if (added->lstrip && !stripped && window->space_start >= 0)
		token.start = window->space_start;

	if (!in_space)
		release_held(scan, window);
	end_word(scan);
	leave(window, n);
	if (token.start == token.stop)
		return; /* the token before has it all */
	window->space_start = -1;
	if (in_space || added->rstrip)
		hold_back(window, token);
	else
		emit(scan, token.id, token.start, token.stop);
}

/* The front character is text, unless the token before it strips it. */
static void
take_window_char(Scan *scan, Window *window)
{
	const Char *front = &window->chars[window->first];
	bool is_space = bert_is_space(front->ch);

	if (window->n_held > 0 && is_space)
		window->held_stop = front->source + 1;
	else
		release_held(scan, window);
	if (!is_stripped(window))
	{
		if (!is_space)
			window->space_start = -1;
		else if (window->space_start < 0)
			window->space_start = front->source;
		put_in_word(scan, front);
	}
	leave(window, 1);
}

static void
decide_front(Scan *scan, Window *window)
{
	const BertAddedEntry *added;
	int32 n = window->unmatched == 0 ? match_window(scan, window, &added) : 0;

	if (n > 0 && (is_split(scan, added) ||
				  (added->single_word && !window_stands_alone(window, n))))
	{
		window->unmatched = n;
		n = 0;
	}
	if (n > 0)
		take_window_match(scan, window, added, n);
	else
		take_window_char(scan, window);
}

static void
put_in_window(Scan *scan, const Char *element)
{
	Window *window = scan->filter_arg;

	if (scan->halted)
		return; /* nothing leaves the window any more */
	if (window->first + window->n == window->max)
	{
		memmove(window->chars, window->chars + window->first, window->n * sizeof(Char));
		window->first = 0;
	}
	window->chars[window->first + window->n++] = *element;
	while (window->n > window->hold && !scan->halted)
		decide_front(scan, window);
}

/* The segment ends: what is held back has no more to wait for. */
static void
end_window(Scan *scan)
{
	Window *window = scan->filter_arg;

	while (window->n > 0 && !scan->halted)
		decide_front(scan, window);
	release_held(scan, window);
	window->n = window->first = window->unmatched = 0;
	window->before = 0;
	window->space_start = -1;
}

/* ---- for the compiler ---- */

typedef struct Normalized
{
	uint8 *bytes;
	size_t nbytes;
	size_t max;
} Normalized;

static void
put_in_normalized(Scan *scan, const Char *element)
{
	Normalized *normalized = scan->filter_arg;

	if (normalized->nbytes + 4 > normalized->max)
	{
		normalized->max *= 2;
		normalized->bytes = repalloc(normalized->bytes, normalized->max);
	}
	normalized->nbytes +=
		bert_utf8_put(normalized->bytes + normalized->nbytes, element->ch);
}

uint8 *
bert_normalize(const BertCharmap *map, const char *text, size_t nbytes,
			   size_t *normalized_nbytes)
{
	const BertTokenizerBlock no_tokens = {0};
	const BertTokenizer tokenizer = {.block = &no_tokens, .map = *map};
	Normalized normalized = {palloc(16), 0, 16};
	Scan scan = {.tokenizer = &tokenizer,
				 .filter = put_in_normalized,
				 .filter_arg = &normalized};

	scan_text(&scan, text, nbytes, true);
	*normalized_nbytes = normalized.nbytes;
	return normalized.bytes;
}
