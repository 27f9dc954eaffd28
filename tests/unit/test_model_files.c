/*
 * test_model_files.c
 *	  A model directory is read as Hugging Face's libraries read it, or it is refused
 *	  with a reason.
 *
 * Most claims are of one form: a good model with one change is refused, because of that
 * change. So there is one small model on disk, each row of a table edits one of its
 * files, and the file is put back afterwards. In all texts ' stands for ".
 *
 * Run from the project's root, for tests/make_tiny_model.pl.
 */
#include "port.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_files.h"
#include "raises.h"
#include "tap.h"

#define BAD_CONFIG  ERRCODE_CONFIG_FILE_ERROR
#define CORRUPT     ERRCODE_DATA_CORRUPTED
#define UNSUPPORTED ERRCODE_FEATURE_NOT_SUPPORTED
#define NO_FILE     ERRCODE_UNDEFINED_FILE
#define DENIED      ERRCODE_INSUFFICIENT_PRIVILEGE

#define MAX_CONTENT (1024 * 1024)

static char root[] = "/tmp/bert_test_XXXXXX";
static int root_fd;
static BertModelFiles model;

/* ---- tools ---- */

static void __attribute__((format(printf, 1, 2))) shell(const char *fmt, ...)
{
	char command[2000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0)
	{
		printf("Bail out! failed: %s\n", command);
		exit(1);
	}
}

/* Make the model "tiny" anew. */
static void
make_model(const char *options)
{
	shell("rm -rf %s/tiny && perl tests/make_tiny_model.pl %s %s/tiny", root, options,
		  root);
}

static void
load_name(void *name)
{
	bert_model_files_open(&model, root_fd, name);
	bert_model_files_parse(&model);
}

/* For raises() and returns(): load the model of that name, and close it. */
static void
load(void *name)
{
	BertCaughtError error;
	bool loaded = bert_try(load_name, name, true, &error);

	bert_model_files_close(&model);
	if (!loaded)
		ereport(ERROR, errcode(error.sqlstate), errmsg("%s", error.message),
				errdetail("%s", error.detail), errhint("%s", error.hint));
}

static char *
path_of(const char *file)
{
	static char path[1000];

	snprintf(path, sizeof(path), "%s/tiny/%s", root, file);
	return path;
}

/* Content of a file of the model, terminated; NULL without. */
static char *
read_file(const char *name, size_t *nbytes)
{
	FILE *stream = fopen(path_of(name), "rb");
	char *content;

	if (stream == NULL)
		return NULL;
	content = palloc(MAX_CONTENT + 1);
	*nbytes = fread(content, 1, MAX_CONTENT, stream);
	content[*nbytes] = '\0';
	fclose(stream);
	return content;
}

/* NULL removes the file. */
static void
write_file(const char *name, const char *content, size_t nbytes)
{
	FILE *stream;

	unlink(path_of(name));
	if (content == NULL)
		return;
	stream = fopen(path_of(name), "wb");
	if (stream == NULL || fwrite(content, 1, nbytes, stream) != nbytes ||
		fclose(stream) != 0)
	{
		printf("Bail out! could not write %s\n", path_of(name));
		exit(1);
	}
}

