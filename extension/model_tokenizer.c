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
 * names the special tokens, where tokenizer.json has no template. So does
 * special_tokens_map.json, and wins, unless the other lists the added tokens of a
 * vocab.txt ("added_tokens_decoder"); without that list, added_tokens.json has them.
 *
 * This is what transformers does, but for one thing: where tokenizer.json keeps upper
 * case and nobody speaks of "do_lower_case", transformers lower-cases, against the
 * file; here the file is right, and a WARNING says so. Truncation and padding in
 * tokenizer.json are ignored, as sentence-transformers overrides both.
 *
 * Anything but BertNormalizer, BertPreTokenizer and WordPiece is refused by its name;
 * a sequence of one of these is that one, and Lowercase before a BertNormalizer is its
 * option.
 */
#include "port.h"

#include "model_files.h"
#include "model_vocabulary.h"
#include "unicode.h"

#define MAX_PIECE        1024 /* bytes; a longer one is no word's part */
#define MAX_TEMPLATE     5    /* [CLS] A [SEP] B [SEP] */
#define MAX_TEMPLATE_IDS 16   /* special tokens that a template may define */

/* In the order in which they are added to a vocabulary. */
typedef enum SpecialToken
{
	BOS,
	EOS,
	UNK,
	SEP,
	PAD,
	CLS,
	MASK,
	N_SPECIAL
} SpecialToken;

static const struct
{
	const char *key;
	const char *content; /* NULL: BERT has none */
} special_tokens[N_SPECIAL] = {
	[BOS] = {"bos_token", NULL},       [EOS] = {"eos_token", NULL},
	[UNK] = {"unk_token", "[UNK]"},    [SEP] = {"sep_token", "[SEP]"},
	[PAD] = {"pad_token", "[PAD]"},    [CLS] = {"cls_token", "[CLS]"},
	[MASK] = {"mask_token", "[MASK]"},
};

/* What null means for strip_accents. */
typedef enum StripAccents
{
	AS_LOWERCASE,
	KEEP,
	STRIP
} StripAccents;

/* An added token as a file has it. */
typedef struct Declared
{
	BertAddedToken token;  /* piece.id: what the file says, or -1 */
	bool normalized_given; /* else a token is normalized unless it is special */
} Declared;

typedef struct DeclaredList
{
	Declared *items;
	int n;
	int room;
} DeclaredList;

/* What is known so far. */
typedef struct Draft
{
	const BertModelFiles *model;
	bool has_tokenizer_json;
	BertTokenizerSpec *spec;
	BertVocabulary vocabulary;
	StripAccents strip_accents;
	bool lowercase_first;    /* by a normalizer before BertNormalizer */
	bool lowercase_is_given; /* by tokenizer_config.json */
	bool class_is_given;
	Declared names[N_SPECIAL]; /* without bytes: there is none */
	bool name_is_given[N_SPECIAL];
	/* what is added to a vocab.txt */
	bool has_decoder;      /* added_tokens_decoder */
	DeclaredList declared; /* from there, or from added_tokens.json */
	DeclaredList extra;    /* further special tokens */
	bool extra_is_given;
	bool extra_is_closed; /* by tokenizer_config.json, which wins */
	int n_extra_named;    /* of them, those that added_tokens.json heeds */
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

/* ---- pieces and added tokens ---- */

static int32
max_id(const Draft *draft)
{
	return draft->model->config.vocab_size - 1;
}

static void
add_piece(Draft *draft, const BertJson *json, const char *bytes, int32 id)
{
	if (strlen(bytes) > MAX_PIECE)
		bert_json_error(json, "piece %d of the vocabulary is longer than %d bytes", id,
						MAX_PIECE);
	bert_vocabulary_add_piece(&draft->vocabulary, bytes, id);
}

static void
keep_declared(DeclaredList *list, const Declared *declared)
{
	CHECK_FOR_INTERRUPTS();
	if (list->n == list->room)
	{
		list->room = list->room == 0 ? 16 : 2 * list->room;
		list->items = list->items == NULL
						  ? palloc(list->room * sizeof(Declared))
						  : repalloc(list->items, list->room * sizeof(Declared));
	}
	list->items[list->n++] = *declared;
}

/* Let the vocabulary give it its id. An empty one can't be found in a text. */
static void
add_declared(Draft *draft, const Declared *declared)
{
	BertAddedToken token = declared->token;
	const char *bytes = token.piece.bytes;

	CHECK_FOR_INTERRUPTS(); /* ids are looked for among those that were added */
	if (token.piece.nbytes == 0)
		return;
	if (!declared->normalized_given)
		token.normalized = !token.special;
	token.piece.id = bert_vocabulary_next_id(&draft->vocabulary, bytes);
	if (token.piece.id > max_id(draft))
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("could not use model \"%s\": its added token \"%s\" has id %d",
					   draft->model->name, bert_printable(bytes), token.piece.id),
				errdetail("Embeddings are there for %d ids, the \"vocab_size\" of "
						  "config.json.",
						  draft->model->config.vocab_size));
	bert_vocabulary_add_token(&draft->vocabulary, &token);
}

