/*
 * test_tokenizer.c
 *	  Tokens are those of Hugging Face's tokenizer, and nothing that a text or a
 *	  damaged block holds does harm.
 *
 * Most claims come from two files in tests/golden, which make_tokens.py there wrote from
 * the reference: languages.tsv, with a trained vocabulary, and tokens.tsv, hard texts
 * under many configurations. Another file of that form can be named as an argument
 * instead of the second. The rest is what the reference has no say in.
 */
#include "port.h"

#include "raises.h"
#include "tap.h"
#include "tokenizer.h"

#define LANGUAGES  "tests/golden/languages.tsv"
#define GOLDEN     "tests/golden/tokens.tsv"
#define MAX_ADDED  64
#define MAX_FIELDS 8
#define MAX_TOKENS 4096
#define CHANGES    20000 /* damaged bytes tried, one at a time */

/* ---- tokens as the golden file writes them ---- */

typedef struct Tokens
{
	char text[32 * MAX_TOKENS]; /* "ID:START-STOP ID:START-STOP ..." */
	size_t nbytes;
	int64 n;
	int64 stop_at; /* the sink stops here */
} Tokens;

static bool
write_token(void *arg, int32 id, int64 start, int64 stop)
{
	Tokens *tokens = arg;
	size_t room = sizeof(tokens->text) - tokens->nbytes;

	if (room < 64)
		return false; /* will be seen as a wrong token list */
	tokens->nbytes +=
		snprintf(tokens->text + tokens->nbytes, room, "%s%d:%lld-%lld",
				 tokens->n > 0 ? " " : "", id, (long long) start, (long long) stop);
	return ++tokens->n != tokens->stop_at;
}

static Tokens tokens;

static const char *
tokens_of(const BertTokenizer *tokenizer, const char *text, size_t nbytes,
		  bool complete)
{
	tokens.nbytes = tokens.n = tokens.stop_at = 0;
	tokens.text[0] = '\0';
	bert_tokenize(tokenizer, text, nbytes, complete,
				  bert_tokenizer_split_special(tokenizer), write_token, &tokens);
	return tokens.text;
}

static const char *
ids_of(const BertTokens *ids)
{
	static char text[16 * MAX_TOKENS];
	size_t nbytes = 0;

	for (int i = 0; i < ids->n_tokens; i++)
		nbytes += snprintf(text + nbytes, sizeof(text) - nbytes, "%s%d",
						   i > 0 ? " " : "", ids->ids[i]);
	return text;
}

/* ---- the golden file ---- */

typedef struct Golden
{
	BertVocabPiece *pieces;
	int32 max_pieces;
	BertAddedToken added[MAX_ADDED];
	BertTokenizerSpec spec;
	const BertTokenizer *tokenizer; /* of the spec; NULL until it is wanted */
	char name[64];
	int n_texts;
	int n_wrong;
	int n_unstable;
	int n_miscut;
} Golden;

static Golden golden;

/* Replace each backslash and six hex digits by the character, in place. */
static void
unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in != '\0';)
	{
		uint32 ch;

		if (*in != '\\' || sscanf(in + 1, "%6x", &ch) != 1)
		{
			*out++ = *in++;
			continue;
		}
		in += 7;
		if (ch >= 0x10000)
		{
			*out++ = 0xF0 | ch >> 18;
			*out++ = 0x80 | (ch >> 12 & 0x3F);
		}
		else if (ch >= 0x800)
			*out++ = 0xE0 | ch >> 12;
		if (ch >= 0x800)
			*out++ = 0x80 | (ch >> 6 & 0x3F);
		else if (ch >= 0x80)
			*out++ = 0xC0 | ch >> 6;
		*out++ = ch < 0x80 ? ch : 0x80 | (ch & 0x3F);
	}
	*out = '\0';
}

static BertVocabPiece
piece_of(char *text, int32 id)
{
	unescape(text);
	return (BertVocabPiece){pstrdup(text), strlen(text), id};
}

static int32
id_of(const char *piece)
{
	for (int32 i = 0; i < golden.spec.n_vocab; i++)
		if (golden.pieces[i].nbytes == (int32) strlen(piece) &&
			memcmp(golden.pieces[i].bytes, piece, strlen(piece)) == 0)
			return i;
	return -1;
}