static char *
with_quotes(const char *text)
{
	char *copy = pstrdup(text);

	for (char *c = copy; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	return copy;
}

/* One change to one file. */
typedef struct Edit
{
	const char *claim;
	const char *file;
	const char *from; /* NULL: the whole content */
	const char *to;   /* NULL: there is no such file */
	int sqlstate;     /* of the ERROR, if there should be one */
	const char *fragment;
} Edit;

/* The content after the edit, its size in *nbytes. */
static char *
edited(const Edit *edit, const char *content, size_t *nbytes)
{
	char *to = edit->to != NULL ? with_quotes(edit->to) : NULL;
	char *from;
	const char *at = NULL;
	char *result;

	if (edit->from == NULL)
	{
		*nbytes = to != NULL ? strlen(to) : 0;
		return to;
	}
	from = with_quotes(edit->from);
	for (size_t i = 0; content != NULL && i + strlen(from) <= *nbytes && at == NULL;
		 i++)
		if (memcmp(content + i, from, strlen(from)) == 0)
			at = content + i;
	if (at == NULL)
	{
		printf("Bail out! %s has no %s\n", edit->file, from);
		exit(1);
	}
	result = palloc(*nbytes + strlen(to) + 1);
	memcpy(result, content, at - content);
	strcpy(result + (at - content), to);
	memcpy(result + (at - content) + strlen(to), at + strlen(from),
		   *nbytes - (at - content) - strlen(from));
	*nbytes += strlen(to) - strlen(from);
	return result;
}

/* True if the edit has the effect that it claims. The file is restored. */
static bool
try_edit(const Edit *edit)
{
	size_t nbytes = 0;
	char *before = read_file(edit->file, &nbytes);
	size_t edited_nbytes = nbytes;
	char *after = edited(edit, before, &edited_nbytes);
	bool passed;

	write_file(edit->file, after, edited_nbytes);
	if (edit->sqlstate == 0)
		passed = returns(load, "tiny");
	else
		passed = raises(load, "tiny", edit->sqlstate, with_quotes(edit->fragment));
	write_file(edit->file, before, nbytes);
	return passed;
}

static bool
loads_with(const char *file, const char *from, const char *to)
{
	Edit edit = {.file = file, .from = from, .to = to};

	return try_edit(&edit);
}

static void
test_refused(const Edit *edits, int n)
{
	for (int i = 0; i < n; i++)
		ok(try_edit(&edits[i]), "is refused: %s", edits[i].claim);
}

/* ---- names and directories ---- */

static void
check_name(void *name)
{
	bert_check_model_name(name);
}

static void
test_names(void)
{
	static char *const good[] = {"a", "all-MiniLM-L6-v2", "9_x.y"};
	static char *const bad[] = {"",   ".",   "..", "../a",     "a/b", "/etc",  "-a",
								".a", "a b", "a%", "\xC3\xA9", "a\n", "a@int8"};
	char name[BERT_MODEL_NAME_LEN + 1];

	for (int i = 0; i < (int) lengthof(good); i++)
		ok(returns(check_name, good[i]), "is a model's name: %s", good[i]);
	for (int i = 0; i < (int) lengthof(bad); i++)
		ok(raises(check_name, bad[i], ERRCODE_INVALID_PARAMETER_VALUE,
				  "invalid model name"),
		   "is no model's name: %s", bert_printable(bad[i]));
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	ok(returns(check_name, name), "a name may have 63 bytes");
	name[63] = 'a';
	name[64] = '\0';
	ok(raises(check_name, name, ERRCODE_INVALID_PARAMETER_VALUE, "invalid model name"),
	   "a name may not have 64 bytes");
}

static void
test_unknown(void)
{
	shell("rm -rf %s/* && mkdir %s/empty && touch %s/file", root, root, root);
	ok(raises(load, "x", ERRCODE_UNDEFINED_OBJECT, "model \"x\" does not exist"),
	   "is refused: an unknown model");
	ok(raises(load, "x", ERRCODE_UNDEFINED_OBJECT,
			  "The model directory holds no model."),
	   "the hint says that there is none");
	ok(raises(load, "file", ERRCODE_UNDEFINED_OBJECT, "does not exist"),
	   "is refused: a file in the place of a model");
	ok(raises(load, "empty", NO_FILE, "it has no config.json"),
	   "is refused: a directory without config.json");
	make_model("");
	shell("cp -r %s/tiny %s/another && cp -r %s/tiny %s/.hidden", root, root, root,
		  root);
	ok(raises(load, "x", ERRCODE_UNDEFINED_OBJECT,
			  "Models in the model directory: another, tiny."),
	   "the hint names the models that there are");
}

static void
test_list(void)
{
	int n;
	char **names = bert_model_files_list(root_fd, &n);

	ok(n == 2 && strcmp(names[0], "another") == 0 && strcmp(names[1], "tiny") == 0,
	   "the list has each directory with a config.json, sorted");
	shell("rm -r %s/another %s/.hidden %s/empty %s/file", root, root, root, root);
}

/* A shell command in the model's directory, and how the model is refused after it. */
static void
test_files(void)
{
	static const struct
	{
		const char *claim;
		const char *command;
		int sqlstate;
		const char *fragment;
	} cases[] = {
		{"a FIFO", "rm config.json; mkfifo config.json", DENIED,
		 "is not a regular file"},
		{"a socket",
		 "rm config.json; perl -MSocket -e "
		 "'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, "
		 "pack_sockaddr_un(q(config.json)))'",
		 DENIED, "config.json is not a regular file"},
		{"a directory", "rm config.json; mkdir config.json", DENIED,
		 "config.json is not a regular file"},
		{"a device", "ln -s /dev/zero vocab.txt", DENIED,
		 "vocab.txt is a symbolic link"},
		{"an absolute link", "mv config.json ../c; ln -s $PWD/../c config.json", DENIED,
		 "config.json is a symbolic link"},
		{"a relative link out of the root", "ln -s ../../etc/passwd vocab.txt", DENIED,
		 "vocab.txt is a symbolic link"},
		{"a link to itself", "rm config.json; ln -s config.json config.json", DENIED,
		 "config.json is a symbolic link"},
		{"a file that the group can write", "chmod g+w model.safetensors", DENIED,
		 "model.safetensors can be written by others"},
		{"a file that all can write", "chmod o+w 1_Pooling/config.json", DENIED,
		 "1_Pooling/config.json can be written by others"},
		{"a directory that all can write", "chmod o+w .", DENIED,
		 "its directory can be written by others"},
		{"no tokenizer", "rm tokenizer.json", NO_FILE,
		 "no tokenizer.json or vocab.txt"},
		{"no weights", "rm model.safetensors", NO_FILE, "it has no model.safetensors"},
		{"pickled weights", "mv model.safetensors pytorch_model.bin", UNSUPPORTED,
		 "pytorch_model.bin is not supported"},
		{"weights of 0 bytes", ": > model.safetensors", CORRUPT,
		 "model.safetensors: a safetensors file has at least 8 bytes"},
		{"weights cut short", "truncate -s -1 model.safetensors", CORRUPT,
		 "model.safetensors: expected"},
		{"weights with a byte too many", "truncate -s +1 model.safetensors", CORRUPT,
		 "model.safetensors: expected"},
		{"a text file of more than 64 MB", "truncate -s 65M config.json",
		 ERRCODE_PROGRAM_LIMIT_EXCEEDED, "config.json has 68157440 bytes"},
		{"a config.json of zero bytes", "truncate -s 1K config.json", BAD_CONFIG,
		 "zero"},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		make_model("");
		shell("cd %s/tiny; %s", root, cases[i].command);
		ok(raises(load, "tiny", cases[i].sqlstate, cases[i].fragment), "is refused: %s",
		   cases[i].claim);
	}
	make_model("");
}

static void
test_links(void)
{
	shell("cd %s; mkdir blobs; mv tiny/model.safetensors blobs/123; "
		  "ln -s ../blobs/123 tiny/model.safetensors; ln -s tiny link",
		  root);
	ok(returns(load, "tiny"), "a link to a file below the root is followed");
	ok(returns(load, "link"), "so is a link to a model");
	shell("cd %s; rm link; ln -s /tmp link", root);
	ok(raises(load, "link", DENIED, "its directory is a symbolic link"),
	   "is refused: a link to a directory elsewhere");
	shell("rm -r %s/link %s/blobs", root, root);
	make_model("");
}

/* Exit status of a child that runs what the parent could not do to itself. */
static bool
in_child(bool (*claim)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0)
	{
		bool held = claim();

		fflush(stdout);
		_exit(held ? 0 : 1);
	}
	return waitpid(child, &status, 0) == child && WIFEXITED(status) &&
		   WEXITSTATUS(status) == 0;
}

