/*
 * model_files.c
 *	  A model's directory: its name, its files, opened and closed.
 *
 * A model is a directory below the models' root. This file knows which files it may
 * have. It opens them all at once, so that what is parsed later is of one moment, as
 * far as a file system can give that; and it prints what would tell that one of them
 * has changed. What the files say is read by model_config.c, model_tokenizer.c,
 * model_recipe.c and model_weights.c.
 *
 * The directory belongs to the administrator, but its files come from anywhere, and
 * whoever can write them decides what the server reads. So a file has to be a regular
 * file, of root or of the server's user, and writable by nobody else.
 */
#include "port.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beneath.h"
#include "lib/stringinfo.h"
#include "model_files.h"

/* Nothing but weights is larger: the tokenizer.json of 500,000 pieces has 20 MB. */
#define MAX_TEXT_FILE (64 * 1024 * 1024)
#define MAX_LISTED    20

static const char *const file_names[BERT_FILE_SHARD] = {
	[BERT_FILE_CONFIG] = "config.json",
	[BERT_FILE_MODULES] = "modules.json",
	[BERT_FILE_POOLING] = "1_Pooling/config.json",
	[BERT_FILE_SENTENCE_BERT] = "sentence_bert_config.json",
	[BERT_FILE_SENTENCE_TRANSFORMERS] = "config_sentence_transformers.json",
	[BERT_FILE_TOKENIZER] = "tokenizer.json",
	[BERT_FILE_TOKENIZER_CONFIG] = "tokenizer_config.json",
	[BERT_FILE_SPECIAL_TOKENS] = "special_tokens_map.json",
	[BERT_FILE_VOCAB] = "vocab.txt",
	[BERT_FILE_ADDED_TOKENS] = "added_tokens.json",
	[BERT_FILE_WEIGHTS] = "model.safetensors",
	[BERT_FILE_INDEX] = "model.safetensors.index.json",
};

/* ---- names ---- */

#define LETTERS_AND_DIGITS                                                             \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool
only_name_characters(const char *name)
{
	return name[strspn(name, LETTERS_AND_DIGITS "._-")] == '\0';
}

static bool
valid_model_name(const char *name)
{
	return strspn(name, LETTERS_AND_DIGITS) > 0 && strlen(name) < BERT_MODEL_NAME_LEN &&
		   only_name_characters(name);
}

/* For a message: not a megabyte of it, and no part of a character at its end. */
static char *
clipped(const char *name)
{
	size_t n = strlen(name);

	if (n > 100)
		for (n = 100; n > 0 && (name[n - 1] & 0x80) != 0;)
			n--;
	return pnstrdup(name, n);
}

void
bert_check_model_name(const char *name)
{
	if (!valid_model_name(name))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid model name \"%s\"", clipped(name)),
				errdetail("A model's name has 1 to %d letters, digits, dots, "
						  "underscores and hyphens, the first a letter or a digit.",
						  BERT_MODEL_NAME_LEN - 1));
}

/* ---- lists ---- */

static int
compare_strings(const void *left, const void *right)
{
	return strcmp(*(char *const *) left, *(char *const *) right);
}

/*
 * The names in a directory below root_fd that wanted() likes, sorted. A directory that
 * can't be opened has none.
 */
static char **
list_directory(int root_fd, const char *path,
			   bool (*wanted)(int dir_fd, const char *name), int *n)
{
	int fd = bert_open_beneath(root_fd, path, O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int room = 16;
	char **names = palloc(room * sizeof(char *));

	*n = 0;
	if (dir == NULL)
	{
		if (fd >= 0)
			close(fd);
		return names;
	}
	/* no check for interrupts here: it could leave the directory open */
	while ((entry = readdir(dir)) != NULL)
	{
		if (!wanted(fd, entry->d_name))
			continue;
		if (*n == room)
			names = repalloc(names, (room *= 2) * sizeof(char *));
		names[(*n)++] = pstrdup(entry->d_name);
	}
	closedir(dir);
	qsort(names, *n, sizeof(char *), compare_strings);
	return names;
}

static bool
is_model(int dir_fd, const char *name)
{
	struct stat status;

	return valid_model_name(name) &&
		   fstatat(dir_fd, psprintf("%s/%s", name, file_names[BERT_FILE_CONFIG]),
				   &status, 0) == 0;
}

char **
bert_model_files_list(int root_fd, int *n)
{
	return list_directory(root_fd, ".", is_model, n);
}

static bool
is_shard(int dir_fd, const char *name)
{
	static const char suffix[] = ".safetensors";
	size_t nbytes = strlen(name);

	(void) dir_fd;
	return nbytes >= sizeof(suffix) && only_name_characters(name) &&
		   strcmp(name + nbytes - (sizeof(suffix) - 1), suffix) == 0;
}

/* The files that the index may name. */
static char **
list_shards(int root_fd, const char *model_name, int *n)
{
	return list_directory(root_fd, model_name, is_shard, n);
}

/* Raise the ERROR for a name that is no model's. */
static _Noreturn void
unknown_model(int root_fd, const char *name)
{
	StringInfoData hint;
	int n;
	char **names = bert_model_files_list(root_fd, &n);

	initStringInfo(&hint);
	for (int i = 0; i < n && i < MAX_LISTED; i++)
		appendStringInfo(&hint, "%s%s", i > 0 ? ", " : "", names[i]);
	if (n > MAX_LISTED)
		appendStringInfoString(&hint, ", ...");
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("model \"%s\" does not exist", name),
			n > 0 ? errhint("Models in the model directory: %s.", hint.data)
				  : errhint("The model directory holds no model."));
	pg_unreachable();
}

