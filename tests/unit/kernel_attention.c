/*
 * kernel_attention.c
 *	  Cases of attention: context = softmax(Q K^T / sqrt(head_size)) V, where scores may
 *	  have terms of relative positions.
 *
 * Shapes are named HEADSxHEAD_SIZE, with the lengths of the sequences in the batch.
 */
#include "port.h"
#include "batch.h"
#include "encoder.h"
#include "kernel_case.h"
#include "weights.h"

#include <float.h>
#include <math.h>

/* How scores come. */
typedef enum Scores
{
	SCORES_RANDOM,
	SCORES_LARGE, /* up to 80, where exp() overflows unless the maximum is subtracted */
	SCORES_EQUAL, /* all the same */
	SCORES_RISING, /* so that each block of keys has a new maximum */
	SCORES_FALLING,
	SCORES_NAN,      /* damage in a key reaches every query of its sequence and head, */
	SCORES_INFINITE, /* and no other */
	N_SCORES
} Scores;

static const char *const score_names[] = {
	[SCORES_RANDOM] = "random",     [SCORES_LARGE] = "up to 80",
	[SCORES_EQUAL] = "equal",       [SCORES_RISING] = "rising",
	[SCORES_FALLING] = "falling",   [SCORES_NAN] = "NaN",
	[SCORES_INFINITE] = "infinite",
};

/* The lengths of sequences, n of them, repeated until the batch is complete. */
typedef struct Lengths
{
	const char *name;
	int32 n_sequences;
	int32 n;
	int32 lengths[10];
} Lengths;

static const Lengths few = {"4 of 1 to 65", 4, 4, {1, 16, 2, 65}};
static const Lengths mixed = {
	"10 of 1 to 300", 10, 10, {1, 16, 2, 65, 15, 17, 63, 64, 128, 300}};
static const Lengths one_token = {"of 1", 1, 1, {1}};
static const Lengths very_long = {"of 2100", 1, 1, {2100}};
static const Lengths very_many = {"65534 of 1", BERT_MAX_GROUPS - 1, 1, {1}};
static const Lengths short_texts = {"40 of 25", 40, 1, {25}};
static const Lengths long_texts = {"4 of 256", 4, 1, {256}};

#define MAX_POSITIONS 310 /* of the table of distances */

typedef struct AttentionShape
{
	int32 num_heads;
	int32 head_size;
	const Lengths *lengths;
	Scores scores;
	BertPositions position_type;
} AttentionShape;

typedef struct Attention
{
	AttentionShape shape;
	int32 hidden_size;
	int32 ld_qkv;
	int32 ld;
	BertBatch batch;
	float *qkv;       /* (tokens, ld_qkv) */
	float *distances; /* (head_size, BERT_DISTANCES_LD), as in weights.h */
	size_t size_got;  /* (tokens + 1, ld); the last row is not the kernel's */
	BertAttentionLaunch to_launch;
} Attention;

/* ---- shapes ---- */

static const char *const position_names[] = {
	[BERT_POSITIONS_ABSOLUTE] = "",
	[BERT_POSITIONS_RELATIVE_KEY] = ", relative_key",
	[BERT_POSITIONS_RELATIVE_KEY_QUERY] = ", relative_key_query",
};

static void
add_relative(CaseSize size, int32 num_heads, int32 head_size, const Lengths *lengths,
			 Scores scores, BertPositions position_type)
{
	KernelCase base = {
		.test = &attention_test,
		.size = size,
		.activation = ANY,
		.head_size = head_size,
	};
	AttentionShape shape = {num_heads, head_size, lengths, scores, position_type};

	add_case(&base, &shape, sizeof(shape), "%dx%d %s, scores %s%s", num_heads,
			 head_size, lengths->name, score_names[scores],
			 position_names[position_type]);
}

static void
add_attention(CaseSize size, int32 num_heads, int32 head_size, const Lengths *lengths,
			  Scores scores)
{
	add_relative(size, num_heads, head_size, lengths, scores, BERT_POSITIONS_ABSOLUTE);
}