static bool
unreadable_is_refused(void)
{
	if (geteuid() == 0 && seteuid(65534) != 0)
		return false;
	return raises(load, "tiny", DENIED,
				  "config.json: could not open: Permission denied");
}

static bool
foreign_is_refused(void)
{
	return raises(load, "tiny", DENIED, "config.json is owned by neither root nor");
}

static void
test_owners(void)
{
	shell("chmod 755 %s; chmod 0 %s", root, path_of("config.json"));
	ok(in_child(unreadable_is_refused), "is refused: a file that can't be read");
	shell("chmod 644 %s", path_of("config.json"));
	if (geteuid() != 0)
		return; /* can't give files away */
	shell("chown 65534 %s", path_of("config.json"));
	ok(foreign_is_refused(), "is refused: a file of another user");
	shell("chown 0 %s", path_of("config.json"));
}

/* From here on this process has no openat2(). */
static bool
forbid_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = lengthof(code), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool
loads_without_openat2(void)
{
	return forbid_openat2() && returns(load, "tiny");
}

static bool
links_are_refused_without_openat2(void)
{
	return forbid_openat2() &&
		   raises(load, "tiny", DENIED, "vocab.txt is a symbolic link");
}

static void
test_old_kernel(void)
{
	ok(in_child(loads_without_openat2), "a model is read without openat2()");
	shell("ln -s config.json %s", path_of("vocab.txt"));
	ok(in_child(links_are_refused_without_openat2), "links are refused without it");
	shell("rm %s", path_of("vocab.txt"));
}

/* ---- config.json ---- */

static const Edit config_edits[] = {
	{"an empty config.json", "config.json", NULL, "", BAD_CONFIG,
	 "config.json: line 1: value expected"},
	{"a config.json that is no object", "config.json", NULL, "[]", BAD_CONFIG,
	 "must be an object"},
	{"a syntax error", "config.json", "160", "160,", BAD_CONFIG,
	 "line 13: key expected"},
	{"no model type", "config.json", "'model_type': 'bert',", "", BAD_CONFIG,
	 "'model_type' is missing"},
	{"another model type", "config.json", "'bert'", "'roberta'", UNSUPPORTED,
	 "'model_type' is 'roberta'"},
	{"no vocab_size", "config.json", "'vocab_size'", "'vocab'", BAD_CONFIG,
	 "'vocab_size' is missing"},
	{"a vocab_size of 2^31", "config.json", "'vocab_size': 160",
	 "'vocab_size': 2147483648", BAD_CONFIG,
	 "'vocab_size' must be an integer between 1 and 16777216, not 2147483648"},
	{"a vocab_size of 2^64 + 160", "config.json", "'vocab_size': 160",
	 "'vocab_size': 18446744073709551776", BAD_CONFIG, "'vocab_size' must be"},
	{"a vocab_size that is text", "config.json", "'vocab_size': 160",
	 "'vocab_size': '160'", BAD_CONFIG, "'vocab_size' must be a number"},
	{"a vocab_size that is null", "config.json", "'vocab_size': 160",
	 "'vocab_size': null", BAD_CONFIG, "'vocab_size' must be a number"},
	{"a hidden_size of 0", "config.json", "'hidden_size': 32", "'hidden_size': 0",
	 BAD_CONFIG, "'hidden_size' must be an integer between 1 and 65536, not 0"},
	{"a hidden_size with a fraction", "config.json", "'hidden_size': 32",
	 "'hidden_size': 32.0", BAD_CONFIG, "not 32.0"},
	{"-3 layers", "config.json", "'num_hidden_layers': 2", "'num_hidden_layers': -3",
	 BAD_CONFIG,
	 "could not use model 'tiny': config.json: 'num_hidden_layers' must be an integer "
	 "between 1 and 1000, not -3"},
	{"10^9 layers", "config.json", "'num_hidden_layers': 2",
	 "'num_hidden_layers': 1000000000", BAD_CONFIG, "'num_hidden_layers' must be"},
	{"a layer that the file lacks", "config.json", "'num_hidden_layers': 2",
	 "'num_hidden_layers': 3", CORRUPT,
	 "has no tensor 'encoder.layer.2.attention.self.query.weight'"},
	{"heads that don't divide the hidden size", "config.json",
	 "'num_attention_heads': 4", "'num_attention_heads': 5", BAD_CONFIG,
	 "'hidden_size' 32 is not a multiple"},
	{"no head", "config.json", "'num_attention_heads': 4", "'num_attention_heads': 0",
	 BAD_CONFIG, "'num_attention_heads' must be"},
	{"an intermediate_size of 1e400", "config.json", "'intermediate_size': 64",
	 "'intermediate_size': 1e400", BAD_CONFIG, "not 1e400"},
	{"no position", "config.json", "'max_position_embeddings': 64",
	 "'max_position_embeddings': 0", BAD_CONFIG, "'max_position_embeddings' must be"},
	{"an eps of 0", "config.json", "1e-12", "0", BAD_CONFIG,
	 "'layer_norm_eps' must be between 1e-30 and 1, not 0"},
	{"an eps below what a float holds", "config.json", "1e-12", "1e-60", BAD_CONFIG,
	 "not 1e-60"},
	{"an eps of 1e400", "config.json", "1e-12", "1e400", BAD_CONFIG, "not 1e400"},
	{"an eps that is no number", "config.json", "1e-12", "NaN", BAD_CONFIG,
	 "value expected"},
	{"an unknown activation", "config.json", "'gelu'", "'mish'", UNSUPPORTED,
	 "'hidden_act' is 'mish', which is not supported"},
	{"a decoder", "config.json", "{", "{'is_decoder': true,", UNSUPPORTED,
	 "'is_decoder' is true"},
	{"cross attention", "config.json", "{", "{'add_cross_attention': true,",
	 UNSUPPORTED, "'add_cross_attention' is true"},
	{"relative positions", "config.json", "{",
	 "{'position_embedding_type': 'relative_key',", UNSUPPORTED,
	 "'position_embedding_type' is 'relative_key'"},
	{"pruned heads", "config.json", "{", "{'pruned_heads': {'0': [1]},", UNSUPPORTED,
	 "'pruned_heads' is not empty"},
	{"a text that would leave its message", "config.json", "'bert'",
	 "'\\u001b[2J\\u00e9'", UNSUPPORTED, "'\\x1b[2J\\xc3\\xa9'"},
};