static const BertTokenizer *
compile(const BertTokenizerSpec *spec)
{
	size_t nbytes;
	void *block = bert_tokenizer_compile(spec, &nbytes);

	return bert_tokenizer_attach(block, nbytes);
}

static const BertTokenizer *
golden_tokenizer(void)
{
	if (golden.tokenizer == NULL)
		golden.tokenizer = compile(&golden.spec);
	return golden.tokenizer;
}

static void
report_config(void)
{
	if (golden.n_texts == 0)
		return;
	ok(golden.n_wrong == 0, "%s: %d texts as the reference", golden.name,
	   golden.n_texts);
	ok(golden.n_unstable == 0, "%s: what the beginning of a text gives, stays",
	   golden.name);
	ok(golden.n_miscut == 0, "%s: chunks are what they say", golden.name);
	golden.n_texts = golden.n_wrong = golden.n_unstable = golden.n_miscut = 0;
}

static void
read_piece(char **fields)
{
	int32 n = golden.spec.n_vocab++;

	if (n == golden.max_pieces)
	{
		golden.max_pieces = n == 0 ? 1024 : 2 * n;
		golden.pieces =
			realloc(golden.pieces, golden.max_pieces * sizeof(BertVocabPiece));
	}
	golden.pieces[n] = piece_of(fields[1], n);
}

static void
read_config(char **fields)
{
	BertTokenizerSpec *spec = &golden.spec;

	report_config();
	snprintf(golden.name, sizeof(golden.name), "%s", fields[1]);
	spec->clean_text = fields[2][0] == '1';
	spec->handle_chinese_chars = fields[2][1] == '1';
	spec->strip_accents = fields[2][2] == '1';
	spec->lowercase = fields[2][3] == '1';
	spec->split_special = fields[2][4] == '1';
	spec->max_chars_per_word = atoi(fields[3]);
	spec->prefix = "##";
	spec->decoder_prefix = "##";
	spec->unk_id = id_of("[UNK]");
	spec->cls_id = id_of("[CLS]");
	spec->sep_id = id_of("[SEP]");
	spec->vocab = golden.pieces;
	spec->added = golden.added;
	spec->n_added = 0;
	golden.tokenizer = NULL;
}

static void
read_added(char **fields)
{
	golden.added[golden.spec.n_added++] =
		(BertAddedToken){.piece = piece_of(fields[3], atoi(fields[1])),
						 .single_word = fields[2][0] == '1',
						 .lstrip = fields[2][1] == '1',
						 .rstrip = fields[2][2] == '1',
						 .normalized = fields[2][3] == '1',
						 .special = fields[2][4] == '1'};
}

static void
expect(const char *text, const char *found, const char *wanted)
{
	golden.n_texts++;
	if (strcmp(found, wanted) == 0)
		return;
	golden.n_wrong++;
	printf("# text:   %s\n# found:  %s\n# wanted: %s\n", text, found, wanted);
}

/* However a text is cut, its beginning gives tokens that the whole text begins with. */
static void
expect_stable(const char *text, const char *wanted)
{
	for (size_t nbytes = 0; nbytes <= strlen(text); nbytes++)
	{
		const char *found = tokens_of(golden_tokenizer(), text, nbytes, false);

		if (strncmp(found, wanted, strlen(found)) == 0)
			continue;
		golden.n_unstable++;
		printf("# text:   %s, %zu bytes\n# found:  %s\n# wanted: %s\n", text, nbytes,
			   found, wanted);
	}
}

/* ---- chunks ---- */

#define MAX_CHUNKS 1024

typedef struct Chunking
{
	const char *text;
	int32 max_tokens;
	int32 overlap;
	BertChunk chunks[MAX_CHUNKS];
	int n;
} Chunking;

static const char *
byte_at(const char *text, int64 index)
{
	for (; index > 0; index--)
		while ((*++text & 0xC0) == 0x80)
			;
	return text;
}

static void
keep_chunk(void *arg, const BertChunk *chunk)
{
	Chunking *chunking = arg;

	if (chunking->n < MAX_CHUNKS)
		chunking->chunks[chunking->n++] = *chunk;
}

