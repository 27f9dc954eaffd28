/*
 * cache.c
 *	  The cache directory. See cache.h.
 */
#include "port.h"
#include "cache.h"
#include "developer.h"
#include "settings.h"

#include "access/xact.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPARE_NBYTES (32 * 1024 * 1024) /* left free on the disk */
#define LOCK_POLL_MS 10

static const char *const subdirectories[] = {"packs", "models", "programs", "devices"};

/* ---- the directory ---- */

static void
make_directory(const char *path)
{
	if (mkdir(path, S_IRWXU) == 0 || errno == EEXIST)
		return;
	ereport(ERROR, errcode_for_file_access(),
			errmsg("could not create the cache directory of bert: %m"),
			errdetail_log("The directory is \"%s\".", path),
			errhint("The setting \"bert.cache_directory\" names a directory that the "
					"server may write to."));
}

/* Drivers load code from it: it must be ours and nobody else's. */
static void
check_private(const char *path)
{
	struct stat st;
	const char *fault = NULL;

	if (lstat(path, &st) != 0)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not access the cache directory of bert: %m"),
				errdetail_log("The directory is \"%s\".", path));
	if (!S_ISDIR(st.st_mode))
		fault = "It is not a directory.";
	else if (st.st_uid != geteuid())
		fault = "It belongs to another user.";
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		fault = "Other users have access to it.";
	else if (access(path, R_OK | W_OK | X_OK) != 0)
		fault = "The server cannot write to it.";
	if (fault != NULL)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("the cache directory of bert is not safe to use"),
				errdetail("%s", fault),
				errdetail_log("%s The directory is \"%s\".", fault, path),
				errhint("It must be a directory of the server's user with mode 0700; "
						"see the setting \"bert.cache_directory\"."));
}

static void
check_directories(const char *path)
{
	make_directory(path);
	check_private(path);
	for (int i = 0; i < lengthof(subdirectories); i++)
	{
		char *below = psprintf("%s/%s", path, subdirectories[i]);

		make_directory(below);
		check_private(below);
		pfree(below);
	}
}

const char *
bert_cache_directory(void)
{
	static char checked[MAXPGPATH];
	static TimestampTz checked_in; /* the statement */
	char path[MAXPGPATH];

	if (bert_cache_directory_setting[0] == '\0')
		snprintf(path, sizeof(path), "%s/%s", DataDir, BERT_CACHE_DEFAULT);
	else
		strlcpy(path, bert_cache_directory_setting, sizeof(path));
	if (strcmp(path, checked) != 0 || checked_in != GetCurrentStatementStartTimestamp())
	{
		check_directories(path);
		strlcpy(checked, path, sizeof(checked));
		checked_in = GetCurrentStatementStartTimestamp();
	}
	return checked;
}

char *
bert_cache_path(const char *fmt, ...)
{
	char below[MAXPGPATH];
	va_list args;

	va_start(args, fmt);
	vsnprintf(below, sizeof(below), fmt, args);
	va_end(args);
	return psprintf("%s/%s", bert_cache_directory(), below);
}

void
bert_cache_require_space(uint64 nbytes)
{
	struct statvfs disk;
	uint64 free_nbytes;

	if (BERT_WITHOUT(BERT_PREFLIGHT))
		return;
	if (statvfs(bert_cache_directory(), &disk) != 0)
		ereport(
			ERROR, errcode_for_file_access(),
			errmsg(
				"could not ask for the free space of the cache directory of bert: %m"));
	free_nbytes = (uint64) disk.f_bavail * disk.f_frsize;
	if (free_nbytes < nbytes + SPARE_NBYTES)
		ereport(ERROR, errcode(ERRCODE_DISK_FULL),
				errmsg("not enough disk space in the cache directory of bert"),
				errdetail("%llu MB are free, %llu MB are needed.",
						  (unsigned long long) free_nbytes >> 20,
						  (unsigned long long) (nbytes + SPARE_NBYTES) >> 20),
				errdetail_log("The directory is \"%s\".", bert_cache_directory()),
				errhint("Free some space, or let \"bert.cache_directory\" name a "
						"directory on another disk."));
}

/* ---- locks ---- */

/* An open lock file, locked. */
static int
lock_file(const char *path)
{
	int fd = OpenTransientFile(path, O_RDWR | O_CREAT | O_CLOEXEC);

	if (fd < 0)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not open a lock file of bert: %m"),
				errdetail_log("The file is \"%s\".", path));
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			ereport(ERROR, errcode_for_file_access(),
					errmsg("could not lock a lock file of bert: %m"),
					errdetail_log("The file is \"%s\".", path));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return fd;
}

