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

static bool
raises_with(const char *file, const char *content, int sqlstate, const char *fragment)
{
	Edit edit = {
		.file = file, .to = content, .sqlstate = sqlstate, .fragment = fragment};

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
		 "model 'tiny': pytorch_model.bin is not supported"},
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
		ok(raises(load, "tiny", cases[i].sqlstate, with_quotes(cases[i].fragment)),
		   "is refused: %s", cases[i].claim);
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
	{"no vocab_size, which then is 30522", "config.json", "'vocab_size'", "'vocab'",
	 CORRUPT, "has shape [160, 32], not [30522, 32]"},
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
	{"an unknown activation", "config.json", "'gelu'", "'gelu_2'", UNSUPPORTED,
	 "'hidden_act' is 'gelu_2', which is not supported"},
	{"a decoder", "config.json", "{", "{'is_decoder': true,", UNSUPPORTED,
	 "'is_decoder' is true"},
	{"cross attention", "config.json", "{", "{'add_cross_attention': true,",
	 UNSUPPORTED, "'add_cross_attention' is true"},
	{"unknown positions", "config.json", "{", "{'position_embedding_type': 'rotary',",
	 UNSUPPORTED, "'position_embedding_type' is 'rotary'"},
	{"relative positions without their tables", "config.json", "{",
	 "{'position_embedding_type': 'relative_key',", CORRUPT,
	 "has no tensor 'encoder.layer.0.attention.self.distance_embedding.weight'"},
	{"a PReLU without its parameter", "config.json", "'gelu'", "'prelu'", CORRUPT,
	 "has no tensor 'encoder.layer.0.intermediate.intermediate_act_fn.weight'"},
	{"an xIELU without its parameters", "config.json", "'gelu'", "'xielu'", CORRUPT,
	 "has no tensor 'encoder.layer.0.intermediate.intermediate_act_fn.alpha_p'"},
	{"narrow embeddings", "config.json", "{", "{'embedding_size': 16,", UNSUPPORTED,
	 "'embedding_size' is not 'hidden_size' 32"},
	{"quantized weights", "config.json", "{", "{'quantization_config': {},",
	 UNSUPPORTED, "'quantization_config' is given"},
	{"an adapter", "adapter_config.json", NULL, "{}", UNSUPPORTED,
	 "adapter_config.json is not supported"},
	{"pruned heads", "config.json", "{", "{'pruned_heads': {'0': [1]},", UNSUPPORTED,
	 "'pruned_heads' is not empty"},
	{"a text that would leave its message", "config.json", "'bert'",
	 "'\\u001b[2J\\u00e9'", UNSUPPORTED, "'\\x1b[2J\\xc3\\xa9'"},
};

/* All that transformers' ACT2FN has. */
static const struct
{
	const char *name;
	BertActivation activation;
} activation_names[] = {
	{"gelu", BERT_ACT_GELU},
	{"gelu_10", BERT_ACT_GELU_10},
	{"gelu_fast", BERT_ACT_GELU_FAST},
	{"gelu_new", BERT_ACT_GELU_TANH},
	{"gelu_python", BERT_ACT_GELU},
	{"gelu_pytorch_tanh", BERT_ACT_GELU_TANH},
	{"gelu_python_tanh", BERT_ACT_GELU_TANH},
	{"gelu_accurate", BERT_ACT_GELU_TANH},
	{"hardswish", BERT_ACT_HARDSWISH},
	{"laplace", BERT_ACT_LAPLACE},
	{"leaky_relu", BERT_ACT_LEAKY_RELU},
	{"linear", BERT_ACT_LINEAR},
	{"mish", BERT_ACT_MISH},
	{"prelu", BERT_ACT_PRELU},
	{"quick_gelu", BERT_ACT_QUICK_GELU},
	{"relu", BERT_ACT_RELU},
	{"relu2", BERT_ACT_RELU2},
	{"relu6", BERT_ACT_RELU6},
	{"sigmoid", BERT_ACT_SIGMOID},
	{"silu", BERT_ACT_SILU},
	{"sqrtsoftplus", BERT_ACT_SQRTSOFTPLUS},
	{"swish", BERT_ACT_SILU},
	{"tanh", BERT_ACT_TANH},
	{"xielu", BERT_ACT_XIELU},
};

static void
test_activations(void)
{
	for (int i = 0; i < (int) lengthof(activation_names); i++)
	{
		make_model(psprintf("--act %s", activation_names[i].name));
		ok(returns(load, "tiny") &&
			   model.config.hidden_act == (int32) activation_names[i].activation,
		   "the activation %s is known", activation_names[i].name);
	}
	ok(returns(load, "tiny"), "the parameters of xIELU are there");
	make_model("--act prelu");
	ok(loads_with("model.safetensors",
				  "'encoder.layer.0.intermediate.intermediate_act_"
				  "fn.weight':{'dtype':'F32','shape':[1]",
				  "'encoder.layer.0.intermediate.intermediate_act_fn.weight':{'dtype':"
				  "'F32','shape':[] "),
	   "a parameter may be a scalar");
}