static void
make_chunks(void *arg)
{
	Chunking *chunking = arg;

	chunking->n = 0;
	bert_chunk(golden_tokenizer(), chunking->text, strlen(chunking->text),
			   chunking->max_tokens, chunking->overlap,
			   bert_tokenizer_split_special(golden_tokenizer()), keep_chunk, chunking);
}

static int64
count_tokens(const char *text, int64 start, int64 stop)
{
	const char *from = byte_at(text, start);

	tokens_of(golden_tokenizer(), from, byte_at(text, stop) - from, true);
	return tokens.n;
}

typedef struct Words
{
	const Chunking *chunking;
	bool is_split; /* one that would have fitted */
} Words;

/* A BertWordSink over the whole text. */
static bool
check_word(void *arg, int32 n_tokens, int64 start, int64 stop)
{
	Words *words = arg;
	const Chunking *chunking = words->chunking;

	for (int i = 0; i < chunking->n; i++)
		if (chunking->chunks[i].stop > start && chunking->chunks[i].stop < stop &&
			n_tokens <= chunking->max_tokens - 2)
			words->is_split = true;
	return true;
}

/*
 * What is shared by two chunks is measured, and words are looked for, only where no
 * added token sees more of the text than the chunk has.
 */
static const char *
wrong_chunk(const Chunking *chunking)
{
	const char *text = chunking->text;
	const bool plain = golden.spec.n_added <= 5;
	const BertChunk *last = NULL;
	Words words = {chunking};

	for (int i = 0; i < chunking->n; i++)
	{
		const BertChunk *chunk = &chunking->chunks[i];

		if (last != NULL ? chunk->start <= last->start || chunk->start > last->stop ||
							   chunk->stop <= last->stop
						 : chunk->start != 0)
			return "chunks do not follow each other";
		if (chunk->n_tokens > chunking->max_tokens)
			return "a chunk is too long";
		if (plain && chunk->n_tokens == 2 && chunking->n > 1 &&
			chunking->max_tokens >= 10)
			return "a chunk is blank";
		if (count_tokens(text, chunk->start, chunk->stop) + 2 != chunk->n_tokens)
			return "a chunk is miscounted";
		if (plain && last != NULL &&
			count_tokens(text, chunk->start, last->stop) > chunking->overlap)
			return "two chunks share too much";
		last = chunk;
	}
	if (last != NULL ? *byte_at(text, last->stop) != '\0' : text[0] != '\0')
		return "the end is missing";
	bert_tokenize_words(golden_tokenizer(), text, strlen(text), false, check_word,
						&words);
	return plain && words.is_split ? "a word is split" : NULL;
}

static void
expect_chunks(const char *text)
{
	static const int32 sizes[][2] = {{3, 0},  {4, 0},  {4, 1},  {6, 0},  {6, 3},
									 {10, 0}, {10, 4}, {18, 0}, {18, 15}};
	static Chunking chunking;

	for (int i = 0; i < (int) lengthof(sizes); i++)
	{
		const char *wrong = NULL;
		BertCaughtError error;

		chunking.text = text;
		chunking.max_tokens = sizes[i][0];
		chunking.overlap = sizes[i][1];
		if (bert_try(make_chunks, &chunking, true, &error))
			wrong = wrong_chunk(&chunking);
		else if (chunking.max_tokens > 6 ||
				 error.sqlstate != ERRCODE_INVALID_PARAMETER_VALUE)
			wrong = error.message;
		if (wrong == NULL)
			continue;
		golden.n_miscut++;
		printf("# text: %s\n# %d, %d: %s\n", text, chunking.max_tokens,
			   chunking.overlap, wrong);
	}
}

static void
check_text(char **fields)
{
	const BertTokenizer *tokenizer = golden_tokenizer();

	unescape(fields[1]);
	expect(fields[1], tokens_of(tokenizer, fields[1], strlen(fields[1]), true),
		   fields[2]);
	expect_stable(fields[1], fields[2]);
	expect_chunks(fields[1]);
}

