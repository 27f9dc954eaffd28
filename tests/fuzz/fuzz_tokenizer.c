/*
 * fuzz_tokenizer.c
 *	  libFuzzer target: any bytes as a text, as a vocabulary, and as damage to a block.
 *
 * The first byte sets the options. The second says, in its low half, how many groups of
 * three bytes after it are damage, a place and a value each; its high half, if 15, that
 * a vocabulary follows, one piece a line up to the first 0xFF, the first few being
 * added tokens as well. (Compiling takes milliseconds, so mostly it is ours.) The rest
 * is the text.
 *
 *		clang -g -O1 -fsanitize=fuzzer,address,undefined -DFRONTEND -I extension ...
 *
 * Whatever comes: no crash, and from an undamaged block and valid UTF-8, tokens that
 * stay within the text, and that reading half of the text does not change; and chunks
 * that cover it, with as many tokens as they say.
 */
#include "port.h"

#include "mb/pg_wchar.h"

#include "tokenizer.h"

#define MAX_PIECES 64
#define MAX_TOKENS 4096
#define N_ADDED    4
#define MAX_CHUNK  9

/* With pieces that begin with a space, that need normalizing, and of Hangul's jamo. */
static const char own_vocab[] =
	"[MASK]\nhello\n e\n\xE4\xB8\xAD\n[UNK]\nh\n##e\n##ll\n##o\n"
	"\xC3\xA9\n##\xC3\xA9\n##\xCC\x81\n.\n##\xE1\x86\xA8\nworld\n##d";

typedef struct Input
{
	uint8 options;
	bool has_vocab;
	const uint8 *damage;
	int n_damage;
	const uint8 *vocab;
	size_t vocab_nbytes;
	const char *text;
	size_t text_nbytes;
} Input;

typedef struct Token
{
	int32 id;
	int64 start;
	int64 stop;
} Token;

typedef struct Tokens
{
	Token items[MAX_TOKENS];
	int n;
} Tokens;

static bool
keep(void *arg, int32 id, int64 start, int64 stop)
{
	Tokens *tokens = arg;

	tokens->items[tokens->n++] = (Token){id, start, stop};
	return tokens->n < MAX_TOKENS;
}

/* The beginning of a token list that half of the text gives is that of the whole. */
static void
check_half(const BertTokenizer *tokenizer, const Input *input, const Tokens *whole)
{
	static Tokens half;

	half.n = 0;
	bert_tokenize(tokenizer, input->text, input->text_nbytes / 2, false,
				  bert_tokenizer_split_special(tokenizer), keep, &half);
	if (half.n > whole->n)
		abort();
	for (int i = 0; i < half.n; i++)
		if (half.items[i].id != whole->items[i].id ||
			half.items[i].start != whole->items[i].start ||
			half.items[i].stop != whole->items[i].stop)
			abort();
}

static void
check_tokens(const Tokens *tokens, size_t n_chars)
{
	for (int i = 0; i < tokens->n; i++)
		if (tokens->items[i].start < 0 ||
			tokens->items[i].stop <= tokens->items[i].start ||
			(size_t) tokens->items[i].stop > n_chars)
			abort();
}

/* ---- chunks ---- */

typedef struct Chunks
{
	const BertTokenizer *tokenizer;
	const char *text;
	const char *end;
	BertChunk last;
	const char *last_start; /* its first byte */
	bool checked;
} Chunks;

static const char *
after_chars(const Chunks *chunks, const char *at, int64 n)
{
	for (; n > 0 && at < chunks->end; n--)
		do
			at++;
		while (at < chunks->end && (*at & 0xC0) == 0x80);
	return at;
}

static void
check_chunk(void *arg, const BertChunk *chunk)
{
	static Tokens tokens;
	Chunks *chunks = arg;
	const char *start;
	const char *stop;

	if (!chunks->checked)
		return;
	if (chunk->start < chunks->last.start || chunk->start > chunks->last.stop ||
		chunk->stop <= chunks->last.stop || chunk->n_tokens > MAX_CHUNK)
		abort();
	start = after_chars(chunks, chunks->last_start, chunk->start - chunks->last.start);
	stop = after_chars(chunks, start, chunk->stop - chunk->start);
	tokens.n = 0;
	bert_tokenize(chunks->tokenizer, start, stop - start, true,
				  bert_tokenizer_split_special(chunks->tokenizer), keep, &tokens);
	if (tokens.n + 2 != chunk->n_tokens)
		abort();
	chunks->last = *chunk;
	chunks->last_start = start;
}

static void
check_chunks(const BertTokenizer *tokenizer, const Input *input, bool checked)
{
	Chunks chunks = {tokenizer, input->text, input->text + input->text_nbytes};

	chunks.last_start = chunks.text;
	chunks.checked = checked;
	bert_chunk(tokenizer, input->text, input->text_nbytes, MAX_CHUNK,
			   input->options % (MAX_CHUNK - 2),
			   bert_tokenizer_split_special(tokenizer), check_chunk, &chunks);
	if (checked && after_chars(&chunks, chunks.last_start,
							   chunks.last.stop - chunks.last.start) != chunks.end)
		abort();
}

static bool
is_valid(const Input *input)
{
	return pg_encoding_verifymbstr(PG_UTF8, input->text, input->text_nbytes) ==
		   (int) input->text_nbytes;
}

