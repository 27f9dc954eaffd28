/*
 * tokenizer.c
 *	  Compiles what a model's files say about its tokenizer into one block of bytes,
 *	  and attaches to such a block. What is done with it is in tokenize.c.
 *
 * The compiler gathers all strings that can be found in a text (the vocabulary, and
 * the added tokens, normalized where they ask for it) as keys of one trie, works out
 * the table of characters (unicode.c), and lays both out behind a header
 * (tokenizer_block.h).
 *
 * A block comes out of a file, so attach() trusts nothing: it checks the header, and
 * that every section, and every number that is used without a check, lies inside. The
 * rest (trie, sequences, ids) is checked where it is used, at the price of a
 * comparison, rather than read through by every backend.
 */
#include "port.h"

#include "tokenizer_block.h"

/* Several with the same bytes, or the same id: the one of the highest order is valid. */
typedef struct Text
{
	BertTrieKey key; /* what it is sorted by, and its number */
	int32 order;
} Text;

typedef struct Texts
{
	Text *items;
	int32 n;
} Texts;

/* An array that will be a section. */
typedef struct Part
{
	size_t section; /* offset of its BertSection in the header */
	const void *data;
	uint64 count;
	size_t element_size;
} Part;

typedef struct Compiler
{
	const BertTokenizerSpec *spec;
	BertTokenizerBlock header;
	BertCharmap map;
	Texts keys;   /* of the trie, each after its tag */
	Texts pieces; /* the text of each id */
	BertAddedEntry *added;
	BertTrieNode *nodes;
	uint32 n_nodes;
} Compiler;

static void check_spec(const BertTokenizerSpec *spec);
static void collect_keys(Compiler *compiler);
static void build_trie(Compiler *compiler);
static void collect_pieces(Compiler *compiler);
static void fill_header(Compiler *compiler);
static void *lay_out(Compiler *compiler, size_t *nbytes);

void *
bert_tokenizer_compile(const BertTokenizerSpec *spec, size_t *nbytes)
{
	Compiler compiler = {.spec = spec};
	const BertCharmapOptions options = {
		.clean_text = spec->clean_text,
		.handle_chinese_chars = spec->handle_chinese_chars,
		.strip_accents = spec->strip_accents,
		.lowercase = spec->lowercase,
	};

	check_spec(spec);
	bert_charmap_build(&compiler.map, &options);
	collect_keys(&compiler);
	build_trie(&compiler);
	collect_pieces(&compiler);
	fill_header(&compiler);
	return lay_out(&compiler, nbytes);
}

/* ---- the spec ---- */

static void
check_id(int32 id)
{
	if (id < 0 || id == PG_INT32_MAX)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("token id %d is out of range", id));
}

static void
check_piece(const BertVocabPiece *piece)
{
	check_id(piece->id);
	if (piece->nbytes < 0 || piece->nbytes > BERT_MAX_PIECE_BYTES)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("token %d is too long", piece->id),
				errdetail("It has %d bytes; the limit is %d.", piece->nbytes,
						  BERT_MAX_PIECE_BYTES));
}

static void
check_spec(const BertTokenizerSpec *spec)
{
	if (spec->n_vocab <= 0)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("vocabulary is empty"));
	if (spec->max_chars_per_word < 0 || spec->max_chars_per_word > BERT_MAX_WORD_CHARS)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("max_input_chars_per_word %d is out of range",
					   spec->max_chars_per_word),
				errdetail("It must be from 0 to %d.", BERT_MAX_WORD_CHARS));
	if (strlen(spec->decoder_prefix) > BERT_MAX_DECODER_PREFIX)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("decoder's prefix is longer than %d bytes",
					   BERT_MAX_DECODER_PREFIX));
	check_id(spec->unk_id);
	check_id(spec->cls_id);
	check_id(spec->sep_id);
	for (int32 i = 0; i < spec->n_vocab; i++)
		check_piece(&spec->vocab[i]);
	for (int32 i = 0; i < spec->n_added; i++)
		check_piece(&spec->added[i].piece);
}

/* ---- keys ---- */

static void
add_text(Texts *texts, const uint8 *bytes, size_t nbytes, int32 number)
{
	Text *text = &texts->items[texts->n];

	text->key = (BertTrieKey){bytes, (int32) nbytes, number};
	text->order = texts->n++;
}

static void
add_key(Compiler *compiler, uint8 tag, const void *bytes, size_t nbytes, int32 number)
{
	uint8 *key = palloc(nbytes + 1);

	key[0] = tag;
	memcpy(key + 1, bytes, nbytes);
	add_text(&compiler->keys, key, nbytes + 1, number);
}