static void
test_config(void)
{
	make_model("");
	ok(returns(load, "tiny") && model.config.vocab_size == 160 &&
		   model.config.hidden_size == 32 && model.config.num_layers == 2 &&
		   model.config.num_heads == 4 && model.config.head_size == 8 &&
		   model.config.intermediate_size == 64 && model.config.max_positions == 64 &&
		   model.config.type_vocab_size == 2 &&
		   model.config.hidden_act == BERT_ACT_GELU &&
		   model.config.position_type == BERT_POSITIONS_ABSOLUTE &&
		   model.config.layer_norm_eps == 1e-12f && model.config.has_pooler,
	   "config.json gives the sizes");
	ok(loads_with("config.json", "{",
				  "{'pruned_heads': {}, 'is_decoder': false, 'embedding_size': 32, "
				  "'position_embedding_type': null, 'quantization_config': null, "
				  "'x': [{}, 1e9],"),
	   "keys that say the usual are no obstacle");
	ok(raises_with("config.json", "{'model_type':'bert'}", BAD_CONFIG,
				   "of 768 elements") &&
		   model.config.vocab_size == 30522 && model.config.hidden_size == 768 &&
		   model.config.num_layers == 12 && model.config.num_heads == 12 &&
		   model.config.intermediate_size == 3072 &&
		   model.config.max_positions == 512 && model.config.type_vocab_size == 2 &&
		   model.config.layer_norm_eps == 1e-12f,
	   "a key that is not there has transformers' value");
	ok(loads_with("config.json", "'layer_norm_eps': 1e-12,",
				  "'layer_norm_eps': 1e-5,") &&
		   model.config.layer_norm_eps == 1e-5f,
	   "layer_norm_eps is read");
	test_refused(config_edits, lengthof(config_edits));
	make_model("--types 1 --positions 3");
	ok(returns(load, "tiny") && model.config.type_vocab_size == 1 &&
		   model.config.max_positions == 3,
	   "a model may have one type and three positions");
	test_activations();
}

static const Edit position_edits[] = {
	{"a table of distances for another number of positions", "config.json",
	 "'max_position_embeddings': 64", "'max_position_embeddings': 63", CORRUPT,
	 "'encoder.layer.0.attention.self.distance_embedding.weight' has shape [127, 8], "
	 "not [125, 8]"},
	{"a table of distances for another head size", "config.json",
	 "'num_attention_heads': 4", "'num_attention_heads': 2", CORRUPT,
	 "has shape [127, 8], not [127, 16]"},
};

