/*
 * model_files.h
 *	  A model directory as Hugging Face ships it, read and checked.
 *
 * In: a directory under bert.model_directory. Out: config, recipe, tokenizer spec and
 * open weights, all allocated in the current memory context; file descriptors are
 * closed by bert_model_files_close(), also safe half-way through.
 *
 * Files are untrusted: regular files only, opened beneath the models' root without
 * following a link out of it; sizes bounded; errors name the file relative to the
 * model.
 */
#ifndef BERT_MODEL_FILES_H
#define BERT_MODEL_FILES_H

#include "json.h"
#include "model.h"
#include "safetensors.h"
#include "tokenizer.h"

/*
 * The files that are looked at. All of them decide what a model computes. The first two
 * are the model's. Those up to BERT_FILE_MODULE are the encoder's, which modules.json
 * may put into a folder. Each module of modules.json has two more, in its own folder.
 */
typedef enum BertModelFileId
{
	BERT_FILE_MODULES,
	BERT_FILE_SENTENCE_TRANSFORMERS,
	BERT_FILE_CONFIG,
	BERT_FILE_SENTENCE_BERT, /* and six other names that sentence-transformers knows */
	BERT_FILE_SENTENCE_LAST = BERT_FILE_SENTENCE_BERT + 6,
	BERT_FILE_ADAPTER,
	BERT_FILE_TOKENIZER,
	BERT_FILE_TOKENIZER_CONFIG,
	BERT_FILE_SPECIAL_TOKENS,
	BERT_FILE_VOCAB,
	BERT_FILE_ADDED_TOKENS,
	BERT_FILE_WEIGHTS,
	BERT_FILE_INDEX,
	BERT_FILE_SHARD /* the first of those that the index may name */
} BertModelFileId;

#define BERT_MAX_SHARDS  64
#define BERT_MAX_ENTRIES (BERT_MAX_MODULES + 2) /* of modules.json */

/* config.json and model.safetensors of entry i of modules.json */
#define BERT_FILE_MODULE            (BERT_FILE_SHARD + BERT_MAX_SHARDS)
#define BERT_FILE_MODULE_CONFIG(i)  (BERT_FILE_MODULE + 2 * (i))
#define BERT_FILE_MODULE_WEIGHTS(i) (BERT_FILE_MODULE + 2 * (i) + 1)
#define BERT_MAX_FILES              (BERT_FILE_MODULE + 2 * BERT_MAX_ENTRIES)

/* Where modules.json may have the encoder, if not in the model's own directory. */
#define BERT_ENCODER_FOLDER "0_Transformer"

/* {"path": "2_Dense", "type": "sentence_transformers.models.Dense"} */
typedef struct BertModuleEntry
{
	const char *type;   /* the last name: "Dense" */
	const char *folder; /* "2_Dense"; "": the model's own */
	const char *name;   /* a number, mostly */
} BertModuleEntry;

typedef struct BertModelFile
{
	const char *name; /* relative to the model: "1_Pooling/config.json" */
	int fd;           /* -1: not there, or not looked for */
	int64 nbytes;
} BertModelFile;

/* Plain data, but for the descriptors. */
typedef struct BertModelFiles
{
	char name[BERT_MODEL_NAME_LEN];
	BertConfig config;
	BertRecipe recipe;
	BertTokenizerSpec tokenizer;
	BertSafetensors *shards[BERT_MAX_SHARDS];
	int32 n_shards;
	const char *prefix; /* "" or "bert." before the tensors' names */
	BertSafetensors *module_weights[BERT_MAX_MODULES]; /* NULL: has none */
	BertModuleEntry entries[BERT_MAX_ENTRIES];         /* of modules.json */
	int32 n_entries;                                   /* 0: there is no modules.json */
	BertModelFile files[BERT_MAX_FILES];
	int32 n_files; /* BERT_MAX_FILES; 0 before open() */
} BertModelFiles;

/* ERROR 22023 for a name that is not [A-Za-z0-9][A-Za-z0-9._-]{0,62}. */
extern void bert_check_model_name(const char *name);

/*
 * What would change if a file of the model did: one line per file that may matter, with
 * device, inode, size, mtime and ctime in nanoseconds. These are the files above in the
 * model's directory, and in every folder of it that modules.json could name: all of them
 * in 0_Transformer, and config.json and model.safetensors in the others. modules.json is
 * not read for that. Cheap (a list of the directory, some stats): called once per
 * statement. NUL-terminated, palloc'd. NULL: no such model.
 */
extern char *bert_model_files_signature(int root_fd, const char *name);

/*
 * Open every file (root_fd is the model directory's root, opened by the caller; it
 * stays the caller's). ERROR 42704 where there is no such model. The result is
 * zeroed first and is filled as it goes, so that close() works after an ERROR.
 */
extern void bert_model_files_open(BertModelFiles *model, int root_fd, const char *name);

/* Parse and check what open() opened: config, recipe, tokenizer, tensors' shapes. */
extern void bert_model_files_parse(BertModelFiles *model);

extern void bert_model_files_close(BertModelFiles *model);

/*
 * The tensor of that name (without prefix; "LayerNorm.weight" also finds the old
 * "LayerNorm.gamma"), checked to have this shape (ndims 1: cols = 1; a scalar: rows = 1
 * too) and a type that can be read. NULL where missing and optional, else ERROR XX001
 * with the expected and the found shape.
 */
extern const BertTensor *bert_model_files_tensor(const BertModelFiles *model,
												 const char *name, int64 rows,
												 int64 cols, bool optional,
												 BertSafetensors **shard);

/*
 * The same of module number "module" of the recipe. The names are those of torch:
 * Dense has linear.weight, linear.bias (optional: bias may be off) and, where its sizes
 * differ and it has a residual, residual.weight; LayerNorm has norm.weight and
 * norm.bias.
 */
extern const BertTensor *bert_model_files_module_tensor(const BertModelFiles *model,
														int module, const char *name,
														int64 rows, int64 cols,
														bool optional,
														BertSafetensors **shard);

/* Directories with a config.json or modules.json, sorted; palloc'd array, *n set. */
extern char **bert_model_files_list(int root_fd, int *n);

/* Whether a folder of a model may have that name, by the rules for a model's. */
extern bool bert_is_folder_name(const char *name);

/* Of open(): what modules.json lists, so that the files of its folders are opened. */
extern void bert_model_read_modules(BertModelFiles *model);

/*
 * The steps of bert_model_files_parse(), one file each, in this order: the later ones
 * use what the earlier ones have found.
 */
extern void bert_model_read_config(BertModelFiles *model);
extern void bert_model_read_tokenizer(BertModelFiles *model);
extern void bert_model_read_recipe(BertModelFiles *model);
extern void bert_model_read_weights(BertModelFiles *model);

/* Of the recipe: pooling and modules, by the entries of modules.json. */
extern void bert_model_read_module_configs(BertModelFiles *model);

/* What they are built from. A label is: could not use model "x": config.json */
extern char *bert_model_file_label(const BertModelFiles *model, BertModelFileId file);
extern bool bert_model_file_exists(const BertModelFiles *model, BertModelFileId file);
extern char *bert_model_file_text(const BertModelFiles *model, BertModelFileId file,
								  size_t *nbytes);

/* Begin to read a JSON file; false where there is none. */
extern bool bert_model_file_json(const BertModelFiles *model, BertModelFileId file,
								 BertJson *json);

#endif /* BERT_MODEL_FILES_H */
