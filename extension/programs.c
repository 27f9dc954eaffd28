/*
 * programs.c
 *	  Finished OpenCL programs. See programs.h.
 */
#include "port.h"
#include "cache.h"
#include "helper.h"
#include "programs.h"

#include "lib/stringinfo.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_NBYTES (16 * 1024 * 1024) /* disk space that a build may need */

/* ---- names ---- */

static char *
driver_hash(const BertDriver *driver)
{
	char *hash = palloc(BERT_HASH_LEN);
	const BertDeviceInfo *info = &driver->info;

	bert_cache_hash(psprintf("%s|%s|%s|%s|%llx|%s|%s", info->platform,
							 info->platform_version, info->name, info->driver_version,
							 (unsigned long long) driver->libraries,
							 bert_cpu_features(), driver->tier->name),
					hash);
	return hash;
}

/* The kernels' text is in the helper: another helper, another program. */
static char *
helper_identity(void)
{
	char *path = bert_helper_path();
	struct stat st;

	if (stat(path, &st) != 0)
		return "none";
	return bert_file_identity(&st);
}

static char *
program_hash(const BertDriver *driver, const BertConfig *config)
{
	char *hash = palloc(BERT_HASH_LEN);
	char options[256];

	bert_program_options(config, options, sizeof(options));
	bert_cache_hash(
		psprintf("%s|%s|%s", driver->tier->name, options, helper_identity()), hash);
	return hash;
}

char *
bert_programs_directory(const BertDriver *driver)
{
	char *parent = bert_cache_path("programs/%s", driver_hash(driver));
	char *directory = psprintf("%s/pocl", parent);

	if ((mkdir(parent, S_IRWXU) != 0 && errno != EEXIST) ||
		(mkdir(directory, S_IRWXU) != 0 && errno != EEXIST))
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not create a directory in the cache of bert: %m"),
				errdetail_log("The directory is \"%s\".", directory));
	return directory;
}

/* ---- the manifest ---- */

static pg_crc32c
checksum(const char *data, size_t nbytes)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, nbytes);
	FIN_CRC32C(crc);
	return crc;
}

/* Files that the driver writes again and again, or never fills. */
static bool
worth_listing(const char *name, const struct stat *st)
{
	return st->st_size > 0 && strcmp(name, "last_accessed") != 0;
}

/* One line for each file below root/below: checksum, size, path from root. */
static void
list_files(const char *root, const char *below, StringInfo manifest)
{
	char *directory = psprintf("%s/%s", root, below);
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		char *name;
		char *path;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		name = psprintf("%s/%s", below, entry->d_name);
		path = psprintf("%s/%s", root, name);
		if (lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			list_files(root, name, manifest);
		else if (worth_listing(entry->d_name, &st))
		{
			size_t nbytes;
			char *data = bert_cache_read(path, &nbytes);

			appendStringInfo(manifest, "%08x %zu %s\n", checksum(data, nbytes), nbytes,
							 name);
			pfree(data);
		}
	}
	FreeDir(dir);
}

/* The file of one line, or NULL if it is not what the line says. */
static char *
read_listed(const char *root, char *line, size_t *nbytes)
{
	unsigned int crc;
	size_t expected;
	int at = 0;
	char *data;

	if (sscanf(line, "%x %zu %n", &crc, &expected, &at) < 2 || at == 0)
		return NULL;
	data = bert_cache_read(psprintf("%s/%s", root, line + at), nbytes);
	if (data != NULL && expected > 0 && *nbytes == expected &&
		checksum(data, *nbytes) == crc)
		return data;
	return NULL;
}

/*
 * The program, if it and all that belongs to it is there and whole. Its own line is the
 * manifest's last.
 */
static void *
read_program(const char *root, const char *hash, size_t *nbytes)
{
	size_t manifest_nbytes;
	char *rest =
		bert_cache_read(psprintf("%s/%s.manifest", root, hash), &manifest_nbytes);
	char *data = NULL;
	char *line;
	char *last = "";

	while (rest != NULL && (line = strsep(&rest, "\n")) != NULL && line[0] != '\0')
	{
		data = read_listed(root, line, nbytes);
		if (data == NULL)
			return NULL;
		last = line;
	}
	return strstr(last, hash) != NULL ? data : NULL; /* the manifest is not cut short */
}

/* ---- making ---- */

static _Noreturn void
raise_failure(const BertHelperAnswer *answer, const char *what)
{
	char *line = pstrdup(answer->answer);
	char *call = NULL;
	char *code = "";

	if (strncmp(line, "error\t", 6) == 0)
	{
		call = line + 6;
		code = call + strcspn(call, "\t");
		if (*code == '\t')
			*code++ = '\0';
		code[strcspn(code, "\n")] = '\0';
	}
	if (strncmp(line, "wrong\t", 6) == 0)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("the OpenCL device computes wrong results"),
				errdetail_log("Output, got, expected: %s", line + 6),
				errhint("Try another version of its driver."));
	ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("the OpenCL driver could not %s the kernels", what),
			call ? errdetail("OpenCL call %s failed: %s.", call, code)
				 : errdetail("The helper program of bert %s.", answer->fate),
			errdetail_log("%s%s", answer->answer, answer->chatter),
			errhint("The server's log has the driver's words. PoCL needs a linker: "
					"the package \"binutils\" or \"lld\"."));
}