static void
test_positions(void)
{
	make_model("--position_type relative_key_query");
	ok(returns(load, "tiny") &&
		   model.config.position_type == BERT_POSITIONS_RELATIVE_KEY_QUERY,
	   "positions may be relative: relative_key_query");
	make_model("--position_type relative_key");
	ok(returns(load, "tiny") &&
		   model.config.position_type == BERT_POSITIONS_RELATIVE_KEY,
	   "positions may be relative: relative_key");
	ok(loads_with("model.safetensors", "position_embeddings", "position_embeddingz"),
	   "they need no table of absolute positions");
	test_refused(position_edits, lengthof(position_edits));
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
	{"a sequence with another normalizer", "tokenizer.json", "'normalizer':{",
	 "'normalizer':{'type':'Sequence','normalizers':[{'type':'Lowercase'},"
	 "{'type':'Precompiled','precompiled_charsmap':''}]},'x':{",
	 UNSUPPORTED, "normalizer 'Precompiled'"},
	{"a normalizer after BERT's", "tokenizer.json", "'normalizer':{",
	 "'normalizer':{'type':'Sequence','normalizers':[{'type':'BertNormalizer'},"
	 "{'type':'Lowercase'}]},'x':{",
	 UNSUPPORTED, "normalizer 'Lowercase'"},
	{"a normalizer that only lower-cases", "tokenizer.json", "'BertNormalizer'",
	 "'Lowercase'", UNSUPPORTED, "normalizer 'Lowercase'"},
	{"a byte-level pre-tokenizer", "tokenizer.json", "'BertPreTokenizer'",
	 "'ByteLevel'", UNSUPPORTED, "pre-tokenizer 'ByteLevel'"},
	{"a sequence of pre-tokenizers", "tokenizer.json", "'pre_tokenizer':{",
	 "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'WhitespaceSplit'},"
	 "{'type':'BertPreTokenizer'}]},'x':{",
	 UNSUPPORTED, "pre-tokenizer 'WhitespaceSplit'"},
	{"a pre-tokenizer after BERT's", "tokenizer.json", "'pre_tokenizer':{",
	 "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'BertPreTokenizer'},"
	 "{'type':'Digits'}]},'x':{",
	 UNSUPPORTED, "pre-tokenizer 'Sequence'"},
	{"a null pre-tokenizer", "tokenizer.json", "'pre_tokenizer':{",
	 "'pre_tokenizer':null,'x':{", UNSUPPORTED, "pre-tokenizer 'null'"},
	{"a byte-level BPE model", "tokenizer.json", "'model':{'type':'WordPiece'",
	 "'model':{'type':'BPE'", UNSUPPORTED, "tokenizer model 'BPE'"},
	{"a WordLevel model", "tokenizer.json", "'model':{'type':'WordPiece'",
	 "'model':{'type':'WordLevel'", UNSUPPORTED, "tokenizer model 'WordLevel'"},
	{"texts cut on the left", "tokenizer_config.json", "{",
	 "{'truncation_side':'left',", UNSUPPORTED,
	 "tokenizer_config.json: truncation on the side 'left' is not supported"},
	{"texts cut on the left, says tokenizer.json", "tokenizer.json", "'normalizer':{",
	 "'truncation':{'direction':'Left','max_length':8},'normalizer':{", UNSUPPORTED,
	 "tokenizer.json: truncation on the side 'Left' is not supported"},
	{"another decoder", "tokenizer.json", "'decoder':{'type':'WordPiece'",
	 "'decoder':{'type':'ByteLevel'", UNSUPPORTED, "decoder 'ByteLevel'"},
	{"a byte-level post-processor", "tokenizer.json", "'TemplateProcessing'",
	 "'ByteLevel'", UNSUPPORTED, "post-processor 'ByteLevel'"},
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
	{"an added token that has no embedding", "tokenizer.json", "'content':'[MASK]'",
	 "'content':'x y'", BAD_CONFIG, "its added token 'x y' has id 160"},
	{"an added token without id", "tokenizer.json", "'id':4,", "", BAD_CONFIG,
	 "added token without id"},
	{"an added token without content", "tokenizer.json", "'id':4,'content'",
	 "'id':4,'x'", BAD_CONFIG, "added token without content"},
	{"an id of the template that has no embedding", "tokenizer.json", "'ids':[2]",
	 "'ids':[160]", BAD_CONFIG, "'ids' must be an integer between 0 and 159"},
	{"no [UNK]", "tokenizer.json", "'unk_token':'[UNK]'", "'unk_token':'<unk>'",
	 BAD_CONFIG, "its vocabulary lacks '<unk>'"},
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
	ok(loads_with("tokenizer.json", "'id':4,", "'id':99,") &&
		   model.tokenizer.added[4].piece.id == 4,
	   "the vocabulary says which id an added token has");
	ok(loads_with("tokenizer.json", "'normalizer':{", "'normalizer':null,'x':{") &&
		   !model.tokenizer.clean_text && !model.tokenizer.handle_chinese_chars &&
		   model.tokenizer.lowercase,
	   "a null normalizer keeps all, but for what tokenizer_config.json says");
	ok(loads_with("tokenizer.json", "'normalizer':{",
				  "'normalizer':{'type':'Sequence','normalizers':[{'type':'Lowercase'},"
				  "{'type':'BertNormalizer','strip_accents':true}]},'x':{") &&
		   model.tokenizer.lowercase && model.tokenizer.strip_accents,
	   "a Lowercase before BertNormalizer is its option");
	ok(loads_with("tokenizer.json", "'pre_tokenizer':{",
				  "'pre_tokenizer':{'type':'Sequence','pretokenizers':["
				  "{'type':'BertPreTokenizer'}]},'x':{"),
	   "a sequence of one pre-tokenizer is that one");
	ok(loads_with("tokenizer.json", "'decoder':{", "'decoder':null,'x':{") &&
		   model.tokenizer.decoder_cleanup,
	   "without a decoder it is BERT's");
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
	{"an added_tokens.json without embeddings", "added_tokens.json", NULL,
	 "{'the':5,'x y':6}", BAD_CONFIG, "its added token 'x y' has id 160"},
	{"a Japanese tokenizer", "tokenizer_config.json", NULL,
	 "{'tokenizer_class':'BertJapaneseTokenizer'}", UNSUPPORTED,
	 "tokenizer class 'BertJapaneseTokenizer'"},
	{"one that only config.json names", "config.json", "{",
	 "{'tokenizer_class':'BertJapaneseTokenizer',", UNSUPPORTED,
	 "config.json: tokenizer class 'BertJapaneseTokenizer'"},
	{"a word tokenizer", "tokenizer_config.json", NULL,
	 "{'word_tokenizer_type':'mecab'}", UNSUPPORTED, "word tokenizer 'mecab'"},
	{"an added token's id that is text", "tokenizer_config.json", NULL,
	 "{'added_tokens_decoder':{'x':{'content':'y'}}}", BAD_CONFIG, "'x' is no id"},
	{"an added token without embedding", "tokenizer_config.json", NULL,
	 "{'added_tokens_decoder':{'5':{'content':'x y'}}}", BAD_CONFIG,
	 "its added token 'x y' has id 160"},
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
	ok(loads_with("vocab.txt", "\nthe\n", "\n\n") && model.tokenizer.n_vocab == 160 &&
		   model.tokenizer.sep_id == 3,
	   "an empty line is an id of no text");
	ok(loads_with("vocab.txt", "\n[SEP]\n", "\n[SEP] \xE3\x80\x80\t\n") &&
		   model.tokenizer.sep_id == 3,
	   "white space at the end of a line is no part of the piece");
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
				  ":{'content':'the'}}}") &&
		   model.tokenizer.n_added == 6,
	   "added_tokens_decoder adds to the special tokens");
	ok(loads_with("added_tokens.json", NULL, "{'the':99}") &&
		   model.tokenizer.n_added == 6 && !model.tokenizer.added[0].special &&
		   model.tokenizer.added[0].normalized,
	   "added_tokens.json does too");
	ok(loads_with(
		   "tokenizer_config.json", NULL,
		   "{'tokenizer_class':'DistilBertTokenizer','additional_special_tokens':"
		   "['the'],'split_special_tokens':true,"
		   "'clean_up_tokenization_spaces':true}") &&
		   model.tokenizer.n_added == 6 && model.tokenizer.added[5].special &&
		   model.tokenizer.split_special && model.tokenizer.clean_up_spaces,
	   "so do additional_special_tokens; and there are options");
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

#define TRANSFORMER                                                                    \
	"{'name':'0','path':'','type':'sentence_transformers.a.Transformer'}"

