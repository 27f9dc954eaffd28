/*
 * driver.h
 *	  Which OpenCL drivers this machine has, and the one that this backend uses.
 *
 * Every driver is first opened by the helper, so that one that aborts is an ERROR with
 * a reason and not a restart of the server. What the helper found is kept in the cache
 * until the server starts again. The backend then lets the ICD loader see the chosen
 * driver only.
 */
#ifndef BERT_DRIVER_H
#define BERT_DRIVER_H

#include "device.h"
#include "kernels.h"

typedef struct BertDriver
{
	char icd[MAXPGPATH]; /* the .icd file, absolute */
	int index;           /* of the device among those of this driver */
	BertDeviceInfo info;
	uint64 libraries;     /* changes when one of the driver's libraries does */
	const BertTier *tier; /* NULL: not usable in a backend */
	const char *reason;   /* why it is chosen, or is not */
	bool chosen;
} BertDriver;

/*
 * All devices of all drivers, in the order of the .icd files; palloc'd. A driver that
 * crashes or fails is one entry without tier.
 */
extern BertDriver *bert_driver_list(int *n);

/* The one that bert.device asks for. ERROR with a hint where there is none. */
extern BertDriver *bert_driver_choose(void);

/*
 * The variables that a process which opens the driver needs, "NAME=value", NULL at the
 * end; palloc'd. cache: the directory that the driver may write to.
 */
extern const char **bert_driver_environment(const char *icd, const char *cache);

/* PoCL leaves an empty file behind at each start of a process; remove old ones. */
extern void bert_driver_sweep(const char *directory);

/* How many threads the driver may start here; see bert.threads. */
extern int bert_driver_threads(void);

#endif /* BERT_DRIVER_H */
