/*
 * fuzz_json.c
 *	  libFuzzer target: any bytes are JSON, or an ERROR.
 *
 * The text is read twice: skipped, and visited value by value. Both must agree, but for
 * numbers that only the visit finds out of range.
 */
#include "port.h"

#include "json.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

typedef struct Input
{
	const uint8_t *data;
	size_t nbytes;
} Input;

static void
begin(BertJson *json, const Input *input)
{
	char *text = palloc(input->nbytes + 1);

	memcpy(text, input->data, input->nbytes);
	text[input->nbytes] = '\0';
	bert_json_init(json, "fuzz", ERRCODE_CONFIG_FILE_ERROR, text, input->nbytes);
}

static void
skip(void *input)
{
	BertJson json;

	begin(&json, input);
	bert_json_skip(&json);
	bert_json_finish(&json);
}

/* Read a scalar, or enter a container. */
static void
visit_one(BertJson *json)
{
	switch (bert_json_peek(json))
	{
		case BERT_JSON_OBJECT:
			bert_json_object(json);
			break;
		case BERT_JSON_ARRAY:
			bert_json_array(json);
			break;
		case BERT_JSON_STRING:
			bert_printable(bert_json_string(json));
			break;
		case BERT_JSON_NUMBER:
			bert_json_double(json, -1e308, 1e308);
			break;
		case BERT_JSON_BOOL:
			bert_json_bool(json);
			break;
		case BERT_JSON_NULL:
			bert_json_null(json);
			break;
	}
}

static void
visit(void *input)
{
	BertJson json;

	begin(&json, input);
	do
	{
		visit_one(&json);
		while (json.depth > 0 &&
			   (json.closer[json.depth - 1] == '}' ? !bert_json_member(&json)
												   : !bert_json_element(&json)))
			;
	} while (json.depth > 0);
	bert_json_finish(&json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	Input input = {data, nbytes};
	BertCaughtError error;
	bool skipped = bert_try(skip, &input, false, NULL);
	bool visited = bert_try(visit, &input, false, &error);

	if (skipped != visited &&
		(visited || strstr(error.message, " must be between ") == NULL))
		abort();
	return 0;
}
