/*
 * compat.h
 *	  What differs between the server versions that this compiles with: 15 to 18.
 *
 * Seen by the files that see fmgr.h, after port.h. Each difference stands here with its
 * release and its reason, and nowhere else.
 */
#ifndef BERT_COMPAT_H
#define BERT_COMPAT_H

#include "fmgr.h"

/* 16 took the varlena macros (VARDATA_ANY, SET_VARSIZE, ...) out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 declares it in fmgr.h, and hides what is not marked for export. */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

#endif /* BERT_COMPAT_H */