/* A token that is looked for in the normalized text must be normalized, too. */
static void
add_normalized_key(Compiler *compiler, const BertVocabPiece *piece, int32 number)
{
	size_t nbytes;
	uint8 *bytes = bert_normalize(&compiler->map, piece->bytes, piece->nbytes, &nbytes);
	int32 n_chars = 0;

	if (nbytes > BERT_MAX_PIECE_BYTES)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("token %d is too long when normalized", piece->id));
	/* The reference would cut every text into single characters. */
	if (nbytes == 0)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("token %d is empty when normalized", piece->id));
	for (size_t i = 0; i < nbytes; i++)
		n_chars += (bytes[i] & 0xC0) != 0x80;
	compiler->header.longest_normalized =
		Max(compiler->header.longest_normalized, n_chars);
	add_key(compiler, BERT_TAG_NORMALIZED, bytes, nbytes, number);
	pfree(bytes);
}

static void
add_added_token(Compiler *compiler, const BertAddedToken *token, int32 number)
{
	BertTokenizerBlock *header = &compiler->header;

	compiler->added[number] = (BertAddedEntry){.id = token->piece.id,
											   .single_word = token->single_word,
											   .lstrip = token->lstrip,
											   .rstrip = token->rstrip,
											   .special = token->special};
	if (token->piece.nbytes == 0)
		return;
	if (token->normalized)
	{
		add_normalized_key(compiler, &token->piece, number);
		return;
	}
	add_key(compiler, BERT_TAG_RAW, token->piece.bytes, token->piece.nbytes, number);
	header->starts_added[(uint8) token->piece.bytes[0]] = true;
	header->any_lstrip |= token->lstrip;
}

static int
compare_keys(const void *left, const void *right)
{
	const Text *a = left;
	const Text *b = right;
	int order = bert_trie_compare(&a->key, &b->key);

	return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static void
collect_keys(Compiler *compiler)
{
	const BertTokenizerSpec *spec = compiler->spec;
	Texts *keys = &compiler->keys;
	int32 n = 0;

	keys->items = palloc(((size_t) spec->n_vocab + spec->n_added) * sizeof(Text));
	compiler->added = palloc0((spec->n_added + 1) * sizeof(BertAddedEntry));
	for (int32 i = 0; i < spec->n_vocab; i++)
		add_key(compiler, BERT_TAG_VOCAB, spec->vocab[i].bytes, spec->vocab[i].nbytes,
				spec->vocab[i].id);
	for (int32 i = 0; i < spec->n_added; i++)
		add_added_token(compiler, &spec->added[i], i);

	qsort(keys->items, keys->n, sizeof(Text), compare_keys);
	for (int32 i = 0; i < keys->n; i++)
		if (i + 1 == keys->n ||
			bert_trie_compare(&keys->items[i].key, &keys->items[i + 1].key) != 0)
			keys->items[n++] = keys->items[i];
	keys->n = n;
}

/* ---- trie ---- */

/* The node that these bytes lead to; BERT_TRIE_ROOT: none. */
static uint32
find_node(const Compiler *compiler, uint32 node, const char *bytes, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i++)
		if (!bert_trie_step(compiler->nodes, compiler->n_nodes, &node, bytes[i]))
			return BERT_TRIE_ROOT;
	return node;
}

static uint32
find_root(const Compiler *compiler, uint8 tag)
{
	const char byte = (char) tag;

	return find_node(compiler, BERT_TRIE_ROOT, &byte, 1);
}

static void
build_trie(Compiler *compiler)
{
	BertTokenizerBlock *header = &compiler->header;
	BertTrieKey *keys = palloc(compiler->keys.n * sizeof(BertTrieKey));

	for (int32 i = 0; i < compiler->keys.n; i++)
		keys[i] = compiler->keys.items[i].key;
	compiler->nodes = bert_trie_build(keys, compiler->keys.n, &compiler->n_nodes);
	if (compiler->nodes == NULL)
		ereport(ERROR, errcode(ERRCODE_CONFIG_FILE_ERROR),
				errmsg("vocabulary is too large"));
	pfree(keys);

	header->vocab_root = find_root(compiler, BERT_TAG_VOCAB);
	header->raw_root = find_root(compiler, BERT_TAG_RAW);
	header->normalized_root = find_root(compiler, BERT_TAG_NORMALIZED);
	header->continuing_root =
		find_node(compiler, header->vocab_root, compiler->spec->prefix,
				  strlen(compiler->spec->prefix));
}

/* ---- ids back to texts ---- */

