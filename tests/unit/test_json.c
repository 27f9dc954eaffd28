/*
 * test_json.c
 *	  The JSON reader takes what RFC 8259 allows, and nothing else.
 */
#include "port.h"

#include "json.h"
#include "raises.h"
#include "tap.h"

static BertJson json;

/* Begin to read a copy of text that this program can write into. */
static void
begin(const char *text)
{
	bert_json_init(&json, "a.json", ERRCODE_CONFIG_FILE_ERROR, pstrdup(text),
				   strlen(text));
}

static void
skip_all(void *text)
{
	begin(text);
	bert_json_skip(&json);
	bert_json_finish(&json);
}

static char string_read[1000];

static void
read_string(void *text)
{
	begin(text);
	strcpy(string_read, bert_json_string(&json));
	bert_json_finish(&json);
}

static int64 int_read;

static void
read_count(void *text)
{
	begin(text);
	int_read = bert_json_int(&json, 0, PG_INT64_MAX);
	bert_json_finish(&json);
}

static void
read_int(void *text)
{
	begin(text);
	int_read = bert_json_int(&json, PG_INT64_MIN, PG_INT64_MAX);
	bert_json_finish(&json);
}

static double double_read;

static void
read_double(void *text)
{
	begin(text);
	double_read = bert_json_double(&json, -1e300, 1e300);
	bert_json_finish(&json);
}

/* ---- grammar ---- */

static void
test_accepted(void)
{
	static char *const texts[] = {
		"null",
		" \t\r\n true \n",
		"false",
		"0",
		"-0",
		"-1.5e+10",
		"1E400",
		"123456789012345678901234567890",
		"\"\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
		"\"\xC3\xA9 \xF0\x9F\x98\x80 \x7F\"",
		"[]",
		"{}",
		"[[], {}, [1, 2], {\"a\": [{}]}]",
		"{\"a\": 1, \"a\": 2, \"\": 3}",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	};

	for (int i = 0; i < (int) lengthof(texts); i++)
		ok(returns(skip_all, texts[i]), "is read: %.60s", bert_printable(texts[i]));
}

static void
test_refused(void)
{
	static const struct
	{
		char *text;
		const char *fragment;
	} cases[] = {
		{"", "value expected"},
		{" ", "value expected"},
		{"nul", "value expected"},
		{"nulL", "value expected"},
		{"nullx", "end of file expected"},
		{"truefalse", "end of file expected"},
		{"fals", "value expected"},
		{"1 2", "end of file expected"},
		{"01", "end of number expected"},
		{"+1", "value expected"},
		{".5", "value expected"},
		{"1.", "digit expected"},
		{"1e", "digit expected"},
		{"1e+", "digit expected"},
		{"-", "digit expected"},
		{"--1", "digit expected"},
		{"0x10", "end of number expected"},
		{"1_000", "end of number expected"},
		{"NaN", "value expected"},
		{"-Infinity", "digit expected"},
		{"'a'", "value expected"},
		{"[", "value expected"},
		{"[1", "comma or ] expected"},
		{"[1,", "value expected"},
		{"[1,]", "value expected"},
		{"[,1]", "value expected"},
		{"[1 2]", "comma or ] expected"},
		{"[1}", "comma or ] expected"},
		{"[[]}", "comma or ] expected"},
		{"]", "value expected"},
		{"{", "key expected"},
		{"{1: 2}", "key expected"},
		{"{\"a\"}", "colon expected"},
		{"{\"a\" 1}", "colon expected"},
		{"{\"a\":}", "value expected"},
		{"{\"a\": 1,}", "key expected"},
		{"{\"a\": 1 \"b\": 2}", "comma or } expected"},
		{"{\"a\": 1]", "comma or } expected"},
		{"[1, // two\n2]", "value expected"},
		{"\xEF\xBB\xBFnull", "value expected"},
		{"\"a", "end of string expected"},
		{"\"a\\", "valid escape"},
		{"\"\\x41\"", "valid escape"},
		{"\"\\u12\"", "four hexadecimal digits"},
		{"\"\\u12G4\"", "four hexadecimal digits"},
		{"\"\\u", "four hexadecimal digits"},
		{"\"\\u0000\"", "character other than zero"},
		{"\"\\ud83d\"", "half a surrogate pair"},
		{"\"\\ude00\"", "half a surrogate pair"},
		{"\"\\ud83d\\u0041\"", "second half of a surrogate pair"},
		{"\"\\ud83d\\ud83d\"", "second half of a surrogate pair"},
		{"\"a\nb\"", "end of string expected"},
		{"\"\x1f\"", "end of string expected"},
		{"\"\xC3\"", "not valid UTF-8"},
		{"\"\xC0\xAF\"", "not valid UTF-8"},
		{"\"\xED\xA0\x80\"", "not valid UTF-8"},
		{"\"\xF4\x90\x80\x80\"", "not valid UTF-8"},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		 "nested more than 32 levels deep"},
		{"[\n1,\n2 3]", "line 3: comma or ] expected"},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
		ok(raises(skip_all, cases[i].text, ERRCODE_CONFIG_FILE_ERROR,
				  cases[i].fragment),
		   "is refused: %.60s", bert_printable(cases[i].text));
}

static void
begin_with_zero(void *arg)
{
	(void) arg;
	bert_json_init(&json, "a.json", ERRCODE_CONFIG_FILE_ERROR, pstrdup("[1]\0"), 4);
}

