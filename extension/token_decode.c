/*
 * token_decode.c
 *	  From ids back to a text.
 *
 * The decoder joins the texts of the ids: a space before each but the first, or, where
 * it begins with "##", no space and the rest of it. Then it removes, in each of these
 * parts, the spaces that English does not have. What it gives is no copy of the text
 * that the ids were made of: case, accents and white space are gone for good.
 *
 *		[CLS] don ' t stop ##ping . [SEP]	->	"[CLS] don ' t stopping. [SEP]"
 *
 * Clean-up of the whole, which also joins what lies in several parts, comes on top:
 * "[CLS] don't stopping. [SEP]".
 *
 * Follows decoders/wordpiece.rs of huggingface/tokenizers 0.23.3, and
 * clean_up_tokenization() of transformers.
 */
#include "port.h"

#include "lib/stringinfo.h"
#include "tokenizer_block.h"

typedef struct Replacement
{
	const char *from; /* begins with a space */
	const char *to;   /* is shorter */
} Replacement;

/* In this order, each on what the one before it left. */
static const Replacement of_a_part[] = {
	{" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
	{" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
	{" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};
static const Replacement of_the_whole[] = {
	{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
	{" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};

static void
replace(StringInfo text, size_t start, const Replacement *replacement)
{
	const size_t from_nbytes = strlen(replacement->from);
	const size_t to_nbytes = strlen(replacement->to);
	char *out = text->data + start;
	char *end = text->data + text->len;
	char *at = out;
	char *found;

	while ((found = memmem(at, end - at, replacement->from, from_nbytes)) != NULL)
	{
		memmove(out, at, found - at);
		out += found - at;
		memcpy(out, replacement->to, to_nbytes);
		out += to_nbytes;
		at = found + from_nbytes;
	}
	if (out == at)
		return;
	memmove(out, at, end - at);
	text->len -= at - out;
	text->data[text->len] = '\0';
}

static void
clean_up(StringInfo text, size_t start, const Replacement *replacements, int n)
{
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		replace(text, start, &replacements[i]);
	}
}

static void
put_part(const BertTokenizer *tokenizer, StringInfo text, const char *bytes,
		 size_t nbytes, bool is_first)
{
	const BertTokenizerBlock *block = tokenizer->block;
	const size_t prefix_nbytes = block->decoder_prefix_nbytes;
	const size_t start = text->len;

	if (!is_first)
	{
		if (nbytes >= prefix_nbytes &&
			memcmp(bytes, block->decoder_prefix, prefix_nbytes) == 0)
		{
			bytes += prefix_nbytes;
			nbytes -= prefix_nbytes;
		}
		else
			appendStringInfoChar(text, ' ');
	}
	appendBinaryStringInfo(text, bytes, nbytes);
	if (block->decoder_cleanup && memchr(text->data + start, ' ', text->len - start))
		clean_up(text, start, of_a_part, lengthof(of_a_part));
}

char *
bert_decode(const BertTokenizer *tokenizer, const int32 *ids, int64 n_ids,
			bool skip_special, bool clean_up_spaces, size_t *nbytes)
{
	StringInfoData text;
	bool is_first = true;

	initStringInfo(&text);
	for (int64 i = 0; i < n_ids; i++)
	{
		int32 part_nbytes;
		const char *part = bert_token_text(tokenizer, ids[i], &part_nbytes);

		if (i % 8192 == 0)
			CHECK_FOR_INTERRUPTS();
		if (part == NULL || (skip_special && bert_token_is_special(tokenizer, ids[i])))
			continue;
		put_part(tokenizer, &text, part, part_nbytes, is_first);
		is_first = false;
	}
	if (clean_up_spaces)
		clean_up(&text, 0, of_the_whole, lengthof(of_the_whole));
	*nbytes = text.len;
	return text.data;
}
