/*
 * unicode.h
 *	  What the normalizer and the pre-tokenizer make of each character, as one table.
 *
 * BertNormalizer (clean_text, handle_chinese_chars, strip_accents, lowercase) and
 * BertPreTokenizer are, but for the order of combining marks, rules on single
 * characters. So they are worked out for every character once, when a tokenizer is
 * compiled, and a text costs one look-up a character:
 *
 *		pages[index[ch / 128]][ch % 128]  ->  kind, combining class, character
 *
 * Most pages are alike (a page of Hangul is a page of Hangul), so the whole of Unicode
 * takes some 100 KB.
 */
#ifndef BERT_UNICODE_H
#define BERT_UNICODE_H

#include "port.h"

#define BERT_MAX_CHAR    0x10FFFF
#define BERT_PAGE_CHARS  128
#define BERT_INDEX_PAGES ((BERT_MAX_CHAR + 1) / BERT_PAGE_CHARS)

/* What becomes of a character. */
typedef enum BertCharKind
{
	BERT_CHAR_WORD,     /* part of a word */
	BERT_CHAR_SPACE,    /* ends a word */
	BERT_CHAR_ALONE,    /* punctuation: a word of its own */
	BERT_CHAR_CHINESE,  /* the same, with spaces put around it */
	BERT_CHAR_CLEANED,  /* deleted before everything else */
	BERT_CHAR_STRIPPED, /* a nonspacing mark, deleted after decomposition */
	BERT_CHAR_SEQUENCE, /* several elements: see BertCharmap.sequences */
	BERT_CHAR_HANGUL    /* a syllable, to be decomposed by rule */
} BertCharKind;

/*
 * An element: kind in 3 bits, canonical combining class in 8, and in 21 the character
 * in its normalized form, 0 standing for the character itself. (For a SEQUENCE: how
 * many elements, and where they begin.)
 */
typedef uint32 BertElement;

#define BERT_ELEMENT(kind, class, ch)                                                  \
	((BertElement) (kind) << 29 | (BertElement) (class) << 21 | (BertElement) (ch))
#define BERT_ELEMENT_KIND(element)  ((BertCharKind) ((element) >> 29))
#define BERT_ELEMENT_CLASS(element) ((element) >> 21 & 0xFF)
#define BERT_ELEMENT_CHAR(element)  ((element) &0x1FFFFF)

typedef struct BertCharmap
{
	const uint16 *index;          /* (BERT_INDEX_PAGES) */
	const BertElement *pages;     /* (n_pages, BERT_PAGE_CHARS) */
	const BertElement *sequences; /* (n_sequence_elements) */
	uint32 n_pages;
	uint32 n_sequence_elements;
} BertCharmap;

typedef struct BertCharmapOptions
{
	bool clean_text;
	bool handle_chinese_chars;
	bool strip_accents;
	bool lowercase;
} BertCharmapOptions;

/* Palloc's the three arrays. */
extern void bert_charmap_build(BertCharmap *map, const BertCharmapOptions *options);

/* White_Space; \s of the reference. */
extern bool bert_is_space(uint32 ch);

/* \w of the reference: what single_word asks of the neighbours. */
extern bool bert_is_word_char(uint32 ch);

#define BERT_HANGUL_FIRST 0xAC00
#define BERT_HANGUL_LAST  0xD7A3

/* The two or three jamo of a syllable; returns how many. */
static inline int
bert_hangul_decompose(uint32 syllable, uint32 jamo[3])
{
	uint32 index = syllable - BERT_HANGUL_FIRST;

	jamo[0] = 0x1100 + index / (21 * 28);
	jamo[1] = 0x1161 + index / 28 % 21;
	jamo[2] = 0x11A7 + index % 28;
	return jamo[2] == 0x11A7 ? 2 : 3;
}

/*
 * Read the character at p, of valid UTF-8, and go past it. Never reads beyond end:
 * a byte that begins no character there is one by itself.
 */
static inline uint32
bert_utf8_next(const uint8 **p, const uint8 *end)
{
	const uint8 *s = *p;
	ptrdiff_t left = end - s;

	if (s[0] >= 0xF0 && left >= 4)
	{
		*p += 4;
		return ((s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 |
				(s[3] & 0x3F)) %
			   (BERT_MAX_CHAR + 1);
	}
	if (s[0] >= 0xE0 && left >= 3)
	{
		*p += 3;
		return (s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F);
	}
	if (s[0] >= 0xC0 && left >= 2)
	{
		*p += 2;
		return (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
	}
	*p += 1;
	return s[0];
}

/* Write a character of up to 21 bits; returns how many bytes. */
static inline int
bert_utf8_put(uint8 *out, uint32 ch)
{
	if (ch < 0x80)
	{
		out[0] = ch;
		return 1;
	}
	if (ch < 0x800)
	{
		out[0] = 0xC0 | ch >> 6;
		out[1] = 0x80 | (ch & 0x3F);
		return 2;
	}
	if (ch < 0x10000)
	{
		out[0] = 0xE0 | ch >> 12;
		out[1] = 0x80 | (ch >> 6 & 0x3F);
		out[2] = 0x80 | (ch & 0x3F);
		return 3;
	}
	out[0] = 0xF0 | (ch >> 18 & 0x07);
	out[1] = 0x80 | (ch >> 12 & 0x3F);
	out[2] = 0x80 | (ch >> 6 & 0x3F);
	out[3] = 0x80 | (ch & 0x3F);
	return 4;
}

#endif /* BERT_UNICODE_H */