static void
test_config(void)
{
	static const struct
	{
		const char *name;
		BertActivation activation;
	} activations[] = {
		{"gelu", BERT_ACT_GELU},
		{"gelu_new", BERT_ACT_GELU_TANH},
		{"gelu_pytorch_tanh", BERT_ACT_GELU_TANH},
		{"gelu_fast", BERT_ACT_GELU_FAST},
		{"quick_gelu", BERT_ACT_QUICK_GELU},
		{"relu", BERT_ACT_RELU},
		{"silu", BERT_ACT_SILU},
		{"swish", BERT_ACT_SILU},
		{"tanh", BERT_ACT_TANH},
	};

	make_model("");
	ok(returns(load, "tiny") && model.config.vocab_size == 160 &&
		   model.config.hidden_size == 32 && model.config.num_layers == 2 &&
		   model.config.num_heads == 4 && model.config.head_size == 8 &&
		   model.config.intermediate_size == 64 && model.config.max_positions == 64 &&
		   model.config.type_vocab_size == 2 &&
		   model.config.hidden_act == BERT_ACT_GELU &&
		   model.config.layer_norm_eps == 1e-12f && model.config.has_pooler,
	   "config.json gives the sizes");
	ok(loads_with("config.json", "{",
				  "{'pruned_heads': {}, 'is_decoder': false, "
				  "'position_embedding_type': null, 'x': [{}, 1e9],"),
	   "keys that say the usual are no obstacle");
	for (int i = 0; i < (int) lengthof(activations); i++)
	{
		char to[100];
		snprintf(to, sizeof(to), "'%s'", activations[i].name);
		ok(loads_with("config.json", "'gelu'", to) &&
			   model.config.hidden_act == (int32) activations[i].activation,
		   "the activation %s is known", activations[i].name);
	}
	test_refused(config_edits, lengthof(config_edits));
}

/* ---- the tokenizer ---- */

static const Edit tokenizer_edits[] = {
	{"an empty tokenizer.json", "tokenizer.json", NULL, "", BAD_CONFIG,
	 "tokenizer.json: line 1: value expected"},
	{"a tokenizer.json cut short", "tokenizer.json", "}}}", "", BAD_CONFIG,
	 "tokenizer.json: line"},
	{"another normalizer", "tokenizer.json", "'BertNormalizer'", "'NFKC'", UNSUPPORTED,
	 "normalizer 'NFKC' is not supported"},
	{"a sequence of normalizers", "tokenizer.json", "'normalizer':{",
	 "'normalizer':{'type':'Sequence','normalizers':[]},'x':{", UNSUPPORTED,
	 "normalizer 'Sequence'"},
	{"a null normalizer", "tokenizer.json", "'normalizer':{", "'normalizer':null,'x':{",
	 UNSUPPORTED, "normalizer 'null'"},
	{"no normalizer", "tokenizer.json", "'normalizer'", "'x'", BAD_CONFIG,
	 "'normalizer' is missing"},
	{"another pre-tokenizer", "tokenizer.json", "'BertPreTokenizer'", "'Metaspace'",
	 UNSUPPORTED, "pre-tokenizer 'Metaspace' is not supported"},
	{"no pre-tokenizer", "tokenizer.json", "'pre_tokenizer'", "'x'", BAD_CONFIG,
	 "'pre_tokenizer' is missing"},
	{"a Unigram model", "tokenizer.json", "'model':{'type':'WordPiece'",
	 "'model':{'type':'Unigram'", UNSUPPORTED,
	 "tokenizer.json: tokenizer model 'Unigram' is not supported"},
	{"a Unigram model with its own normalizer", "tokenizer.json", NULL,
	 "{'normalizer':{'type':'Precompiled'},'model':{'vocab':[['a',0]],'type':'Unigram'}"
	 "}",
	 UNSUPPORTED, "tokenizer model 'Unigram' is not supported"},
	{"no model", "tokenizer.json", "'model'", "'x'", BAD_CONFIG, "'model' is missing"},
	{"no vocabulary", "tokenizer.json", "'vocab'", "'x'", BAD_CONFIG,
	 "model has no 'vocab'"},
	{"a vocabulary of a list", "tokenizer.json", "'vocab':{", "'vocab':[],'x':{",
	 BAD_CONFIG, "'vocab' must be an object"},
	{"an id that has no embedding", "tokenizer.json", "'the':", "'x':160,'the':",
	 BAD_CONFIG, "'x' must be an integer between 0 and 159, not 160"},
	{"a negative id", "tokenizer.json", "'the':", "'x':-1,'the':", BAD_CONFIG,
	 "'x' must be an integer between 0 and 159"},
	{"an id of an added token that has no embedding", "tokenizer.json", "'id':4,",
	 "'id':160,", BAD_CONFIG, "'id' must be an integer between 0 and 159"},
	{"an added token without id", "tokenizer.json", "'id':4,", "", BAD_CONFIG,
	 "added token without id"},
	{"an added token without content", "tokenizer.json", "'id':4,'content'",
	 "'id':4,'x'", BAD_CONFIG, "added token without content"},
	{"an id of the template that has no embedding", "tokenizer.json", "'ids':[2]",
	 "'ids':[160]", BAD_CONFIG, "'ids' must be an integer between 0 and 159"},
	{"no [UNK]", "tokenizer.json", "'[UNK]':1", "'[unk]':1", BAD_CONFIG,
	 "its vocabulary lacks '[UNK]'"},
	{"no words at all", "tokenizer.json", "'max_input_chars_per_word':100",
	 "'max_input_chars_per_word':0", BAD_CONFIG, "'max_input_chars_per_word' must be"},
	{"another template", "tokenizer.json", "'single':[",
	 "'single':[{'Sequence':{'id':'B','type_id':0}},", UNSUPPORTED,
	 "template 'B0S0A0S0' is not supported"},
	{"a template of another type", "tokenizer.json",
	 "{'Sequence':{'id':'A','type_id':0}}", "{'Sequence':{'id':'A','type_id':2}}",
	 UNSUPPORTED, "template 'S0A2S0'"},
	{"a template for pairs of one type", "tokenizer.json",
	 "{'Sequence':{'id':'B','type_id':1}}", "{'Sequence':{'id':'B','type_id':0}}",
	 UNSUPPORTED, "template for pairs 'S0A0S0B0S1'"},
	{"a long template", "tokenizer.json", "'single':[",
	 "'single':[{'Sequence':{}},{'Sequence':{}},{'Sequence':{}},", UNSUPPORTED,
	 "template 'too long'"},
	{"a template of an undefined token", "tokenizer.json", "'special_tokens':{'[CLS]'",
	 "'special_tokens':{'[C]'", BAD_CONFIG, "does not define '[CLS]'"},
	{"a template token of two ids", "tokenizer.json", "'ids':[2]", "'ids':[2,3]",
	 UNSUPPORTED, "special token '[CLS]'"},
	{"another post-processor", "tokenizer.json", "'TemplateProcessing'",
	 "'RobertaProcessing'", UNSUPPORTED, "post-processor 'RobertaProcessing'"},
	{"a broken tokenizer_config.json", "tokenizer_config.json", NULL, "{", BAD_CONFIG,
	 "tokenizer_config.json: line 1: key expected"},
};