static void
set_content(const BertJson *json, Declared *declared, const char *bytes)
{
	size_t nbytes = strlen(bytes);

	if (nbytes > MAX_PIECE)
		bert_json_error(json, "an added token is longer than %d bytes", MAX_PIECE);
	declared->token.piece.bytes = bytes;
	declared->token.piece.nbytes = nbytes;
}

/* {"id": 101, "content": "[CLS]", "lstrip": false, ...} */
static Declared
read_declared(BertJson *json)
{
	Declared declared = {.token.piece.id = -1};
	BertAddedToken *token = &declared.token;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "id") == 0)
			token->piece.id = bert_json_int(json, 0, PG_INT32_MAX);
		else if (strcmp(json->key, "content") == 0)
			set_content(json, &declared, bert_json_string(json));
		else if (strcmp(json->key, "single_word") == 0)
			token->single_word = bert_json_bool(json);
		else if (strcmp(json->key, "lstrip") == 0)
			token->lstrip = bert_json_bool(json);
		else if (strcmp(json->key, "rstrip") == 0)
			token->rstrip = bert_json_bool(json);
		else if (strcmp(json->key, "special") == 0)
			token->special = bert_json_bool(json);
		else if (strcmp(json->key, "normalized") == 0)
		{
			token->normalized = bert_json_bool(json);
			declared.normalized_given = true;
		}
		else
			bert_json_skip(json);
	}
	if (token->piece.bytes == NULL)
		bert_json_error(json, "added token without content");
	return declared;
}

/* ---- tokenizer.json ---- */

/* Ids in the file are not heard, as huggingface/tokenizers only warns about them. */
static void
read_added_tokens(Draft *draft, BertJson *json)
{
	bert_json_array(json);
	while (bert_json_element(json))
	{
		Declared declared = read_declared(json);

		if (declared.token.piece.id < 0)
			bert_json_error(json, "added token without id");
		add_declared(draft, &declared);
	}
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

/* A sequence of one is that one. */
static void
read_only_element(Draft *draft, BertJson *json, const char *what,
				  void (*read)(Draft *draft, BertJson *json))
{
	int n = 0;

	bert_json_array(json);
	for (; bert_json_element(json); n++)
	{
		if (n > 0)
			unsupported(json, what, "Sequence");
		read(draft, json);
	}
	if (n == 0)
		unsupported(json, what, "Sequence");
}

static void
read_strip_accents(Draft *draft, BertJson *json)
{
	if (bert_json_null(json))
		draft->strip_accents = AS_LOWERCASE;
	else
		draft->strip_accents = bert_json_bool(json) ? STRIP : KEEP;
}

/*
 * One of BERT's, or a sequence that has one: after nothing, or after a Lowercase, which
 * is the same as an option of BertNormalizer.
 */
static void
read_normalizer_part(Draft *draft, BertJson *json, int *n_read)
{
	BertTokenizerSpec *spec = draft->spec;
	const char *type = NULL;
	BertJson parts = {.at = NULL};

	enter_component(json, "normalizer");
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else if (strcmp(json->key, "clean_text") == 0)
			spec->clean_text = bert_json_bool(json);
		else if (strcmp(json->key, "handle_chinese_chars") == 0)
			spec->handle_chinese_chars = bert_json_bool(json);
		else if (strcmp(json->key, "strip_accents") == 0)
			read_strip_accents(draft, json);
		else if (strcmp(json->key, "lowercase") == 0)
			spec->lowercase = bert_json_bool(json);
		else
		{
			if (strcmp(json->key, "normalizers") == 0)
				parts = *json;
			bert_json_skip(json);
		}
	}
	if (type != NULL && strcmp(type, "Sequence") == 0 && parts.at != NULL)
	{
		bert_json_array(&parts);
		while (bert_json_element(&parts))
			read_normalizer_part(draft, &parts, n_read);
		return;
	}
	if (type != NULL && strcmp(type, "Lowercase") == 0 && *n_read == 0)
	{
		draft->lowercase_first = true;
		return;
	}
	expect_type(json, "normalizer", type, *n_read == 0 ? "BertNormalizer" : "nothing");
	++*n_read;
}