static void
check_single(char **fields)
{
	BertTokens ids;

	unescape(fields[2]);
	bert_tokens_single(golden_tokenizer(), atoi(fields[1]), fields[2],
					   strlen(fields[2]), true, false, &ids);
	expect(fields[2], ids_of(&ids), fields[4]);
	golden.n_wrong +=
		ids.truncated != (fields[3][0] == '1') || ids.first_size != ids.n_tokens;
}

static void
check_pair(char **fields)
{
	BertTokens ids;

	unescape(fields[2]);
	unescape(fields[3]);
	bert_tokens_pair(golden_tokenizer(), atoi(fields[1]), fields[2], strlen(fields[2]),
					 fields[3], strlen(fields[3]), false, &ids);
	expect(fields[2], ids_of(&ids), fields[6]);
	golden.n_wrong +=
		ids.truncated != (fields[4][0] == '1') || ids.first_size != atoi(fields[5]);
}

static void
read_decoder(char **fields)
{
	golden.spec.decoder_prefix = pstrdup(fields[1]);
	golden.spec.decoder_cleanup = fields[2][0] == '1';
	golden.tokenizer = NULL;
}

static void
check_decode(char **fields)
{
	int32 ids[64];
	int n = 0;
	size_t nbytes;
	const char *text;

	for (char *at = fields[3]; *at != '\0' && n < (int) lengthof(ids); n++)
		ids[n] = strtol(at, &at, 10);
	text = bert_decode(golden_tokenizer(), ids, n, fields[1][0] == '1',
					   fields[2][0] == '1', &nbytes);
	unescape(fields[4]);
	expect(fields[3], nbytes == strlen(text) ? text : "a wrong size", fields[4]);
}

static void
read_line(char *line)
{
	char *fields[MAX_FIELDS] = {0};
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (n < MAX_FIELDS && (fields[n] = strsep(&line, "\t")) != NULL)
		n++;
	if (strcmp(fields[0], "piece") == 0)
		read_piece(fields);
	else if (strcmp(fields[0], "config") == 0)
		read_config(fields);
	else if (strcmp(fields[0], "added") == 0)
		read_added(fields);
	else if (strcmp(fields[0], "text") == 0)
		check_text(fields);
	else if (strcmp(fields[0], "single") == 0)
		check_single(fields);
	else if (strcmp(fields[0], "pair") == 0)
		check_pair(fields);
	else if (strcmp(fields[0], "decoder") == 0)
		read_decoder(fields);
	else if (strcmp(fields[0], "decode") == 0)
		check_decode(fields);
}

static void
test_golden(const char *name)
{
	FILE *file = fopen(name, "r");
	char *line = NULL;
	size_t max = 0;

	if (!ok(file != NULL, "%s is there", name))
		return;
	golden.spec.n_vocab = 0;
	while (getline(&line, &max, file) > 0)
		read_line(line);
	free(line);
	fclose(file);
	report_config();
}

/* ---- what the reference has no say in ---- */

static const char *const words[] = {"[UNK]", "[CLS]", "[SEP]", "a", "##a", "b", "ab"};

#define UNK 0
#define CLS 1
#define SEP 2
#define A   3

static BertVocabPiece word_pieces[lengthof(words)];

static BertTokenizerSpec
small_spec(void)
{
	BertTokenizerSpec spec = {.clean_text = true,
							  .handle_chinese_chars = true,
							  .strip_accents = true,
							  .lowercase = true,
							  .max_chars_per_word = 100,
							  .prefix = "##",
							  .decoder_prefix = "##",
							  .unk_id = UNK,
							  .cls_id = CLS,
							  .sep_id = SEP,
							  .vocab = word_pieces,
							  .n_vocab = lengthof(words)};

	for (int i = 0; i < (int) lengthof(words); i++)
		word_pieces[i] = (BertVocabPiece){words[i], strlen(words[i]), i};
	return spec;
}

