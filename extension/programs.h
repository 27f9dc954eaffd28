/*
 * programs.h
 *	  Finished OpenCL programs: made by the helper, kept in the cache, loaded here.
 *
 *	programs/DRIVER/pocl/         the driver's own cache: what it unpacks of our programs
 *	programs/DRIVER/KEY.program   a finished program, as the driver gave it
 *	programs/DRIVER/KEY.manifest  sizes and checksums of it and of what was unpacked
 *
 * DRIVER stands for everything that finished code depends on (device, driver version,
 * libraries, processor), KEY for the kernels and their options. The helper compiles a
 * program, then loads it once more as a backend would, so that all of its files are
 * there before a backend sees them: PoCL abort()s on a file that it cannot load. The
 * manifest is written last and checked before every load.
 */
#ifndef BERT_PROGRAMS_H
#define BERT_PROGRAMS_H

#include "driver.h"

/* The directory that this driver may write to: POCL_CACHE_DIR. Made if need be. */
extern char *bert_programs_directory(const BertDriver *driver);

/*
 * The finished program for a model's config; palloc'd. Made first if it is missing or
 * damaged, which takes seconds: interruptible, and only one backend does it. ERROR with
 * the driver's log where it cannot be made.
 */
extern void *bert_programs_get(const BertDriver *driver, const BertConfig *config,
							   size_t *nbytes);

/*
 * Is it still there? PoCL opens a kernel's file again when a larger grid than before is
 * first asked for, and would compile a file that has gone, or abort(). So a session that
 * loaded a program long ago asks before each statement, and gets it again if need be.
 */
extern bool bert_programs_present(const BertDriver *driver, const BertConfig *config);

#endif /* BERT_PROGRAMS_H */
