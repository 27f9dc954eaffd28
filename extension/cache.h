/*
 * cache.h
 *	  The cache directory: what is costly to make and safe to lose.
 *
 *	lock-NAME            flock()ed while something of that kind is made
 *	packs/               one file per model content: weights, vocabulary, config
 *	models/              which pack belongs to which model directory just now
 *	programs/KEY/        finished OpenCL programs and what the driver unpacks of them
 *	devices/             what each driver's devices are, found by the helper
 *
 * It lies in the data directory under a name that base backups and pg_rewind leave out
 * (they skip everything called pgsql_tmp...), or where bert.cache_directory says.
 * Drivers load machine code from it, so it must be a real directory, ours, and closed
 * to all others (0700). Files appear complete (temporary file, fsync, rename) and are
 * never changed in place.
 *
 * Paths are absolute and stay out of messages that a client sees.
 */
#ifndef BERT_CACHE_H
#define BERT_CACHE_H

#include "port.h"

#include <sys/stat.h>

#define BERT_CACHE_DEFAULT "pgsql_tmp.bert" /* below the data directory */
#define BERT_HASH_LEN      33               /* 32 hexadecimal digits and NUL */

/*
 * The directory's path after every check, its sub-directories made. ERROR 42501 for one
 * that is not ours or open to others, 58P01 and the like where it cannot be made.
 */
extern const char *bert_cache_directory(void);

/* psprintf() below the cache directory. */
extern char *bert_cache_path(const char *fmt, ...) pg_attribute_printf(1, 2);

/*
 * Wait for the lock of that name, interruptibly. flock(), not a heavyweight lock: it
 * also keeps out workers of our own parallel query and sessions of other databases, and
 * dies with its holder. Released by bert_cache_unlock(), or at the end of the
 * (sub)transaction after an ERROR.
 */
extern int bert_cache_lock(const char *name);
extern void bert_cache_unlock(int lock);

/* ERROR 53100 unless so many bytes are free, and some more. */
extern void bert_cache_require_space(uint64 nbytes);

/* Whole small file, NUL-terminated and palloc'd; NULL where there is none. */
extern char *bert_cache_read(const char *path, size_t *nbytes);
extern void bert_cache_write(const char *path, const void *data, size_t nbytes);

/* A new file beside path, open for writing; then in its place, durably. */
extern int bert_cache_create(const char *path, char **temporary);
extern void bert_cache_commit(int fd, const char *temporary, const char *path);

/* Remove a directory tree, or what is there of it; failures are logged only. */
extern void bert_cache_remove(const char *path);

/* 32 hexadecimal digits of the SHA-256 of a text. */
extern void bert_cache_hash(const char *text, char *hash);

/* What changes when the processor does: goes into the names of all that depends on it. */
extern const char *bert_cpu_features(void);

/* Device, inode, size and times of a file: the same as long as nobody wrote to it. */
extern char *bert_file_identity(const struct stat *st);

/* Different after each start of the server. */
extern char *bert_server_start(void);

#endif /* BERT_CACHE_H */
