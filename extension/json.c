/*
 * json.c
 *	  The pull reader of json.h.
 *
 * The state is a position, and a stack that holds one byte per open container: the
 * bracket that will close it. All steps go through two places: skip_space(), which also
 * counts lines, and next_item(), which moves to the next value of the innermost
 * container, or closes it. UTF-8 is checked once, for the whole text, by the server's
 * own routine; it also refuses zero bytes, so the terminating zero is the only one and
 * every loop stops there.
 */
#include "port.h"

#include "json.h"
#include "mb/pg_wchar.h"

/* Longest piece of a file that a message quotes. */
#define MAX_QUOTED 100

static const char *const kind_names[] = {"an object", "an array",      "a string",
										 "a number",  "true or false", "null"};

char *
bert_printable(const char *text)
{
	char *copy = palloc(MAX_QUOTED * 4 + 4);
	char *to = copy;
	int n = 0;

	for (; text[n] != '\0' && n < MAX_QUOTED; n++)
	{
		unsigned char byte = text[n];

		if (byte >= 0x20 && byte < 0x7F)
			*to++ = byte;
		else
			to += sprintf(to, "\\x%02x", byte);
	}
	strcpy(to, text[n] != '\0' ? "..." : "");
	return copy;
}

void
bert_json_error(const BertJson *json, const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	ereport(ERROR, errcode(json->sqlstate), errmsg("%s: %s", json->label, message));
	pg_unreachable();
}

void
bert_json_unsupported(const BertJson *json, const char *fmt, ...)
{
	char what[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("%s: %s is not supported", json->label, what));
	pg_unreachable();
}

static void
syntax_error(const BertJson *json, const char *expected)
{
	bert_json_error(json, "line %d: %s expected", json->line, expected);
}

/* ERROR "key" must be such and such. */
static void
value_error(const BertJson *json, const char *must_be)
{
	if (json->key == NULL)
		bert_json_error(json, "content must be %s", must_be);
	bert_json_error(json, "\"%s\" must be %s", bert_printable(json->key), must_be);
}

void
bert_json_init(BertJson *json, const char *label, int sqlstate, char *text,
			   size_t nbytes)
{
	memset(json, 0, sizeof(*json));
	json->label = label;
	json->sqlstate = sqlstate;
	json->at = text;
	json->end = text + nbytes;
	json->line = 1;
	if (nbytes > INT_MAX ||
		pg_encoding_verifymbstr(PG_UTF8, text, (int) nbytes) != (int) nbytes)
		bert_json_error(json, "text is not valid UTF-8, or holds a zero byte");
}

static void
skip_space(BertJson *json)
{
	for (;; json->at++)
	{
		if (*json->at == '\n')
			json->line++;
		else if (*json->at != ' ' && *json->at != '\t' && *json->at != '\r')
			return;
	}
}

void
bert_json_finish(BertJson *json)
{
	skip_space(json);
	if (json->at != json->end)
		syntax_error(json, "end of file");
}

BertJsonKind
bert_json_peek(BertJson *json)
{
	skip_space(json);
	switch (*json->at)
	{
		case '{':
			return BERT_JSON_OBJECT;
		case '[':
			return BERT_JSON_ARRAY;
		case '"':
			return BERT_JSON_STRING;
		case 't':
		case 'f':
			return BERT_JSON_BOOL;
		case 'n':
			return BERT_JSON_NULL;
		default:
			if (*json->at != '-' && (*json->at < '0' || *json->at > '9'))
				syntax_error(json, "value");
			return BERT_JSON_NUMBER;
	}
}

static void
expect_kind(BertJson *json, BertJsonKind kind)
{
	if (bert_json_peek(json) != kind)
		value_error(json, kind_names[kind]);
}

/* ---- strings ---- */

