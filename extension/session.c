/*
 * session.c
 *	  All that a backend keeps. See session.h.
 *
 * Order of things at first use: the model's pack is mapped (no device needed, so that
 * bert_tokenize() works without one); the driver is chosen from what the helper found;
 * the finished program is fetched from the cache; then, with signals guarded, the device
 * is opened and the program loaded. Whatever fails before the last step leaves nothing
 * behind; a device that failed is closed and opened again by the next call.
 *
 * At process exit the device is waited for and then left alone: drivers' destructors
 * have been seen to abort().
 */
#include "port.h"
#include "cache.h"
#include "developer.h"
#include "driver.h"
#include "guard.h"
#include "model_files.h"
#include "pack.h"
#include "programs.h"
#include "reference.h"
#include "session.h"
#include "settings.h"
#ifdef BERT_DEVELOPER
#include "faults.h"
#include "trial.h"
#endif

#include "access/xact.h"
#include "common/hashfn.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MEMO_ENTRIES 32

/* A model of this backend: its mapped pack, and an encoder once it was run. */
typedef struct LoadedModel
{
	BertModel public;    /* first: the two are cast into each other */
	char *directory;     /* bert.model_directory when it was loaded */
	char *state;         /* of its files, from bert_pack_state() */
	TimestampTz checked; /* the statement that last compared them */
	BertPack pack;
	BertEncoder *encoder;
	struct LoadedModel *next;
} LoadedModel;

/* A loaded program; one serves all models of its activation and head size. */
typedef struct LoadedProgram
{
	int32 hidden_act;
	int32 head_size;
	bool was_run;
	TimestampTz checked; /* the statement that last looked for its files */
	BertProgram *program;
	struct LoadedProgram *next;
} LoadedProgram;

/* A sequence that was encoded, and what came out. */
typedef struct MemoEntry
{
	uint64 model_id; /* 0: an unused entry */
	BertOutput output;
	bool positions;
	uint32 hash; /* of the ids */
	int32 n_tokens;
	int32 first_size;
	int32 pool_from;
	int32 *ids;
	float *result;
} MemoEntry;

static struct
{
	MemoryContext context; /* all of the below */
	LoadedModel *models;
	uint64 next_model_id;
	char default_name[BERT_MODEL_NAME_LEN]; /* the only model there is */
	char default_directory[MAXPGPATH];
	TimestampTz default_checked;
	BertDevice *device;
	const BertTier *tier;
	BertDriver *driver;
	char *device_setting;   /* bert.device when it was opened */
	char *opened_directory; /* where the driver writes, since its first opening */
	LoadedProgram *programs;
	bool exit_registered;
	MemoEntry memo[MEMO_ENTRIES];
	int memo_next;
} session;

static MemoryContext
session_context(void)
{
	if (session.context == NULL)
		session.context = AllocSetContextCreate(TopMemoryContext, "bert session",
												ALLOCSET_DEFAULT_SIZES);
	return session.context;
}

/* ---- names ---- */

/* "minilm@fp32" -> "minilm"; precisions that are not there yet are refused. */
static void
split_name(const char *name, char *model)
{
	const char *at = strchr(name, '@');
	size_t n = at != NULL ? at - name : strlen(name);
	char *base = pnstrdup(name, n);

	bert_check_model_name(base);
	strlcpy(model, base, BERT_MODEL_NAME_LEN);
	pfree(base);
	if (at != NULL && strcmp(at + 1, "fp32") != 0)
		ereport(ERROR,
				strcmp(at + 1, "bf16") == 0 || strcmp(at + 1, "int8") == 0
					? errcode(ERRCODE_FEATURE_NOT_SUPPORTED)
					: errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("precision \"%.32s\" of a model is not supported", at + 1),
				errhint("Only \"fp32\" is; it need not be said."));
}

static void
the_only_model(char *model)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	char **names;
	int n;

	if (session.default_checked != statement ||
		strcmp(session.default_directory, bert_model_directory_path()) != 0)
	{
		names = bert_pack_models(&n);
		if (n == 0)
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("there is no model in the model directory"),
					errhint("Put one, a directory as Hugging Face ships it, below the "
							"directory that \"bert.model_directory\" names."));
		if (n > 1)
			ereport(
				ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("there are %d models and none was named", n),
				errhint("Name one in the call, as in bert_embed('%s', ...), or in the "
						"setting \"bert.model\"; bert_models() lists them.",
						names[0]));
		strlcpy(session.default_name, names[0], BERT_MODEL_NAME_LEN);
		strlcpy(session.default_directory, bert_model_directory_path(), MAXPGPATH);
		session.default_checked = statement;
	}
	strlcpy(model, session.default_name, BERT_MODEL_NAME_LEN);
}

