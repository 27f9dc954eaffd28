/*
 * trie.h
 *	  A set of byte strings, each with a number, to be walked byte by byte.
 *
 * A double array: the children of a node lie at (its base XOR the byte), so a step is
 * one XOR, one load and one comparison, and the whole is one array of nodes that can
 * be mapped from a file. A child carries the byte that leads to it; no two nodes have
 * the same base, so the byte is enough to know one's own child.
 *
 *		base(root) = 256	'a': node 256 ^ 'a', label 'a', base 512
 *							'b': node 256 ^ 'b', label 'b', no children
 *
 * Because base and child share a block of 256 nodes, a step needs no more than one
 * check against the array's end to be safe in a damaged array.
 */
#ifndef BERT_TRIE_H
#define BERT_TRIE_H

#include "port.h"

typedef struct BertTrieNode
{
	uint32 link;  /* base << 8 | label; base 0: no children */
	int32 number; /* -1: no string ends here */
} BertTrieNode;

typedef struct BertTrieKey
{
	const uint8 *bytes;
	int32 nbytes;
	int32 number; /* >= 0 */
} BertTrieKey;

#define BERT_TRIE_ROOT      0
#define BERT_TRIE_MAX_NODES (1 << 24) /* a base has 24 bits */

/* Recursion goes this deep. */
#define BERT_TRIE_MAX_KEY 2048

/* Order of keys: by bytes, as memcmp(), a prefix first. */
extern int bert_trie_compare(const BertTrieKey *a, const BertTrieKey *b);

/*
 * Build from sorted keys without duplicates, at most BERT_TRIE_MAX_KEY bytes each.
 * Palloc'd; NULL where BERT_TRIE_MAX_NODES are not enough.
 */
extern BertTrieNode *bert_trie_build(const BertTrieKey *keys, int32 n_keys,
									 uint32 *n_nodes);

/* Go to the child for this byte, if there is one. */
static inline bool
bert_trie_step(const BertTrieNode *nodes, uint32 n_nodes, uint32 *node, uint8 byte)
{
	uint32 child = (nodes[*node].link >> 8) ^ byte;

	if (unlikely(child >= n_nodes) || (uint8) nodes[child].link != byte)
		return false;
	*node = child;
	return true;
}

#endif /* BERT_TRIE_H */
