/*
 * offsets.c
 *	  Where a character of a text in UTF-8 is in the text that the database has: see
 *	  offsets.h.
 */
#include "port.h"

#include "mb/pg_wchar.h"
#include "offsets.h"

/* The letters of EUC_JIS_2004 that Unicode writes as a letter and a mark, or two tones. */
static const struct
{
	uint16 first;
	uint16 last;
} two_characters[] = {{0xA4F7, 0xA4FB}, {0xA5F7, 0xA5FE}, {0xA6F8, 0xA6F8},
					  {0xABC4, 0xABC4}, {0xABC8, 0xABCF}, {0xABE5, 0xABE6}};

void
bert_offsets_begin(BertOffsets *offsets, const char *text, size_t nbytes)
{
	*offsets = (BertOffsets){.encoding = GetDatabaseEncoding(),
							 .text = text,
							 .end = text + nbytes,
							 .at = text};
}

/* Is each character of the text in UTF-8 one of the database's? */
static inline bool
is_same(const BertOffsets *offsets)
{
	return offsets->encoding != PG_SQL_ASCII && offsets->encoding != PG_EUC_JIS_2004;
}

static inline int
length_at(const BertOffsets *offsets)
{
	int length;

	if (!IS_HIGHBIT_SET(*offsets->at))
		return 1;
	length = offsets->encoding == PG_SQL_ASCII
				 ? pg_utf_mblen((const unsigned char *) offsets->at)
				 : pg_mblen(offsets->at);
	return Min(length, offsets->end - offsets->at);
}

/* Characters of UTF-8 that the one of the database at this place stands for. */
static inline int
chars_at(const BertOffsets *offsets, int length)
{
	const unsigned char *bytes = (const unsigned char *) offsets->at;
	int code;

	if (offsets->encoding != PG_EUC_JIS_2004 || length != 2)
		return 1;
	code = bytes[0] << 8 | bytes[1];
	for (int i = 0; i < (int) lengthof(two_characters); i++)
		if (code >= two_characters[i].first && code <= two_characters[i].last)
			return 2;
	return 1;
}

void
bert_offsets_seek(BertOffsets *offsets, int64 chars)
{
	if (chars < offsets->chars)
		bert_offsets_begin(offsets, offsets->text, offsets->end - offsets->text);
	while (offsets->at < offsets->end)
	{
		int length = length_at(offsets);
		int step = chars_at(offsets, length);

		if (offsets->chars + step > chars)
			break;
		offsets->at += length;
		offsets->chars += step;
		offsets->places += offsets->encoding == PG_SQL_ASCII ? length : 1;
		if (unlikely(offsets->chars % 65536 == 0))
			CHECK_FOR_INTERRUPTS();
	}
}

int64
bert_offsets_start(BertOffsets *offsets, int64 chars)
{
	if (is_same(offsets))
		return chars;
	bert_offsets_seek(offsets, chars);
	return offsets->places;
}

int64
bert_offsets_stop(BertOffsets *offsets, int64 chars)
{
	if (is_same(offsets))
		return chars;
	bert_offsets_seek(offsets, chars);
	return offsets->places + (offsets->chars < chars);
}