static const Edit modules_edits[] = {
	{"a module of somebody's own", "modules.json",
	 "sentence_transformers.models.Normalize", "custom_st.Normalize", UNSUPPORTED,
	 "module 'custom_st.Normalize' is not supported"},
	{"an unknown module", "modules.json", "models.Normalize", "models.CNN", UNSUPPORTED,
	 "module 'CNN' is not supported"},
	{"a Normalize before the Pooling", "modules.json", "models.Pooling",
	 "models.Normalize", UNSUPPORTED, "module 'Normalize' as number 2"},
	{"another module than the encoder first", "modules.json", "models.Transformer",
	 "models.Pooling", UNSUPPORTED, "module 'Pooling' as number 1"},
	{"an unknown first module", "modules.json", "models.Transformer",
	 "models.StaticEmbedding", UNSUPPORTED, "module 'StaticEmbedding'"},
	{"a second Pooling", "modules.json", "models.Normalize", "models.Pooling",
	 UNSUPPORTED, "module 'Pooling' as number 3"},
	{"no module", "modules.json", NULL, "[]", UNSUPPORTED,
	 "a model without module 'Transformer'"},
	{"no Pooling", "modules.json", NULL, "[" TRANSFORMER "]", UNSUPPORTED,
	 "a model without module 'Pooling'"},
	{"a module without a type", "modules.json", "'type'", "'kind'", BAD_CONFIG,
	 "a module lacks 'type', 'path' or 'name'"},
	{"two modules of one name", "modules.json", "'name':'2'", "'name':'1'", BAD_CONFIG,
	 "two modules have the name '1'"},
	{"an encoder in another folder", "modules.json", "'path':''", "'path':'0_BERT'",
	 UNSUPPORTED, "module 'Transformer' in folder '0_BERT'"},
	{"an encoder in a folder that isn't there", "modules.json", "'path':''",
	 "'path':'0_Transformer'", NO_FILE, "it has no 0_Transformer/config.json"},
	{"a folder that leads out of the model", "modules.json", "'1_Pooling'",
	 "'../../etc'", UNSUPPORTED, "module 'Pooling' in folder '../../etc'"},
	{"the folder above", "modules.json", "'1_Pooling'", "'..'", UNSUPPORTED,
	 "module 'Pooling' in folder '..'"},
	{"an absolute folder", "modules.json", "'1_Pooling'", "'/etc'", UNSUPPORTED,
	 "module 'Pooling' in folder '/etc'"},
	{"a folder in a folder", "modules.json", "'1_Pooling'", "'a/1_Pooling'",
	 UNSUPPORTED, "module 'Pooling' in folder 'a/1_Pooling'"},
	{"a Pooling without a folder", "modules.json", "'1_Pooling'", "''", UNSUPPORTED,
	 "module 'Pooling' in folder ''"},
	{"a modules.json that is no list", "modules.json", NULL, "{}", BAD_CONFIG,
	 "modules.json: content must be an array"},
	{"a Normalize of another feature", "2_Normalize/config.json", NULL,
	 "{'module_input_name':'token_embeddings'}", UNSUPPORTED,
	 "'module_input_name' 'token_embeddings' is not supported"},
	{"a Dense without files", "modules.json", "models.Normalize", "models.Dense",
	 NO_FILE,
	 "2_Normalize/config.json is missing, but modules.json has a module 'Dense'"},
};

static const Edit pooling_edits[] = {
	{"no Pooling config", "1_Pooling/config.json", NULL, NULL, NO_FILE,
	 "1_Pooling/config.json is missing, but modules.json has a module 'Pooling'"},
	{"another dimension", "1_Pooling/config.json", "32", "33", BAD_CONFIG,
	 "'word_embedding_dimension' is 33, but vectors of 32 elements come in"},
	{"an unknown pooling mode", "1_Pooling/config.json", "'mean'", "'median'",
	 UNSUPPORTED, "pooling mode 'median'"},
	{"an empty list of pooling modes", "1_Pooling/config.json", "'mean'", "[]",
	 BAD_CONFIG, "'pooling_mode' names no mode"},
	{"nine pooling modes", "1_Pooling/config.json", "'mean'",
	 "['cls','cls','cls','cls','cls','cls','cls','cls','cls']", UNSUPPORTED,
	 "a list of more than 8 pooling modes"},
};

/* Of a model with Dense:24:ReLU and LayerNorm after Pooling. */
static const Edit dense_edits[] = {
	{"a Dense for vectors of another size", "2_Dense/config.json", "'in_features':32",
	 "'in_features':33", BAD_CONFIG,
	 "2_Dense/config.json: 'in_features' is 33, but vectors of 32 elements come in"},
	{"a Dense without a size", "2_Dense/config.json", "'out_features'", "'x'",
	 BAD_CONFIG, "'in_features' or 'out_features' is missing"},
	{"a Dense of another size than its weights", "2_Dense/config.json",
	 "'out_features':24", "'out_features':25", CORRUPT,
	 "2_Dense/model.safetensors: tensor 'linear.weight' has shape [24, 32], not "
	 "[25, 32]"},
	{"an activation of torch that we lack", "2_Dense/config.json", "activation.ReLU",
	 "activation.ELU", UNSUPPORTED,
	 "activation function 'torch.nn.modules.activation.ELU' is not supported"},
	{"an activation with a parameter", "2_Dense/config.json", "activation.ReLU",
	 "activation.PReLU", UNSUPPORTED, "PReLU' is not supported"},
	{"an activation of somebody's own", "2_Dense/config.json",
	 "torch.nn.modules.activation.ReLU", "mine.ReLU", UNSUPPORTED,
	 "activation function 'mine.ReLU'"},
	{"a Dense over the tokens", "2_Dense/config.json", "{",
	 "{'module_input_name':'token_embeddings',", UNSUPPORTED,
	 "'module_input_name' 'token_embeddings'"},
	{"a Dense to another feature", "2_Dense/config.json", "{",
	 "{'module_output_name':'x',", UNSUPPORTED, "'module_output_name' 'x'"},
	{"a bias that the config denies", "2_Dense/config.json", "'bias':true",
	 "'bias':false", CORRUPT,
	 "2_Dense/model.safetensors has 2 tensors, but its module has 1"},
	{"a bias that is missing", "2_Dense/model.safetensors", "linear.bias",
	 "linear.bios", CORRUPT, "2_Dense/model.safetensors has no tensor 'linear.bias'"},
	{"a residual without weights", "2_Dense/config.json", "{", "{'use_residual':true,",
	 CORRUPT, "has no tensor 'residual.weight'"},
	{"a Dense without weights", "2_Dense/model.safetensors", NULL, NULL, NO_FILE,
	 "2_Dense/model.safetensors is missing, but modules.json has a module 'Dense'"},
	{"a Dense of no weights", "2_Dense/model.safetensors", NULL, "", CORRUPT,
	 "2_Dense/model.safetensors: a safetensors file has at least 8 bytes"},
	{"a LayerNorm of another size", "3_LayerNorm/config.json", "24", "32", BAD_CONFIG,
	 "3_LayerNorm/config.json: 'dimension' is 32, but vectors of 24 elements come in"},
	{"a LayerNorm without a size", "3_LayerNorm/config.json", NULL, "{}", BAD_CONFIG,
	 "'dimension' is missing"},
	{"a LayerNorm without a bias", "3_LayerNorm/model.safetensors", "norm.bias",
	 "norm.bios", CORRUPT, "3_LayerNorm/model.safetensors has no tensor 'norm.bias'"},
};