char **
bert_session_model_names(int *n)
{
	return bert_pack_models(n);
}

/* ---- models ---- */

static void
unload(LoadedModel *model)
{
	LoadedModel **link = &session.models;

	while (*link != model)
		link = &(*link)->next;
	*link = model->next;
	bert_encoder_free(model->encoder);
	bert_pack_close(&model->pack);
	pfree(model->public.tokenizer);
	pfree(model->state);
	pfree(model->directory);
	pfree(model);
}

static LoadedModel *
find_loaded(const char *name)
{
	const char *directory = bert_model_directory_path();

	for (LoadedModel *model = session.models; model != NULL; model = model->next)
		if (strcmp(model->public.name, name) == 0 &&
			strcmp(model->directory, directory) == 0)
			return model;
	return NULL;
}

/* The kernels look up rows by id without asking: every id must have one. */
static void
check_vocabulary(const char *name, const BertTokenizer *tokenizer,
				 const BertConfig *config)
{
	if (bert_tokenizer_n_ids(tokenizer) > config->vocab_size)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("the tokenizer of model \"%s\" has ids up to %d, but the model "
					   "has only %d embeddings",
					   name, bert_tokenizer_n_ids(tokenizer) - 1, config->vocab_size));
}

static LoadedModel *
load(const char *name, const char *state)
{
	MemoryContext caller = CurrentMemoryContext;
	LoadedModel *volatile model = NULL;
	BertPack pack;

	bert_pack_open(&pack, name, state);
	PG_TRY();
	{
		/* What can fail for its content fails in the caller's memory first. */
		BertTokenizer *trial =
			bert_tokenizer_attach(pack.tokenizer, pack.tokenizer_nbytes);

		check_vocabulary(name, trial, &pack.config);
		MemoryContextSwitchTo(session_context());
		model = palloc0(sizeof(LoadedModel));
		model->public.tokenizer =
			bert_tokenizer_attach(pack.tokenizer, pack.tokenizer_nbytes);
		model->directory = pstrdup(bert_model_directory_path());
		model->state = pstrdup(state);
		MemoryContextSwitchTo(caller);
	}
	PG_CATCH();
	{
		bert_pack_close(&pack);
		PG_RE_THROW();
	}
	PG_END_TRY();
	strlcpy(model->public.name, name, BERT_MODEL_NAME_LEN);
	model->public.config = pack.config;
	model->public.recipe = pack.recipe;
	model->public.id = ++session.next_model_id;
	model->pack = pack;
	model->pack.recipe.truncate_dim = 0; /* a default of calls, who may ask for more */
	model->next = session.models;
	session.models = model;
	return model;
}

/* Raise what a missing model raises: with a list of what there is. */
static _Noreturn void
raise_missing(const char *name)
{
	BertPack pack;

	bert_pack_open(&pack, name, "");
	elog(ERROR, "model \"%s\" came into being while it was looked for", name);
}

BertModel *
bert_session_model(const char *name)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	char base[BERT_MODEL_NAME_LEN];
	LoadedModel *model;
	char *state;

	if (name == NULL && bert_model_setting[0] != '\0')
		name = bert_model_setting;
	if (name != NULL)
		split_name(name, base);
	else
		the_only_model(base);
	model = find_loaded(base);
	if (model != NULL && model->checked == statement)
		return &model->public;

	state = bert_pack_state(base);
	if (state == NULL)
		raise_missing(base);
	if (model != NULL && strcmp(model->state, state) != 0)
	{
		LoadedModel *old = model;

		model = load(base, state);
		unload(old);
	}
	else if (model == NULL)
		model = load(base, state);
	model->checked = statement;
	pfree(state);
	return &model->public;
}

int32
bert_session_size(BertModel *model, BertOutput output)
{
	if (output == BERT_OUTPUT_POOLED && !model->config.has_pooler)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("model \"%s\" has no pooler", model->name),
				errhint("bert_cls() gives the hidden state that a pooler would read."));
	return bert_output_size(&model->config, &((LoadedModel *) model)->pack.recipe,
							output);
}

/* ---- the device ---- */

static void
forget_results(void)
{
	for (int i = 0; i < MEMO_ENTRIES; i++)
	{
		MemoEntry *entry = &session.memo[i];

		if (entry->model_id == 0)
			continue;
		pfree(entry->ids);
		pfree(entry->result);
		entry->model_id = 0;
	}
}