static void
test_reading(void)
{
	BertTokenizerSpec spec = small_spec();
	const BertTokenizer *tokenizer = compile(&spec);
	BertTokens ids;

	ok(strcmp(tokens_of(tokenizer, "a ab", 4, true), "3:0-1 6:2-4") == 0,
	   "a text gives its tokens");
	ok(strcmp(tokens_of(tokenizer, "a ab", 4, false), "3:0-1") == 0,
	   "the last word of an incomplete text is not given");
	ok(strcmp(tokens_of(tokenizer, "a \xC3", 3, false), "3:0-1") == 0,
	   "nor is a character that has only begun");

	tokens.nbytes = tokens.n = 0;
	tokens.stop_at = 2;
	ok(!bert_tokenize(tokenizer, "a a a a", 7, true, false, write_token, &tokens) &&
		   tokens.n == 2,
	   "the sink can stop it");

	ok(!bert_tokens_single(tokenizer, 4, "a a ", 4, false, false, &ids),
	   "a text that could still be cut asks for more");
	ok(bert_tokens_single(tokenizer, 4, "a a a ", 6, false, false, &ids) &&
		   ids.truncated && strcmp(ids_of(&ids), "1 3 3 2") == 0,
	   "a text that is cut needs no more");
}

/* A word of 20 million characters, and half as many marks on one letter. */
static void
test_huge(void)
{
	const size_t nbytes = 20 * 1000 * 1000;
	BertTokenizerSpec spec = small_spec();
	const BertTokenizer *tokenizer = compile(&spec);
	char *text = palloc(nbytes);

	memset(text, 'a', nbytes);
	ok(strcmp(tokens_of(tokenizer, text, nbytes, true), "0:0-20000000") == 0,
	   "a huge word is [UNK]");
	for (size_t i = 0; i < nbytes; i += 2)
		memcpy(text + i, i % 4 == 0 ? "\xCC\x81" : "\xCC\x96", 2);
	text[0] = text[1] = 'a';
	ok(strcmp(tokens_of(tokenizer, text, nbytes, true), "3:0-1 4:1-2") == 0,
	   "a huge number of marks is nothing");
	pfree(text);
}

static void
count_chunk(void *n, const BertChunk *chunk)
{
	if (chunk->n_tokens > 3)
		abort();
	++*(int *) n;
}

static void
chunk_marks(void *n)
{
	const BertVocabPiece pieces[] = {
		{"[UNK]", 5, UNK}, {"[CLS]", 5, CLS},    {"[SEP]", 5, SEP},
		{"a", 1, 3},       {"##\xCC\x80", 4, 4}, {"\xCC\x80", 2, 5},
	};
	BertTokenizerSpec spec = small_spec();

	spec.strip_accents = false;
	spec.vocab = pieces;
	spec.n_vocab = lengthof(pieces);
	bert_chunk(compile(&spec), "a\xCC\x80\xCC\x80\xCC\x80", 7, 3, 0, false, count_chunk,
			   n);
}

/* Only where the two could be one character of the database do they stay together. */
static void
test_marks(void)
{
	int n = 0;

	ok(returns(chunk_marks, &n) && n == 4, "marks that are tokens can be cut apart");
}

static void
test_texts(void)
{
	BertTokenizerSpec spec = small_spec();
	const BertVocabPiece twice[] = {{"a", 1, 7}, {"b", 1, 8}, {"a", 1, 9}};
	const BertTokenizer *tokenizer;
	const char *text;
	int32 nbytes = 0;

	spec.vocab = twice;
	spec.n_vocab = lengthof(twice);
	tokenizer = compile(&spec);
	text = bert_token_text(tokenizer, 9, &nbytes);
	ok(text != NULL && nbytes == 1 && text[0] == 'a', "an id has its text");
	ok(strcmp(tokens_of(tokenizer, "a", 1, true), "9:0-1") == 0,
	   "of a piece given twice the later id wins");
	ok(bert_token_text(tokenizer, 7, &nbytes) == NULL, "the earlier id has no text");
	ok(bert_token_text(tokenizer, -1, &nbytes) == NULL &&
		   bert_token_text(tokenizer, PG_INT32_MAX, &nbytes) == NULL,
	   "an id outside the vocabulary has none");
	ok(bert_tokenizer_n_ids(tokenizer) == 10, "all ids are below n_ids");
}

static void
compile_spec(void *spec)
{
	compile(spec);
}