/* ---- signature ---- */

static void
append_status(StringInfo signature, int root_fd, const char *model_name,
			  const char *file_name, struct stat *status)
{
	char *path = psprintf("%s/%s", model_name, file_name);

	appendStringInfoString(signature, file_name);
	if (fstatat(root_fd, path, status, 0) != 0)
	{
		memset(status, 0, sizeof(*status));
		appendStringInfoString(signature, " -\n");
	}
	else
		appendStringInfo(signature, " %llu %llu %lld %lld.%09ld %lld.%09ld\n",
						 (unsigned long long) status->st_dev,
						 (unsigned long long) status->st_ino,
						 (long long) status->st_size,
						 (long long) status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
						 (long long) status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
	pfree(path);
}

char *
bert_model_files_signature(int root_fd, const char *name)
{
	StringInfoData signature;
	struct stat status;

	bert_check_model_name(name);
	if (fstatat(root_fd, name, &status, 0) != 0 || !S_ISDIR(status.st_mode))
		return NULL;
	initStringInfo(&signature);
	for (int i = 0; i < BERT_FILE_SHARD; i++)
		append_status(&signature, root_fd, name, file_names[i], &status);

	/* the index came last; what it may name matters only if it is there */
	if (S_ISREG(status.st_mode))
	{
		int n;
		char **shards = list_shards(root_fd, name, &n);

		for (int i = 0; i < n; i++)
			append_status(&signature, root_fd, name, shards[i], &status);
	}
	return signature.data;
}

/* ---- open and close ---- */

/* What every message about a file begins with. */
static char *
label_of(const BertModelFiles *model, const char *file_name)
{
	return psprintf("could not use model \"%s\": %s", model->name, file_name);
}

/* Nobody but root and the server's user may write it. */
static void
check_owner(const char *label, const struct stat *status)
{
	if (status->st_uid != 0 && status->st_uid != geteuid())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("%s is owned by neither root nor the server's user", label),
				errhint("Use \"chown\" to give it to one of them."));
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("%s can be written by others than its owner", label),
				errhint("Use \"chmod go-w\" on it."));
}

static _Noreturn void
not_regular(const char *label)
{
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("%s is not a regular file", label));
	pg_unreachable();
}

/* Raise the ERROR of a failed open(2). */
static _Noreturn void
open_failed(const char *label)
{
	if (errno == ENXIO)
		not_regular(label); /* a socket */
	if (errno == EXDEV || errno == ELOOP)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("%s is a symbolic link that is not followed", label),
				errdetail("It leads out of the model directory, or in a circle."),
				errhint("Put a copy of the file in its place."));
	ereport(ERROR, errcode_for_file_access(), errmsg("%s: could not open: %m", label));
	pg_unreachable();
}

static void
check_directory(const BertModelFiles *model, int root_fd)
{
	char *label = label_of(model, "its directory");
	int fd = bert_open_beneath(root_fd, model->name, O_DIRECTORY);
	struct stat status;
	int result;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		unknown_model(root_fd, model->name);
	if (fd < 0)
		open_failed(label);
	result = fstat(fd, &status);
	close(fd);
	if (result == 0)
		check_owner(label, &status);
}