static const Edit recipe_edits[] = {
	{"a length of 2", "sentence_bert_config.json", NULL, "{'max_seq_length':2}",
	 BAD_CONFIG, "'max_seq_length' must be an integer between 3"},
	{"another task", "sentence_bert_config.json", NULL,
	 "{'transformer_task':'fill-mask'}", UNSUPPORTED,
	 "'transformer_task' 'fill-mask' is not supported"},
	{"another output", "sentence_bert_config.json", NULL,
	 "{'module_output_name':'sentence_embedding'}", UNSUPPORTED,
	 "'module_output_name' 'sentence_embedding'"},
	{"the pooler's output", "sentence_bert_config.json", NULL,
	 "{'modality_config':{'text':{'method':'forward','method_output_name':"
	 "'pooler_output'}}}",
	 UNSUPPORTED, "'method_output_name' 'pooler_output'"},
	{"another method", "sentence_bert_config.json", NULL,
	 "{'modality_config':{'text':{'method':'get_text_features'}}}", UNSUPPORTED,
	 "'method' 'get_text_features'"},
	{"a chat", "sentence_bert_config.json", NULL,
	 "{'modality_config':{'text':{},'message':{}}}", UNSUPPORTED, "modality 'message'"},
	{"images only", "sentence_bert_config.json", NULL, "{'modality_config':{}}",
	 UNSUPPORTED, "a 'modality_config' without 'text'"},
	{"a length for queries", "sentence_bert_config.json", NULL, "{'query_length':32}",
	 UNSUPPORTED, "'query_length' is not supported"},
	{"an expansion of queries", "sentence_bert_config.json", NULL,
	 "{'query_expansion':{'length':32}}", UNSUPPORTED, "'query_expansion'"},
	{"arguments for the tokenizer's calls", "sentence_bert_config.json", NULL,
	 "{'processing_kwargs':{'text':{'max_length':8}}}", UNSUPPORTED,
	 "'processing_kwargs'"},
	{"an argument for the model", "sentence_bert_config.json", NULL,
	 "{'model_args':{'variant':'x'}}", UNSUPPORTED, "'variant' in 'model_args'"},
	{"a prompt that isn't there", "config_sentence_transformers.json", NULL,
	 "{'prompts':{'a':'b'},'default_prompt_name':'c'}", BAD_CONFIG,
	 "no prompt of the name 'c'"},
	{"a default prompt without prompts", "config_sentence_transformers.json", NULL,
	 "{'default_prompt_name':'c'}", BAD_CONFIG, "no prompt of the name 'c'"},
	{"a prompt given twice", "config_sentence_transformers.json", NULL,
	 "{'prompts':{'a':'b','a':'c'}}", BAD_CONFIG, "prompt 'a' is given twice"},
	{"a prompt that is no text", "config_sentence_transformers.json", NULL,
	 "{'prompts':{'a':1}}", BAD_CONFIG, "'a' must be a string"},
	{"a vector of no elements", "config_sentence_transformers.json", NULL,
	 "{'truncate_dim':0}", BAD_CONFIG, "'truncate_dim' must be an integer between 1"},
	{"a model for sparse vectors", "config_sentence_transformers.json", NULL,
	 "{'model_type':'SparseEncoder'}", UNSUPPORTED, "'model_type' 'SparseEncoder'"},
};