static int
read_vocab(const Input *input, BertVocabPiece *pieces)
{
	const uint8 *line = input->vocab;
	const uint8 *end = line + input->vocab_nbytes;
	int n = 0;

	while (line < end && n < MAX_PIECES)
	{
		const uint8 *stop = memchr(line, '\n', end - line);

		if (stop == NULL)
			stop = end;
		pieces[n] = (BertVocabPiece){(const char *) line, stop - line, n};
		n++;
		line = stop + 1;
	}
	return n;
}

static void *
compile(const Input *input, size_t *nbytes)
{
	BertVocabPiece pieces[MAX_PIECES];
	BertAddedToken added[N_ADDED];
	BertTokenizerSpec spec = {
		.clean_text = input->options & 1,
		.handle_chinese_chars = input->options & 2,
		.strip_accents = input->options & 4,
		.lowercase = input->options & 8,
		.split_special = input->options & 16,
		.decoder_prefix = "##",
		.decoder_cleanup = input->options & 1,
		.max_chars_per_word = 12,
		.prefix = "##",
		.vocab = pieces,
		.added = added,
	};

	spec.n_vocab = read_vocab(input, pieces);
	spec.n_added = Min(spec.n_vocab, N_ADDED);
	for (int i = 0; i < spec.n_added; i++)
		added[i] = (BertAddedToken){.piece = pieces[i],
									.single_word = (input->options >> 4 ^ i) & 1,
									.lstrip = (input->options >> 5 ^ i) & 1,
									.rstrip = (input->options >> 6 ^ i) & 1,
									.normalized = (input->options >> 7 ^ i) & 1,
									.special = (input->options >> 3 ^ i) & 1};
	return bert_tokenizer_compile(&spec, nbytes);
}

/* A block of this run's own, to be damaged. */
static uint8 *
get_block(const Input *input, size_t *nbytes)
{
	static void *compiled[256]; /* by options, with our vocabulary */
	static size_t compiled_nbytes[256];
	const int i = input->options;
	uint8 *block;

	if (input->has_vocab)
		return compile(input, nbytes);
	if (compiled[i] == NULL)
	{
		block = compile(input, &compiled_nbytes[i]);
		compiled[i] = malloc(compiled_nbytes[i]);
		memcpy(compiled[i], block, compiled_nbytes[i]);
	}
	*nbytes = compiled_nbytes[i];
	block = palloc(*nbytes);
	memcpy(block, compiled[i], *nbytes);
	return block;
}

/* The header is small and matters most: half of the damage goes there. */
static void
damage(const Input *input, uint8 *block, size_t nbytes)
{
	for (const uint8 *d = input->damage; d < input->damage + 3 * input->n_damage;
		 d += 3)
	{
		size_t place = d[0] << 8 | d[1];

		block[d[0] & 1 ? place % 1024 : place * 37 % nbytes] = d[2];
	}
}

static void
run(void *arg)
{
	static Tokens tokens;
	const Input *input = arg;
	size_t nbytes;
	uint8 *block = get_block(input, &nbytes);
	BertTokenizer *tokenizer;
	BertTokens ids;
	bool valid;
	int32 list[MAX_TOKENS];
	size_t decoded_nbytes;

	damage(input, block, nbytes);
	tokenizer = bert_tokenizer_attach(block, nbytes);
	tokens.n = 0;
	bert_tokenize(tokenizer, input->text, input->text_nbytes, true,
				  bert_tokenizer_split_special(tokenizer), keep, &tokens);
	valid = input->n_damage == 0 && is_valid(input);
	if (valid)
	{
		check_tokens(&tokens, input->text_nbytes);
		check_half(tokenizer, input, &tokens);
	}
	bert_tokens_single(tokenizer, 8, input->text, input->text_nbytes, true, false,
					   &ids);
	bert_tokens_pair(tokenizer, 9, input->text, input->text_nbytes, input->text,
					 input->text_nbytes / 3, true, &ids);
	for (int i = 0; i < tokens.n; i++)
		list[i] = tokens.items[i].id ^ (i % 7 == 0);
	bert_decode(tokenizer, list, tokens.n, input->options & 2, input->options & 4,
				&decoded_nbytes);
	check_chunks(tokenizer, input, valid && tokens.n < MAX_TOKENS);
}

extern int LLVMFuzzerTestOneInput(const uint8 *data, size_t nbytes);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t nbytes)
{
	Input input = {0};
	BertCaughtError error;
	const uint8 *end = data + nbytes;
	const uint8 *split;

	if (nbytes < 2)
		return 0;
	input.options = data[0];
	input.has_vocab = data[1] >= 0xF0;
	if (!input.has_vocab)
		input.options &= 0x1F; /* not too many different ones to compile */
	input.damage = data + 2;
	input.n_damage = Min(data[1] & 0x0F, (nbytes - 2) / 3);
	input.vocab = (const uint8 *) own_vocab;
	input.vocab_nbytes = strlen(own_vocab);
	input.text = (const char *) input.damage + 3 * input.n_damage;
	if (input.has_vocab)
	{
		input.vocab = (const uint8 *) input.text;
		split = memchr(input.vocab, 0xFF, end - input.vocab);
		input.vocab_nbytes = (split != NULL ? split : end) - input.vocab;
		input.text = (const char *) (split != NULL ? split + 1 : end);
	}
	input.text_nbytes = end - (const uint8 *) input.text;

	bert_try(run, &input, false, &error);
	return 0;
}
