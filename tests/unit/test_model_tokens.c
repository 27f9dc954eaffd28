/*
 * test_model_tokens.c
 *	  The files of a model's tokenizer mean what transformers and tokenizers make of them.
 *
 * Reads tests/golden/model_tokens.tsv, which make_model_tokens.py beside it wrote and
 * describes: models with files of every kind, and the tokens that they give. Another
 * file of that form can be named as an argument.
 */
#include "port.h"

#include <fcntl.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "model_files.h"
#include "raises.h"
#include "tap.h"

#define GOLDEN     "tests/golden/model_tokens.tsv"
#define MAX_FIELDS 6
#define VOCAB_SIZE 70

static char root[] = "/tmp/bert_test_XXXXXX";
static int root_fd;
static BertModelFiles model;
static const BertTokenizer *tokenizer; /* of the model at hand; NULL before a text */

static int n_texts;
static int n_wrong;

static void
write_file(const char *name, const char *content)
{
	char path[200];
	FILE *stream;

	snprintf(path, sizeof(path), "%s/model/%s", root, name);
	stream = fopen(path, "wb");
	if (stream == NULL || fputs(content, stream) < 0 || fclose(stream) != 0)
	{
		printf("Bail out! could not write %s\n", path);
		exit(1);
	}
}

/* With what is looked at before the tokenizer's own files. */
static void
begin_model(void)
{
	char command[200];

	snprintf(command, sizeof(command), "rm -rf %s/model && mkdir %s/model", root, root);
	if (system(command) != 0)
	{
		printf("Bail out! failed: %s\n", command);
		exit(1);
	}
	write_file("config.json", "{\"model_type\":\"bert\",\"vocab_size\":70,"
							  "\"hidden_size\":32,\"num_attention_heads\":4}");
	write_file("model.safetensors", "");
	tokenizer = NULL;
}

static void
load(void *arg pg_attribute_unused())
{
	size_t nbytes;
	void *block;

	bert_model_files_open(&model, root_fd, "model");
	model.config.vocab_size = VOCAB_SIZE;
	bert_model_read_tokenizer(&model);
	block = bert_tokenizer_compile(&model.tokenizer, &nbytes);
	tokenizer = bert_tokenizer_attach(block, nbytes);
}

typedef struct Tokens
{
	char text[4096];
	size_t nbytes;
} Tokens;

static bool
write_token(void *arg, int32 id, int64 start, int64 stop)
{
	Tokens *tokens = arg;
	size_t room = sizeof(tokens->text) - tokens->nbytes;

	tokens->nbytes += snprintf(tokens->text + tokens->nbytes, room, "%s%d:%lld-%lld",
							   tokens->nbytes > 0 ? " " : "", id, (long long) start,
							   (long long) stop);
	return tokens->nbytes < sizeof(tokens->text);
}

static void
check_text(const char *name, char **fields)
{
	static Tokens tokens;
	BertCaughtError error;

	n_texts++;
	if (tokenizer == NULL && !bert_try(load, NULL, true, &error))
		snprintf(tokens.text, sizeof(tokens.text), "%s", error.message);
	bert_model_files_close(&model);
	if (tokenizer != NULL)
	{
		tokens.nbytes = 0;
		tokens.text[0] = '\0';
		bert_tokenize(tokenizer, fields[1], strlen(fields[1]), true,
					  bert_tokenizer_split_special(tokenizer), write_token, &tokens);
		if (strcmp(tokens.text, fields[4]) == 0 &&
			bert_tokenizer_cls(tokenizer) == atoi(fields[2]) &&
			bert_tokenizer_sep(tokenizer) == atoi(fields[3]))
			return;
	}
	n_wrong++;
	printf("# model:  %s\n# text:   %s\n# found:  %s\n# wanted: %s\n", name, fields[1],
		   tokens.text, fields[4]);
}

/* Replace each backslash and six hex digits by the character, in place. */
static void
unescape(char *text)
{
	unsigned char *out = (unsigned char *) text;

	for (const char *in = text; *in != '\0';)
	{
		unsigned int ch;

		if (*in != '\\' || sscanf(in + 1, "%6x", &ch) != 1)
		{
			*out++ = *in++;
			continue;
		}
		in += 7;
		unicode_to_utf8(ch, out);
		out += pg_utf_mblen(out);
	}
	*out = '\0';
}

static void
read_line(char *line)
{
	static char name[100];
	char *fields[MAX_FIELDS] = {0};
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (n < MAX_FIELDS && (fields[n] = strsep(&line, "\t")) != NULL)
		n++;
	for (int i = 1; i < n; i++)
		unescape(fields[i]);
	if (strcmp(fields[0], "model") == 0)
	{
		snprintf(name, sizeof(name), "%s", fields[1]);
		begin_model();
	}
	else if (strcmp(fields[0], "file") == 0)
		write_file(fields[1], fields[2]);
	else if (strcmp(fields[0], "text") == 0)
		check_text(name, fields);
}

int
main(int argc, char **argv)
{
	FILE *file = fopen(argc > 1 ? argv[1] : GOLDEN, "r");
	char *line = NULL;
	size_t max = 0;
	char command[200];

	if (mkdtemp(root) == NULL || file == NULL)
	{
		printf("Bail out! no directory, or no golden file\n");
		return 1;
	}
	root_fd = open(root, O_RDONLY | O_DIRECTORY);
	while (getline(&line, &max, file) > 0)
		read_line(line);
	ok(n_texts > 0 && n_wrong == 0, "%d texts as the reference", n_texts);

	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command) != 0 || done_testing();
}
