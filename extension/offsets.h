/*
 * offsets.h
 *	  Where a character of a text in UTF-8 is in the text that the database has.
 *
 * The tokenizer reads UTF-8 and counts its characters. SQL counts those of the
 * database's encoding, in length() and substr(). Mostly these are the same, but
 *
 *		SQL_ASCII		counts bytes; we read them as UTF-8
 *		EUC_JIS_2004	has 25 letters that are two characters in UTF-8
 *
 * A BertOffsets is a place in a text. It goes forward cheaply, so tokens, whose starts
 * ascend as their stops do, are mapped with one for the starts and one for the stops.
 * (To go back is allowed, and begins again at the text's beginning.)
 */
#ifndef BERT_OFFSETS_H
#define BERT_OFFSETS_H

#include "port.h"

typedef struct BertOffsets
{
	int encoding;     /* the database's */
	const char *text; /* in it */
	const char *end;
	const char *at;
	int64 chars;  /* before this place: of the text in UTF-8, */
	int64 places; /* and as the database counts */
} BertOffsets;

/* Stand at the beginning of a text, which must stay where it is. */
extern void bert_offsets_begin(BertOffsets *offsets, const char *text, size_t nbytes);

/*
 * What the database counts before the character of this number, from 0; where that is
 * the second half of a letter, before the letter. For a stop: after the letter.
 */
extern int64 bert_offsets_start(BertOffsets *offsets, int64 chars);
extern int64 bert_offsets_stop(BertOffsets *offsets, int64 chars);

/* The same, and go there: offsets->at are the text's bytes. */
extern void bert_offsets_seek(BertOffsets *offsets, int64 chars);

#endif /* BERT_OFFSETS_H */
