/*
 * model_tokenizer.c
 *	  The tokenizer of a model: which file says what, and who has the last word.
 *
 * tokenizer.json is the whole tokenizer: vocabulary, added tokens, options, and the
 * template of special tokens around a text. Where it is missing, vocab.txt has the
 * vocabulary, one piece a line, whose number from 0 is its id; everything else is
 * BERT's default.
 *
 * tokenizer_config.json overrides three options of both, if it has their keys. It also
 * names the special tokens, where tokenizer.json has no template; so does
 * special_tokens_map.json, which wins.
 *
 * This is what transformers does, but for one thing: where tokenizer.json keeps upper
 * case and nobody speaks of "do_lower_case", transformers lower-cases, against the
 * file; here the file is right, and a WARNING says so. Truncation and padding in
 * tokenizer.json are ignored, as sentence-transformers overrides both.
 *
 * Anything but BertNormalizer, BertPreTokenizer and WordPiece is refused by its name.
 */
#include "port.h"

#include "model_files.h"

#define MAX_PIECE        1024 /* bytes; a longer one is no word's part */
#define MAX_TEMPLATE     5    /* [CLS] A [SEP] B [SEP] */
#define MAX_TEMPLATE_IDS 16   /* special tokens that a template may define */

typedef enum SpecialToken
{
	UNK,
	CLS,
	SEP,
	PAD,
	MASK,
	N_SPECIAL
} SpecialToken;

static const struct
{
	const char *key;
	const char *content;
} special_tokens[N_SPECIAL] = {
	[UNK] = {"unk_token", "[UNK]"},    [CLS] = {"cls_token", "[CLS]"},
	[SEP] = {"sep_token", "[SEP]"},    [PAD] = {"pad_token", "[PAD]"},
	[MASK] = {"mask_token", "[MASK]"},
};

/* What null means for strip_accents. */
typedef enum StripAccents
{
	AS_LOWERCASE,
	KEEP,
	STRIP
} StripAccents;

/* What is known so far. */
typedef struct Draft
{
	const BertModelFiles *model;
	BertTokenizerSpec *spec;
	BertVocabPiece *vocab; /* (spec->n_vocab), room for vocab_room */
	int vocab_room;
	BertAddedToken *added; /* (spec->n_added), room for added_room */
	int added_room;
	StripAccents strip_accents;
	bool lowercase_is_given; /* by tokenizer_config.json */
	const char *names[N_SPECIAL];
} Draft;

static _Noreturn void
unsupported(const BertJson *json, const char *what, const char *name)
{
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("%s: %s \"%s\" is not supported", json->label, what,
				   bert_printable(name)),
			errdetail("Only BERT's tokenizer is: BertNormalizer, BertPreTokenizer, "
					  "WordPiece, and [CLS] and [SEP] around the text."));
	pg_unreachable();
}

/* ---- pieces ---- */

static BertVocabPiece
make_piece(const BertJson *json, const char *bytes, int32 id)
{
	size_t nbytes = strlen(bytes);

	if (nbytes > MAX_PIECE)
		bert_json_error(json, "piece %d of the vocabulary is longer than %d bytes", id,
						MAX_PIECE);
	return (BertVocabPiece){.bytes = bytes, .nbytes = nbytes, .id = id};
}

static void
add_piece(Draft *draft, BertVocabPiece piece)
{
	if (draft->spec->n_vocab == draft->vocab_room)
	{
		draft->vocab_room *= 2;
		draft->vocab =
			repalloc(draft->vocab, draft->vocab_room * sizeof(BertVocabPiece));
	}
	draft->vocab[draft->spec->n_vocab++] = piece;
}

static void
add_added_token(Draft *draft, BertAddedToken token)
{
	if (draft->spec->n_added == draft->added_room)
	{
		draft->added_room *= 2;
		draft->added =
			repalloc(draft->added, draft->added_room * sizeof(BertAddedToken));
	}
	draft->added[draft->spec->n_added++] = token;
}

static int32
max_id(const Draft *draft)
{
	return draft->model->config.vocab_size - 1;
}

