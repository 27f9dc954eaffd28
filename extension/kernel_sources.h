/*
 * kernel_sources.h
 *	  The text of kernels/, embedded at build time (kernel_sources.c is generated; each
 *	  text begins with a #line, so that build errors name the .cl file).
 */
#ifndef BERT_KERNEL_SOURCES_H
#define BERT_KERNEL_SOURCES_H

typedef struct BertKernelSource
{
	const char *file; /* "cpu/linear.cl"; NULL in the last one */
	const char *text;
} BertKernelSource;

extern const BertKernelSource bert_kernel_sources[];

#endif /* BERT_KERNEL_SOURCES_H */