static void
skip_million_deep(void *arg)
{
	char *text = palloc(1000001);

	(void) arg;
	memset(text, '[', 1000000);
	text[1000000] = '\0';
	skip_all(text);
}

/* ---- values ---- */

static void
test_strings(void)
{
	static char plain[] = "\"plain\"";
	static char escapes[] = "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"";
	static char unicode[] = "\"a\\u00E9b\\u20acc\\uD83D\\uDE00d\"";

	ok(returns(read_string, plain) && strcmp(string_read, "plain") == 0,
	   "a string is read as it is");
	ok(returns(read_string, escapes) && strcmp(string_read, "\"\\/\b\f\n\r\t") == 0,
	   "each short escape is its character");
	ok(returns(read_string, unicode) && strcmp(string_read, "a\xC3\xA9"
															"b\xE2\x82\xAC"
															"c\xF0\x9F\x98\x80"
															"d") == 0,
	   "\\u escapes become UTF-8 of two, three and four bytes");
	ok(raises(read_string, "1", ERRCODE_CONFIG_FILE_ERROR, "must be a string"),
	   "a number is no string");
}

static void
test_numbers(void)
{
	ok(returns(read_int, "9223372036854775807") && int_read == PG_INT64_MAX,
	   "the largest int64 is read");
	ok(returns(read_int, "-9223372036854775808") && int_read == PG_INT64_MIN,
	   "the smallest int64 is read");
	ok(raises(read_int, "9223372036854775808", ERRCODE_CONFIG_FILE_ERROR,
			  "not 9223372036854775808"),
	   "one more is refused");
	ok(raises(read_int, "1.0", ERRCODE_CONFIG_FILE_ERROR, "must be an integer"),
	   "a fraction is no integer");
	ok(raises(read_int, "1e3", ERRCODE_CONFIG_FILE_ERROR, "must be an integer"),
	   "an exponent is no integer");
	ok(raises(read_count, "-1", ERRCODE_CONFIG_FILE_ERROR, "not -1"),
	   "a count is not negative");
	ok(raises(read_count, "-0", ERRCODE_CONFIG_FILE_ERROR, "not -0"),
	   "a count has no sign");
	ok(returns(read_double, "1e-12") && double_read == 1e-12, "a double is read");
	ok(returns(read_double, "1000000000000000019884624838656") && double_read == 1e30,
	   "an integer of any size is a double");
	ok(raises(read_double, "1e400", ERRCODE_CONFIG_FILE_ERROR, "not 1e400"),
	   "an infinite double is refused");
}

/* ---- the pull interface ---- */

/* Sum of the members of "numbers", read before or after the other members. */
static void
sum_numbers(void *arg)
{
	BertJson bookmark = {.at = NULL};

	(void) arg;
	begin("{\"numbers\": [1, 2, [], {\"k\\n\": \"\\u0041\"}, 4], \"name\": \"x\"}");
	bert_json_object(&json);
	while (bert_json_member(&json))
	{
		if (strcmp(json.key, "numbers") == 0)
			bookmark = json;
		bert_json_skip(&json);
	}
	bert_json_finish(&json);

	int_read = 0;
	bert_json_array(&bookmark);
	while (bert_json_element(&bookmark))
	{
		if (bert_json_peek(&bookmark) == BERT_JSON_NUMBER)
			int_read += bert_json_int(&bookmark, 0, 100);
		else if (bert_json_peek(&bookmark) == BERT_JSON_OBJECT)
		{
			bert_json_object(&bookmark);
			while (bert_json_member(&bookmark))
			{
				strcpy(string_read, bookmark.key);
				strcat(string_read, bert_json_string(&bookmark));
			}
		}
		else
			bert_json_skip(&bookmark);
	}
}

static void
expect_object(void *text)
{
	begin(text);
	bert_json_object(&json);
	while (bert_json_member(&json))
		bert_json_object(&json);
}

static void
show_key(void *arg)
{
	(void) arg;
	begin("{\"\xC3\xA9\\n\": 1}");
	bert_json_object(&json);
	bert_json_member(&json);
	bert_json_string(&json);
}

static void
test_pull(void)
{
	ok(returns(sum_numbers, NULL) && int_read == 7 && strcmp(string_read, "k\nA") == 0,
	   "a copy of the reader is a bookmark to come back to");
	ok(raises(expect_object, "[]", ERRCODE_CONFIG_FILE_ERROR,
			  "a.json: content must be an object"),
	   "a message says which file is wrong");
	ok(raises(expect_object, "{\"a\": 1}", ERRCODE_CONFIG_FILE_ERROR,
			  "\"a\" must be an object"),
	   "a message says which key is wrong");
	ok(raises(show_key, NULL, ERRCODE_CONFIG_FILE_ERROR, "\"\\xc3\\xa9\\x0a\" must be"),
	   "a message shows a strange key in ASCII");
}

int
main(void)
{
	test_accepted();
	test_refused();
	ok(raises(begin_with_zero, NULL, ERRCODE_CONFIG_FILE_ERROR, "zero byte"),
	   "a zero byte is refused");
	ok(raises(skip_million_deep, NULL, ERRCODE_CONFIG_FILE_ERROR, "nested more than"),
	   "a million brackets are refused, and need no stack");
	test_strings();
	test_numbers();
	test_pull();
	return done_testing();
}