/* The id of a piece of the vocabulary, -1 without; of two, the later counts. */
static int32
find_piece(const Draft *draft, const char *name)
{
	for (int i = draft->spec->n_vocab - 1; i >= 0; i--)
		if (strcmp(draft->vocab[i].bytes, name) == 0)
			return draft->vocab[i].id;
	return -1;
}

static bool
is_added(const Draft *draft, const char *name)
{
	for (int i = 0; i < draft->spec->n_added; i++)
		if (strcmp(draft->added[i].piece.bytes, name) == 0)
			return true;
	return false;
}

/* {"content": "[CLS]", "lstrip": false, ...}; id < 0: "id" is among the members. */
static void
read_added_token(Draft *draft, BertJson *json, int32 id)
{
	BertAddedToken token = {.single_word = false};
	const char *content = NULL;
	int normalized = -1;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "id") == 0 && id < 0)
			id = bert_json_int(json, 0, max_id(draft));
		else if (strcmp(json->key, "content") == 0)
			content = bert_json_string(json);
		else if (strcmp(json->key, "single_word") == 0)
			token.single_word = bert_json_bool(json);
		else if (strcmp(json->key, "lstrip") == 0)
			token.lstrip = bert_json_bool(json);
		else if (strcmp(json->key, "rstrip") == 0)
			token.rstrip = bert_json_bool(json);
		else if (strcmp(json->key, "normalized") == 0)
			normalized = bert_json_bool(json);
		else if (strcmp(json->key, "special") == 0)
			token.special = bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	if (content == NULL || id < 0)
		bert_json_error(json, "added token without %s", content ? "id" : "content");
	if (content[0] == '\0')
		return; /* can't be found in a text */
	token.normalized = normalized < 0 ? !token.special : normalized;
	token.piece = make_piece(json, content, id);
	add_added_token(draft, token);
}

/* ---- tokenizer.json ---- */

static void
read_added_tokens(Draft *draft, BertJson *json)
{
	bert_json_array(json);
	while (bert_json_element(json))
		read_added_token(draft, json, -1);
}

/* Enter a component. One that is null is not BERT's. */
static void
enter_component(BertJson *json, const char *what)
{
	if (bert_json_null(json))
		unsupported(json, what, "null");
	bert_json_object(json);
}

static void
expect_type(const BertJson *json, const char *what, const char *type,
			const char *expected)
{
	if (type == NULL)
		bert_json_error(json, "%s has no \"type\"", what);
	if (strcmp(type, expected) != 0)
		unsupported(json, what, type);
}

static void
read_strip_accents(Draft *draft, BertJson *json)
{
	if (bert_json_null(json))
		draft->strip_accents = AS_LOWERCASE;
	else
		draft->strip_accents = bert_json_bool(json) ? STRIP : KEEP;
}

static void
read_normalizer(Draft *draft, BertJson *json)
{
	const char *type = NULL;

	enter_component(json, "normalizer");
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else if (strcmp(json->key, "clean_text") == 0)
			draft->spec->clean_text = bert_json_bool(json);
		else if (strcmp(json->key, "handle_chinese_chars") == 0)
			draft->spec->handle_chinese_chars = bert_json_bool(json);
		else if (strcmp(json->key, "strip_accents") == 0)
			read_strip_accents(draft, json);
		else if (strcmp(json->key, "lowercase") == 0)
			draft->spec->lowercase = bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	expect_type(json, "normalizer", type, "BertNormalizer");
}

static void
read_pre_tokenizer(Draft *draft, BertJson *json)
{
	const char *type = NULL;

	(void) draft; /* has nothing to learn */
	enter_component(json, "pre-tokenizer");
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else
			bert_json_skip(json);
	}
	expect_type(json, "pre-tokenizer", type, "BertPreTokenizer");
}

/* {"[PAD]": 0, ...} */
static void
read_vocab(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		const char *piece = json->key;

		add_piece(draft,
				  make_piece(json, piece, bert_json_int(json, 0, max_id(draft))));
	}
}