static void
test_bad_specs(void)
{
	static char long_bytes[5000];
	const BertVocabPiece long_piece = {long_bytes, sizeof(long_bytes), 0};
	const BertVocabPiece negative = {"a", 1, -1};
	const BertAddedToken nothing = {.piece = {"\xE2\x80\x8B", 3, 7},
									.normalized = true};
	BertTokenizerSpec spec = small_spec();

	spec.n_vocab = 0;
	ok(raises(compile_spec, &spec, ERRCODE_CONFIG_FILE_ERROR, "vocabulary is empty"),
	   "an empty vocabulary is refused");
	spec.n_vocab = 1;
	spec.vocab = &long_piece;
	ok(raises(compile_spec, &spec, ERRCODE_CONFIG_FILE_ERROR, "too long"),
	   "a piece too long is refused");
	spec.vocab = &negative;
	ok(raises(compile_spec, &spec, ERRCODE_CONFIG_FILE_ERROR, "out of range"),
	   "a negative id is refused");
	spec = small_spec();
	spec.max_chars_per_word = -1;
	ok(raises(compile_spec, &spec, ERRCODE_CONFIG_FILE_ERROR, "out of range"),
	   "a negative max_input_chars_per_word is refused");
	spec = small_spec();
	spec.added = &nothing;
	spec.n_added = 1;
	ok(raises(compile_spec, &spec, ERRCODE_CONFIG_FILE_ERROR, "empty when normalized"),
	   "an added token that normalization deletes is refused");
}

/* ---- damage ---- */

typedef struct Damaged
{
	const void *block;
	size_t nbytes;
} Damaged;

static void
use_block(void *arg)
{
	static const char text[] = "Hello [A] \xC3\xA9t\xC3\xA9 \xED\x95\x9C\xE4\xB8\xAD "
							   "a\xCC\x81\xE3\x80\xAE\xCC\x96 b c, wordy new  world";
	const Damaged *damaged = arg;
	BertTokenizer *tokenizer = bert_tokenizer_attach(damaged->block, damaged->nbytes);
	BertTokens ids;
	size_t size;
	int32 nbytes;

	tokens_of(tokenizer, text, strlen(text), true);
	bert_tokens_pair(tokenizer, 16, text, strlen(text), text, strlen(text), true, &ids);
	bert_decode(tokenizer, ids.ids, ids.n_tokens, true, true, &size);
	for (int i = 0; i < ids.n_tokens; i++)
		if (ids.ids[i] < 0 || ids.ids[i] >= bert_tokenizer_n_ids(tokenizer))
			abort();
	bert_token_text(tokenizer, ids.ids[1], &nbytes);
}

/* With the golden file's last configuration, which has all kinds of added tokens. */
static void
test_damage(void)
{
	Damaged damaged;
	uint8 *block = bert_tokenizer_compile(&golden.spec, &damaged.nbytes);
	size_t nbytes = damaged.nbytes;
	uint32 random = 1;

	damaged.block = block;
	ok(returns(use_block, &damaged), "an undamaged block can be used");
	for (int i = 0; i < CHANGES; i++)
	{
		size_t place;
		uint8 was;

		random = random * 1664525 + 1013904223;
		place = i < 1024 ? (size_t) i : random % nbytes;
		was = block[place];
		block[place] ^= 1 << (random >> 29);
		bert_try(use_block, &damaged, false, NULL);
		block[place] = was;
	}
	ok(true, "no bit that flips does harm");

	damaged.nbytes = nbytes - 1;
	ok(raises(use_block, &damaged, ERRCODE_DATA_CORRUPTED, "damaged"),
	   "a block cut short is refused");
	damaged.nbytes = 8;
	ok(raises(use_block, &damaged, ERRCODE_DATA_CORRUPTED, "damaged"),
	   "so is one without a whole header");
	damaged.nbytes = nbytes;
	block[0] ^= 1;
	ok(raises(use_block, &damaged, ERRCODE_DATA_CORRUPTED, "damaged"),
	   "and one of something else");
}

int
main(int argc, char **argv)
{
	test_golden(LANGUAGES);
	test_golden(argc > 1 ? argv[1] : GOLDEN);
	test_reading();
	test_huge();
	test_marks();
	test_texts();
	test_bad_specs();
	test_damage();
	return done_testing();
}