/* null keeps the text as it is. */
static void
read_normalizer(Draft *draft, BertJson *json)
{
	int n_read = 0;

	if (bert_json_null(json))
	{
		draft->spec->clean_text = false;
		draft->spec->handle_chinese_chars = false;
		draft->spec->lowercase = false;
		return;
	}
	read_normalizer_part(draft, json, &n_read);
	if (n_read == 0)
		unsupported(json, "normalizer",
					draft->lowercase_first ? "Lowercase" : "Sequence");
}

static void
read_pre_tokenizer(Draft *draft, BertJson *json)
{
	const char *type = NULL;
	BertJson parts = {.at = NULL};

	enter_component(json, "pre-tokenizer");
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else
		{
			if (strcmp(json->key, "pretokenizers") == 0)
				parts = *json;
			bert_json_skip(json);
		}
	}
	if (type != NULL && strcmp(type, "Sequence") == 0 && parts.at != NULL)
	{
		read_only_element(draft, &parts, "pre-tokenizer", read_pre_tokenizer);
		return;
	}
	expect_type(json, "pre-tokenizer", type, "BertPreTokenizer");
}

/* Says how a text is made of ids again. null: as BERT does. */
static void
read_decoder(Draft *draft, BertJson *json)
{
	const char *type = NULL;

	if (bert_json_null(json))
		return;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else if (strcmp(json->key, "prefix") == 0)
			draft->spec->decoder_prefix = bert_json_string(json);
		else if (strcmp(json->key, "cleanup") == 0)
			draft->spec->decoder_cleanup = bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	expect_type(json, "decoder", type, "WordPiece");
}

/* Of a text that is too long the beginning is read. */
static void
expect_right(BertJson *json)
{
	const char *side = bert_json_string(json);

	if (pg_strcasecmp(side, "right") != 0)
		bert_json_unsupported(json, "truncation on the side \"%s\"",
							  bert_printable(side));
}

/* {"direction": "Right", "max_length": 128, ...}: callers have another length. */
static void
read_truncation(Draft *draft, BertJson *json)
{
	(void) draft;
	if (bert_json_null(json))
		return;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "direction") == 0)
			expect_right(json);
		else
			bert_json_skip(json);
	}
}

