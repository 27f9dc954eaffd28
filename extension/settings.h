/*
 * settings.h
 *	  The extension's settings (GUCs), defined in bert.c.
 */
#ifndef BERT_SETTINGS_H
#define BERT_SETTINGS_H

#include "port.h"

typedef enum BertTruncate
{
	BERT_TRUNCATE_ERROR,
	BERT_TRUNCATE_WARN,
	BERT_TRUNCATE_SILENT
} BertTruncate;

extern char *bert_model_setting;           /* bert.model; "": the only one there is */
extern char *bert_model_directory_setting; /* bert.model_directory; "": default */
extern char *bert_cache_directory_setting; /* bert.cache_directory; "": default */
extern char *bert_device_setting;     /* bert.device: auto, cpu, gpu, part of a name */
extern int bert_threads_setting;      /* bert.threads; 0: what the server may use */
extern int bert_truncate_setting;     /* bert.truncate, BertTruncate */
extern int bert_batch_tokens_setting; /* bert.batch_tokens */

#endif /* BERT_SETTINGS_H */