/* Open one file, if it is there. It is on the list before it is open. */
static void
open_file(BertModelFiles *model, int root_fd, const char *name)
{
	BertModelFile *file = &model->files[model->n_files++];
	char *label = label_of(model, name);
	char *path = psprintf("%s/%s", model->name, name);
	struct stat status;

	file->name = name;
	file->fd = bert_open_beneath(root_fd, path, 0);
	if (file->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return;
	if (file->fd < 0 || fstat(file->fd, &status) != 0)
		open_failed(label);
	if (!S_ISREG(status.st_mode))
		not_regular(label);
	check_owner(label, &status);
	file->nbytes = status.st_size;
}

static void
open_shards(BertModelFiles *model, int root_fd)
{
	int n;
	char **names = list_shards(root_fd, model->name, &n);

	if (n > BERT_MAX_SHARDS)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("could not use model \"%s\": more than %d files of weights",
					   model->name, BERT_MAX_SHARDS));
	for (int i = 0; i < n; i++)
		open_file(model, root_fd, names[i]);
}

static void
missing(const BertModelFiles *model, const char *what)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_FILE),
			errmsg("could not use model \"%s\": it has no %s", model->name, what));
}

/* Say what a directory lacks to be a model. */
static void
check_complete(const BertModelFiles *model, int root_fd)
{
	char *pickled = psprintf("%s/pytorch_model.bin", model->name);
	struct stat status;

	if (!bert_model_file_exists(model, BERT_FILE_CONFIG))
		missing(model, "config.json");
	if (!bert_model_file_exists(model, BERT_FILE_TOKENIZER) &&
		!bert_model_file_exists(model, BERT_FILE_VOCAB))
		missing(model, "tokenizer.json or vocab.txt");
	if (bert_model_file_exists(model, BERT_FILE_WEIGHTS) ||
		bert_model_file_exists(model, BERT_FILE_INDEX))
		return;
	if (fstatat(root_fd, pickled, &status, 0) == 0)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("could not use model \"%s\": pytorch_model.bin is not supported",
					   model->name),
				errdetail("To read such a file is to run the program in it."),
				errhint("Convert it in Python: transformers.AutoModel.from_pretrained"
						"(folder).save_pretrained(folder, safe_serialization=True)."));
	missing(model, "model.safetensors");
}

void
bert_model_files_open(BertModelFiles *model, int root_fd, const char *name)
{
	memset(model, 0, sizeof(*model));
	bert_check_model_name(name);
	strcpy(model->name, name);
	check_directory(model, root_fd);
	for (int i = 0; i < BERT_FILE_SHARD; i++)
		open_file(model, root_fd, file_names[i]);
	if (!bert_model_file_exists(model, BERT_FILE_WEIGHTS) &&
		bert_model_file_exists(model, BERT_FILE_INDEX))
		open_shards(model, root_fd);
	check_complete(model, root_fd);
}

void
bert_model_files_close(BertModelFiles *model)
{
	for (int i = 0; i < model->n_files; i++)
	{
		if (model->files[i].fd >= 0)
			close(model->files[i].fd);
		model->files[i].fd = -1;
	}
}

/* ---- read ---- */

void
bert_model_files_parse(BertModelFiles *model)
{
	bert_model_read_config(model);
	bert_model_read_tokenizer(model);
	bert_model_read_recipe(model);
	bert_model_read_weights(model);
}

bool
bert_model_file_exists(const BertModelFiles *model, BertModelFileId file)
{
	return model->files[file].fd >= 0;
}

char *
bert_model_file_label(const BertModelFiles *model, BertModelFileId file)
{
	return label_of(model, model->files[file].name);
}

char *
bert_model_file_text(const BertModelFiles *model, BertModelFileId id, size_t *nbytes)
{
	const BertModelFile *file = &model->files[id];
	char *label = bert_model_file_label(model, id);
	char *text;

	if (file->nbytes > MAX_TEXT_FILE)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("%s has %lld bytes, more than %d", label,
					   (long long) file->nbytes, MAX_TEXT_FILE));
	text = palloc(file->nbytes + 1);
	bert_read_exactly(file->fd, label, text, file->nbytes, 0);
	text[file->nbytes] = '\0';
	*nbytes = file->nbytes;
	return text;
}

bool
bert_model_file_json(const BertModelFiles *model, BertModelFileId file, BertJson *json)
{
	size_t nbytes;
	char *text;

	if (!bert_model_file_exists(model, file))
		return false;
	text = bert_model_file_text(model, file, &nbytes);
	bert_json_init(json, bert_model_file_label(model, file), ERRCODE_CONFIG_FILE_ERROR,
				   text, nbytes);
	return true;
}