static void
list_attention(void)
{
	static const int32 head_sizes[] = {26, 8, 1, 7, 16, 32, 64, 80, 128, 256};

	for (int i = 0; i < (int) lengthof(head_sizes); i++)
		for (Scores scores = 0; scores < N_SCORES; scores++)
		{
			add_attention(i < 2 ? SMALL : USUAL, 3, head_sizes[i], &few, scores);
			if (head_sizes[i] <= 32 ||
				scores == SCORES_RISING) /* the reference is slow */
				add_attention(USUAL, 3, head_sizes[i], &mixed, scores);
		}
	for (int i = 0; i < (int) lengthof(head_sizes); i++)
		for (BertPositions type = BERT_POSITIONS_RELATIVE_KEY;
			 type <= BERT_POSITIONS_RELATIVE_KEY_QUERY; type++)
		{
			CaseSize size = i < 2 ? SMALL : USUAL;

			add_relative(size, 3, head_sizes[i], &few, SCORES_RANDOM, type);
			add_relative(USUAL, 3, head_sizes[i], &few, SCORES_LARGE, type);
			add_relative(USUAL, 3, head_sizes[i], &few, SCORES_NAN, type);
			if (head_sizes[i] <= 32)
				add_relative(USUAL, 3, head_sizes[i], &mixed, SCORES_RANDOM, type);
		}
	add_attention(USUAL, 1, 32, &one_token, SCORES_RANDOM);
	add_attention(USUAL, 1, 8, &very_long, SCORES_RANDOM);
	add_attention(USUAL, 1, 8, &very_many, SCORES_RANDOM);
	add_attention(USUAL, 100, 8, &few, SCORES_RANDOM);
	add_attention(TIMED, 12, 32, &short_texts, SCORES_RANDOM);
	add_attention(TIMED, 12, 32, &long_texts, SCORES_RANDOM);
	add_attention(TIMED, 12, 64, &long_texts, SCORES_RANDOM);
}

/* Its time is that of pairs of a query and a key. */
static Work
attention_work(const void *shape)
{
	const AttentionShape *s = shape;
	double pairs = 0;
	double tokens = 0;

	for (int32 i = 0; i < s->lengths->n_sequences; i++)
	{
		double n = s->lengths->lengths[i % s->lengths->n];

		pairs += n * n;
		tokens += n;
	}
	return (Work){
		.operations = 4 * pairs * s->num_heads * s->head_size,
		.nbytes = 4 * sizeof(float) * tokens * s->num_heads * s->head_size,
	};
}

/* ---- a batch ---- */

/* As the encoder would have them. */
static void
make_batch(const Lengths *lengths, BertBatch *batch)
{
	int32 n = lengths->n_sequences;
	BertSequence *sequences = palloc0(n * sizeof(BertSequence));
	int *order = palloc(n * sizeof(int));
	static const int32 ids[4096];

	for (int32 i = 0; i < n; i++)
	{
		int32 length = lengths->lengths[i % lengths->n];

		sequences[i] = (BertSequence){ids, length, length};
		order[i] = i;
	}
	bert_batch_next(batch, sequences, order, n, INT_MAX);
}

/* What one key of one sequence is multiplied with, to get such scores. */
static float
key_scale(Scores scores, int32 key, int32 n_keys)
{
	switch (scores)
	{
		case SCORES_EQUAL:
			return 0;
		case SCORES_RISING:
			return (key + 1.0f) / n_keys;
		case SCORES_FALLING:
			return 1 - (float) key / n_keys;
		default:
			return 1;
	}
}

/*
 * Rising and falling scores are sums of positive terms, so that they follow key_scale().
 * A score of random terms has a deviation of 1/3: three of them, times 80, make 80.
 */