/* The vocabulary is read last, when the type is known: other types have other ones. */
static void
read_wordpiece(Draft *draft, BertJson *json)
{
	const char *type = "WordPiece"; /* old files don't say */
	BertJson vocab;
	bool has_vocab = false;

	enter_component(json, "tokenizer model");
	while (bert_json_member(json))
	{
		if (bert_json_null(json))
			continue;
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else if (strcmp(json->key, "unk_token") == 0)
			draft->names[UNK] = bert_json_string(json);
		else if (strcmp(json->key, "continuing_subword_prefix") == 0)
			draft->spec->prefix = bert_json_string(json);
		else if (strcmp(json->key, "max_input_chars_per_word") == 0)
			draft->spec->max_chars_per_word = bert_json_int(json, 1, 65535);
		else
		{
			if (strcmp(json->key, "vocab") == 0)
			{
				vocab = *json;
				has_vocab = true;
			}
			bert_json_skip(json);
		}
	}
	expect_type(json, "tokenizer model", type, "WordPiece");
	if (!has_vocab)
		bert_json_error(json, "model has no \"vocab\"");
	read_vocab(draft, &vocab);
}

/* ---- tokenizer.json: what stands around a text ---- */

/*
 * A template: "S0A0S0" for [CLS] A [SEP] all of type 0, and the names of its special
 * tokens.
 */
typedef struct Template
{
	char pattern[2 * MAX_TEMPLATE + 1];
	const char *special[MAX_TEMPLATE];
	int n_parts;
	int n_special;
} Template;

typedef struct PostProcessor
{
	const char *type;
	Template single;
	Template pair;
	const char *names[MAX_TEMPLATE_IDS]; /* special_tokens: name and its only id */
	int32 ids[MAX_TEMPLATE_IDS];
	int n_ids;
	int32 cls_id; /* BertProcessing */
	int32 sep_id;
} PostProcessor;

static char
sequence_letter(const char *id)
{
	return strcmp(id, "A") == 0 || strcmp(id, "B") == 0 ? id[0] : '?';
}

/* {"id": "[CLS]", "type_id": 0} of a special token; or of sequence "A" or "B". */
static void
add_template_part(BertJson *json, Template *template, bool special)
{
	const char *id = "";
	int type_id = 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "id") == 0)
			id = bert_json_string(json);
		else if (strcmp(json->key, "type_id") == 0)
			type_id = bert_json_int(json, 0, 9);
		else
			bert_json_skip(json);
	}
	if (template->n_parts == MAX_TEMPLATE)
		unsupported(json, "post-processor's template", "too long");
	template->pattern[2 * template->n_parts] = special ? 'S' : sequence_letter(id);
	template->pattern[2 * template->n_parts + 1] = '0' + type_id;
	template->n_parts++;
	if (special)
		template->special[template->n_special++] = id;
}

/* [{"SpecialToken": {...}}, {"Sequence": {...}}, ...] */
static void
read_template(BertJson *json, Template *template)
{
	memset(template, 0, sizeof(*template));
	bert_json_array(json);
	while (bert_json_element(json))
	{
		bert_json_object(json);
		while (bert_json_member(json))
			add_template_part(json, template, strcmp(json->key, "SpecialToken") == 0);
	}
}

/* {"[CLS]": {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]}, ...} */
static void
read_template_ids(const Draft *draft, BertJson *json, PostProcessor *post)
{
	post->n_ids = 0;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		int n = 0;

		if (post->n_ids == MAX_TEMPLATE_IDS)
			unsupported(json, "post-processor's special token", json->key);
		post->names[post->n_ids] = json->key;
		bert_json_object(json);
		while (bert_json_member(json))
		{
			if (strcmp(json->key, "ids") != 0)
			{
				bert_json_skip(json);
				continue;
			}
			bert_json_array(json);
			for (; bert_json_element(json); n++)
				post->ids[post->n_ids] = bert_json_int(json, 0, max_id(draft));
		}
		if (n != 1)
			unsupported(json, "post-processor's special token",
						post->names[post->n_ids]);
		post->n_ids++;
	}
}