static void
drain(int code, Datum arg)
{
	if (session.device != NULL && !BERT_WITHOUT(BERT_DRAIN))
		(void) bert_device_wait(session.device);
}

/* Everything that hangs on the device, and what it computed; models stay mapped. */
static void
close_device(void)
{
	BertGuard guard;

	forget_results();

	bert_guard_enter(&guard);
	for (LoadedModel *model = session.models; model != NULL; model = model->next)
	{
		bert_encoder_free(model->encoder);
		model->encoder = NULL;
	}
	while (session.programs != NULL)
	{
		LoadedProgram *program = session.programs;

		session.programs = program->next;
		bert_program_free(program->program);
		pfree(program);
	}
	bert_device_close(session.device);
	session.device = NULL;
	bert_guard_leave(&guard);
	pfree(session.driver);
	pfree(session.device_setting);
	session.driver = NULL;
	session.device_setting = NULL;
}

static void
set_environment(const BertDriver *driver)
{
	const char **variables =
		bert_driver_environment(driver->icd, bert_programs_directory(driver));

	for (int i = 0; variables[i] != NULL; i++)
	{
		char *name = pstrdup(variables[i]);
		char *value = strchr(name, '=');

		*value++ = '\0';
		if (getenv(name) == NULL || strcmp(getenv(name), value) != 0)
			setenv(name, value, 1);
	}
}

/*
 * The ICD loader and PoCL read their environment once in a process: the driver and the
 * directory that it may write to stay those of the first opening.
 */
static void
check_fixed(const BertDriver *driver)
{
	const char *directory = bert_programs_directory(driver);

	if (session.opened_directory == NULL)
		session.opened_directory = MemoryContextStrdup(session_context(), directory);
	if (strcmp(session.opened_directory, directory) != 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the OpenCL driver and its cache cannot be changed in a session "
					   "that has used them"),
				errhint("Start a new session after a change of \"bert.device\" or "
						"\"bert.cache_directory\"."));
}

static void
open_device(void)
{
	BertStatus status = {0};
	BertGuard guard;
	BertDriver *driver = bert_driver_choose();
	BertDriver *kept_driver;
	char *kept_setting;
	BertDevice *device;

	bert_cache_require_space(0);
	check_fixed(driver);
	set_environment(driver);
	if (!session.exit_registered)
		before_shmem_exit(drain, (Datum) 0);
	session.exit_registered = true;
	kept_driver = MemoryContextAlloc(session_context(), sizeof(BertDriver));
	kept_setting = MemoryContextStrdup(session_context(), bert_device_setting);
	bert_guard_enter(&guard);
	device = bert_device_open(driver->index, &status);
	bert_guard_leave(&guard);
	if (device == NULL)
	{
		pfree(kept_driver);
		pfree(kept_setting);
		bert_status_raise(&status);
	}
	*kept_driver = *driver;
	session.driver = kept_driver;
	session.device_setting = kept_setting;
	session.tier = driver->tier;
	session.device = device;
	bert_driver_sweep(bert_programs_directory(driver));
}

#ifdef BERT_DEVELOPER

static char *
source_here(void)
{
	if (bert_fault_setting[0] == '\0')
		return bert_trial_source(session.tier);
	return bert_faulty_source(session.tier,
							  bert_fault_by_name(session.tier, bert_fault_setting));
}

/* What the helper is there to prevent: a compiler in the backend. */
static BertProgram *
build_here(const BertConfig *config)
{
	char options[256];
	char *source = source_here();
	BertProgram *program;
	BertGuard guard;

	bert_program_options(config, options, sizeof(options));
	bert_guard_enter(&guard);
	program = bert_program_build(session.device, source, options, bert_kernel_names,
								 BERT_N_KERNELS);
	bert_guard_leave(&guard);
	return program;
}

#endif

static BertProgram *
load_here(const BertConfig *config)
{
	size_t nbytes;
	void *binary = bert_programs_get(session.driver, config, &nbytes);
	BertProgram *program;
	BertGuard guard;

	check_fixed(session.driver);

	bert_guard_enter(&guard);
	program = bert_program_load(session.device, binary, nbytes, bert_kernel_names,
								BERT_N_KERNELS);
	bert_guard_leave(&guard);
	pfree(binary);
	return program;
}