static int
compare_numbers(const void *left, const void *right)
{
	const Text *a = left;
	const Text *b = right;

	if (a->key.number != b->key.number)
		return a->key.number < b->key.number ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* What id_to_token() says of an added token. */
static void
add_added_piece(Compiler *compiler, const BertAddedToken *token)
{
	const uint8 *bytes = (const uint8 *) token->piece.bytes;
	size_t nbytes = token->piece.nbytes;

	if (token->normalized)
		bytes = bert_normalize(&compiler->map, token->piece.bytes, nbytes, &nbytes);
	add_text(&compiler->pieces, bytes, nbytes, token->piece.id);
}

/* Of the vocabulary (without the texts that a later id took), then added tokens. */
static void
collect_pieces(Compiler *compiler)
{
	const BertTokenizerSpec *spec = compiler->spec;
	Texts *pieces = &compiler->pieces;
	int32 n = 0;

	pieces->items = palloc(((size_t) compiler->keys.n + spec->n_added) * sizeof(Text));
	for (int32 i = 0; i < compiler->keys.n; i++)
	{
		const BertTrieKey *key = &compiler->keys.items[i].key;

		if (key->bytes[0] == BERT_TAG_VOCAB)
			add_text(pieces, key->bytes + 1, key->nbytes - 1, key->number);
	}
	for (int32 i = 0; i < spec->n_added; i++)
		add_added_piece(compiler, &spec->added[i]);

	qsort(pieces->items, pieces->n, sizeof(Text), compare_numbers);
	for (int32 i = 0; i < pieces->n; i++)
		if (i + 1 == pieces->n ||
			pieces->items[i].key.number != pieces->items[i + 1].key.number)
			pieces->items[n++] = pieces->items[i];
	pieces->n = n;
}

static int
compare_texts(const void *left, const void *right)
{
	return bert_trie_compare(&((const Text *) left)->key, &((const Text *) right)->key);
}

/*
 * Which pieces are special: those that read as a special token does, which a special
 * token that is normalized may not.
 */
static uint8 *
find_special_pieces(const Compiler *compiler)
{
	const BertTokenizerSpec *spec = compiler->spec;
	const Texts *pieces = &compiler->pieces;
	uint8 *is_special = palloc0(pieces->n);
	Texts special = {.items = palloc((spec->n_added + 1) * sizeof(Text))};

	for (int32 i = 0; i < spec->n_added; i++)
		if (spec->added[i].special)
			add_text(&special, (const uint8 *) spec->added[i].piece.bytes,
					 spec->added[i].piece.nbytes, 0);
	qsort(special.items, special.n, sizeof(Text), compare_texts);
	for (int32 i = 0; i < pieces->n; i++)
		is_special[i] = bsearch(&pieces->items[i], special.items, special.n,
								sizeof(Text), compare_texts) != NULL;
	pfree(special.items);
	return is_special;
}

/* ---- the block ---- */

static void
fill_plain(BertTokenizerBlock *header, const BertCharmap *map)
{
	const BertElement *ascii = map->pages + map->index[0] * BERT_PAGE_CHARS;

	for (uint32 ch = 1; ch < 0x80; ch++)
	{
		uint32 normalized = BERT_ELEMENT_CHAR(ascii[ch]);

		if (BERT_ELEMENT_KIND(ascii[ch]) == BERT_CHAR_WORD && normalized < 0x80 &&
			!header->starts_added[ch])
			header->plain[ch] = normalized != 0 ? normalized : ch;
	}
}

static void
fill_header(Compiler *compiler)
{
	const BertTokenizerSpec *spec = compiler->spec;
	BertTokenizerBlock *header = &compiler->header;
	const Text *last_piece = &compiler->pieces.items[compiler->pieces.n - 1];

	StaticAssertStmt(BERT_PAGE_CHARS >= 0x80, "ASCII is one page");
	header->magic = BERT_TOKENIZER_MAGIC;
	header->version = BERT_TOKENIZER_VERSION;
	header->unk_id = spec->unk_id;
	header->cls_id = spec->cls_id;
	header->sep_id = spec->sep_id;
	header->n_ids = Max(Max(spec->unk_id, spec->cls_id),
						Max(spec->sep_id, last_piece->key.number)) +
					1;
	header->max_chars_per_word = spec->max_chars_per_word;
	header->split_special = spec->split_special;
	header->decoder_cleanup = spec->decoder_cleanup;
	header->clean_up_spaces = spec->clean_up_spaces;
	header->decoder_prefix_nbytes = strlen(spec->decoder_prefix);
	memcpy(header->decoder_prefix, spec->decoder_prefix, header->decoder_prefix_nbytes);
	fill_plain(header, &compiler->map);
}

/* Give each part its place, and copy them there. */
static void *
join_parts(const BertTokenizerBlock *header, const Part *parts, int n_parts,
		   size_t *nbytes)
{
	BertTokenizerBlock *block;

	*nbytes = MAXALIGN(sizeof(BertTokenizerBlock));
	for (int i = 0; i < n_parts; i++)
		*nbytes += MAXALIGN(parts[i].count * parts[i].element_size);
	block = palloc0(*nbytes);
	*block = *header;
	block->nbytes = *nbytes;

	*nbytes = MAXALIGN(sizeof(BertTokenizerBlock));
	for (int i = 0; i < n_parts; i++)
	{
		BertSection *section = (BertSection *) ((char *) block + parts[i].section);
		size_t part_nbytes = parts[i].count * parts[i].element_size;

		section->offset = *nbytes;
		section->count = parts[i].count;
		memcpy((char *) block + *nbytes, parts[i].data, part_nbytes);
		*nbytes += MAXALIGN(part_nbytes);
	}
	return block;
}

#define PART(name, data, count)                                                        \
	{                                                                                  \
		offsetof(BertTokenizerBlock, name), data, count, sizeof(*(data))               \
	}

static void *
lay_out(Compiler *compiler, size_t *nbytes)
{
	const BertCharmap *map = &compiler->map;
	const int32 n = compiler->pieces.n;
	int32 *ids = palloc(n * sizeof(int32));
	uint32 *offsets = palloc((n + 1) * sizeof(uint32));
	uint8 *special = find_special_pieces(compiler);
	uint8 *bytes;
	void *block;

	offsets[0] = 0;
	for (int32 i = 0; i < n; i++)
	{
		ids[i] = compiler->pieces.items[i].key.number;
		offsets[i + 1] = offsets[i] + compiler->pieces.items[i].key.nbytes;
	}
	bytes = palloc(offsets[n] + 1);
	for (int32 i = 0; i < n; i++)
		memcpy(bytes + offsets[i], compiler->pieces.items[i].key.bytes,
			   compiler->pieces.items[i].key.nbytes);

	const Part parts[] = {
		PART(index, map->index, BERT_INDEX_PAGES),
		PART(pages, map->pages, (uint64) map->n_pages * BERT_PAGE_CHARS),
		PART(sequences, map->sequences, map->n_sequence_elements),
		PART(nodes, compiler->nodes, compiler->n_nodes),
		PART(added, compiler->added, compiler->spec->n_added),
		PART(piece_ids, ids, n),
		PART(piece_offsets, offsets, n + 1),
		PART(piece_bytes, bytes, offsets[n]),
		PART(piece_special, special, n),
	};
	block = join_parts(&compiler->header, parts, lengthof(parts), nbytes);
	pfree(ids);
	pfree(offsets);
	pfree(bytes);
	pfree(special);
	return block;
}

/* ---- attach ---- */

void
bert_tokenizer_damaged(void)
{
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
			errmsg("compiled tokenizer is damaged"));
}