/* The code unit of \uXXXX; json->at stands on the u, and then behind the last digit. */
static pg_wchar
read_code_unit(BertJson *json)
{
	pg_wchar unit = 0;

	for (int i = 1; i <= 4; i++)
	{
		char c = json->at[i];

		if (c >= '0' && c <= '9')
			unit = unit * 16 + (c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			unit = unit * 16 + ((c | 0x20) - 'a' + 10);
		else
			syntax_error(json, "four hexadecimal digits after \\u");
	}
	json->at += 5;
	return unit;
}

/* The character of \uXXXX, or of a surrogate pair of them; json->at stands on the u. */
static pg_wchar
read_unicode_escape(BertJson *json)
{
	pg_wchar c = read_code_unit(json);

	if (c >= 0xD800 && c < 0xDC00 && json->at[0] == '\\' && json->at[1] == 'u')
	{
		pg_wchar low;

		json->at++;
		low = read_code_unit(json);
		if (low < 0xDC00 || low > 0xDFFF)
			syntax_error(json, "second half of a surrogate pair");
		return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	if (c == 0 || (c >= 0xD800 && c <= 0xDFFF))
		syntax_error(json, "character other than zero or half a surrogate pair");
	return c;
}

/* Read an escape, json->at behind its backslash; the character in UTF-8, its length. */
static int
read_escape(BertJson *json, unsigned char *utf8)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *letter = *json->at ? strchr(letters, *json->at) : NULL;

	if (letter != NULL)
	{
		json->at++;
		utf8[0] = values[letter - letters];
		return 1;
	}
	if (*json->at != 'u')
		syntax_error(json, "valid escape after \\");
	unicode_to_utf8(read_unicode_escape(json), utf8);
	return pg_utf_mblen(utf8);
}

/*
 * Read a string. With decode it is written over itself, which can't overtake the
 * reading (an escape is never shorter than its character), and terminated; the result
 * is its start. Without, the text stays as it is.
 */
static char *
read_string(BertJson *json, bool decode)
{
	char *start = ++json->at;
	char *to = start;

	while (*json->at != '"')
	{
		unsigned char utf8[4];
		int nbytes = 1;

		if ((unsigned char) *json->at < 0x20)
			syntax_error(json, "end of string");
		if (*json->at == '\\')
		{
			json->at++;
			nbytes = read_escape(json, utf8);
		}
		else
			utf8[0] = *json->at++;
		if (decode)
			memcpy(to, utf8, nbytes);
		to += nbytes;
	}
	if (decode)
		*to = '\0';
	json->at++;
	return start;
}

char *
bert_json_string(BertJson *json)
{
	expect_kind(json, BERT_JSON_STRING);
	return read_string(json, true);
}

/* ---- numbers ---- */

static void
skip_digits(BertJson *json)
{
	if (*json->at < '0' || *json->at > '9')
		syntax_error(json, "digit");
	while (*json->at >= '0' && *json->at <= '9')
		json->at++;
}

/* Step over a number; true if it is written as an integer. */
static bool
skip_number(BertJson *json)
{
	bool integer = true;

	json->at += *json->at == '-';
	if (*json->at == '0')
		json->at++;
	else
		skip_digits(json);
	if (*json->at == '.')
	{
		integer = false;
		json->at++;
		skip_digits(json);
	}
	if (*json->at == 'e' || *json->at == 'E')
	{
		integer = false;
		json->at++;
		json->at += *json->at == '-' || *json->at == '+';
		skip_digits(json);
	}
	if (*json->at != '\0' && strchr(",]} \t\r\n", *json->at) == NULL)
		syntax_error(json, "end of number");
	return integer;
}

/* The number's text as a message may show it. */
static char *
number_text(const BertJson *json, const char *start)
{
	return bert_printable(pnstrdup(start, json->at - start));
}

int64
bert_json_int(BertJson *json, int64 min, int64 max)
{
	const char *start;
	int64 value;
	bool integer;

	expect_kind(json, BERT_JSON_NUMBER);
	start = json->at;
	integer = skip_number(json);
	errno = 0;
	value = strtoll(start, NULL, 10);
	/* "-0" is no count, though its value is in range */
	if (!integer || errno == ERANGE || value < min || value > max ||
		(min >= 0 && *start == '-'))
		value_error(json, psprintf("an integer between %lld and %lld, not %s",
								   (long long) min, (long long) max,
								   number_text(json, start)));
	return value;
}

double
bert_json_double(BertJson *json, double min, double max)
{
	const char *start;
	double value;

	expect_kind(json, BERT_JSON_NUMBER);
	start = json->at;
	skip_number(json);
	value = strtod(start, NULL);
	if (!(value >= min && value <= max))
		value_error(json, psprintf("between %g and %g, not %s", min, max,
								   number_text(json, start)));
	return value;
}

/* ---- the other values ---- */

static bool
skip_word(BertJson *json, const char *word)
{
	size_t nbytes = strlen(word);

	if (strncmp(json->at, word, nbytes) != 0)
		return false;
	json->at += nbytes;
	return true;
}

bool
bert_json_bool(BertJson *json)
{
	expect_kind(json, BERT_JSON_BOOL);
	if (skip_word(json, "true"))
		return true;
	if (!skip_word(json, "false"))
		syntax_error(json, "value");
	return false;
}

bool
bert_json_null(BertJson *json)
{
	if (bert_json_peek(json) != BERT_JSON_NULL)
		return false;
	if (!skip_word(json, "null"))
		syntax_error(json, "value");
	return true;
}

static void
enter(BertJson *json, BertJsonKind kind, char closer)
{
	expect_kind(json, kind);
	if (json->depth == BERT_JSON_MAX_DEPTH)
		bert_json_error(json, "line %d: nested more than %d levels deep", json->line,
						BERT_JSON_MAX_DEPTH);
	json->at++;
	json->closer[json->depth++] = closer;
	json->first = true;
}

void
bert_json_object(BertJson *json)
{
	enter(json, BERT_JSON_OBJECT, '}');
}

void
bert_json_array(BertJson *json)
{
	enter(json, BERT_JSON_ARRAY, ']');
}

/* To the next value of the innermost container; or close it: false. */
static bool
next_item(BertJson *json, bool decode_key)
{
	char closer = json->closer[json->depth - 1];
	bool first = json->first;

	CHECK_FOR_INTERRUPTS();
	json->first = false;
	skip_space(json);
	if (*json->at == closer)
	{
		json->at++;
		json->depth--;
		return false;
	}
	if (!first)
	{
		if (*json->at != ',')
			syntax_error(json, closer == '}' ? "comma or }" : "comma or ]");
		json->at++;
	}
	if (closer == ']')
		return true;

	skip_space(json);
	if (*json->at != '"')
		syntax_error(json, "key");
	if (decode_key)
		json->key = read_string(json, true);
	else
		read_string(json, false);
	skip_space(json);
	if (*json->at != ':')
		syntax_error(json, "colon");
	json->at++;
	return true;
}

bool
bert_json_member(BertJson *json)
{
	return next_item(json, true);
}

bool
bert_json_element(BertJson *json)
{
	return next_item(json, true);
}

/* Step over a scalar, or into a container. */
static void
skip_one(BertJson *json)
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
			read_string(json, false);
			break;
		case BERT_JSON_NUMBER:
			skip_number(json);
			break;
		case BERT_JSON_BOOL:
			bert_json_bool(json);
			break;
		case BERT_JSON_NULL:
			bert_json_null(json);
			break;
	}
}

void
bert_json_skip(BertJson *json)
{
	int outside = json->depth;

	do
	{
		skip_one(json);
		while (json->depth > outside && !next_item(json, false))
			;
	} while (json->depth > outside);
}