static LoadedProgram *
load_program(const BertConfig *config)
{
	BertProgram *program;
	LoadedProgram *loaded;

#ifdef BERT_DEVELOPER
	if (BERT_WITHOUT(BERT_HELPER))
		program = build_here(config);
	else
#endif
		program = load_here(config);
	bert_device_raise(session.device);
	loaded = MemoryContextAlloc(session_context(), sizeof(LoadedProgram));
	*loaded = (LoadedProgram){
		.hidden_act = config->hidden_act,
		.head_size = config->head_size,
		.checked = GetCurrentStatementStartTimestamp(),
		.program = program,
		.next = session.programs,
	};
	session.programs = loaded;
	return loaded;
}

/* Once a statement: the cache may have been deleted since; see programs.h. */
static void
keep_program(LoadedProgram *loaded, const BertConfig *config)
{
	size_t nbytes;

	if (loaded->checked == GetCurrentStatementStartTimestamp() ||
		BERT_WITHOUT(BERT_HELPER))
		return;
	if (!bert_programs_present(session.driver, config))
	{
		check_fixed(session.driver);
		pfree(bert_programs_get(session.driver, config, &nbytes));
	}
	loaded->checked = GetCurrentStatementStartTimestamp();
}

static LoadedProgram *
program_for(const BertConfig *config)
{
	for (LoadedProgram *loaded = session.programs; loaded != NULL;
		 loaded = loaded->next)
		if (loaded->hidden_act == config->hidden_act &&
			loaded->head_size == config->head_size)
		{
			keep_program(loaded, config);
			return loaded;
		}
	return load_program(config);
}

/* The model's encoder, with everything below it. */
static BertEncoder *
encoder_of(LoadedModel *model)
{
	BertLauncher launcher;
	LoadedProgram *loaded;

	if (session.device != NULL &&
		strcmp(session.device_setting, bert_device_setting) != 0)
		close_device();
	if (session.device == NULL)
		open_device();
	loaded = program_for(&model->pack.config);
	if (model->encoder != NULL)
		return model->encoder;
	launcher.device = session.device;
	launcher.tier = session.tier;
	launcher.program = loaded->program;
	model->encoder = bert_encoder_create(&launcher, &model->pack.config,
										 &model->pack.recipe, model->pack.weights);
	/* PoCL opens a kernel's code when it is first run: now, just after the files' check. */
	if (!loaded->was_run)
		bert_encoder_run_once(model->encoder);
	loaded->was_run = true;
	return model->encoder;
}

/* What a call asks the encoder for. */
typedef struct Request
{
	const BertSequence *sequences;
	int n;
	BertOutput output;
	bool positions;
	int32 layer; /* run_hidden, run_attention */
	int32 head;
	float *results;
	uint64 *launches; /* count_launches */
} Request;

static void
run_encode(BertEncoder *encoder, const Request *request)
{
	bert_encode(encoder, request->sequences, request->n, request->output,
				request->positions, bert_batch_tokens_setting, request->results);
}

static void
run_hidden(BertEncoder *encoder, const Request *request)
{
	bert_encode_hidden(encoder, request->sequences, request->layer, request->positions,
					   request->results);
}

static void
run_attention(BertEncoder *encoder, const Request *request)
{
	bert_encode_attention(encoder, request->sequences, request->layer, request->head,
						  request->positions, request->results);
}

static void
with_encoder(BertModel *public, void (*run)(BertEncoder *, const Request *),
			 const Request *request)
{
	LoadedModel *model = (LoadedModel *) public;

	PG_TRY();
	{
		BertEncoder *encoder = encoder_of(model);

		run(encoder, request);
		bert_encoder_trim(encoder);
	}
	PG_CATCH();
	{
		/* Nothing may be in flight, nor a failed device stay, when we leave. */
		if (model->encoder != NULL && !BERT_WITHOUT(BERT_TRIM))
			bert_encoder_trim(model->encoder);
		if (session.device != NULL && !bert_device_ok(session.device))
			close_device();
		bert_guard_check();
		PG_RE_THROW();
	}
	PG_END_TRY();
	bert_guard_check();
}

void
bert_session_hidden(BertModel *model, const BertSequence *sequence, int32 layer,
					bool positions, float *hidden)
{
	with_encoder(model, run_hidden,
				 &(Request){.sequences = sequence,
							.positions = positions,
							.layer = layer,
							.results = hidden});
}

void
bert_session_attention(BertModel *model, const BertSequence *sequence, int32 layer,
					   int32 head, bool positions, float *weights)
{
	with_encoder(model, run_attention,
				 &(Request){.sequences = sequence,
							.positions = positions,
							.layer = layer,
							.head = head,
							.results = weights});
}

