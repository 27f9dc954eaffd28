/*
 * encode_texts.c
 *	  Our half of the comparison with Hugging Face's tokenizers: many texts in, what the
 *	  encoder would get for each out; or how long that takes.
 *
 *		encode_texts ROOT MODEL [--split-special] <TEXTS >TOKENS
 *		encode_texts ROOT MODEL --time TEXTS
 *
 * ROOT/MODEL is a model directory; only its tokenizer is read. TEXTS: for each text its
 * size in bytes, and its bytes. TOKENS: for each text, as Hugging Face's Encoding has it,
 *
 *		n, ids[n], special_tokens_mask[n], offsets[n][2]
 *
 * All numbers are int32 as the machine has them. With --time, each line that comes in
 * makes it tokenize all texts once more, offsets included, and answer with the nanoseconds
 * of processor time that this took.
 */
#include "port.h"

#include <fcntl.h>
#include <time.h>

#include "model_files.h"
#include "tokenizer.h"

/* One text's tokens. Without [CLS] and [SEP] while they come out of the tokenizer. */
typedef struct Tokens
{
	int32 *ids;     /* (n) */
	int32 *offsets; /* (n, 2) */
	int32 n;
	int32 room;
} Tokens;

static BertModelFiles model;
static const BertTokenizer *tokenizer;
static bool split_special;
static Tokens tokens;

static void
fail(const char *what)
{
	fprintf(stderr, "encode_texts: %s\n", what);
	exit(1);
}

static void
open_tokenizer(const char *root, const char *name)
{
	int root_fd = open(root, O_RDONLY | O_DIRECTORY);
	size_t nbytes;
	void *block;

	if (root_fd < 0)
		fail("cannot open ROOT");
	bert_model_files_open(&model, root_fd, name);
	model.config.vocab_size = PG_INT32_MAX; /* there need not be a model */
	bert_model_read_tokenizer(&model);
	block = bert_tokenizer_compile(&model.tokenizer, &nbytes);
	tokenizer = bert_tokenizer_attach(block, nbytes);
	bert_model_files_close(&model);
}

static bool
keep_token(void *arg, int32 id, int64 start, int64 stop)
{
	(void) arg;
	if (tokens.n == tokens.room)
	{
		tokens.room = tokens.room == 0 ? 4096 : 2 * tokens.room;
		tokens.ids = realloc(tokens.ids, tokens.room * sizeof(int32));
		tokens.offsets = realloc(tokens.offsets, 2 * tokens.room * sizeof(int32));
		if (tokens.ids == NULL || tokens.offsets == NULL)
			fail("out of memory");
	}
	tokens.ids[tokens.n] = id;
	tokens.offsets[2 * tokens.n] = start;
	tokens.offsets[2 * tokens.n + 1] = stop;
	tokens.n++;
	return true;
}

static void
tokenize(const char *text, size_t nbytes)
{
	tokens.n = 0;
	bert_tokenize(tokenizer, text, nbytes, true, split_special, keep_token, NULL);
}

/* ---- tokens of texts ---- */

static void
write_numbers(const int32 *numbers, size_t n)
{
	if (fwrite(numbers, sizeof(int32), n, stdout) != n)
		fail("cannot write");
}

/* Special tokens of the template: first and last. In the text, "[SEP]" is not one. */
static void
write_mask(int32 n_tokens)
{
	const int32 no = 0;
	const int32 yes = 1;

	for (int32 i = 0; i < n_tokens; i++)
		write_numbers(i == 0 || i == n_tokens - 1 ? &yes : &no, 1);
}

/* The ids are those that the encoder gets; they must be the tokens with offsets. */
static void
write_tokens(const char *text, size_t nbytes)
{
	const int32 nowhere[2] = {0, 0}; /* where Hugging Face has [CLS] and [SEP] */
	BertTokens whole;

	tokenize(text, nbytes);
	bert_tokens_single(tokenizer, tokens.n + 2, text, nbytes, true, split_special,
					   &whole);
	if (whole.truncated || whole.n_tokens != tokens.n + 2 ||
		memcmp(whole.ids + 1, tokens.ids, tokens.n * sizeof(int32)) != 0)
		fail("the encoder would get other tokens");
	write_numbers(&whole.n_tokens, 1);
	write_numbers(whole.ids, whole.n_tokens);
	write_mask(whole.n_tokens);
	write_numbers(nowhere, 2);
	write_numbers(tokens.offsets, 2 * tokens.n);
	write_numbers(nowhere, 2);
	pfree(whole.ids);
}

static void
encode_texts(void)
{
	char *text = NULL;
	int32 nbytes;
	int32 room = 0;

	while (fread(&nbytes, sizeof(nbytes), 1, stdin) == 1)
	{
		if (nbytes > room || text == NULL)
		{
			room = 2 * nbytes + 1;
			text = realloc(text, room);
			if (text == NULL)
				fail("out of memory");
		}
		if (fread(text, 1, nbytes, stdin) != nbytes)
			fail("a text is cut short");
		write_tokens(text, nbytes);
	}
	if (fflush(stdout) != 0)
		fail("cannot write");
}

/* ---- time ---- */

static char *
read_file(const char *name, size_t *nbytes)
{
	FILE *file = fopen(name, "rb");
	char *content;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		fail("cannot read TEXTS");
	*nbytes = ftell(file);
	rewind(file);
	content = malloc(*nbytes + 1);
	if (content == NULL || fread(content, 1, *nbytes, file) != *nbytes)
		fail("cannot read TEXTS");
	fclose(file);
	return content;
}

static int64
nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
}

static void
time_texts(const char *name)
{
	char line[64];
	size_t nbytes;
	char *texts = read_file(name, &nbytes);

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		int64 start = nanoseconds();

		for (const char *next = texts; next < texts + nbytes;)
		{
			int32 size;

			memcpy(&size, next, sizeof(size));
			tokenize(next + sizeof(size), size);
			next += sizeof(size) + size;
		}
		printf("%lld\n", (long long) (nanoseconds() - start));
		fflush(stdout);
	}
	free(texts);
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		fail("usage: encode_texts ROOT MODEL [--split-special | --time TEXTS]");
	open_tokenizer(argv[1], argv[2]);
	if (argc == 5 && strcmp(argv[3], "--time") == 0)
		time_texts(argv[4]);
	else
	{
		split_special = argc == 4 && strcmp(argv[3], "--split-special") == 0;
		encode_texts();
	}
	return 0;
}