/* {"[PAD]": 0, ...} */
static void
read_vocab(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		const char *piece = json->key;

		add_piece(draft, json, piece, bert_json_int(json, 0, max_id(draft)));
	}
	bert_vocabulary_begin_added(&draft->vocabulary);
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
			set_content(json, &draft->names[UNK], bert_json_string(json));
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
	BertJson parts = {.at = NULL};

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
		{
			if (strcmp(json->key, "processors") == 0)
				parts = *json;
			bert_json_skip(json);
		}
	}
	if (post.type != NULL && strcmp(post.type, "Sequence") == 0 && parts.at != NULL)
	{
		read_only_element(draft, &parts, "post-processor", read_post_processor);
		return;
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
	{"decoder", read_decoder, false},
	{"truncation", read_truncation, false},
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

/* Without the white space at its end, all that Unicode has. */
static size_t
trimmed(const char *line, size_t nbytes)
{
	size_t end = nbytes;

	while (nbytes > 0)
	{
		const uint8 *at;
		uint32 ch;

		do
			nbytes--;
		while (nbytes > 0 && (line[nbytes] & 0xC0) == 0x80);
		at = (const uint8 *) line + nbytes;
		ch = bert_utf8_next(&at, (const uint8 *) line + end);
		if (!bert_is_space(ch))
			break;
		end = nbytes;
	}
	return end;
}

/*
 * One piece a line; a byte order mark is tolerated, an empty line is an id that no text
 * has. The reader only lends its checks and its messages.
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
		line[trimmed(line, nbytes)] = '\0';
		if (id > max_id(draft))
			bert_json_error(&json,
							"more than %d lines, the \"vocab_size\" of config.json",
							draft->model->config.vocab_size);
		add_piece(draft, &json, line, id);
	}
	bert_vocabulary_begin_added(&draft->vocabulary);
}

/* Does the token have the name of a special one? */
static bool
is_special(const Draft *draft, const Declared *declared, bool given)
{
	const char *bytes = declared->token.piece.bytes;

	for (int i = 0; i < N_SPECIAL; i++)
		if (draft->names[i].token.piece.bytes != NULL &&
			strcmp(draft->names[i].token.piece.bytes, bytes) == 0)
			return !given || draft->name_is_given[i];
	return false;
}

/*
 * {"[NEW]": 30522, ...}: not to be normalized if a file names it as special. (One that
 * is special by default is, as transformers has it.)
 */
static void
read_added_tokens_json(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		Declared declared = {.normalized_given = true};

		set_content(json, &declared, json->key);
		declared.token.special = is_special(draft, &declared, true);
		for (int i = 0; i < draft->n_extra_named; i++)
			declared.token.special |=
				strcmp(draft->extra.items[i].token.piece.bytes, json->key) == 0;
		declared.token.normalized = !declared.token.special;
		declared.token.piece.id = bert_json_int(json, 0, PG_INT32_MAX);
		keep_declared(&draft->declared, &declared);
	}
	bert_json_finish(json);
}

static int
compare_ids(const void *left, const void *right)
{
	int32 a = ((const Declared *) left)->token.piece.id;
	int32 b = ((const Declared *) right)->token.piece.id;

	return (a > b) - (a < b);
}

static bool
is_among(const BertVocabulary *vocabulary, const char *bytes, int32 n_added)
{
	int32 place = bert_vocabulary_find_added(vocabulary, bytes);

	return place >= 0 && place < n_added;
}

/*
 * The tokens that are found in a text as written: first those of the files' lists, by
 * their ids, then the special tokens, by their names, then further ones; what a list
 * says of a token goes before what a name says. A special token for which there is
 * neither a piece nor an embedding is none.
 */
static void
add_tokens(Draft *draft)
{
	BertVocabulary *vocabulary = &draft->vocabulary;
	DeclaredList *list = &draft->declared;
	int32 n_listed;

	if (list->n > 0)
		qsort(list->items, list->n, sizeof(Declared), compare_ids);
	for (int i = 0; i < list->n; i++)
	{
		list->items[i].token.special |= is_special(draft, &list->items[i], false);
		add_declared(draft, &list->items[i]);
	}
	n_listed = vocabulary->n_added;
	for (int i = 0; i < N_SPECIAL; i++)
	{
		const char *name = draft->names[i].token.piece.bytes;

		if (name != NULL && !is_among(vocabulary, name, n_listed) &&
			bert_vocabulary_next_id(vocabulary, name) <= max_id(draft))
			add_declared(draft, &draft->names[i]);
	}
	for (int i = 0; i < draft->extra.n; i++)
		if (!is_among(vocabulary, draft->extra.items[i].token.piece.bytes, n_listed))
			add_declared(draft, &draft->extra.items[i]);
}

/* ---- tokenizer_config.json, special_tokens_map.json ---- */

/* "[CLS]" or {"content": "[CLS]", ...} */
static Declared
read_special(BertJson *json)
{
	Declared declared = {.token.piece.id = -1};

	if (bert_json_peek(json) == BERT_JSON_STRING)
		set_content(json, &declared, bert_json_string(json));
	else
		declared = read_declared(json);
	declared.token.special = true;
	return declared;
}

/* ["[NEW]", ...] or {"new_token": "[NEW]", ...} */
static void
read_extra(Draft *draft, BertJson *json)
{
	bool is_array = bert_json_peek(json) == BERT_JSON_ARRAY;

	if (is_array)
		bert_json_array(json);
	else
		bert_json_object(json);
	while (is_array ? bert_json_element(json) : bert_json_member(json))
	{
		Declared declared = read_special(json);

		keep_declared(&draft->extra, &declared);
	}
}

