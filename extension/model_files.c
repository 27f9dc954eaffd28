/*
 * model_files.c
 *	  A model's directory: its name, its files, opened and closed.
 *
 * A model is a directory below the models' root. This file knows which files it may
 * have. It opens them all at once, so that what is parsed later is of one moment, as
 * far as a file system can give that; and it prints what would tell that one of them
 * has changed. What the files say is read by model_config.c, model_tokenizer.c,
 * model_modules.c, model_recipe.c and model_weights.c; of modules.json, which names
 * folders, the list is read before they are opened.
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
	[BERT_FILE_MODULES] = "modules.json",
	[BERT_FILE_SENTENCE_TRANSFORMERS] = "config_sentence_transformers.json",
	[BERT_FILE_CONFIG] = "config.json",
	[BERT_FILE_SENTENCE_BERT] = "sentence_bert_config.json",
	[BERT_FILE_SENTENCE_BERT + 1] = "sentence_roberta_config.json",
	[BERT_FILE_SENTENCE_BERT + 2] = "sentence_distilbert_config.json",
	[BERT_FILE_SENTENCE_BERT + 3] = "sentence_camembert_config.json",
	[BERT_FILE_SENTENCE_BERT + 4] = "sentence_albert_config.json",
	[BERT_FILE_SENTENCE_BERT + 5] = "sentence_xlm-roberta_config.json",
	[BERT_FILE_SENTENCE_LAST] = "sentence_xlnet_config.json",
	[BERT_FILE_ADAPTER] = "adapter_config.json",
	[BERT_FILE_TOKENIZER] = "tokenizer.json",
	[BERT_FILE_TOKENIZER_CONFIG] = "tokenizer_config.json",
	[BERT_FILE_SPECIAL_TOKENS] = "special_tokens_map.json",
	[BERT_FILE_VOCAB] = "vocab.txt",
	[BERT_FILE_ADDED_TOKENS] = "added_tokens.json",
	[BERT_FILE_WEIGHTS] = "model.safetensors",
	[BERT_FILE_INDEX] = "model.safetensors.index.json",
};

#define FIRST_ENCODER_FILE BERT_FILE_CONFIG

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

bool
bert_is_folder_name(const char *name)
{
	return valid_model_name(name);
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
			   bool (*wanted)(int dir_fd, const struct dirent *entry), int *n)
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
		if (!wanted(fd, entry))
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
exists(int dir_fd, const char *directory, const char *file)
{
	struct stat status;

	return fstatat(dir_fd, psprintf("%s/%s", directory, file), &status, 0) == 0;
}

/* The encoder's config.json may be in a folder. */
static bool
is_model(int dir_fd, const struct dirent *entry)
{
	return valid_model_name(entry->d_name) &&
		   (exists(dir_fd, entry->d_name, file_names[BERT_FILE_CONFIG]) ||
			exists(dir_fd, entry->d_name, file_names[BERT_FILE_MODULES]));
}

char **
bert_model_files_list(int root_fd, int *n)
{
	return list_directory(root_fd, ".", is_model, n);
}

/* A file that the index may name. */
static bool
is_shard(int dir_fd, const struct dirent *entry)
{
	static const char suffix[] = ".safetensors";
	const char *name = entry->d_name;
	size_t nbytes = strlen(name);

	(void) dir_fd;
	return nbytes >= sizeof(suffix) && only_name_characters(name) &&
		   strcmp(name + nbytes - (sizeof(suffix) - 1), suffix) == 0;
}

