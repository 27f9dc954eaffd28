/*
 * beneath.h
 *	  Files below a directory, opened and read with care.
 */
#ifndef BERT_BENEATH_H
#define BERT_BENEATH_H

#include "port.h"

/*
 * open(2) for reading of a relative path below root_fd, without waiting (a FIFO) and
 * without being led out of root_fd by "..", or by a symbolic link. Returns -1 with
 * errno; EXDEV: the path leads out, ELOOP: a link that isn't followed. flags:
 * O_DIRECTORY or 0. The caller closes the descriptor.
 */
extern int bert_open_beneath(int root_fd, const char *path, int flags);

/* Read exactly nbytes at offset. ERROR 58030, which begins with label. */
extern void bert_read_exactly(int fd, const char *label, void *buffer, int64 nbytes,
							  int64 offset);

#endif /* BERT_BENEATH_H */