/* Pooling configs and what they mean. */
static const struct
{
	const char *config;
	uint32 pooling; /* the first in the lowest digit */
} pooling_configs[] = {
	{"{}", BERT_POOL_MEAN},
	{"{'pooling_mode_mean_tokens':false}", BERT_POOL_MEAN},
	{"{'pooling_mode_cls_token':true,'pooling_mode_mean_tokens':false}", BERT_POOL_CLS},
	{"{'pooling_mode_max_tokens':true,'pooling_mode_cls_token':true}",
	 BERT_POOL_CLS | BERT_POOL_MAX << 4},
	{"{'pooling_mode_mean_sqrt_len_tokens':true}", BERT_POOL_MEAN_SQRT},
	{"{'pooling_mode_weightedmean_tokens':true}", BERT_POOL_WEIGHTED_MEAN},
	{"{'pooling_mode_lasttoken':true}", BERT_POOL_LAST},
	{"{'embedding_dimension':32,'pooling_mode':'cls'}", BERT_POOL_CLS},
	{"{'pooling_mode':'lasttoken','pooling_mode_cls_token':true}", BERT_POOL_LAST},
	{"{'pooling_mode':['cls']}", BERT_POOL_CLS},
	{"{'pooling_mode':['weightedmean','cls','mean']}",
	 BERT_POOL_WEIGHTED_MEAN | BERT_POOL_CLS << 4 | BERT_POOL_MEAN << 8},
	{"{'pooling_mode':['mean','mean']}", BERT_POOL_MEAN | BERT_POOL_MEAN << 4},
	{"{'pooling_mode_lasttoken':true,'pooling_mode_weightedmean_tokens':true,"
	 "'pooling_mode_mean_sqrt_len_tokens':true,'pooling_mode_mean_tokens':true,"
	 "'pooling_mode_max_tokens':true,'pooling_mode_cls_token':true}",
	 0x654321},
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
	{"the tokenizer's argument goes before max_seq_length",
	 "{'max_seq_length':20,'tokenizer_args':{'model_max_length':10}}", NULL, 10},
	{"what sentence-transformers writes of an encoder is no obstacle",
	 "{'transformer_task':'feature-extraction','modality_config':{'text':{'method':"
	 "'forward','method_output_name':'last_hidden_state'}},'module_output_name':"
	 "'token_embeddings','unpad_inputs':false,'query_length':null,'processing_kwargs':"
	 "{},'model_args':{'torch_dtype':'float16'}}",
	 "{'model_max_length':30}", 30},
};

static bool
is_module(int i, BertModuleKind kind, int32 in_size, int32 out_size)
{
	const BertModule *module = &model.recipe.modules[i];

	return i < model.recipe.n_modules && module->kind == (int32) kind &&
		   module->in_size == in_size && module->out_size == out_size;
}

static void
test_modules(void)
{
	make_model("--pooling cls");
	ok(returns(load, "tiny") && model.recipe.n_modules == 1 &&
		   is_module(0, BERT_MODULE_NORMALIZE, 32, 32) &&
		   model.recipe.pooling == BERT_POOL_CLS && model.recipe.include_prompt,
	   "modules.json gives the recipe");
	ok(loads_with("modules.json", NULL, NULL) && model.recipe.n_modules == 0 &&
		   model.recipe.pooling == BERT_POOL_MEAN,
	   "without modules.json it is the mean");
	ok(loads_with("modules.json", NULL,
				  "[{'name':'a','path':'','type':'sentence_transformers.base.modules."
				  "Transformer'},{'name':'b','path':'1_Pooling','type':'sentence_"
				  "transformers.sentence_transformer.modules.Pooling'}]") &&
		   model.recipe.n_modules == 0 && model.recipe.pooling == BERT_POOL_CLS,
	   "the modules' new names are known");
	ok(loads_with("modules.json", "'2_Normalize'", "''") && model.recipe.n_modules == 1,
	   "a Normalize needs no folder");
	ok(loads_with(
		   "2_Normalize/config.json", NULL,
		   "{'module_input_name':'sentence_embedding','module_output_name':null}"),
	   "a Normalize may say what it reads");
	ok(loads_with("1_Pooling/config.json", "{", "{'include_prompt':false,") &&
		   !model.recipe.include_prompt,
	   "include_prompt is read");
	test_refused(modules_edits, lengthof(modules_edits));
	make_model("--after "
			   "Dropout,Normalize,Normalize,Normalize,Normalize,Normalize,Normalize,"
			   "Normalize");
	ok(returns(load, "tiny") && model.recipe.n_modules == 7,
	   "there may be ten modules");
	make_model("--after "
			   "Dropout,Normalize,Normalize,Normalize,Normalize,Normalize,Normalize,"
			   "Normalize,Normalize");
	ok(raises(load, "tiny", UNSUPPORTED, "a model of more than 10 modules"),
	   "is refused: more modules than there is room for");
	make_model("");
	test_refused(pooling_edits, lengthof(pooling_edits));
	for (int i = 0; i < (int) lengthof(pooling_configs); i++)
		ok(loads_with("1_Pooling/config.json", NULL, pooling_configs[i].config) &&
			   model.recipe.pooling == pooling_configs[i].pooling,
		   "is read: %s", pooling_configs[i].config);
}

/* A pipeline of all that there is. */
static void
test_pipeline(void)
{
	make_model(
		"--pooling cls,mean --after Dense:24:ReLU,LayerNorm,Dropout,Normalize,"
		"Dense:24:Tanh:nobias:residual,Dense:16:Identity:residual --dtype mixed");
	ok(returns(load, "tiny") && model.recipe.n_modules == 5 &&
		   is_module(0, BERT_MODULE_DENSE, 64, 24) &&
		   is_module(1, BERT_MODULE_LAYER_NORM, 24, 24) &&
		   is_module(2, BERT_MODULE_NORMALIZE, 24, 24) &&
		   is_module(3, BERT_MODULE_DENSE, 24, 24) &&
		   is_module(4, BERT_MODULE_DENSE, 24, 16),
	   "modules follow each other, and a Dropout is none");
	ok(model.recipe.modules[0].activation == BERT_ACT_RELU &&
		   model.recipe.modules[3].activation == BERT_ACT_TANH &&
		   model.recipe.modules[4].activation == BERT_ACT_LINEAR,
	   "a Dense has its activation");
	ok(!model.recipe.modules[0].has_residual && model.recipe.modules[3].has_residual &&
		   model.recipe.modules[4].has_residual,
	   "a Dense may have a residual");
	ok(model.recipe.modules[0].has_bias && !model.recipe.modules[3].has_bias,
	   "a Dense may have no bias");
	ok(bert_recipe_pooled_size(&model.recipe, 32) == 64 &&
		   bert_recipe_size(&model.recipe, 32) == 16,
	   "the last module decides the size");
}