static void
run_helper(const BertDriver *driver, const BertConfig *config, const char *command,
		   const char *program, const char *cache, const char *what)
{
	char *index = psprintf("%d", driver->index);
	char *activation = psprintf("%d", config->hidden_act);
	char *head_size = psprintf("%d", config->head_size);
	const char *args[] = {command,    program,   index, driver->tier->name,
						  activation, head_size, NULL};
	BertHelperAnswer *answer =
		bert_helper_run(args, bert_driver_environment(driver->icd, cache));

	if (!answer->ok)
		raise_failure(answer, what);
}

/* Move the files that the driver unpacked below `from` to the same place below `to`. */
static void
move_files(const char *from, const char *to, const char *below)
{
	char *directory = psprintf("%s%s", from, below);
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	if (mkdir(psprintf("%s%s", to, below), S_IRWXU) != 0 && errno != EEXIST)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not create a directory in the cache of bert: %m"));
	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		char *name = psprintf("%s/%s", below, entry->d_name);
		char *source = psprintf("%s%s", from, name);
		struct stat st;

		if (entry->d_name[0] == '.' || lstat(source, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			move_files(from, to, name);
		else if (rename(source, psprintf("%s%s", to, name)) != 0)
			ereport(ERROR, errcode_for_file_access(),
					errmsg("could not move a file in the cache of bert: %m"));
	}
	FreeDir(dir);
}

/* Of backends that did not come to an end. */
static void
remove_leftovers(const char *root)
{
	DIR *dir = AllocateDir(root);
	struct dirent *entry;

	while (dir != NULL && (entry = ReadDirExtended(dir, root, LOG)) != NULL)
		if (strncmp(entry->d_name, "work.", 5) == 0)
			bert_cache_remove(psprintf("%s/%s", root, entry->d_name));
	if (dir != NULL)
		FreeDir(dir);
}

/* Under the lock. The work is done in a directory of its own; the manifest comes last. */
static void
make_program(const BertDriver *driver, const BertConfig *config, const char *root,
			 const char *hash)
{
	char *work = psprintf("%s/work.%d", root, MyProcPid);
	char *program = psprintf("%s/%s.program", root, hash);
	char *made = psprintf("%s/program", work);
	StringInfoData manifest;
	size_t nbytes;
	char *data;

	bert_cache_require_space(BUILD_NBYTES);
	remove_leftovers(root);
	if (mkdir(work, S_IRWXU) != 0)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not create a directory in the cache of bert: %m"));
	run_helper(driver, config, "build", made, psprintf("%s/build", work), "compile");
	run_helper(driver, config, "load", made, psprintf("%s/pocl", work), "load");
	initStringInfo(&manifest);
	list_files(work, "pocl", &manifest);
	data = bert_cache_read(made, &nbytes);
	if (data == NULL || nbytes == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
				errmsg("a file in the cache of bert vanished while it was made"),
				errhint("Try again. The cache can be deleted at any time, but what is "
						"just made is lost with it."));
	bert_cache_write(program, data, nbytes);
	appendStringInfo(&manifest, "%08x %zu %s.program\n", checksum(data, nbytes), nbytes,
					 hash);
	move_files(work, root, "/pocl");
	bert_cache_write(psprintf("%s/%s.manifest", root, hash), manifest.data,
					 manifest.len);
	bert_cache_remove(work);
}

void *
bert_programs_get(const BertDriver *driver, const BertConfig *config, size_t *nbytes)
{
	char *hash = program_hash(driver, config);
	char *root;
	void *program;
	int lock;

	(void) bert_programs_directory(driver);
	root = bert_cache_path("programs/%s", driver_hash(driver));
	program = read_program(root, hash, nbytes);
	if (program != NULL)
		return program;
	lock = bert_cache_lock("programs");
	program = read_program(root, hash, nbytes);
	if (program == NULL)
	{
		make_program(driver, config, root, hash);
		program = read_program(root, hash, nbytes);
	}
	bert_cache_unlock(lock);
	if (program == NULL)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("a program in the cache of bert is damaged and cannot be made "
					   "again"),
				errdetail_log("The directory is \"%s\".", root),
				errhint("Is the disk full or failing?"));
	return program;
}

bool
bert_programs_present(const BertDriver *driver, const BertConfig *config)
{
	char *manifest = bert_cache_path("programs/%s/%s.manifest", driver_hash(driver),
									 program_hash(driver, config));

	return access(manifest, R_OK) == 0;
}
