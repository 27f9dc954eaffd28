/*
 * driver.c
 *	  Which OpenCL drivers this machine has. See driver.h.
 */
#include "port.h"
#include "cache.h"
#include "developer.h"
#include "driver.h"
#include "helper.h"
#include "settings.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/formatting.h"
#include "utils/timestamp.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VENDORS       "/etc/OpenCL/vendors"
#define POCL_PLATFORM "Portable Computing Language"
#define DEFAULT_PATH  "/usr/local/bin:/usr/bin:/bin"
#define MAX_DRIVERS   64
#define SWEEP_SECONDS 60

/* ---- .icd files, as the loader finds them ---- */

static int
by_name(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static List *
icd_files_in(const char *directory)
{
	List *files = NIL;
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	while (dir != NULL && (entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		size_t n = strlen(entry->d_name);

		if (n > 4 && strcmp(entry->d_name + n - 4, ".icd") == 0)
			files = lappend(files, psprintf("%s/%s", directory, entry->d_name));
	}
	if (dir != NULL)
		FreeDir(dir);
	list_sort(files, by_name);
	return files;
}

/*
 * OCL_ICD_VENDORS of the server's environment may name another directory or one file.
 * Remembered from the first call on, as we set the variable for the chosen driver.
 */
static List *
icd_files(void)
{
	static char vendors[MAXPGPATH];
	struct stat st;

	if (vendors[0] == '\0')
	{
		const char *variable = getenv("OCL_ICD_VENDORS");

		strlcpy(vendors, variable != NULL && variable[0] == '/' ? variable : VENDORS,
				sizeof(vendors));
	}
	if (stat(vendors, &st) == 0 && S_ISREG(st.st_mode))
		return list_make1(pstrdup(vendors));
	return icd_files_in(vendors);
}

/* ---- asking the helper ---- */

const char **
bert_driver_environment(const char *icd, const char *cache)
{
	const char **variables = palloc0(8 * sizeof(char *));
	int threads = bert_driver_threads();
	int n = 0;

	variables[n++] = psprintf("OCL_ICD_VENDORS=%s", icd);
	if (!BERT_WITHOUT(BERT_PRIVATE_CACHE))
		variables[n++] = psprintf("POCL_CACHE_DIR=%s", cache);
	variables[n++] = psprintf("POCL_MAX_PTHREAD_COUNT=%d", threads); /* before 4.0 */
	variables[n++] = psprintf("POCL_CPU_MAX_CU_COUNT=%d", threads);  /* from 4.0 */
	if (getenv("PATH") == NULL && !BERT_WITHOUT(BERT_ENVIRONMENT))
		variables[n++] = "PATH=" DEFAULT_PATH; /* PoCL runs a linker */
	return variables;
}

/* PoCL abort()s where it finds no /sys: what was known with it does not hold without. */
static const char *
topology_identity(void)
{
	struct stat st;

	if (stat("/sys/devices/system/cpu", &st) != 0)
		return "none";
	return psprintf("%llx.%llx", (unsigned long long) st.st_dev,
					(unsigned long long) st.st_ino);
}

void
bert_driver_sweep(const char *directory)
{
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	while (dir != NULL && (entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		char *path = psprintf("%s/%s", directory, entry->d_name);
		struct stat st;

		if (strncmp(entry->d_name, "tempfile", 8) == 0 && lstat(path, &st) == 0 &&
			st.st_size == 0 && st.st_mtime < time(NULL) - SWEEP_SECONDS)
			(void) unlink(path);
		pfree(path);
	}
	if (dir != NULL)
		FreeDir(dir);
}

/* Answers that were given to a server before this one. */
static void
sweep_answers(void)
{
	char *directory = bert_cache_path("devices");
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	while (dir != NULL && (entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		char *path = psprintf("%s/%s", directory, entry->d_name);
		struct stat st;

		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
			st.st_mtime < timestamptz_to_time_t(PgStartTime))
			(void) unlink(path);
		pfree(path);
	}
	if (dir != NULL)
		FreeDir(dir);
}

/* An answer in the cache begins with its hash: damage would be believed otherwise. */
static void
remember(const char *path, const char *answer)
{
	char hash[BERT_HASH_LEN];
	char *text;

	bert_cache_hash(answer, hash);
	text = psprintf("%s\n%s", hash, answer);
	bert_cache_write(path, text, strlen(text));
	sweep_answers();
}

/* NULL: there is none, or it is damaged. */
static char *
recall(const char *path)
{
	char hash[BERT_HASH_LEN];
	size_t nbytes;
	char *answer = bert_cache_read(path, &nbytes);
	char *line = answer != NULL ? strsep(&answer, "\n") : NULL;

	if (answer == NULL)
		return NULL;
	bert_cache_hash(answer, hash);
	return strcmp(line, hash) == 0 ? answer : NULL;
}

/*
 * The helper's answer for one driver, or "crash\tFATE". From the cache where this server
 * has asked before; a failure is asked for again each time.
 */
static char *
ask(const char *icd)
{
	const char *args[] = {"devices", NULL};
	char hash[BERT_HASH_LEN];
	BertHelperAnswer *answer;
	struct stat st;
	char *path;
	char *known;
	char *cache;

	if (stat(icd, &st) != 0)
		return pstrdup("crash\tcannot be read\n");
	bert_cache_hash(psprintf("%s %s %s %s", icd, bert_file_identity(&st),
							 topology_identity(), bert_server_start()),
					hash);
	path = bert_cache_path("devices/%s", hash);
	known = recall(path);
	if (known != NULL)
		return known;
	cache = bert_cache_path("devices/driver");
	answer = bert_helper_run(args, bert_driver_environment(icd, cache));
	bert_driver_sweep(cache);
	if (!answer->ok)
	{
		ereport(LOG_SERVER_ONLY,
				errmsg("OpenCL driver \"%s\": the helper program of bert %s", icd,
					   answer->fate),
				answer->chatter[0] ? errdetail("%s", answer->chatter) : 0);
		return psprintf("%scrash\t%s\n", answer->answer, answer->fate);
	}
	remember(path, answer->answer);
	return answer->answer;
}

/* ---- reading the answer ---- */

static char *
next_field(char **rest)
{
	char *field = strsep(rest, "\t");

	return field != NULL ? field : "";
}

static void
parse_device(char *line, BertDeviceInfo *info)
{
	strlcpy(info->platform, next_field(&line), sizeof(info->platform));
	strlcpy(info->platform_version, next_field(&line), sizeof(info->platform_version));
	strlcpy(info->name, next_field(&line), sizeof(info->name));
	strlcpy(info->driver_version, next_field(&line), sizeof(info->driver_version));
	info->is_cpu = atoi(next_field(&line)) != 0;
	info->is_gpu = atoi(next_field(&line)) != 0;
	info->compute_units = strtoul(next_field(&line), NULL, 10);
	info->global_memory = strtoull(next_field(&line), NULL, 10);
	info->max_buffer = strtoull(next_field(&line), NULL, 10);
}

static void
judge(BertDriver *driver)
{
	if (strcmp(driver->info.platform, POCL_PLATFORM) != 0)
		driver->reason = "only PoCL has been tested inside a server process so far";
	else if (!driver->info.is_cpu)
		driver->reason = "only PoCL's CPU devices have been tested so far";
	else
	{
		driver->tier = bert_tier_for(&driver->info);
		driver->reason = "usable";
	}
}

static const char *
failure(const char *call)
{
	if (strcmp(call, "dlopen") == 0)
		return "the OpenCL loader, package \"ocl-icd-libopencl1\", cannot be loaded";
	return psprintf("its driver failed: %s", call);
}

/* One line of an answer; true where it describes a device. */
static bool
parse_line(char *line, BertDriver *driver)
{
	char *kind = next_field(&line);

	if (strcmp(kind, "libraries") == 0)
		driver->libraries = strtoull(line, NULL, 16);
	else if (strcmp(kind, "device") == 0)
	{
		parse_device(line, &driver->info);
		judge(driver);
		return true;
	}
	else if (strcmp(kind, "error") == 0)
		driver->reason = failure(next_field(&line));
	else if (strcmp(kind, "crash") == 0)
	{
		if (driver->reason == NULL)
			driver->reason = psprintf("its driver %s", line);
		strlcpy(driver->info.platform, last_dir_separator(driver->icd) + 1,
				sizeof(driver->info.platform));
		return true;
	}
	return false;
}

static int
list_driver(const char *icd, BertDriver *drivers, int room)
{
	char *rest = ask(icd);
	char *line;
	int n = 0;
	BertDriver current = {.index = 0};

	strlcpy(current.icd, icd, sizeof(current.icd));
	while ((line = strsep(&rest, "\n")) != NULL && n < room)
		if (parse_line(line, &current))
		{
			drivers[n++] = current;
			current.index++;
			current.tier = NULL;
			current.reason = NULL;
			memset(&current.info, 0, sizeof(current.info));
		}
	return n;
}

/* ---- choosing ---- */

static bool
contains(const char *text, const char *part)
{
	char *lower_text = asc_tolower(text, strlen(text));
	char *lower_part = asc_tolower(part, strlen(part));

	return strstr(lower_text, lower_part) != NULL;
}

static bool
asked_for(const BertDriver *driver)
{
	const char *wanted = bert_device_setting;

	if (pg_strcasecmp(wanted, "auto") == 0)
		return true;
	if (pg_strcasecmp(wanted, "cpu") == 0)
		return driver->info.is_cpu;
	if (pg_strcasecmp(wanted, "gpu") == 0)
		return driver->info.is_gpu;
	return contains(driver->info.name, wanted);
}

BertDriver *
bert_driver_list(int *n)
{
	BertDriver *drivers = palloc0(MAX_DRIVERS * sizeof(BertDriver));
	bool chosen = false;
	ListCell *cell;

	*n = 0;
	foreach (cell, icd_files())
		*n += list_driver(lfirst(cell), drivers + *n, MAX_DRIVERS - *n);
	for (int i = 0; i < *n; i++)
	{
		if (drivers[i].tier == NULL)
			continue;
		if (!asked_for(&drivers[i]))
			drivers[i].reason = psprintf("bert.device is \"%s\"", bert_device_setting);
		else if (chosen)
			drivers[i].reason = "an earlier device was chosen";
		else
		{
			drivers[i].chosen = chosen = true;
			drivers[i].reason = "the first usable device that bert.device allows";
		}
	}
	return drivers;
}

static char *
describe_all(const BertDriver *drivers, int n)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, "%s%s%s%s: %s.", i > 0 ? " " : "",
						 drivers[i].info.platform, drivers[i].info.name[0] ? ", " : "",
						 drivers[i].info.name, drivers[i].reason);
	return text.data;
}

BertDriver *
bert_driver_choose(void)
{
	int n;
	BertDriver *drivers = bert_driver_list(&n);

	for (int i = 0; i < n; i++)
		if (drivers[i].chosen)
			return &drivers[i];
	if (n == 0)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("there is no OpenCL device"),
				icd_files() == NIL
					? errdetail("No OpenCL driver is installed on the server.")
					: errdetail("The OpenCL drivers of the server have no device."),
				errhint("Install the package \"pocl-opencl-icd\", which runs on any "
						"processor."));
	ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("there is no OpenCL device that can be used"),
			errdetail("%s", describe_all(drivers, n)),
			errhint("See bert_devices() and the setting \"bert.device\"; the package "
					"\"pocl-opencl-icd\" runs on any processor."));
}