static void
test_tokenizer_json(void)
{

	make_model("");
	ok(returns(load, "tiny") && model.tokenizer.clean_text &&
		   model.tokenizer.handle_chinese_chars && model.tokenizer.strip_accents &&
		   model.tokenizer.lowercase && model.tokenizer.max_chars_per_word == 100 &&
		   model.tokenizer.unk_id == 1 && model.tokenizer.cls_id == 2 &&
		   model.tokenizer.sep_id == 3 && model.tokenizer.n_vocab == 160 &&
		   model.tokenizer.n_added == 5,
	   "tokenizer.json gives the tokenizer");
	ok(loads_with("tokenizer_config.json", "true", "false") &&
		   !model.tokenizer.lowercase && !model.tokenizer.strip_accents,
	   "tokenizer_config.json overrides lowercase, and accents follow it");
	ok(loads_with("tokenizer_config.json", NULL,
				  "{'do_lower_case':false,'strip_accents':true}") &&
		   !model.tokenizer.lowercase && model.tokenizer.strip_accents,
	   "tokenizer_config.json overrides strip_accents");
	ok(loads_with("tokenizer_config.json", NULL, "{'strip_accents':false}") &&
		   model.tokenizer.lowercase && !model.tokenizer.strip_accents,
	   "accents can be kept in lower case");
	ok(loads_with("tokenizer_config.json", NULL, "{'tokenize_chinese_chars':false}") &&
		   !model.tokenizer.handle_chinese_chars,
	   "tokenizer_config.json overrides handle_chinese_chars");
	ok(loads_with("tokenizer_config.json", NULL, NULL) && model.tokenizer.lowercase,
	   "tokenizer_config.json may be missing");
	ok(loads_with("tokenizer.json", "'strip_accents':null", "'strip_accents':false") &&
		   model.tokenizer.lowercase && !model.tokenizer.strip_accents,
	   "tokenizer.json's strip_accents is heard");
	ok(loads_with("tokenizer.json", "'TemplateProcessing'",
				  "'BertProcessing','cls':['[CLS]',2],'sep':['[SEP]',3]") &&
		   model.tokenizer.cls_id == 2 && model.tokenizer.sep_id == 3,
	   "BertProcessing gives the ids of [CLS] and [SEP]");
	ok(loads_with("tokenizer.json", "'post_processor':{",
				  "'post_processor':null,'x':{") &&
		   model.tokenizer.cls_id == 2 && model.tokenizer.sep_id == 3,
	   "without a post-processor the vocabulary gives them");
	ok(loads_with("special_tokens_map.json", NULL,
				  "{'cls_token':{'content':'the'},'sep_token':'of','unk_token':'a'}") &&
		   model.tokenizer.cls_id == 2 && model.tokenizer.unk_id == 1,
	   "with one, special_tokens_map.json has no say");
	ok(loads_with("tokenizer.json", "{'type':'WordPiece','unk", "{'unk"),
	   "a model without type is WordPiece");
	ok(loads_with("tokenizer.json", "'vocab':{", "'vocab':{'[UNK]':7,") &&
		   model.tokenizer.unk_id == 1,
	   "of a piece given twice the later counts");
	ok(loads_with("tokenizer.json", "'unk_token':'[UNK]'", "'unk_token':null"),
	   "a null is as good as no key");
	test_refused(tokenizer_edits, lengthof(tokenizer_edits));
}

