/*
 * bert.c
 *	  The extension's entry: the module, and its settings.
 *
 * _PG_init opens nothing. It may run in the postmaster (shared_preload_libraries), where
 * opening a driver would break every process that is forked after that.
 *
 * The rule for who may set what: a setting that an ordinary user can change must not
 * change a bit of what a function returns that names its model, as it is IMMUTABLE.
 * What chooses files or the device is the superuser's.
 */
#include "port.h"

#include "compat.h"
#include "developer.h"
#include "device.h"
#include "model.h"
#include "settings.h"
#include "sql_truncate.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

char *bert_model_setting;
char *bert_model_directory_setting;
char *bert_cache_directory_setting;
char *bert_device_setting;
int bert_threads_setting;
int bert_truncate_setting;
int bert_batch_tokens_setting;

static const struct config_enum_entry truncate_options[] = {
	{"error", BERT_TRUNCATE_ERROR, false},
	{"warn", BERT_TRUNCATE_WARN, false},
	{"silent", BERT_TRUNCATE_SILENT, false},
	{NULL, 0, false},
};

static void define_model_settings(void);
static void define_device_settings(void);
static void define_developer_settings(void);
static void open_early(void);

void
_PG_init(void)
{
	define_model_settings();
	define_device_settings();
	define_developer_settings();
	MarkGUCPrefixReserved("bert");
	bert_truncate_init();
	open_early();
}

/* ---- what is computed ---- */

#define LETTERS_AND_DIGITS                                                             \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/*
 * name[@precision], by its letters only: whether there is such a model is another
 * question, and one of files, which a check hook must not look at.
 */
static bool
may_name_model(const char *value)
{
	size_t name_size = strspn(value, LETTERS_AND_DIGITS "._-");
	const char *rest = value + name_size;

	if (strspn(value, LETTERS_AND_DIGITS) == 0 || name_size >= BERT_MODEL_NAME_LEN)
		return false;
	if (*rest == '\0')
		return true;
	return *rest++ == '@' && *rest != '\0' &&
		   rest[strspn(rest, LETTERS_AND_DIGITS)] == '\0';
}

static bool
check_model(char **value, void **extra pg_attribute_unused(),
			GucSource source pg_attribute_unused())
{
	if (**value == '\0' || may_name_model(*value))
		return true;
	GUC_check_errdetail("A model's name has 1 to %d letters, digits, dots, underscores "
						"and hyphens, the first a letter or a digit; @ and a precision "
						"may follow.",
						BERT_MODEL_NAME_LEN - 1);
	return false;
}

static bool
check_directory(char **value, void **extra pg_attribute_unused(),
				GucSource source pg_attribute_unused())
{
	if (**value == '\0' || is_absolute_path(*value))
		return true;
	GUC_check_errdetail("It must be an absolute path, or empty for the default.");
	return false;
}

static void
define_model_settings(void)
{
	DefineCustomStringVariable(
		"bert.model", "Model of the functions that are called without one.",
		"A directory below bert.model_directory, by its name. Empty: the only model "
		"there is.",
		&bert_model_setting, "", PGC_USERSET, 0, check_model, NULL, NULL);
	DefineCustomStringVariable("bert.model_directory", "Directory where models are.",
							   "Empty: \"bert\" in PostgreSQL's share directory.",
							   &bert_model_directory_setting, "", PGC_SUSET,
							   GUC_SUPERUSER_ONLY, check_directory, NULL, NULL);
	DefineCustomEnumVariable(
		"bert.truncate", "What to do with a text that is longer than its model reads.",
		"error: refuse it. warn: cut it, with one warning a statement. silent: cut it.",
		&bert_truncate_setting, BERT_TRUNCATE_WARN, truncate_options, PGC_USERSET, 0,
		NULL, NULL, NULL);
}

/* ---- where, and how fast ---- */

static void
define_device_settings(void)
{
	DefineCustomStringVariable(
		"bert.device", "OpenCL device that models run on.",
		"auto, cpu, gpu, or a part of the device's name. bert_devices() lists them.",
		&bert_device_setting, "auto", PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"bert.cache_directory", "Directory for packed weights and compiled kernels.",
		"It can be deleted at any time. Empty: one of the extension's own in the data "
		"directory.",
		&bert_cache_directory_setting, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
		check_directory, NULL, NULL);
	DefineCustomIntVariable(
		"bert.threads", "Threads that a session uses on a CPU.",
		"0: as many as the server may use, shared out among parallel workers. A change "
		"takes effect in sessions that have not yet run a model.",
		&bert_threads_setting, 0, 0, 1024, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"bert.batch_tokens", "Tokens that are given to the device at once.",
		"More of them take more memory, and may be faster.", &bert_batch_tokens_setting,
		2048, 64, 16384, PGC_USERSET, 0, NULL, NULL, NULL);
}

/* ---- developer's builds: see developer.h ---- */

#ifndef BERT_DEVELOPER

static void
define_developer_settings(void)
{
}

static void
open_early(void)
{
}

#else

int bert_without;
static char *without_setting;
char *bert_fault_setting;

static const struct
{
	const char *name;
	BertProtection protection;
} protections[] = {
	{"signal_guard", BERT_SIGNAL_GUARD},
	{"helper", BERT_HELPER},
	{"environment", BERT_ENVIRONMENT},
	{"private_cache", BERT_PRIVATE_CACHE},
	{"preflight", BERT_PREFLIGHT},
	{"drain", BERT_DRAIN},
	{"interrupts", BERT_INTERRUPTS},
	{"lazy_open", BERT_LAZY_OPEN},
	{"trim", BERT_TRIM},
};

/* 0 for a name that there is not. */
static int
find_protection(const char *name, size_t length)
{
	for (int i = 0; i < (int) lengthof(protections); i++)
		if (strlen(protections[i].name) == length &&
			strncmp(protections[i].name, name, length) == 0)
			return protections[i].protection;
	return 0;
}

/* "drain, trim" to a set. False where a name is unknown. */
static bool
parse_protections(const char *list, int *set)
{
	*set = 0;
	while (*(list += strspn(list, ", ")) != '\0')
	{
		size_t length = strcspn(list, ", ");
		int protection = find_protection(list, length);

		if (protection == 0)
			return false;
		*set |= protection;
		list += length;
	}
	return true;
}

static bool
check_without(char **value, void **extra pg_attribute_unused(),
			  GucSource source pg_attribute_unused())
{
	int set;

	return parse_protections(*value, &set);
}

static void
assign_without(const char *value, void *extra pg_attribute_unused())
{
	parse_protections(value, &bert_without);
}

static void
define_developer_settings(void)
{
	DefineCustomStringVariable(
		"bert.without", "Protections to leave out, to see what they protect against.",
		"For tests only: the server may crash.", &without_setting, "", PGC_SUSET, 0,
		check_without, assign_without, NULL);
	DefineCustomStringVariable(
		"bert.fault", "The kernel to break in programs that are built from now on.",
		"For tests only: results are wrong.", &bert_fault_setting, "", PGC_SUSET, 0,
		NULL, NULL, NULL);
}

/* What must never be: a driver in the process that all others are forked from. */
static void
open_early(void)
{
	BertStatus status;
	BertDeviceInfo info;

	if (process_shared_preload_libraries_in_progress && BERT_WITHOUT(BERT_LAZY_OPEN))
		(void) bert_device_list(&info, 1, &status);
}

#endif
