/*
 * beneath.c
 *	  Files below a directory, opened and read with care.
 *
 * Opened means: what lies below the directory, and nothing else. Linux 5.6 and later do
 * that in one system call, openat2(RESOLVE_BENEATH), which follows symbolic links as
 * long as they stay below the directory (a Hugging Face cache is made of such links).
 * Elsewhere, and where a container's system call filter knows no openat2, the path is
 * walked name by name, and no link is followed at all.
 */
#include "port.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "beneath.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

#ifdef SYS_openat2
#include <linux/openat2.h>

static int
open_in_one_call(int root_fd, const char *path, int flags)
{
	struct open_how how = {.flags = OPEN_FLAGS | flags,
						   .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd;
	int tries = 0;

	/* EAGAIN: something was renamed meanwhile, and the kernel can't tell */
	do
	{
		fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN) && ++tries < 10);
	return fd;
}

#else

static int
open_in_one_call(int root_fd, const char *path, int flags)
{
	(void) root_fd;
	(void) path;
	(void) flags;
	errno = ENOSYS;
	return -1;
}

#endif

/* Open the first name of path, of size bytes. */
static int
open_name(int dir_fd, const char *path, size_t size, int flags)
{
	char name[NAME_MAX + 1] = "";

	if (size > NAME_MAX)
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, path, size);
	if (name[0] == '\0' || strcmp(name, "..") == 0)
	{
		errno = EXDEV;
		return -1;
	}
	return openat(dir_fd, name, OPEN_FLAGS | O_NOFOLLOW | flags);
}

static int
open_by_walking(int root_fd, const char *path, int flags)
{
	int dir_fd = root_fd;

	for (;;)
	{
		size_t size = strcspn(path, "/");
		bool last = path[size] == '\0';
		int fd = open_name(dir_fd, path, size, last ? flags : O_DIRECTORY);
		int saved_errno = errno;

		if (dir_fd != root_fd)
			close(dir_fd);
		errno = saved_errno;
		if (last || fd < 0)
			return fd;
		dir_fd = fd;
		path += size + 1;
	}
}

int
bert_open_beneath(int root_fd, const char *path, int flags)
{
	int fd = open_in_one_call(root_fd, path, flags);

	/* EPERM is what older system call filters answer */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_by_walking(root_fd, path, flags);
	return fd;
}

void
bert_read_exactly(int fd, const char *label, void *buffer, int64 nbytes, int64 offset)
{
	char *to = buffer;

	while (nbytes > 0)
	{
		ssize_t got = pread(fd, to, nbytes, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			ereport(ERROR, errcode(ERRCODE_IO_ERROR),
					errmsg("%s: could not read: %m", label));
		if (got == 0)
			ereport(ERROR, errcode(ERRCODE_IO_ERROR),
					errmsg("%s: could not read: the file was cut short", label));
		to += got;
		offset += got;
		nbytes -= got;
	}
}
