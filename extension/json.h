/*
 * json.h
 *	  A pull reader over JSON text that nobody vouches for.
 *
 * Strict (RFC 8259, valid UTF-8), never recursive, depth bounded, and it allocates
 * nothing: strings are decoded where they stand, in the caller's text, and terminated
 * there. So a string lives as long as the text. PostgreSQL's own parser is not used
 * since its \u escapes go to the server's encoding, and the files are UTF-8 whatever
 * the database is.
 *
 * The caller asks for what it expects, and everything else is an ERROR:
 *
 *	  bert_json_init(&json, label, ERRCODE_CONFIG_FILE_ERROR, text, nbytes);
 *	  bert_json_object(&json);
 *	  while (bert_json_member(&json))
 *	  {
 *		  if (strcmp(json.key, "hidden_size") == 0)
 *			  hidden_size = bert_json_int(&json, 1, 65536);
 *		  else
 *			  bert_json_skip(&json);
 *	  }
 *	  bert_json_finish(&json);
 *
 * A reader is plain data, and a value that is skipped stays as it was: a copy of the
 * reader, made before the skip, is a bookmark to come back to.
 */
#ifndef BERT_JSON_H
#define BERT_JSON_H

#include "port.h"

#define BERT_JSON_MAX_DEPTH 32

typedef enum BertJsonKind
{
	BERT_JSON_OBJECT,
	BERT_JSON_ARRAY,
	BERT_JSON_STRING,
	BERT_JSON_NUMBER,
	BERT_JSON_BOOL,
	BERT_JSON_NULL
} BertJsonKind;

typedef struct BertJson
{
	const char *label; /* what every message begins with */
	int sqlstate;      /* what every ERROR carries */
	const char *key;   /* of the member at hand; NULL before the first */
	char *at;          /* next byte */
	char *end;         /* where the terminating zero stands */
	int line;          /* of *at, from 1 */
	int depth;
	bool first;                       /* nothing read yet of the innermost container */
	char closer[BERT_JSON_MAX_DEPTH]; /* '}' or ']' of each open container */
} BertJson;

/* Begin to read text: nbytes bytes of UTF-8, which is checked, and a zero. */
extern void bert_json_init(BertJson *json, const char *label, int sqlstate, char *text,
						   size_t nbytes);

/* Nothing but space is left, else ERROR. */
extern void bert_json_finish(BertJson *json);

/* What the next value is; reads nothing of it. */
extern BertJsonKind bert_json_peek(BertJson *json);

/* Enter an object; then each call stands before the next value, its key in key. */
extern void bert_json_object(BertJson *json);
extern bool bert_json_member(BertJson *json);

/* Enter an array; then each call stands before the next element. */
extern void bert_json_array(BertJson *json);
extern bool bert_json_element(BertJson *json);

/* Read a value of one kind. A number out of range is an ERROR. */
extern char *bert_json_string(BertJson *json);
extern int64 bert_json_int(BertJson *json, int64 min, int64 max);
extern double bert_json_double(BertJson *json, double min, double max);
extern bool bert_json_bool(BertJson *json);

/* Step over a null, if it is one; over any value. */
extern bool bert_json_null(BertJson *json);
extern void bert_json_skip(BertJson *json);

/* ERROR "label: message". */
extern _Noreturn void bert_json_error(const BertJson *json, const char *fmt, ...)
	pg_attribute_printf(2, 3);

/* ERROR 0A000 "label: what is not supported", the format giving what. */
extern _Noreturn void bert_json_unsupported(const BertJson *json, const char *fmt, ...)
	pg_attribute_printf(2, 3);

/*
 * A copy of text that any message may quote: printable ASCII (the rest as \xNN, since a
 * message is in the server's encoding), and not long.
 */
extern char *bert_printable(const char *text);

#endif /* BERT_JSON_H */