/* The tensor of a module, while its file is open; what it must be. */
static void
find_module_tensors(void *name)
{
	BertSafetensors *shard;

	load_name(name);
	if (bert_model_files_module_tensor(&model, 0, "linear.weight", 24, 32, false,
									   &shard) == NULL ||
		bert_model_files_module_tensor(&model, 1, "norm.weight", 24, 1, false,
									   &shard) == NULL ||
		bert_model_files_module_tensor(&model, 0, "residual.weight", 24, 32, true,
									   &shard) != NULL)
		ereport(ERROR, errmsg("wrong tensor"));
	bert_model_files_module_tensor(&model, 0, "residual.weight", 24, 32, false, &shard);
}

static const struct
{
	const char *class;
	BertActivation activation;
} dense_activations[] = {
	{"torch.nn.modules.activation.GELU", BERT_ACT_GELU},
	{"torch.nn.modules.activation.Hardswish", BERT_ACT_HARDSWISH},
	{"torch.nn.modules.activation.LeakyReLU", BERT_ACT_LEAKY_RELU},
	{"torch.nn.modules.activation.Mish", BERT_ACT_MISH},
	{"torch.nn.modules.activation.ReLU6", BERT_ACT_RELU6},
	{"torch.nn.modules.activation.SiLU", BERT_ACT_SILU},
	{"torch.nn.modules.activation.Sigmoid", BERT_ACT_SIGMOID},
	{"torch.nn.modules.activation.Tanh", BERT_ACT_TANH},
	{"torch.nn.modules.linear.Identity", BERT_ACT_LINEAR},
	{"torch.nn.Tanh", BERT_ACT_TANH},
};

static void
test_dense(void)
{
	make_model("--after Dense:24:ReLU,LayerNorm");
	for (int i = 0; i < (int) lengthof(dense_activations); i++)
		ok(loads_with("2_Dense/config.json", "torch.nn.modules.activation.ReLU",
					  dense_activations[i].class) &&
			   model.recipe.modules[0].activation ==
				   (int32) dense_activations[i].activation,
		   "a Dense may have %s", dense_activations[i].class);
	ok(loads_with("2_Dense/config.json", "activation_function", "x") &&
		   model.recipe.modules[0].activation == BERT_ACT_TANH,
	   "a Dense that names no activation has a Tanh");
	ok(raises(find_module_tensors, "tiny", CORRUPT,
			  "2_Dense/model.safetensors has no tensor \"residual.weight\""),
	   "a module's tensor is found by its name");
	bert_model_files_close(&model);
	test_refused(dense_edits, lengthof(dense_edits));
	shell("cd %s/tiny/2_Dense; mv model.safetensors pytorch_model.bin", root);
	ok(raises(load, "tiny", UNSUPPORTED,
			  "model \"tiny\": 2_Dense/pytorch_model.bin is not supported"),
	   "is refused: a module's weights in a pickle");
	make_model("--after Dense:24:ReLU");
	shell("chmod o+w %s/tiny/2_Dense/model.safetensors", root);
	ok(raises(load, "tiny", DENIED,
			  "2_Dense/model.safetensors can be written by others"),
	   "is refused: a module's weights that all can write");
	make_model("--after Dense:24:ReLU");
	shell("cd %s; mv tiny/2_Dense /tmp/bert_dense_$$; "
		  "ln -s /tmp/bert_dense_$$ tiny/2_Dense",
		  root);
	ok(raises(load, "tiny", DENIED, "2_Dense/config.json is a symbolic link"),
	   "is refused: a module's folder elsewhere");
	shell("cd %s; rm -r $(readlink tiny/2_Dense)", root);
}

static void
test_encoder_folder(void)
{
	make_model("--encoder_folder --max_seq_length 20");
	ok(returns(load, "tiny") && model.recipe.max_tokens == 20,
	   "the encoder's files may be in 0_Transformer");
	ok(raises(load, "x", ERRCODE_UNDEFINED_OBJECT,
			  "Models in the model directory: tiny"),
	   "such a model is listed");
	shell("echo {} > %s", path_of("config.json"));
	ok(returns(load, "tiny"), "then those in the model's directory don't count");
	make_model("--encoder_folder --shards 2");
	ok(returns(load, "tiny") && model.n_shards == 2, "so may be its shards");
	shell("cd %s; rm model*; touch pytorch_model.bin", path_of("0_Transformer"));
	ok(raises(load, "tiny", UNSUPPORTED, "0_Transformer/pytorch_model.bin"),
	   "is refused: pickled weights there");
}

static bool
prompt_is(const char *name, const char *text)
{
	const char *prompt = bert_recipe_prompt(&model.recipe, name);

	return prompt != NULL && strcmp(prompt, text) == 0;
}

static bool
default_prompt_is(const char *text)
{
	const BertRecipe *recipe = &model.recipe;

	return recipe->default_prompt >= 0 &&
		   strcmp(recipe->prompts + recipe->default_prompt, text) == 0;
}