/* A folder that modules.json may name. */
static bool
is_folder(int dir_fd, const struct dirent *entry)
{
	struct stat status;

	if (!bert_is_folder_name(entry->d_name) || entry->d_type == DT_REG)
		return false;
	return entry->d_type == DT_DIR ||
		   (fstatat(dir_fd, entry->d_name, &status, 0) == 0 && S_ISDIR(status.st_mode));
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

/* One line, if the file is there. */
static bool
append_status(StringInfo signature, int root_fd, const char *directory,
			  const char *file_name)
{
	char *path = psprintf("%s/%s", directory, file_name);
	struct stat status;
	bool found = fstatat(root_fd, path, &status, 0) == 0;

	if (found)
		appendStringInfo(signature, "%s %llu %llu %lld %lld.%09ld %lld.%09ld\n", path,
						 (unsigned long long) status.st_dev,
						 (unsigned long long) status.st_ino, (long long) status.st_size,
						 (long long) status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
						 (long long) status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
	pfree(path);
	return found;
}

/* The files with fixed names from that one on, and what an index may name. */
static void
append_files(StringInfo signature, int root_fd, const char *directory,
			 BertModelFileId first)
{
	bool has_index = false;

	for (int i = first; i < BERT_FILE_SHARD; i++)
		has_index = append_status(signature, root_fd, directory, file_names[i]);
	if (has_index) /* which comes last */
	{
		int n;
		char **shards = list_directory(root_fd, directory, is_shard, &n);

		for (int i = 0; i < n; i++)
			append_status(signature, root_fd, directory, shards[i]);
	}
}

static void
append_folders(StringInfo signature, int root_fd, const char *model_name)
{
	int n;
	char **folders = list_directory(root_fd, model_name, is_folder, &n);

	for (int i = 0; i < n; i++)
	{
		char *path = psprintf("%s/%s", model_name, folders[i]);

		if (strcmp(folders[i], BERT_ENCODER_FOLDER) == 0)
			append_files(signature, root_fd, path, FIRST_ENCODER_FILE);
		else
		{
			append_status(signature, root_fd, path, file_names[BERT_FILE_CONFIG]);
			append_status(signature, root_fd, path, file_names[BERT_FILE_WEIGHTS]);
		}
		pfree(path);
	}
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
	append_files(&signature, root_fd, name, 0);
	append_folders(&signature, root_fd, name);
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

/* Open one file of a folder ("": the model's own), if it is there. */
static void
open_file(BertModelFiles *model, int root_fd, BertModelFileId id, const char *folder,
		  const char *name)
{
	BertModelFile *file = &model->files[id];
	char *path;
	char *label;
	struct stat status;

	file->name = folder[0] != '\0' ? psprintf("%s/%s", folder, name) : name;
	path = psprintf("%s/%s", model->name, file->name);
	label = bert_model_file_label(model, id);
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

/* "model" or "model/folder" */
static char *
directory_of(const BertModelFiles *model, const char *folder)
{
	return folder[0] != '\0' ? psprintf("%s/%s", model->name, folder)
							 : pstrdup(model->name);
}

static void
open_shards(BertModelFiles *model, int root_fd, const char *folder)
{
	int n;
	char **names = list_directory(root_fd, directory_of(model, folder), is_shard, &n);

	if (n > BERT_MAX_SHARDS)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("could not use model \"%s\": more than %d files of weights",
					   model->name, BERT_MAX_SHARDS));
	for (int i = 0; i < n; i++)
		open_file(model, root_fd, BERT_FILE_SHARD + i, folder, names[i]);
}

/* Raise the ERROR for weights that are there as a pickle only, with a hint. */
static void
check_not_pickled(const BertModelFiles *model, int root_fd, const char *folder,
				  const char *hint)
{
	static const char pickle[] = "pytorch_model.bin";

	if (!exists(root_fd, directory_of(model, folder), pickle))
		return;
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("could not use model \"%s\": %s%s%s is not supported", model->name,
				   folder, folder[0] != '\0' ? "/" : "", pickle),
			errdetail("To read such a file is to run the program in it."),
			errhint("Convert it in Python: %s.", hint));
}

static void
missing(const BertModelFiles *model, const char *folder, const char *what)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_FILE),
			errmsg("could not use model \"%s\": it has no %s%s%s", model->name, folder,
				   folder[0] != '\0' ? "/" : "", what));
}

/* The encoder's files, which are all that a model needs. */
static void
open_encoder(BertModelFiles *model, int root_fd, const char *folder)
{
	for (int i = FIRST_ENCODER_FILE; i < BERT_FILE_SHARD; i++)
		open_file(model, root_fd, i, folder, file_names[i]);
	if (!bert_model_file_exists(model, BERT_FILE_CONFIG))
		missing(model, folder, "config.json");
	if (!bert_model_file_exists(model, BERT_FILE_TOKENIZER) &&
		!bert_model_file_exists(model, BERT_FILE_VOCAB))
		missing(model, folder, "tokenizer.json or vocab.txt");
	if (bert_model_file_exists(model, BERT_FILE_WEIGHTS))
		return;
	if (bert_model_file_exists(model, BERT_FILE_INDEX))
	{
		open_shards(model, root_fd, folder);
		return;
	}
	check_not_pickled(model, root_fd, folder,
					  "transformers.AutoModel.from_pretrained(folder)"
					  ".save_pretrained(folder, safe_serialization=True)");
	missing(model, folder, "model.safetensors");
}

static void
open_module(BertModelFiles *model, int root_fd, int i)
{
	const char *folder = model->entries[i].folder;

	if (folder[0] == '\0')
		return; /* it has no files */
	open_file(model, root_fd, BERT_FILE_MODULE_CONFIG(i), folder,
			  file_names[BERT_FILE_CONFIG]);
	open_file(model, root_fd, BERT_FILE_MODULE_WEIGHTS(i), folder,
			  file_names[BERT_FILE_WEIGHTS]);
	if (!bert_model_file_exists(model, BERT_FILE_MODULE_WEIGHTS(i)))
		check_not_pickled(model, root_fd, folder,
						  "sentence_transformers.SentenceTransformer(folder)"
						  ".save_pretrained(folder)");
}

/* Zeroed, and without a file. */
static void
init_files(BertModelFiles *model)
{
	memset(model, 0, sizeof(*model));
	for (int i = 0; i < BERT_MAX_FILES; i++)
		model->files[i].fd = -1;
	model->n_files = BERT_MAX_FILES;
}

void
bert_model_files_open(BertModelFiles *model, int root_fd, const char *name)
{
	init_files(model);
	bert_check_model_name(name);
	strcpy(model->name, name);
	check_directory(model, root_fd);
	for (int i = 0; i < FIRST_ENCODER_FILE; i++)
		open_file(model, root_fd, i, "", file_names[i]);
	bert_model_read_modules(model);
	open_encoder(model, root_fd, model->n_entries > 0 ? model->entries[0].folder : "");
	for (int i = 1; i < model->n_entries; i++)
		open_module(model, root_fd, i);
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
