/*
 * fuzz_model_files.c
 *	  libFuzzer target: a model with any bytes in one of its files is a model, or an
 *	  ERROR.
 *
 * The first byte of the input says which file it is, and its highest bit whether to
 * tokenize a text with the model (which is slow); the rest is the file. The other
 * files are those of a tiny good model, which tests/make_tiny_model.pl makes at start,
 * so run it from the project's root. To begin with good files:
 *
 *	  fuzz_model_files --seeds DIRECTORY
 *
 * writes one input per file. Then fuzz with -keep_seed=1: all of them are the same
 * model, so libFuzzer would drop all but one.
 */
#include "port.h"

#include <fcntl.h>
#include <unistd.h>

#include "packing.h"

extern int LLVMFuzzerInitialize(int *argc, char ***argv);
extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

/* Files with fixed names, and then those of the modules after the encoder. */
#define N_MODULES 4
#define N_FILES   (BERT_FILE_SHARD + 2 * N_MODULES)

/* The good files; the index and the files that exclude others are added by hand. */
static BertModelFiles good;
static BertModelFiles model;
static char directory[] = "/tmp/bert_fuzz_XXXXXX";

static void
open_good(void *arg)
{
	bert_model_files_open(&good, *(int *) arg, "m");
}

static void
run(const char *fmt, ...)
{
	char command[1000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0)
		exit(1);
}

/* Give a file that the good model lacks a content. */
static void
add_good(BertModelFileId file, const char *content)
{
	FILE *stream = tmpfile();

	if (stream == NULL || fputs(content, stream) < 0 || fflush(stream) != 0)
		exit(1);
	good.files[file].fd = fileno(stream);
	good.files[file].nbytes = strlen(content);
}

/* File number i of what is fuzzed. */
static BertModelFileId
file_id(int i)
{
	return i < BERT_FILE_SHARD ? i : BERT_FILE_MODULE_CONFIG(1) + i - BERT_FILE_SHARD;
}