static void
fill_rows(Attention *a)
{
	Scores scores = a->shape.scores;
	bool aligned = scores == SCORES_RISING || scores == SCORES_FALLING;
	float factor = scores == SCORES_LARGE ? 80 : aligned ? 30 : 1;

	for (int32 s = 0; s < a->batch.n_sequences; s++)
		for (int32 t = 0; t < a->batch.sequences[3 * s + 1]; t++)
		{
			float *row = a->qkv + (size_t) (a->batch.sequences[3 * s] + t) * a->ld_qkv;
			float scale = key_scale(scores, t, a->batch.sequences[3 * s + 1]);

			for (int32 i = 0; i < a->hidden_size; i++)
			{
				float q = random_float() * factor;
				float k = random_float() * scale;

				row[i] = aligned ? fabsf(q) : q;
				row[a->hidden_size + i] = aligned ? fabsf(k) : k;
				row[2 * a->hidden_size + i] = random_whole(100);
			}
		}
}

/* The last head of a key in the middle of the last, longest sequence. */
static void
damage_key(Attention *a, float damage)
{
	const int32 *last = a->batch.sequences + 3 * (a->batch.n_sequences - 1);
	float *row = a->qkv + (size_t) (last[0] + last[1] / 2) * a->ld_qkv;

	for (int32 i = a->hidden_size - a->shape.head_size; i < a->hidden_size; i++)
	{
		row[i] = fabsf(row[i]);
		row[a->hidden_size + i] = damage;
	}
}

static void *
make_attention(const void *from)
{
	Attention *a = palloc0(sizeof(*a));
	int32 ld_distances = BERT_DISTANCES_LD(MAX_POSITIONS);
	int32 head_size;
	size_t nbytes_qkv;

	a->shape = *(const AttentionShape *) from;
	head_size = a->shape.head_size;
	make_batch(a->shape.lengths, &a->batch);
	a->hidden_size = a->shape.num_heads * head_size;
	a->ld_qkv = BERT_PADDED(3 * a->hidden_size);
	a->ld = BERT_PADDED(a->hidden_size);
	nbytes_qkv = (size_t) a->batch.n_tokens * a->ld_qkv * sizeof(float);
	a->qkv = palloc0(nbytes_qkv);
	fill_rows(a);
	if (a->shape.scores == SCORES_NAN)
		damage_key(a, NAN);
	if (a->shape.scores == SCORES_INFINITE)
		damage_key(a, INFINITY);
	a->distances = matrix(head_size, 2 * MAX_POSITIONS - 1, ld_distances, RANDOM);
	a->size_got = (size_t) (a->batch.n_tokens + 1) * a->ld;
	a->to_launch = (BertAttentionLaunch){
		.qkv = buffer_of(a->qkv, nbytes_qkv),
		.ld_qkv = a->ld_qkv,
		.context = buffer_of(marked(a->size_got), a->size_got * sizeof(float)),
		.ld = a->ld,
		.blocks = buffer_of(a->batch.blocks, a->batch.n_blocks * 4 * sizeof(int32)),
		.num_heads = a->shape.num_heads,
		.head_size = head_size,
		.position_type = a->shape.position_type,
		.max_positions = MAX_POSITIONS,
	};
	if (a->shape.position_type != BERT_POSITIONS_ABSOLUTE)
		a->to_launch.distances =
			buffer_of(a->distances, (size_t) head_size * ld_distances * sizeof(float));
	return a;
}

/* In two launches, as the encoder does with a large batch. */
static void
launch_attention(void *run)
{
	Attention *a = run;
	BertAttentionLaunch *launch = &a->to_launch;

	launch->first_block = 0;
	launch->n_blocks = a->batch.n_blocks / 2;
	bert_launch_attention(&under_test, launch);
	launch->first_block = launch->n_blocks;
	launch->n_blocks = a->batch.n_blocks - launch->first_block;
	bert_launch_attention(&under_test, launch);
}

/* ---- its reference ---- */

/* One query of one head: how much of each key, and how large the terms of its score are. */
typedef struct Weights
{
	int32 n;
	double *weight; /* (n), of sum 1 */
	double spread;  /* the largest sum of absolute values of a score */
} Weights;