/* ["[SEP]", 102] */
static int32
read_token_and_id(const Draft *draft, BertJson *json)
{
	int32 id = -1;

	bert_json_array(json);
	while (bert_json_element(json))
	{
		if (bert_json_peek(json) == BERT_JSON_NUMBER)
			id = bert_json_int(json, 0, max_id(draft));
		else
			bert_json_skip(json);
	}
	return id;
}

static int32
find_template_id(const BertJson *json, const PostProcessor *post, const char *name)
{
	for (int i = 0; i < post->n_ids; i++)
		if (strcmp(post->names[i], name) == 0)
			return post->ids[i];
	bert_json_error(json, "the post-processor does not define \"%s\"",
					bert_printable(name));
}

/* [CLS] A [SEP], [CLS] A [SEP] B [SEP] is the only template that there is here. */
static void
resolve_template(Draft *draft, const BertJson *json, const PostProcessor *post)
{
	const Template *single = &post->single;
	const Template *pair = &post->pair;

	if (strcmp(single->pattern, "S0A0S0") != 0)
		unsupported(json, "post-processor's template", single->pattern);
	if (strcmp(pair->pattern, "S0A0S0B1S1") != 0 ||
		strcmp(pair->special[0], single->special[0]) != 0 ||
		strcmp(pair->special[1], single->special[1]) != 0 ||
		strcmp(pair->special[2], single->special[1]) != 0)
		unsupported(json, "post-processor's template for pairs", pair->pattern);
	draft->spec->cls_id = find_template_id(json, post, single->special[0]);
	draft->spec->sep_id = find_template_id(json, post, single->special[1]);
}

/* Without a post-processor, cls_id and sep_id stay unknown. */
static void
read_post_processor(Draft *draft, BertJson *json)
{
	PostProcessor post = {.cls_id = -1, .sep_id = -1};

	if (bert_json_null(json))
		return;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			post.type = bert_json_string(json);
		else if (strcmp(json->key, "single") == 0)
			read_template(json, &post.single);
		else if (strcmp(json->key, "pair") == 0)
			read_template(json, &post.pair);
		else if (strcmp(json->key, "special_tokens") == 0)
			read_template_ids(draft, json, &post);
		else if (strcmp(json->key, "cls") == 0)
			post.cls_id = read_token_and_id(draft, json);
		else if (strcmp(json->key, "sep") == 0)
			post.sep_id = read_token_and_id(draft, json);
		else
			bert_json_skip(json);
	}
	if (post.type != NULL && strcmp(post.type, "BertProcessing") == 0)
	{
		draft->spec->cls_id = post.cls_id;
		draft->spec->sep_id = post.sep_id;
		return;
	}
	expect_type(json, "post-processor", post.type, "TemplateProcessing");
	resolve_template(draft, json, &post);
}

/*
 * The parts of tokenizer.json, in the order in which they are read, whatever the order
 * in the file: the model comes first, as "Unigram" says more about what is wrong than
 * the name of a normalizer does.
 */
static const struct
{
	const char *key;
	void (*read)(Draft *draft, BertJson *json);
	bool required;
} parts[] = {
	{"model", read_wordpiece, true},
	{"normalizer", read_normalizer, true},
	{"pre_tokenizer", read_pre_tokenizer, true},
	{"added_tokens", read_added_tokens, false},
	{"post_processor", read_post_processor, false},
};

/* Put a bookmark to each part, then read them. */
static void
read_tokenizer_json(Draft *draft, BertJson *json)
{
	BertJson bookmarks[lengthof(parts)] = {{.at = NULL}};

	bert_json_object(json);
	while (bert_json_member(json))
	{
		for (int i = 0; i < (int) lengthof(parts); i++)
			if (strcmp(json->key, parts[i].key) == 0)
				bookmarks[i] = *json;
		bert_json_skip(json);
	}
	bert_json_finish(json);
	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (bookmarks[i].at != NULL)
			parts[i].read(draft, &bookmarks[i]);
		else if (parts[i].required)
			bert_json_error(json, "\"%s\" is missing", parts[i].key);
	}
}

