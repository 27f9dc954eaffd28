/*
 * model_vocabulary.h
 *	  Pieces and added tokens while a model's files are read: who has which id.
 *
 * As huggingface/tokenizers does it (AddedVocabulary::add_tokens): of a piece given
 * twice the later id wins; an added token has the id of the piece that reads alike, or,
 * where there is none, the next one after the vocabulary, whatever id the file gives
 * it; given again, its later flags count, but what was special once remains so. The
 * next id may be taken, where a piece is given twice; of two added tokens with one id
 * the later is found.
 */
#ifndef BERT_MODEL_VOCABULARY_H
#define BERT_MODEL_VOCABULARY_H

#include "tokenizer.h"

typedef struct BertVocabulary
{
	BertVocabPiece *pieces; /* (n_pieces), as tokenizer.h wants them */
	int32 n_pieces;
	int32 max_pieces;
	BertAddedToken *added; /* (n_added) */
	int32 n_added;
	int32 max_added;
	int32 next_id; /* of an added token that is no piece */
	int32 n_texts; /* of pieces, without repetitions */
	int32 max_piece_id;
	struct vocabulary_hash *names; /* what each text is */
} BertVocabulary;

extern void bert_vocabulary_init(BertVocabulary *vocabulary);

/* bytes are NUL-terminated and stay the caller's. */
extern void bert_vocabulary_add_piece(BertVocabulary *vocabulary, const char *bytes,
									  int32 id);

/* The id that bytes have as a piece; with added tokens, too. -1: none. */
extern int32 bert_vocabulary_piece_id(const BertVocabulary *vocabulary,
									  const char *bytes);
extern int32 bert_vocabulary_token_id(const BertVocabulary *vocabulary,
									  const char *bytes);

/* The place that bytes have among the added tokens; -1: none. */
extern int32 bert_vocabulary_find_added(const BertVocabulary *vocabulary,
										const char *bytes);

/* Once all pieces are there: those that follow are added tokens. */
extern void bert_vocabulary_begin_added(BertVocabulary *vocabulary);

/* The id that an added token of that text would have. */
extern int32 bert_vocabulary_next_id(const BertVocabulary *vocabulary,
									 const char *bytes);

/* Gives the token its id. Its text must not be empty. */
extern void bert_vocabulary_add_token(BertVocabulary *vocabulary,
									  const BertAddedToken *token);

#endif /* BERT_MODEL_VOCABULARY_H */