/* {"prompts": {"a": "xxx..."}} so long that all prompts have that many bytes. */
static char *
prompts_of(int nbytes)
{
	int rest = nbytes - strlen("a") - strlen("query") - strlen("document") - 6;
	char *xs = palloc(rest + 1);

	memset(xs, 'x', rest);
	xs[rest] = '\0';
	return psprintf("{'prompts':{'a':'%s'}}", xs);
}

static void
test_prompts(void)
{
	static const char file[] = "config_sentence_transformers.json";

	make_model("");
	ok(returns(load, "tiny") && model.recipe.default_prompt == -1 &&
		   prompt_is("query", "") && prompt_is("document", "") &&
		   bert_recipe_prompt(&model.recipe, "passage") == NULL,
	   "every model has empty prompts for queries and documents");
	ok(loads_with(file, NULL,
				  "{'default_prompt_name':'q','prompts':{'p':'','q':'query: '},"
				  "'truncate_dim':null,'similarity_fn_name':'cosine'}") &&
		   default_prompt_is("query: ") && prompt_is("p", "") &&
		   prompt_is("q", "query: ") && prompt_is("query", "") &&
		   model.recipe.truncate_dim == 0,
	   "the prompts are read, and which is the default");
	ok(loads_with(file, NULL,
				  "{'prompts':{'document':'d: ','query':'q: ','x':null},"
				  "'default_prompt_name':null,'model_type':'SentenceTransformer'}") &&
		   prompt_is("document", "d: ") && prompt_is("query", "q: ") &&
		   prompt_is("x", "") && model.recipe.default_prompt == -1,
	   "a prompt that is null is empty");
	ok(loads_with(file, NULL, "{'default_prompt_name':'query','prompts':{}}") &&
		   default_prompt_is(""),
	   "the default prompt may be one that every model has");
	ok(loads_with(file, NULL, "{'truncate_dim':8}") && model.recipe.truncate_dim == 8 &&
		   bert_recipe_size(&model.recipe, 32) == 8,
	   "truncate_dim is read");
	ok(loads_with(file, NULL, prompts_of(BERT_PROMPTS_NBYTES)),
	   "prompts may have %d bytes", BERT_PROMPTS_NBYTES);
	ok(raises_with(file, prompts_of(BERT_PROMPTS_NBYTES + 1), UNSUPPORTED,
				   "a set of prompts of more than"),
	   "but not more");
	make_model("--nomodules");
	ok(loads_with(
		   file, NULL,
		   "{'prompts':{'query':'q'},'default_prompt_name':'x','truncate_dim':8}") &&
		   prompt_is("query", "") && model.recipe.truncate_dim == 0,
	   "a model without modules.json has none of it");
}

static void
test_recipe(void)
{
	test_modules();
	test_pipeline();
	test_dense();
	test_encoder_folder();
	test_prompts();
	make_model("");
	test_refused(recipe_edits, lengthof(recipe_edits));
	for (int i = 0; i < (int) lengthof(lengths); i++)
	{
		char *sentence_bert =
			with_quotes(lengths[i].sentence_bert ? lengths[i].sentence_bert : "{}");
		write_file("sentence_bert_config.json", sentence_bert, strlen(sentence_bert));
		ok(loads_with("tokenizer_config.json", NULL, lengths[i].tokenizer_config) &&
			   model.recipe.max_tokens == lengths[i].max_tokens,
		   "%s", lengths[i].claim);
	}
	make_model("");
	ok(loads_with("sentence_xlnet_config.json", NULL, "{'max_seq_length':20}") &&
		   model.recipe.max_tokens == 20,
	   "sentence_bert_config.json has other names, too");
	make_model("--nomodules --max_seq_length 20");
	ok(loads_with("sentence_bert_config.json", NULL, "{'max_seq_length':20}") &&
		   model.recipe.max_tokens == 64,
	   "max_seq_length counts only with modules.json");
	make_model("--nolower");
	ok(loads_with("tokenizer_config.json", NULL, NULL) && !model.tokenizer.lowercase,
	   "upper case is kept where only tokenizer.json speaks of it, with a WARNING");
	ok(loads_with("sentence_bert_config.json", NULL, "{'do_lower_case':true}") &&
		   model.tokenizer.lowercase && !model.tokenizer.strip_accents,
	   "do_lower_case of sentence_bert_config.json lower-cases");
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
	make_model("--dtype mixed");
	ok(returns(load, "tiny"), "each tensor may have its own type");
	make_model("--extras --prefix bert.");
	ok(returns(load, "tiny"), "the head of a task is ignored");
	make_model("--shards 3 --prefix bert.");
	ok(returns(load, "tiny") && model.n_shards == 3, "weights may be in three files");
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
	ok(!same_signature("mkdir 3_Dense && touch 3_Dense/model.safetensors"),
	   "a folder's new weights change it");
	ok(same_signature("touch 3_Dense/README.md"),
	   "a file in a folder that isn't looked at does not change it");
	ok(!same_signature("touch 3_Dense/model.safetensors"),
	   "a folder's touched weights change it");
	ok(!same_signature("mkdir 0_Transformer && touch 0_Transformer/tokenizer.json"),
	   "a tokenizer in the encoder's folder changes it");
	ok(!same_signature("mkdir 4_LayerNorm; mv 3_Dense/model.safetensors 4_LayerNorm"),
	   "weights moved to another folder change it");
	ok(!same_signature("mv 4_LayerNorm ../x; ln -s ../x 4_LayerNorm; "
					   "echo {} > ../x/config.json"),
	   "a folder may be a link");
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
	test_positions();
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