static const Edit vocab_edits[] = {
	{"an empty vocab.txt", "vocab.txt", NULL, "", BAD_CONFIG,
	 "its vocabulary lacks '[UNK]'"},
	{"a vocab.txt without [CLS]", "vocab.txt", "[CLS]", "[cls]", BAD_CONFIG,
	 "lacks '[CLS]'"},
	{"a vocab.txt without [SEP]", "vocab.txt", "[SEP]", "[sep]", BAD_CONFIG,
	 "lacks '[SEP]'"},
	{"more lines than embeddings", "vocab.txt", "[PAD]\n", "[PAD]\nx\n", BAD_CONFIG,
	 "more than 160 lines"},
	{"bad UTF-8 in vocab.txt", "vocab.txt", "the", "\xFF", BAD_CONFIG,
	 "not valid UTF-8"},
	{"added_tokens.json with vocab.txt", "added_tokens.json", NULL, "{'x':5}",
	 UNSUPPORTED, "added_tokens.json is not supported"},
	{"a Japanese tokenizer", "tokenizer_config.json", NULL,
	 "{'tokenizer_class':'BertJapaneseTokenizer'}", UNSUPPORTED,
	 "tokenizer class 'BertJapaneseTokenizer'"},
	{"a word tokenizer", "tokenizer_config.json", NULL,
	 "{'word_tokenizer_type':'mecab'}", UNSUPPORTED, "word tokenizer 'mecab'"},
	{"an added token's id that is text", "tokenizer_config.json", NULL,
	 "{'added_tokens_decoder':{'x':{'content':'y'}}}", BAD_CONFIG, "'x' is no id"},
	{"an added token's id that is too large", "tokenizer_config.json", NULL,
	 "{'added_tokens_decoder':{'160':{'content':'y'}}}", BAD_CONFIG, "'160' is no id"},
};

static void
test_vocab_txt(void)
{
	static char zero[] = "[PAD]\n[UN\0]\n";
	size_t nbytes;
	char *vocab;

	make_model("--vocab_txt");
	ok(returns(load, "tiny") && model.tokenizer.lowercase &&
		   model.tokenizer.strip_accents && model.tokenizer.n_vocab == 160 &&
		   model.tokenizer.n_added == 5 && model.tokenizer.unk_id == 1 &&
		   model.tokenizer.cls_id == 2 && model.tokenizer.sep_id == 3,
	   "vocab.txt gives the tokenizer");
	ok(loads_with("vocab.txt", "[PAD]\n[UNK]\n", "\xEF\xBB\xBF[PAD]\r\n[UNK]\r\n") &&
		   model.tokenizer.unk_id == 1 && model.tokenizer.n_vocab == 160,
	   "CRLF and a byte order mark are tolerated");
	ok(loads_with("vocab.txt", "\nthe\n", "\n\n") && model.tokenizer.n_vocab == 159 &&
		   model.tokenizer.sep_id == 3,
	   "an empty line is an id without a piece");
	ok(loads_with("tokenizer_config.json", NULL, NULL) && model.tokenizer.lowercase,
	   "lower case is the default");
	ok(loads_with("tokenizer_config.json", NULL,
				  "{'cls_token':{'content':'the'},'unk_token':'of'}") &&
		   model.tokenizer.cls_id > 3 && model.tokenizer.unk_id > 3,
	   "tokenizer_config.json names the special tokens");
	ok(loads_with("special_tokens_map.json", NULL, "{'sep_token':'house'}") &&
		   model.tokenizer.sep_id > 3,
	   "special_tokens_map.json does too");
	ok(loads_with("tokenizer_config.json", NULL,
				  "{'added_tokens_decoder':{'0':{'content':'[PAD]','special':true},'99'"
				  ":{'content':'x y'}}}") &&
		   model.tokenizer.n_added == 6,
	   "added_tokens_decoder adds to the special tokens");
	test_refused(vocab_edits, lengthof(vocab_edits));

	vocab = read_file("vocab.txt", &nbytes);
	write_file("vocab.txt", zero, sizeof(zero) - 1);
	ok(raises(load, "tiny", BAD_CONFIG, "zero byte"),
	   "is refused: a zero byte in vocab.txt");
	write_file("vocab.txt", vocab, nbytes);
	vocab = palloc(10000000);
	memset(vocab, 'a', 10000000);
	write_file("vocab.txt", vocab, 10000000);
	ok(raises(load, "tiny", BAD_CONFIG, "longer than 1024 bytes"),
	   "is refused: a line of 10 MB");
}

/* ---- the recipe ---- */

static const Edit recipe_edits[] = {
	{"a Dense module", "modules.json", "models.Normalize", "models.Dense", UNSUPPORTED,
	 "module 'Dense' is not supported"},
	{"a module of somebody's own", "modules.json",
	 "sentence_transformers.models.Normalize", "custom_st.Thing", UNSUPPORTED,
	 "module 'Thing'"},
	{"a Normalize before the Pooling", "modules.json",
	 "'type':'sentence_transformers.models.Pooling'", "'type':'Normalize'", UNSUPPORTED,
	 "module 'Normalize' as number 2"},
	{"no module", "modules.json", NULL, "[]", UNSUPPORTED,
	 "a model without module 'Transformer'"},
	{"no Pooling", "modules.json", NULL, "[{'path':'','type':'a.Transformer'}]",
	 UNSUPPORTED, "a model without module 'Pooling'"},
	{"an encoder in a folder", "modules.json", "'path':''", "'path':'0_Transformer'",
	 UNSUPPORTED, "module 'Transformer' in folder '0_Transformer'"},
	{"a Pooling elsewhere", "modules.json", "'1_Pooling'", "'../../etc'", UNSUPPORTED,
	 "module 'Pooling' in folder '../../etc'"},
	{"a modules.json that is no list", "modules.json", NULL, "{}", BAD_CONFIG,
	 "modules.json: content must be an array"},
	{"no Pooling config", "1_Pooling/config.json", NULL, NULL, NO_FILE,
	 "1_Pooling/config.json is missing"},
	{"another dimension", "1_Pooling/config.json", "32", "33", BAD_CONFIG,
	 "'word_embedding_dimension' is 33, but"},
	{"an unknown pooling mode", "1_Pooling/config.json", "'mean'", "'median'",
	 UNSUPPORTED, "pooling mode 'median'"},
	{"pooling modes in another order", "1_Pooling/config.json", "'mean'",
	 "['mean','cls']", UNSUPPORTED, "this order of pooling modes"},
	{"a pooling mode twice", "1_Pooling/config.json", "'mean'", "['mean','mean']",
	 UNSUPPORTED, "this order of pooling modes"},
	{"a length of 2", "sentence_bert_config.json", NULL, "{'max_seq_length':2}",
	 BAD_CONFIG, "'max_seq_length' must be an integer between 3"},
	{"a prompt that isn't there", "config_sentence_transformers.json", NULL,
	 "{'prompts':{'a':'b'},'default_prompt_name':'c'}", BAD_CONFIG,
	 "no prompt of the name 'c'"},
	{"no prompts", "config_sentence_transformers.json", NULL,
	 "{'default_prompt_name':'c'}", BAD_CONFIG, "but no 'prompts'"},
	{"a truncated vector", "config_sentence_transformers.json", NULL,
	 "{'truncate_dim':8}", UNSUPPORTED, "'truncate_dim' is not supported"},
};