/* The array in a section, if all of it is inside the block. */
static const void *
attach_section(const BertTokenizerBlock *block, const BertSection *section,
			   size_t element_size)
{
	if (section->offset > block->nbytes || section->offset % MAXIMUM_ALIGNOF != 0 ||
		section->count > (block->nbytes - section->offset) / element_size ||
		section->count > PG_INT32_MAX)
		bert_tokenizer_damaged();
	return (const char *) block + section->offset;
}

static void
check_header(const BertTokenizerBlock *block, size_t nbytes)
{
	if (nbytes < sizeof(BertTokenizerBlock) || block->magic != BERT_TOKENIZER_MAGIC ||
		block->version != BERT_TOKENIZER_VERSION || block->nbytes != nbytes)
		bert_tokenizer_damaged();
	if (block->max_chars_per_word < 0 ||
		block->max_chars_per_word > BERT_MAX_WORD_CHARS ||
		block->longest_normalized < 0 ||
		block->longest_normalized > BERT_MAX_PIECE_BYTES ||
		block->decoder_prefix_nbytes > BERT_MAX_DECODER_PREFIX)
		bert_tokenizer_damaged();
	if (block->unk_id < 0 || block->unk_id >= block->n_ids || block->cls_id < 0 ||
		block->cls_id >= block->n_ids || block->sep_id < 0 ||
		block->sep_id >= block->n_ids)
		bert_tokenizer_damaged();
}