const float *
bert_session_word_embedding(const BertModel *model, int32 id)
{
	const BertPack *pack = &((const LoadedModel *) model)->pack;

	/* The table is the first thing in the weights; see weights.c. */
	return bert_weights_at(pack->weights,
						   (size_t) id * pack->config.hidden_size * sizeof(float));
}

/* ---- the memo ---- */

static uint32
hash_ids(const BertSequence *sequence)
{
	return hash_bytes((const unsigned char *) sequence->ids,
					  sequence->n_tokens * sizeof(int32));
}

static const float *
recall(const BertModel *model, const BertSequence *sequence, BertOutput output,
	   bool positions)
{
	uint32 hash = hash_ids(sequence);

	for (int i = 0; i < MEMO_ENTRIES; i++)
	{
		const MemoEntry *entry = &session.memo[i];

		if (entry->model_id == model->id && entry->output == output &&
			entry->positions == positions && entry->hash == hash &&
			entry->n_tokens == sequence->n_tokens &&
			entry->first_size == sequence->first_size &&
			entry->pool_from == sequence->pool_from &&
			memcmp(entry->ids, sequence->ids, sequence->n_tokens * sizeof(int32)) == 0)
			return entry->result;
	}
	return NULL;
}

static void
remember(const BertModel *model, const BertSequence *sequence, BertOutput output,
		 bool positions, const float *result, int32 size)
{
	MemoryContext context = session_context();
	size_t ids_nbytes = sequence->n_tokens * sizeof(int32);
	int32 *ids = MemoryContextAlloc(context, ids_nbytes);
	float *kept = MemoryContextAlloc(context, size * sizeof(float));
	MemoEntry *entry = &session.memo[session.memo_next];

	session.memo_next = (session.memo_next + 1) % MEMO_ENTRIES;
	if (entry->model_id != 0)
	{
		pfree(entry->ids);
		pfree(entry->result);
	}
	*entry = (MemoEntry){
		.model_id = model->id,
		.output = output,
		.positions = positions,
		.hash = hash_ids(sequence),
		.n_tokens = sequence->n_tokens,
		.first_size = sequence->first_size,
		.pool_from = sequence->pool_from,
		.ids = memcpy(ids, sequence->ids, ids_nbytes),
		.result = memcpy(kept, result, size * sizeof(float)),
	};
}

void
bert_session_encode(BertModel *model, const BertSequence *sequences, int n,
					BertOutput output, bool positions, float *results)
{
	int32 size = bert_session_size(model, output);
	const float *known = n == 1 ? recall(model, sequences, output, positions) : NULL;

	if (known != NULL)
	{
		memcpy(results, known, size * sizeof(float));
		return;
	}
	with_encoder(model, run_encode,
				 &(Request){.sequences = sequences,
							.n = n,
							.output = output,
							.positions = positions,
							.results = results});
	if (n == 1)
		remember(model, sequences, output, positions, results, size);
}

/* ---- for bert_selftest() and bert_devices() ---- */

void
bert_session_reference(BertModel *model, const BertSequence *sequence,
					   BertOutput output, float *result)
{
	LoadedModel *loaded = (LoadedModel *) model;

	bert_reference_encode(&loaded->pack.config, &loaded->pack.recipe,
						  loaded->pack.weights, sequence, output, true, result);
}

void
bert_session_reference_hidden(BertModel *model, const BertSequence *sequence,
							  int32 layer, bool positions, float *hidden)
{
	LoadedModel *loaded = (LoadedModel *) model;

	bert_reference_hidden(&loaded->pack.config, loaded->pack.weights, sequence, layer,
						  positions, hidden);
}

static void
count_launches(BertEncoder *encoder pg_attribute_unused(), const Request *request)
{
	bert_device_launches(session.device, request->launches, BERT_N_KERNELS);
}

void
bert_session_launches(BertModel *model, uint64 *launches)
{
	with_encoder(model, count_launches, &(Request){.launches = launches});
}

BertDeviceRow *
bert_session_devices(int *n)
{
	BertDriver *drivers = bert_driver_list(n);
	BertDeviceRow *rows = palloc0(Max(*n, 1) * sizeof(BertDeviceRow));

	for (int i = 0; i < *n; i++)
	{
		rows[i].info = drivers[i].info;
		rows[i].tier = drivers[i].tier != NULL ? drivers[i].tier->name : NULL;
		rows[i].chosen = drivers[i].chosen;
		rows[i].reason = drivers[i].reason;
	}
	return rows;
}