/* Pooling configs and what they mean. */
static const struct
{
	const char *config;
	int32 pooling;
} pooling_configs[] = {
	{"{}", BERT_POOL_MEAN},
	{"{'pooling_mode_mean_tokens':false}", BERT_POOL_MEAN},
	{"{'pooling_mode_cls_token':true,'pooling_mode_mean_tokens':false}", BERT_POOL_CLS},
	{"{'pooling_mode_max_tokens':true,'pooling_mode_cls_token':true}",
	 BERT_POOL_CLS | BERT_POOL_MAX},
	{"{'pooling_mode_mean_sqrt_len_tokens':true}", BERT_POOL_MEAN_SQRT},
	{"{'pooling_mode_weightedmean_tokens':true}", BERT_POOL_WEIGHTED_MEAN},
	{"{'pooling_mode_lasttoken':true}", BERT_POOL_LAST},
	{"{'embedding_dimension':32,'pooling_mode':'cls'}", BERT_POOL_CLS},
	{"{'pooling_mode':'lasttoken','pooling_mode_cls_token':true}", BERT_POOL_LAST},
	{"{'pooling_mode':['cls','mean','weightedmean']}",
	 BERT_POOL_CLS | BERT_POOL_MEAN | BERT_POOL_WEIGHTED_MEAN},
};

/* The files that decide the length, and what they decide (64 positions). */
static const struct
{
	const char *claim;
	const char *sentence_bert;
	const char *tokenizer_config;
	int32 max_tokens;
} lengths[] = {
	{"max_seq_length counts", "{'max_seq_length':20}", "{'model_max_length':30}", 20},
	{"but not beyond the positions", "{'max_seq_length':512}", NULL, 64},
	{"without it, model_max_length counts", "{'max_seq_length':null}",
	 "{'model_max_length':30}", 30},
	{"10^30 means none", NULL, "{'model_max_length':1000000000000000019884624838656}",
	 64},
	{"null means none", NULL, "{'model_max_length':null,'x':1}", 64},
	{"without both, the positions count", NULL, NULL, 64},
};

static void
test_recipe(void)
{

	make_model("--pooling cls");
	ok(returns(load, "tiny") && model.recipe.normalize &&
		   model.recipe.pooling == BERT_POOL_CLS && model.recipe.prompt_nbytes == 0,
	   "modules.json gives the recipe");
	ok(loads_with("modules.json", NULL, NULL) && !model.recipe.normalize &&
		   model.recipe.pooling == BERT_POOL_MEAN,
	   "without modules.json it is the mean");
	ok(loads_with("modules.json", NULL,
				  "[{'path':'','type':'sentence_transformers.base.modules.Transformer'}"
				  ",{'path':'1_Pooling','type':'sentence_transformers.sentence_"
				  "transformer.modules.Pooling'}]") &&
		   !model.recipe.normalize && model.recipe.pooling == BERT_POOL_CLS,
	   "the modules' new names are known");
	ok(loads_with("config_sentence_transformers.json", NULL,
				  "{'default_prompt_name':'q','prompts':{'p':'','q':'query: "
				  "'},'truncate_dim':null}") &&
		   strcmp(model.recipe.prompt, "query: ") == 0 &&
		   model.recipe.prompt_nbytes == 7,
	   "the default prompt is read");
	for (int i = 0; i < (int) lengthof(pooling_configs); i++)
	{
		ok(loads_with("1_Pooling/config.json", NULL, pooling_configs[i].config) &&
			   model.recipe.pooling == pooling_configs[i].pooling,
		   "is read: %s", pooling_configs[i].config);
	}
	for (int i = 0; i < (int) lengthof(lengths); i++)
	{
		char *sentence_bert =
			with_quotes(lengths[i].sentence_bert ? lengths[i].sentence_bert : "{}");
		write_file("sentence_bert_config.json", sentence_bert, strlen(sentence_bert));
		ok(loads_with("tokenizer_config.json", NULL, lengths[i].tokenizer_config) &&
			   model.recipe.max_tokens == lengths[i].max_tokens,
		   "%s", lengths[i].claim);
	}
	make_model("--nolower");
	ok(loads_with("tokenizer_config.json", NULL, NULL) && !model.tokenizer.lowercase,
	   "upper case is kept where only tokenizer.json speaks of it, with a WARNING");
	ok(loads_with("sentence_bert_config.json", NULL, "{'do_lower_case':true}") &&
		   model.tokenizer.lowercase && !model.tokenizer.strip_accents,
	   "do_lower_case of sentence_bert_config.json lower-cases");

	make_model("--prompt 'query: '");
	test_refused(&(Edit){"a prompt that pooling leaves out", "1_Pooling/config.json",
						 "{", "{'include_prompt':false,", UNSUPPORTED,
						 "a default prompt that pooling does not include"},
				 1);
	make_model("");
	test_refused(recipe_edits, lengthof(recipe_edits));
}