static void
write_seeds(const char *to)
{
	for (int i = 0; i < N_FILES; i++)
	{
		const BertModelFile *file = &good.files[file_id(i)];
		char content[1 << 16] = {(char) i};
		char path[1000];
		ssize_t nbytes;
		FILE *seed;

		if (file->fd < 0)
			continue;
		nbytes = pread(file->fd, content + 1, sizeof(content) - 1, 0);
		snprintf(path, sizeof(path), "%s/%d", to, i);
		seed = fopen(path, "wb");
		if (nbytes < 0 || seed == NULL ||
			fwrite(content, 1, nbytes + 1, seed) != (size_t) nbytes + 1)
			exit(1);
		fclose(seed);
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int root_fd;

	if (mkdtemp(directory) == NULL)
		exit(1);
	run("umask 022; perl tests/make_tiny_model.pl --layers 1 --hidden 2 --heads 1 "
		"--intermediate 3 --positions 4 --vocab 128 --max_seq_length 4 --prompt 'a b' "
		"--position_type relative_key --pooling cls,mean "
		"--after Dense:3:Tanh:residual,LayerNorm,Normalize %s/m",
		directory);
	root_fd = open(directory, O_RDONLY | O_DIRECTORY);
	if (!bert_try(open_good, &root_fd, true, NULL))
		exit(1);
	add_good(BERT_FILE_SPECIAL_TOKENS, "{\"cls_token\": {\"content\": \"[CLS]\"}}");
	add_good(BERT_FILE_VOCAB, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\n");
	add_good(BERT_FILE_ADDED_TOKENS, "{}");
	add_good(BERT_FILE_INDEX,
			 "{\"weight_map\": {\"pooler.dense.bias\": \"a.safetensors\"}}");
	run("rm -r %s", directory);
	if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0)
	{
		write_seeds((*argv)[2]);
		exit(0);
	}
	return 0;
}

/* Files that would never be read because of another one get their chance. */
static void
choose_files(BertModelFileId file)
{
	model = good;
	if (file == BERT_FILE_MODULES)
		model.n_entries = 0; /* to be read again */
	if (file == BERT_FILE_VOCAB || file == BERT_FILE_ADDED_TOKENS)
		model.files[BERT_FILE_TOKENIZER].fd = -1;
	if (file == BERT_FILE_VOCAB)
		model.files[BERT_FILE_ADDED_TOKENS].fd = -1;
	if (file == BERT_FILE_INDEX)
	{
		model.files[BERT_FILE_SHARD] = model.files[BERT_FILE_WEIGHTS];
		model.files[BERT_FILE_SHARD].name = "a.safetensors";
		model.files[BERT_FILE_WEIGHTS].fd = -1;
	}
}

static bool
count_token(void *arg, int32 id, int64 start, int64 stop)
{
	(void) arg;
	if (id < 0 || id >= model.config.vocab_size || start < 0 || stop < start)
		abort();
	return true;
}

static void
tokenize(void)
{
	static const char text[] = "The houses [SEP] \xC3\x89t\xC3\xA9s";
	size_t nbytes;
	void *block = bert_tokenizer_compile(&model.tokenizer, &nbytes);

	bert_tokenize(bert_tokenizer_attach(block, nbytes), text, sizeof(text) - 1, true,
				  false, count_token, NULL);
}

/* A BertWeightsWriter: the end of what was written; pieces follow each other. */
static void
advance(void *arg, size_t offset, const void *data, size_t nbytes)
{
	size_t *end = arg;

	if (data == NULL || offset < *end)
		abort();
	*end = offset + nbytes;
}

static void
pack_weights(void)
{
	BertWeightsLayout *layout = bert_weights_layout(&model.config, &model.recipe);
	size_t end = 0;

	bert_weights_pack(&model, layout, advance, &end);
	if (end > layout->nbytes || layout->nbytes - end >= BERT_WEIGHT_ALIGN)
		abort();
}

/* Each module takes what the one before gives, and prompts are pairs of texts. */
static void
check_recipe(void)
{
	const BertRecipe *recipe = &model.recipe;
	int32 size = bert_recipe_pooled_size(recipe, model.config.hidden_size);

	for (int i = 0; i < recipe->n_modules; i++)
	{
		if (recipe->modules[i].in_size != size || recipe->modules[i].out_size < 1)
			abort();
		size = recipe->modules[i].out_size;
	}
	if (recipe->max_tokens < 3 || recipe->max_tokens > model.config.max_positions ||
		recipe->pooling == 0 || recipe->truncate_dim < 0)
		abort();
	if (recipe->prompts_nbytes < 1 || recipe->prompts_nbytes > BERT_PROMPTS_NBYTES ||
		recipe->prompts[recipe->prompts_nbytes - 1] != '\0' ||
		recipe->default_prompt >= recipe->prompts_nbytes ||
		bert_recipe_prompt(recipe, "query") == NULL ||
		bert_recipe_prompt(recipe, "document") == NULL)
		abort();
}

/* Parse, and use what must be usable if that went well. */
static void
parse(void *go_on)
{
	if (model.n_entries == 0)
		bert_model_read_modules(&model);
	bert_model_files_parse(&model);
	check_recipe();
	pack_weights();
	if (*(bool *) go_on)
		tokenize();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	static FILE *stream;
	BertModelFileId file;
	bool go_on;
	int fd;

	if (nbytes == 0)
		return 0;
	if (stream == NULL && (stream = tmpfile()) == NULL)
		abort();
	fd = fileno(stream);
	if (ftruncate(fd, 0) != 0 ||
		pwrite(fd, data + 1, nbytes - 1, 0) != (ssize_t) nbytes - 1)
		abort();
	file = file_id((data[0] & 0x7F) % N_FILES);
	go_on = (data[0] & 0x80) != 0;
	choose_files(file);
	model.files[file].fd = fd;
	model.files[file].nbytes = nbytes - 1;
	bert_try(parse, &go_on, false, NULL);
	return 0;
}