/* ---- vocab.txt ---- */

/*
 * One piece a line; CRLF and a byte order mark are tolerated, an empty line is an id
 * that no text has. The reader only lends its checks and its messages.
 */
static void
read_vocab_txt(Draft *draft)
{
	BertJson json;
	char *next;
	int32 id = 0;

	bert_model_file_json(draft->model, BERT_FILE_VOCAB, &json);
	next = json.at;
	if (strncmp(next, "\xEF\xBB\xBF", 3) == 0)
		next += 3;
	for (; next < json.end; id++)
	{
		char *line = next;
		size_t nbytes = strcspn(line, "\n");

		CHECK_FOR_INTERRUPTS();
		next = line + nbytes + (line[nbytes] == '\n');
		line[nbytes] = '\0';
		if (nbytes > 0 && line[nbytes - 1] == '\r')
			line[--nbytes] = '\0';
		if (id > max_id(draft))
			bert_json_error(&json,
							"more than %d lines, the \"vocab_size\" of config.json",
							draft->model->config.vocab_size);
		if (nbytes > 0)
			add_piece(draft, make_piece(&json, line, id));
	}
	if (bert_model_file_exists(draft->model, BERT_FILE_ADDED_TOKENS))
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("%s is not supported without a tokenizer.json",
					   bert_model_file_label(draft->model, BERT_FILE_ADDED_TOKENS)),
				errhint("Write one in Python: transformers.AutoTokenizer"
						".from_pretrained(folder).save_pretrained(folder)."));
}

/* The special tokens that the vocabulary has are found in a text, as written. */
static void
add_special_tokens(Draft *draft)
{
	for (int i = 0; i < N_SPECIAL; i++)
	{
		const char *name = draft->names[i];
		int32 id = find_piece(draft, name);

		if (id >= 0 && !is_added(draft, name))
			add_added_token(draft, (BertAddedToken){.piece = {name, strlen(name), id},
													.special = true});
	}
}

/* ---- tokenizer_config.json, special_tokens_map.json ---- */

/* "[CLS]" or {"content": "[CLS]", ...} or null */
static void
read_special_name(BertJson *json, const char **name)
{
	if (bert_json_null(json))
		return;
	if (bert_json_peek(json) == BERT_JSON_STRING)
	{
		*name = bert_json_string(json);
		return;
	}
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "content") == 0)
			*name = bert_json_string(json);
		else
			bert_json_skip(json);
	}
}

/* If the member at hand names a special token, read it. */
static bool
read_special_token(Draft *draft, BertJson *json)
{
	for (int i = 0; i < N_SPECIAL; i++)
		if (strcmp(json->key, special_tokens[i].key) == 0)
		{
			read_special_name(json, &draft->names[i]);
			return true;
		}
	return false;
}

/* {"0": {"content": "[PAD]", ...}, ...}: as added_tokens, for those without one. */
static void
read_added_tokens_decoder(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		char *end;
		long id = strtol(json->key, &end, 10);

		if (*end != '\0' || end == json->key || id < 0 || id > max_id(draft))
			bert_json_error(json, "\"%s\" is no id of an added token below %d",
							bert_printable(json->key), max_id(draft) + 1);
		read_added_token(draft, json, id);
	}
}

/* Japanese BERTs have a vocab.txt, but split words with MeCab first. */
static void
check_tokenizer_class(BertJson *json)
{
	const char *name = bert_json_string(json);

	if (strcmp(name, "BertTokenizer") != 0 && strcmp(name, "BertTokenizerFast") != 0)
		unsupported(json, "tokenizer class", name);
}

static void
check_word_tokenizer(BertJson *json)
{
	const char *name = bert_json_string(json);

	if (strcmp(name, "basic") != 0)
		unsupported(json, "word tokenizer", name);
}