/* ---- weights ---- */

/* The edits keep the header's length. */
static const Edit weights_edits[] = {
	{"a missing tensor", "model.safetensors", "layer.1.output.dense.bias",
	 "layer.1.output.dense.bios", CORRUPT,
	 "model.safetensors has no tensor 'encoder.layer.1.output.dense.bias'"},
	{"no word embeddings", "model.safetensors", "word_embeddings", "work_embeddings",
	 CORRUPT, "has no tensor 'embeddings.word_embeddings.weight'"},
	{"half a pooler", "model.safetensors", "pooler.dense.bias", "pooler.dense.bios",
	 CORRUPT, "has no tensor 'pooler.dense.bias'"},
	{"a transposed tensor", "model.safetensors", "[64,32]", "[32,64]", CORRUPT,
	 "has shape [32, 64], not [64, 32]"},
	{"integers", "model.safetensors", "'embeddings.LayerNorm.bias':{'dtype':'F32'",
	 "'embeddings.LayerNorm.bias':{'dtype':'I32'", UNSUPPORTED, "has data type I32"},
	{"another vocab_size", "config.json", "160", "161", CORRUPT,
	 "has shape [160, 32], not [161, 32]"},
	{"another number of positions", "config.json", "'max_position_embeddings': 64",
	 "'max_position_embeddings': 63", CORRUPT, "has shape [64, 32], not [63, 32]"},
};

static void
test_weights(void)
{
	make_model("--prefix bert.");
	ok(returns(load, "tiny") && strcmp(model.prefix, "bert.") == 0,
	   "tensors may begin with bert.");
	make_model("--old_names");
	ok(returns(load, "tiny"), "LayerNorm may have a gamma and a beta");
	make_model("--nopooler");
	ok(returns(load, "tiny") && !model.config.has_pooler, "the pooler may be missing");
	make_model("--dtype f16");
	ok(returns(load, "tiny"), "weights may be F16");
	make_model("--dtype bf16");
	ok(returns(load, "tiny"), "weights may be BF16");
	make_model("");
	test_refused(weights_edits, lengthof(weights_edits));
}

static const Edit index_edits[] = {
	{"a shard that isn't there", "model.safetensors.index.json", "two.safetensors",
	 "three.safetensors", BAD_CONFIG, "the model has no file 'three.safetensors'"},
	{"a shard with a path", "model.safetensors.index.json", "two.safetensors",
	 "../tiny/two.safetensors", BAD_CONFIG, "the model has no file '../tiny/two"},
	{"a tensor that is in another shard", "model.safetensors.index.json",
	 "one.safetensors", "two.safetensors", CORRUPT,
	 "two.safetensors has no tensor 'embeddings.LayerNorm.bias'"},
	{"an index without files", "model.safetensors.index.json", NULL, "{}", BAD_CONFIG,
	 "names no file of weights"},
	{"an index that is no object", "model.safetensors.index.json", NULL, "[]",
	 BAD_CONFIG, "must be an object"},
};

/* One file of weights, and another with one tensor that nobody needs. */
static void
test_shards(void)
{
	static const char index[] =
		"{'metadata':{'total_size':1},'weight_map':"
		"{'embeddings.LayerNorm.bias':'one.safetensors','x':'two.safetensors'}}";
	static const char second[] =
		"\x38\0\0\0\0\0\0\0"
		"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}   "
		"\0\0\0\0";
	char *text = with_quotes(index);

	make_model("");
	shell("cd %s/tiny; mv model.safetensors one.safetensors", root);
	write_file("two.safetensors", second, 8 + 56 + 4);
	write_file("model.safetensors.index.json", text, strlen(text));
	ok(returns(load, "tiny") && model.n_shards == 2, "weights may be in several files");
	test_refused(index_edits, lengthof(index_edits));
}

/* ---- the signature ---- */

static bool
same_signature(const char *command)
{
	char *before = bert_model_files_signature(root_fd, "tiny");
	char *after;

	shell("cd %s/tiny; %s", root, command);
	after = bert_model_files_signature(root_fd, "tiny");
	return strcmp(before, after) == 0;
}

static void
test_signature(void)
{
	ok(bert_model_files_signature(root_fd, "x") == NULL,
	   "an unknown model has no signature");
	ok(same_signature("true"), "the signature of a model stays");
	ok(!same_signature("touch two.safetensors"), "a touched shard changes it");
	make_model("");
	ok(same_signature("cat * > /dev/null 2>&1; true"), "reading does not change it");
	ok(same_signature("echo > README.md"),
	   "a file that isn't looked at does not change it");
	ok(!same_signature("cp -p config.json c; mv c config.json"),
	   "a replaced file changes it");
	ok(!same_signature("truncate -s -1 model.safetensors"),
	   "a shorter file changes it");
	ok(!same_signature("rm 1_Pooling/config.json"), "a removed file changes it");
	ok(!same_signature("echo '{}' > special_tokens_map.json"),
	   "an added file changes it");
}

static int
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

int
main(void)
{
	int descriptors;

	umask(022);
	if (mkdtemp(root) == NULL || (root_fd = open(root, O_RDONLY | O_DIRECTORY)) < 0)
	{
		printf("Bail out! could not make %s\n", root);
		return 1;
	}
	descriptors = count_descriptors();
	test_names();
	test_unknown();
	test_list();
	test_files();
	test_links();
	test_owners();
	test_old_kernel();
	test_config();
	test_tokenizer_json();
	test_vocab_txt();
	test_recipe();
	test_weights();
	test_shards();
	test_signature();
	ok(count_descriptors() == descriptors, "no descriptor was left open");
	shell("rm -r %s", root);
	return done_testing();
}