static void
attach_map(BertTokenizer *tokenizer)
{
	const BertTokenizerBlock *block = tokenizer->block;
	BertCharmap *map = &tokenizer->map;

	map->index = attach_section(block, &block->index, sizeof(*map->index));
	map->pages = attach_section(block, &block->pages, sizeof(*map->pages));
	map->sequences = attach_section(block, &block->sequences, sizeof(*map->sequences));
	map->n_pages = block->pages.count / BERT_PAGE_CHARS;
	map->n_sequence_elements = block->sequences.count;

	if (block->index.count != BERT_INDEX_PAGES)
		bert_tokenizer_damaged();
	for (int i = 0; i < BERT_INDEX_PAGES; i++)
		if (map->index[i] >= map->n_pages)
			bert_tokenizer_damaged();
}

static void
attach_trie(BertTokenizer *tokenizer)
{
	const BertTokenizerBlock *block = tokenizer->block;

	tokenizer->nodes = attach_section(block, &block->nodes, sizeof(BertTrieNode));
	tokenizer->n_nodes = block->nodes.count;
	tokenizer->added = attach_section(block, &block->added, sizeof(BertAddedEntry));
	tokenizer->n_added = block->added.count;
	if (block->vocab_root >= tokenizer->n_nodes ||
		block->continuing_root >= tokenizer->n_nodes ||
		block->raw_root >= tokenizer->n_nodes ||
		block->normalized_root >= tokenizer->n_nodes)
		bert_tokenizer_damaged();
}

static void
attach_pieces(BertTokenizer *tokenizer)
{
	const BertTokenizerBlock *block = tokenizer->block;

	tokenizer->piece_ids = attach_section(block, &block->piece_ids, sizeof(int32));
	tokenizer->piece_offsets =
		attach_section(block, &block->piece_offsets, sizeof(uint32));
	tokenizer->piece_bytes = attach_section(block, &block->piece_bytes, 1);
	tokenizer->n_pieces = block->piece_ids.count;
	tokenizer->n_piece_bytes = block->piece_bytes.count;
	tokenizer->piece_special = attach_section(block, &block->piece_special, 1);
	if (block->piece_offsets.count != block->piece_ids.count + 1 ||
		block->piece_special.count != block->piece_ids.count)
		bert_tokenizer_damaged();
}

BertTokenizer *
bert_tokenizer_attach(const void *block, size_t nbytes)
{
	BertTokenizer *tokenizer = palloc0(sizeof(BertTokenizer));

	Assert((uintptr_t) block % MAXIMUM_ALIGNOF == 0);
	check_header(block, nbytes);
	tokenizer->block = block;
	attach_map(tokenizer);
	attach_trie(tokenizer);
	attach_pieces(tokenizer);
	return tokenizer;
}

/* ---- questions ---- */

/* The place of an id among the pieces; -1: it has none. */
static int32
find_piece(const BertTokenizer *tokenizer, int32 id)
{
	int32 low = 0;
	int32 high = tokenizer->n_pieces;

	while (low < high)
	{
		int32 middle = low + (high - low) / 2;

		if (tokenizer->piece_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < tokenizer->n_pieces && tokenizer->piece_ids[low] == id ? low : -1;
}

const char *
bert_token_text(const BertTokenizer *tokenizer, int32 id, int32 *nbytes)
{
	int32 piece = find_piece(tokenizer, id);
	uint32 start;
	uint32 stop;

	if (piece < 0)
		return NULL;
	start = tokenizer->piece_offsets[piece];
	stop = tokenizer->piece_offsets[piece + 1];
	if (start > stop || stop > tokenizer->n_piece_bytes)
		bert_tokenizer_damaged();
	*nbytes = stop - start;
	return (const char *) tokenizer->piece_bytes + start;
}

bool
bert_token_is_special(const BertTokenizer *tokenizer, int32 id)
{
	int32 piece = find_piece(tokenizer, id);

	return piece >= 0 && tokenizer->piece_special[piece];
}

int32
bert_tokenizer_cls(const BertTokenizer *tokenizer)
{
	return tokenizer->block->cls_id;
}

int32
bert_tokenizer_sep(const BertTokenizer *tokenizer)
{
	return tokenizer->block->sep_id;
}

bool
bert_tokenizer_split_special(const BertTokenizer *tokenizer)
{
	return tokenizer->block->split_special;
}

bool
bert_tokenizer_clean_up_spaces(const BertTokenizer *tokenizer)
{
	return tokenizer->block->clean_up_spaces;
}

int32
bert_tokenizer_n_ids(const BertTokenizer *tokenizer)
{
	return tokenizer->block->n_ids;
}