static void
read_tokenizer_config(Draft *draft, BertJson *json, bool has_tokenizer_json)
{
	BertTokenizerSpec *spec = draft->spec;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		const char *key = json->key;

		if (strcmp(key, "strip_accents") == 0)
			read_strip_accents(draft, json);
		else if (bert_json_null(json) || read_special_token(draft, json))
			continue;
		else if (strcmp(key, "do_lower_case") == 0)
		{
			spec->lowercase = bert_json_bool(json);
			draft->lowercase_is_given = true;
		}
		else if (strcmp(key, "tokenize_chinese_chars") == 0)
			spec->handle_chinese_chars = bert_json_bool(json);
		else if (strcmp(key, "tokenizer_class") == 0 && !has_tokenizer_json)
			check_tokenizer_class(json);
		else if (strcmp(key, "word_tokenizer_type") == 0 && !has_tokenizer_json)
			check_word_tokenizer(json);
		else if (strcmp(key, "added_tokens_decoder") == 0 && !has_tokenizer_json)
			read_added_tokens_decoder(draft, json);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
}

static void
read_special_tokens_map(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
		if (!read_special_token(draft, json))
			bert_json_skip(json);
	bert_json_finish(json);
}

/* ---- together ---- */

static void
begin_draft(Draft *draft, BertModelFiles *model)
{
	memset(draft, 0, sizeof(*draft));
	draft->model = model;
	draft->spec = &model->tokenizer;
	*draft->spec = (BertTokenizerSpec){
		.clean_text = true,
		.handle_chinese_chars = true,
		.lowercase = true,
		.max_chars_per_word = 100,
		.prefix = "##",
		.cls_id = -1,
		.sep_id = -1,
	};
	draft->vocab_room = 32768;
	draft->vocab = palloc(draft->vocab_room * sizeof(BertVocabPiece));
	draft->added_room = 16;
	draft->added = palloc(draft->added_room * sizeof(BertAddedToken));
	for (int i = 0; i < N_SPECIAL; i++)
		draft->names[i] = special_tokens[i].content;
}

/* The id of a token that no text can do without. */
static int32
required_id(const Draft *draft, SpecialToken token)
{
	int32 id = find_piece(draft, draft->names[token]);

	if (id < 0)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("could not use model \"%s\": its vocabulary lacks \"%s\"",
					   draft->model->name, bert_printable(draft->names[token])));
	return id;
}

static void
finish_draft(Draft *draft)
{
	BertTokenizerSpec *spec = draft->spec;

	spec->strip_accents = draft->strip_accents == AS_LOWERCASE
							  ? spec->lowercase
							  : draft->strip_accents == STRIP;
	spec->unk_id = required_id(draft, UNK);
	if (spec->cls_id < 0)
		spec->cls_id = required_id(draft, CLS);
	if (spec->sep_id < 0)
		spec->sep_id = required_id(draft, SEP);
	spec->vocab = draft->vocab;
	spec->added = draft->added;
}

/* unk_token of tokenizer.json stands above the names in the other two files. */
void
bert_model_read_tokenizer(BertModelFiles *model)
{
	bool has_tokenizer_json = bert_model_file_exists(model, BERT_FILE_TOKENIZER);
	const char *unk = NULL;
	Draft draft;
	BertJson json;

	begin_draft(&draft, model);
	if (bert_model_file_json(model, BERT_FILE_TOKENIZER, &json))
	{
		read_tokenizer_json(&draft, &json);
		unk = draft.names[UNK];
	}
	else
		read_vocab_txt(&draft);
	if (bert_model_file_json(model, BERT_FILE_TOKENIZER_CONFIG, &json))
		read_tokenizer_config(&draft, &json, has_tokenizer_json);
	if (bert_model_file_json(model, BERT_FILE_SPECIAL_TOKENS, &json))
		read_special_tokens_map(&draft, &json);

	if (!has_tokenizer_json)
		add_special_tokens(&draft);
	else
		draft.names[UNK] = unk;
	if (has_tokenizer_json && !draft.spec->lowercase && !draft.lowercase_is_given)
		ereport(WARNING,
				errmsg("model \"%s\" keeps upper case, as its tokenizer.json says",
					   model->name),
				errdetail("Without \"do_lower_case\" in tokenizer_config.json, "
						  "transformers would lower-case all text."));
	finish_draft(&draft);
}