/* If the member at hand names special tokens, read it. null: there is none. */
static bool
read_special_tokens(Draft *draft, BertJson *json)
{
	for (int i = 0; i < N_SPECIAL; i++)
	{
		if (strcmp(json->key, special_tokens[i].key) != 0)
			continue;
		if (!bert_json_null(json))
		{
			draft->names[i] = read_special(json);
			draft->name_is_given[i] = true;
		}
		else if (i != UNK && i != CLS && i != SEP)
			draft->names[i] = (Declared){.normalized_given = false};
		return true;
	}
	if (strcmp(json->key, "additional_special_tokens") != 0 &&
		strcmp(json->key, "extra_special_tokens") != 0)
		return false;
	draft->extra_is_given = true;
	if (bert_json_null(json))
		return true;
	if (draft->extra_is_closed)
		bert_json_skip(json);
	else
		read_extra(draft, json);
	return true;
}

/* {"0": {"content": "[PAD]", ...}, ...}: as added_tokens, for those without one. */
static void
read_added_tokens_decoder(Draft *draft, BertJson *json)
{
	draft->has_decoder = true;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		char *end;
		long id = strtol(json->key, &end, 10);
		Declared declared;

		if (*end != '\0' || end == json->key || id < 0 || id > PG_INT32_MAX)
			bert_json_error(json, "\"%s\" is no id of an added token",
							bert_printable(json->key));
		declared = read_declared(json);
		declared.token.piece.id = id;
		keep_declared(&draft->declared, &declared);
	}
}

/*
 * Japanese BERTs have a vocab.txt, but split words with MeCab first. The tokenizers of
 * DistilBERT and ELECTRA are BERT's.
 */
static void
check_tokenizer_class(BertJson *json)
{
	static const char *const same[] = {"BertTokenizer",       "BertTokenizerFast",
									   "DistilBertTokenizer", "DistilBertTokenizerFast",
									   "ElectraTokenizer",    "ElectraTokenizerFast"};
	const char *name = bert_json_string(json);

	for (int i = 0; i < (int) lengthof(same); i++)
		if (strcmp(name, same[i]) == 0)
			return;
	unsupported(json, "tokenizer class", name);
}

static void
check_word_tokenizer(BertJson *json)
{
	const char *name = bert_json_string(json);

	if (strcmp(name, "basic") != 0)
		unsupported(json, "word tokenizer", name);
}

/* What a vocab.txt leaves open, and tokenizer.json says itself. */
static bool
read_for_vocab_txt(Draft *draft, BertJson *json)
{
	if (strcmp(json->key, "tokenizer_class") == 0)
	{
		draft->class_is_given = true;
		check_tokenizer_class(json);
	}
	else if (strcmp(json->key, "word_tokenizer_type") == 0)
		check_word_tokenizer(json);
	else if (strcmp(json->key, "added_tokens_decoder") == 0)
		read_added_tokens_decoder(draft, json);
	else
		return false;
	return true;
}

static void
read_tokenizer_config(Draft *draft, BertJson *json)
{
	BertTokenizerSpec *spec = draft->spec;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		const char *key = json->key;

		if (strcmp(key, "strip_accents") == 0)
			read_strip_accents(draft, json);
		else if (read_special_tokens(draft, json) || bert_json_null(json))
			continue;
		else if (strcmp(key, "do_lower_case") == 0)
		{
			spec->lowercase = bert_json_bool(json);
			draft->lowercase_is_given = true;
		}
		else if (strcmp(key, "tokenize_chinese_chars") == 0)
			spec->handle_chinese_chars = bert_json_bool(json);
		else if (strcmp(key, "truncation_side") == 0)
			expect_right(json);
		else if (strcmp(key, "split_special_tokens") == 0)
			spec->split_special = bert_json_bool(json);
		else if (strcmp(key, "clean_up_tokenization_spaces") == 0)
			spec->clean_up_spaces = bert_json_bool(json);
		else if (draft->has_tokenizer_json || !read_for_vocab_txt(draft, json))
			bert_json_skip(json);
	}
	bert_json_finish(json);
	draft->n_extra_named = draft->extra.n;
	draft->extra_is_closed = draft->extra_is_given;
}

static void
read_special_tokens_map(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
		if (!read_special_tokens(draft, json))
			bert_json_skip(json);
	bert_json_finish(json);
}