/* False: somebody has deleted the file, and others lock another one. */
static bool
is_still_there(int fd, const char *path)
{
	struct stat ours;
	struct stat there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 &&
		   ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

int
bert_cache_lock(const char *name)
{
	char *path = bert_cache_path("lock-%s", name);
	int fd = lock_file(path);

	while (!is_still_there(fd, path))
	{
		CloseTransientFile(fd);
		fd = lock_file(path);
	}
	pfree(path);
	return fd;
}

void
bert_cache_unlock(int lock)
{
	CloseTransientFile(lock);
}

/* ---- files ---- */

char *
bert_cache_read(const char *path, size_t *nbytes)
{
	int fd = OpenTransientFile(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char *data;
	ssize_t n;

	if (fd < 0 && (errno == ENOENT || errno == ELOOP)) /* a link is not ours */
		return NULL;
	if (fd < 0 || fstat(fd, &st) != 0)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not open a cache file of bert: %m"),
				errdetail_log("The file is \"%s\".", path));
	if (!S_ISREG(st.st_mode))
	{
		CloseTransientFile(fd);
		return NULL; /* not ours */
	}
	data = palloc(st.st_size + 1);
	n = read(fd, data, st.st_size);
	*nbytes = Max(n, 0); /* a short one fails its check */
	data[*nbytes] = '\0';
	CloseTransientFile(fd);
	return data;
}

int
bert_cache_create(const char *path, char **temporary)
{
	int fd;

	*temporary = psprintf("%s.tmp%d", path, MyProcPid);
	fd = OpenTransientFile(*temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not create a cache file of bert: %m"),
				errdetail_log("The file is \"%s\".", *temporary));
	return fd;
}

void
bert_cache_commit(int fd, const char *temporary, const char *path)
{
	bool done = pg_fsync(fd) == 0;
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		bert_cache_remove(path); /* whatever it is, it is not ours */
	done = CloseTransientFile(fd) == 0 && done;
	if (done && durable_rename(temporary, path, LOG) == 0)
		return;
	ereport(ERROR, errcode_for_file_access(),
			errmsg("could not finish a cache file of bert: %m"),
			errdetail_log("The file is \"%s\".", path));
}

void
bert_cache_write(const char *path, const void *data, size_t nbytes)
{
	char *temporary;
	int fd = bert_cache_create(path, &temporary);
	ssize_t written = write(fd, data, nbytes);

	if (written != (ssize_t) nbytes)
	{
		int saved_errno = written < 0 ? errno : ENOSPC;

		unlink(temporary);
		errno = saved_errno;
		ereport(ERROR, errcode_for_file_access(),
				errmsg("could not write a cache file of bert: %m"),
				errdetail_log("The file is \"%s\".", path));
	}
	bert_cache_commit(fd, temporary, path);
	pfree(temporary);
}

/* Not rmtree(), which warns the client with absolute paths. */
static void
remove_below(const char *directory)
{
	DIR *dir = AllocateDir(directory);
	struct dirent *entry;

	while (dir != NULL && (entry = ReadDirExtended(dir, directory, LOG)) != NULL)
	{
		char *path = psprintf("%s/%s", directory, entry->d_name);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			bert_cache_remove(path);
		pfree(path);
	}
	if (dir != NULL)
		FreeDir(dir);
}

void
bert_cache_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return;
	if (S_ISDIR(st.st_mode))
	{
		remove_below(path);
		(void) rmdir(path);
	}
	else
		(void) unlink(path);
}

/* ---- names ---- */

void
bert_cache_hash(const char *text, char *hash)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text, strlen(text)) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(context));
	pg_cryptohash_free(context);
	for (int i = 0; i < (BERT_HASH_LEN - 1) / 2; i++)
		snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}

/* The first processor's "flags" line; machines mix no two kinds under one server. */
const char *
bert_cpu_features(void)
{
	static char hash[BERT_HASH_LEN];
	char line[8192];
	FILE *file;

	if (hash[0] != '\0')
		return hash;
	file = AllocateFile("/proc/cpuinfo", "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0)
		{
			bert_cache_hash(line, hash);
			break;
		}
	if (file != NULL)
		FreeFile(file);
	if (hash[0] == '\0')
		strcpy(hash, "unknown");
	hash[16] = '\0';
	return hash;
}

char *
bert_file_identity(const struct stat *st)
{
	return psprintf("%llx.%llx.%lld.%lld.%09ld.%lld.%09ld",
					(unsigned long long) st->st_dev, (unsigned long long) st->st_ino,
					(long long) st->st_size, (long long) st->st_mtim.tv_sec,
					st->st_mtim.tv_nsec, (long long) st->st_ctim.tv_sec,
					st->st_ctim.tv_nsec);
}

char *
bert_server_start(void)
{
	return psprintf("%lld", (long long) PgStartTime);
}