static void
weigh_keys(const Attention *a, int32 query, const float *q, const float *k,
		   Weights *weights)
{
	int32 ld = BERT_DISTANCES_LD(MAX_POSITIONS);
	bool relative = a->shape.position_type != BERT_POSITIONS_ABSOLUTE;
	bool with_key = a->shape.position_type == BERT_POSITIONS_RELATIVE_KEY_QUERY;
	int32 d = a->shape.head_size;
	double largest = -INFINITY;
	double sum = 0;

	weights->spread = 0;
	for (int32 j = 0; j < weights->n; j++, k += a->ld_qkv)
	{
		double score = 0;
		double terms = 0;

		for (int32 i = 0; i < d; i++)
		{
			double e =
				relative ? a->distances[i * ld + query - j + MAX_POSITIONS - 1] : 0;
			double of_key = with_key ? k[i] * e : 0;

			score += (double) q[i] * k[i] + q[i] * e + of_key;
			terms += fabs((double) q[i] * k[i]) + fabs(q[i] * e) + fabs(of_key);
		}
		weights->weight[j] = score / sqrt(d);
		weights->spread = Max(weights->spread, terms / sqrt(d));
		largest = Max(largest, weights->weight[j]);
	}
	for (int32 j = 0; j < weights->n; j++)
		sum += weights->weight[j] = exp(weights->weight[j] - largest);
	for (int32 j = 0; j < weights->n; j++)
		weights->weight[j] /= sum;
}

/*
 * A score is a chain of head_size roundings of its terms; an error there is a relative
 * error of a weight, and the context is a mean of V by weight. The sums over keys add a
 * random walk of n_keys roundings. Weights below 2^-126 are 0.
 */
static void
judge_query(const Attention *a, int32 first, int32 query, int32 head, Weights *weights,
			const float *got, Verdict *verdict)
{
	int32 d = a->shape.head_size;
	int32 n = weights->n;
	const float *q = a->qkv + (size_t) (first + query) * a->ld_qkv + head * d;
	const float *k = a->qkv + (size_t) first * a->ld_qkv + a->hidden_size + head * d;
	const float *v = k + a->hidden_size;
	double roundings;

	weigh_keys(a, query, q, k, weights);
	roundings = 8 + 2 * sqrt(n) + 2 * sqrt(d) * weights->spread;
	for (int32 i = 0; i < d; i++)
	{
		double expected = 0;
		double size = 0;

		for (int32 j = 0; j < n; j++)
		{
			double part = weights->weight[j] * v[(size_t) j * a->ld_qkv + i];

			expected += part;
			size += fabs(part);
		}
		judge(verdict, first + query, head * d + i, got[i], expected,
			  roundings * ROUNDING * size + n * 100 * FLT_MIN);
	}
}

static void
judge_attention(void *run, Verdict *verdict)
{
	const Attention *a = run;
	float *got = palloc(a->size_got * sizeof(float));
	Weights weights = {.weight = palloc(a->batch.n_tokens * sizeof(double))};

	read_buffer(a->to_launch.context, got, a->size_got * sizeof(float));
	for (int32 s = 0; s < a->batch.n_sequences; s++)
	{
		int32 first = a->batch.sequences[3 * s];

		weights.n = a->batch.sequences[3 * s + 1];
		for (int32 query = 0; query < weights.n; query++)
			for (int32 head = 0; head < a->shape.num_heads; head++)
				judge_query(a, first, query, head, &weights,
							got + (size_t) (first + query) * a->ld +
								head * a->shape.head_size,
							verdict);
	}
	for (int32 row = 0; row < a->batch.n_tokens; row++)
		judge_untouched(verdict, got + (size_t) row * a->ld + a->hidden_size,
						a->ld - a->hidden_size);
	judge_untouched(verdict, got + a->size_got - a->ld, a->ld);
}

const KernelTest attention_test = {
	.kernel = BERT_KERNEL_ATTENTION,
	.list = list_attention,
	.make = make_attention,
	.launch = launch_attention,
	.judge = judge_attention,
	.work = attention_work,
};