/* The class may stand there instead. */
static void
read_config(Draft *draft, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "tokenizer_class") == 0 && !bert_json_null(json))
			check_tokenizer_class(json);
		else
			bert_json_skip(json);
	}
}

/* ---- together ---- */

static void
begin_draft(Draft *draft, BertModelFiles *model)
{
	memset(draft, 0, sizeof(*draft));
	draft->model = model;
	draft->has_tokenizer_json = bert_model_file_exists(model, BERT_FILE_TOKENIZER);
	draft->spec = &model->tokenizer;
	*draft->spec = (BertTokenizerSpec){
		.clean_text = true,
		.handle_chinese_chars = true,
		.lowercase = true,
		.max_chars_per_word = 100,
		.prefix = "##",
		.decoder_prefix = "##",
		.decoder_cleanup = true,
		.cls_id = -1,
		.sep_id = -1,
	};
	bert_vocabulary_init(&draft->vocabulary);
	for (int i = 0; i < N_SPECIAL; i++)
		if (special_tokens[i].content != NULL)
			draft->names[i].token =
				(BertAddedToken){.piece = {special_tokens[i].content,
										   strlen(special_tokens[i].content), -1},
								 .special = true};
}

/* The id of a token that no text can do without. */
static int32
required_id(const Draft *draft, SpecialToken token)
{
	const char *name = draft->names[token].token.piece.bytes;
	int32 id = token == UNK ? bert_vocabulary_piece_id(&draft->vocabulary, name)
							: bert_vocabulary_token_id(&draft->vocabulary, name);

	if (id < 0)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("could not use model \"%s\": its vocabulary lacks \"%s\"",
					   draft->model->name, bert_printable(name)));
	return id;
}

static void
finish_draft(Draft *draft)
{
	BertTokenizerSpec *spec = draft->spec;

	spec->strip_accents = draft->strip_accents == AS_LOWERCASE
							  ? spec->lowercase
							  : draft->strip_accents == STRIP;
	spec->lowercase |= draft->lowercase_first;
	spec->unk_id = required_id(draft, UNK);
	if (spec->cls_id < 0)
		spec->cls_id = required_id(draft, CLS);
	if (spec->sep_id < 0)
		spec->sep_id = required_id(draft, SEP);
	spec->vocab = draft->vocabulary.pieces;
	spec->n_vocab = draft->vocabulary.n_pieces;
	spec->added = draft->vocabulary.added;
	spec->n_added = draft->vocabulary.n_added;
}

static void
read_files_beside(Draft *draft)
{
	const BertModelFiles *model = draft->model;
	BertJson json;

	if (bert_model_file_json(model, BERT_FILE_TOKENIZER_CONFIG, &json))
		read_tokenizer_config(draft, &json);
	if (!draft->has_decoder &&
		bert_model_file_json(model, BERT_FILE_SPECIAL_TOKENS, &json))
		read_special_tokens_map(draft, &json);
	if (draft->has_tokenizer_json)
		return;
	if (!draft->class_is_given && bert_model_file_json(model, BERT_FILE_CONFIG, &json))
		read_config(draft, &json);
	if (!draft->has_decoder &&
		bert_model_file_json(model, BERT_FILE_ADDED_TOKENS, &json))
		read_added_tokens_json(draft, &json);
	add_tokens(draft);
}

/* unk_token of tokenizer.json stands above the names in the other files. */
void
bert_model_read_tokenizer(BertModelFiles *model)
{
	Declared unk;
	Draft draft;
	BertJson json;

	begin_draft(&draft, model);
	if (bert_model_file_json(model, BERT_FILE_TOKENIZER, &json))
		read_tokenizer_json(&draft, &json);
	else
		read_vocab_txt(&draft);
	unk = draft.names[UNK];
	read_files_beside(&draft);
	if (draft.has_tokenizer_json)
		draft.names[UNK] = unk;
	finish_draft(&draft);
	if (draft.has_tokenizer_json && !draft.spec->lowercase && !draft.lowercase_is_given)
		ereport(WARNING,
				errmsg("model \"%s\" keeps upper case, as its tokenizer.json says",
					   model->name),
				errdetail("Without \"do_lower_case\" in tokenizer_config.json, "
						  "transformers would lower-case all text."));
}
