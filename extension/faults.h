/*
 * faults.h
 *	  Kernels that are broken on purpose, to show that tests see it.
 *
 * Each fault is a small edit of a tier's source, as one makes by mistake: a forgotten
 * tail, the wrong approximation, one lane. In a developer's build (developer.h) the
 * setting bert.fault names the one that programs are built with, and bert_selftest() must
 * report it; test_kernels --faults shows that the kernels' own tests find each.
 */
#ifndef BERT_FAULTS_H
#define BERT_FAULTS_H

#include "kernels.h"

typedef struct BertFault
{
	const char *name; /* "linear_tail" */
	const char *tier;
	BertKernel kernel;
	const char *text; /* occurs once in the tier's source */
	const char *instead;
} BertFault;

/* The table's i-th row, NULL behind the last. */
extern const BertFault *bert_fault_at(int i);

/* ERROR 22023 where the tier has no fault of that name. */
extern const BertFault *bert_fault_by_name(const BertTier *tier, const char *name);

/* As bert_trial_source(), with the fault in it; palloc'd. ERROR where its text is gone. */
extern char *bert_faulty_source(const BertTier *tier, const BertFault *fault);

#endif /* BERT_FAULTS_H */
