/*
 * trial.h
 *	  What a device is tried with: a tier's program, and a model of random weights.
 *
 * Used by the helper program, which tries a driver before a backend trusts it, and by
 * the tests of kernels and encoder. Never by the backend itself.
 */
#ifndef BERT_TRIAL_H
#define BERT_TRIAL_H

#include "kernels.h"
#include "weights.h"

/* The tier's kernel files, joined; palloc'd. */
extern char *bert_trial_source(const BertTier *tier);

/*
 * Weights of a model: small pseudo-random numbers, always the same ones, zeros where the
 * layout pads. malloc'd, aligned as a pack is.
 */
extern char *bert_trial_weights(const BertConfig *config, const BertRecipe *recipe);

#endif /* BERT_TRIAL_H */
