/*
 * test_encoder.c
 *	  The whole forward pass, on every tier, with models of odd sizes.
 *
 * The weights are random, which tells as much about the arithmetic as trained ones do.
 * Claims: it computes what the plain C reference computes, with positions of every kind
 * and without, through every kind of pooling and module; a text's vector does not depend,
 * to the bit, on the texts beside it, on their order, or on the size of batches; it can be
 * looked into after each layer, and at each head; what is damaged raises an ERROR and
 * leaves nothing behind.
 */
#include "port.h"

#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

#include "encoder.h"
#include "raises.h"
#include "reference.h"
#include "tap.h"
#include "under_test.h"

/*
 * What is asked of embeddings, whose length is 1, and of the rest relative to its
 * largest value.
 */
#define TOLERANCE 1e-5

/* What a row of attention weights may be off 1 by. */
#define ATTENTION_SUM 1e-6

#define MAX_SEQUENCES 24
#define N_EXPECTED    12 /* so many of them the reference, which is slow, computes, too */
#define MAX_POSITIONS 150
#define VOCAB_SIZE    50

/* ---- models ---- */

/* A model, and what its vectors go through. */
typedef struct Model
{
	BertConfig config;
	BertRecipe recipe;
	bool damage; /* test damaged weights, too */
} Model;

/* A list of pooling modes, as BertRecipe has it. */
#define THEN(first, second) ((first) | (second) << BERT_POOL_BITS)

#define DENSE(in, out, act, residual)                                                  \
	{                                                                                  \
		.kind = BERT_MODULE_DENSE, .in_size = in, .out_size = out, .activation = act,  \
		.has_bias = true, .has_residual = residual                                     \
	}

static const Model models[] = {
	{
		/* this one and the next with --small */
		.config = {.hidden_size = 24,
				   .num_layers = 1,
				   .num_heads = 3,
				   .head_size = 8,
				   .intermediate_size = 29,
				   .type_vocab_size = 2,
				   .hidden_act = BERT_ACT_SILU},
		.recipe = {.pooling = THEN(BERT_POOL_MEAN, BERT_POOL_CLS),
				   .n_modules = 2,
				   .modules = {DENSE(48, 50, BERT_ACT_TANH, true),
							   {BERT_MODULE_NORMALIZE, 50, 50}}},
		.damage = true,
	},
	{
		.config = {.hidden_size = 7,
				   .num_layers = 2,
				   .num_heads = 1,
				   .head_size = 7,
				   .intermediate_size = 5,
				   .type_vocab_size = 3,
				   .hidden_act = BERT_ACT_XIELU,
				   .position_type = BERT_POSITIONS_RELATIVE_KEY_QUERY},
		.recipe = {.pooling = THEN(BERT_POOL_MEAN_SQRT, BERT_POOL_LAST),
				   .truncate_dim = 9,
				   .n_modules = 2,
				   .modules = {DENSE(14, 14, BERT_ACT_SIGMOID, true),
							   {BERT_MODULE_LAYER_NORM, 14, 14}}},
	},
	{
		.config = {.hidden_size = 48,
				   .num_layers = 2,
				   .num_heads = 3,
				   .head_size = 16,
				   .intermediate_size = 101,
				   .type_vocab_size = 2,
				   .hidden_act = BERT_ACT_GELU_TANH},
		.recipe = {.pooling = BERT_POOL_MEAN,
				   .n_modules = 1,
				   .modules = {{BERT_MODULE_NORMALIZE, 48, 48}}},
	},
	{
		.config = {.hidden_size = 128,
				   .num_layers = 3,
				   .num_heads = 2,
				   .head_size = 64,
				   .intermediate_size = 150,
				   .type_vocab_size = 1,
				   .hidden_act = BERT_ACT_RELU,
				   .position_type = BERT_POSITIONS_RELATIVE_KEY},
		.recipe = {.pooling = THEN(BERT_POOL_CLS,
								   THEN(BERT_POOL_MAX, BERT_POOL_WEIGHTED_MEAN))},
		.damage = true,
	},
	{
		.config = {.hidden_size = 312,
				   .num_layers = 1,
				   .num_heads = 12,
				   .head_size = 26,
				   .intermediate_size = 200,
				   .type_vocab_size = 2,
				   .hidden_act = BERT_ACT_GELU},
		.recipe = {.pooling = BERT_POOL_MEAN},
	},
	{
		.config = {.hidden_size = 1,
				   .num_layers = 1,
				   .num_heads = 1,
				   .head_size = 1,
				   .intermediate_size = 49,
				   .type_vocab_size = 2,
				   .hidden_act = BERT_ACT_MISH},
		.recipe = {.pooling = THEN(BERT_POOL_MEAN, THEN(BERT_POOL_MAX, BERT_POOL_MEAN)),
				   .n_modules = 1,
				   .modules = {DENSE(3, 100, BERT_ACT_LINEAR, false)}},
	},
	{
		.config = {.hidden_size = 256,
				   .num_layers = 1,
				   .num_heads = 1,
				   .head_size = 256,
				   .intermediate_size = 20,
				   .type_vocab_size = 2,
				   .hidden_act = BERT_ACT_PRELU},
		.recipe = {.pooling = BERT_POOL_LAST},
	},
};
#define N_MODELS ((int) lengthof(models))
#define N_SMALL  2

static const BertOutput outputs[] = {
	BERT_OUTPUT_EMBEDDING,
	BERT_OUTPUT_CLS,
	BERT_OUTPUT_POOLED,
};
static const char *const output_names[] = {"embedding", "[CLS]", "pooled"};

/* The model at hand, its inputs, and what the reference makes of them. */
static BertConfig config;
static BertRecipe recipe;
static char *weights;
static BertWeightsLayout *layout;
static BertSequence sequences[MAX_SEQUENCES];
static int n_sequences;
static int n_expected;
static float *expected[N_MODELS][lengthof(outputs)]; /* (n_expected, size) */

/* The encoder at hand, and a text's results when it is alone. */
static BertEncoder *encoder;
static float *alone[lengthof(outputs)];
static float *of_first_tier[N_MODELS][lengthof(outputs)];

static void
make_sequences(void)
{
	static const int32 lengths[] = {2,  1,  19,  16, 17,           3,
									64, 65, 100, 15, MAX_POSITIONS};

	n_sequences = small ? 3 : MAX_SEQUENCES;
	n_expected = Min(n_sequences, N_EXPECTED);
	for (int i = 0; i < n_sequences; i++)
	{
		int32 n = i < (int) lengthof(lengths) ? lengths[i] : 2 + i * 7 % 40;
		int32 *ids = palloc(n * sizeof(int32));

		for (int32 t = 0; t < n; t++)
			ids[t] = random_bits() % VOCAB_SIZE;
		sequences[i] = (BertSequence){ids, n, n, i % 3 == 2 ? n / 2 : 0};
	}
}

/* Texts and pairs in turn, where the model knows pairs. */
static void
set_pairs(void)
{
	for (int i = 0; i < n_sequences; i++)
		sequences[i].first_size = i % 2 && config.type_vocab_size > 1
									  ? sequences[i].n_tokens / 2
									  : sequences[i].n_tokens;
}

static int32
size_of(BertOutput output)
{
	return bert_output_size(&config, &recipe, output);
}

static float *
results_for(BertOutput output, int n)
{
	return palloc0((size_t) n * size_of(output) * sizeof(float));
}

static void
set_weights(void)
{
	weights = bert_trial_weights(&config, &recipe);
	layout = bert_weights_layout(&config, &recipe);
}

static void
set_model(int number)
{
	config = models[number].config;
	config.vocab_size = VOCAB_SIZE;
	config.max_positions = MAX_POSITIONS;
	config.layer_norm_eps = 1e-12;
	config.has_pooler = true;
	recipe = models[number].recipe;
	set_weights();
	set_pairs();
}

static void
forget_model(void)
{
	free(weights);
	pfree(layout);
}

/* Once for all tiers. */
static void
expect_results(int model)
{
	for (int o = 0; o < (int) lengthof(outputs) && expected[model][o] == NULL; o++)
	{
		expected[model][o] = results_for(outputs[o], n_expected);
		for (int i = 0; i < n_expected; i++)
			bert_reference_encode(
				&config, &recipe, weights, &sequences[i], outputs[o], true,
				expected[model][o] + (size_t) i * size_of(outputs[o]));
	}
}

static BertEncoder *
create_encoder(void)
{
	return bert_encoder_create(&under_test, &config, &recipe, weights);
}

/* The largest difference, relative to the largest expected value where that is over 1. */
static double
difference(const float *got, const float *wanted, size_t n)
{
	double largest = 1;
	double worst = 0;

	for (size_t i = 0; i < n; i++)
	{
		if (!isfinite(got[i]))
			return INFINITY;
		largest = Max(largest, fabsf(wanted[i]));
		worst = Max(worst, fabs((double) got[i] - wanted[i]));
	}
	return worst / largest;
}

/* ---- the same as the reference, and the other tier ---- */

static void
encode_alone(void)
{
	for (int o = 0; o < (int) lengthof(outputs); o++)
	{
		alone[o] = results_for(outputs[o], n_sequences);
		for (int i = 0; i < n_sequences; i++)
			bert_encode(encoder, &sequences[i], 1, outputs[o], true, 2048,
						alone[o] + (size_t) i * size_of(outputs[o]));
	}
}

static void
test_results(int model)
{
	for (int o = 0; o < (int) lengthof(outputs); o++)
	{
		size_t size = size_of(outputs[o]);
		double worst = difference(alone[o], expected[model][o], n_expected * size);

		ok(worst <= TOLERANCE, "%s: hidden %d: %s is the reference's (within %.1e)",
		   under_test.tier->name, config.hidden_size, output_names[o], worst);
		if (of_first_tier[model][o] == NULL)
		{
			of_first_tier[model][o] = alone[o];
			continue;
		}
		worst = difference(alone[o], of_first_tier[model][o], n_sequences * size);
		ok(worst <= TOLERANCE, "%s: hidden %d: %s is the first tier's (within %.1e)",
		   under_test.tier->name, config.hidden_size, output_names[o], worst);
	}
}

/* ---- to the bit ---- */

/* The same vectors when encoded in this order with such batches? */
static bool
same_bits(const int *order, BertOutput output, int batch_tokens)
{
	int32 size = size_of(output);
	float *got = results_for(output, n_sequences);
	BertSequence ordered[MAX_SEQUENCES];
	bool same = true;

	for (int i = 0; i < n_sequences; i++)
		ordered[i] = sequences[order[i]];
	bert_encode(encoder, ordered, n_sequences, output, true, batch_tokens, got);
	for (int i = 0; i < n_sequences; i++)
		same = same &&
			   memcmp(got + (size_t) i * size, alone[output] + (size_t) order[i] * size,
					  size * sizeof(float)) == 0;
	pfree(got);
	return same;
}

static void
shuffle(int *order)
{
	for (int i = n_sequences - 1; i > 0; i--)
	{
		int j = random_bits() % (i + 1);
		int swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
}

static void
test_bits(void)
{
	static const int batch_tokens[] = {64, 1, 100, 2048};
	int n = under_test.tier == bert_tier_at(0) ? (int) lengthof(batch_tokens) : 2;
	int order[MAX_SEQUENCES];

	for (int i = 0; i < n_sequences; i++)
		order[i] = i;
	for (int b = 0; b < n; b++)
	{
		bool same = same_bits(order, BERT_OUTPUT_EMBEDDING, batch_tokens[b]);

		for (int o = 0; o < (int) lengthof(outputs); o++)
		{
			shuffle(order);
			same = same && same_bits(order, outputs[o], batch_tokens[b]);
		}
		ok(same,
		   "%s: hidden %d: alone or in batches of %d tokens, in any order: the same "
		   "bits",
		   under_test.tier->name, config.hidden_size, batch_tokens[b]);
	}
}

/* ---- without positions ---- */

/* The reference's vectors, and not those that positions make. */
static void
test_without_positions(void)
{
	int32 size = size_of(BERT_OUTPUT_CLS);
	size_t n = (size_t) n_expected * size;
	float *got = results_for(BERT_OUTPUT_CLS, n_expected);
	float *wanted = results_for(BERT_OUTPUT_CLS, n_expected);
	double worst;

	bert_encode(encoder, sequences, n_expected, BERT_OUTPUT_CLS, false, 100, got);
	for (int i = 0; i < n_expected; i++)
		bert_reference_encode(&config, &recipe, weights, &sequences[i], BERT_OUTPUT_CLS,
							  false, wanted + (size_t) i * size);
	worst = difference(got, wanted, n);
	ok(worst <= TOLERANCE &&
		   (size == 1 || difference(got, alone[BERT_OUTPUT_CLS], n) > 100 * TOLERANCE),
	   "%s: hidden %d: without positions [CLS] is another one, and the reference's "
	   "(within %.1e)",
	   under_test.tier->name, config.hidden_size, worst);
	pfree(got);
	pfree(wanted);
}

/* ---- looking inside ---- */

/* Sequences that are looked into: with more than one block of keys, too. */
#define N_LOOKED_INTO Min(n_expected, 8)

static double
hidden_difference(int i, int layer, bool positions)
{
	size_t n = (size_t) sequences[i].n_tokens * config.hidden_size;
	float *got = palloc(n * sizeof(float));
	float *wanted = palloc(n * sizeof(float));
	double worst;

	bert_encode_hidden(encoder, &sequences[i], layer, positions, got);
	bert_reference_hidden(&config, weights, &sequences[i], layer, positions, wanted);
	worst = difference(got, wanted, n);
	pfree(got);
	pfree(wanted);
	return worst;
}

static void
test_hidden(void)
{
	for (int layer = 0; layer <= config.num_layers; layer++)
	{
		double worst = 0;

		for (int i = 0; i < N_LOOKED_INTO; i++)
			worst = Max(worst, hidden_difference(i, layer, i % 3 != 0));
		ok(worst <= TOLERANCE,
		   "%s: hidden %d: every token after layer %d is the reference's (within %.1e)",
		   under_test.tier->name, config.hidden_size, layer, worst);
	}
}

static void
test_last_hidden(void)
{
	size_t size = config.hidden_size;
	bool same = true;

	for (int i = 0; i < N_LOOKED_INTO; i++)
	{
		float *hidden = palloc(sequences[i].n_tokens * size * sizeof(float));

		bert_encode_hidden(encoder, &sequences[i], config.num_layers, true, hidden);
		same = same && memcmp(hidden, alone[BERT_OUTPUT_CLS] + i * size,
							  size * sizeof(float)) == 0;
		pfree(hidden);
	}
	ok(same, "%s: hidden %d: after the last layer, the first row is [CLS], to the bit",
	   under_test.tier->name, config.hidden_size);
}

/* How far a head's weights are from the reference's; rows that do not sum to 1: far. */
static double
attention_difference(int i, int layer, int head, bool positions)
{
	int32 n = sequences[i].n_tokens;
	float *got = palloc((size_t) n * n * sizeof(float));
	float *wanted = palloc((size_t) n * n * sizeof(float));
	double worst;

	bert_encode_attention(encoder, &sequences[i], layer, head, positions, got);
	bert_reference_attention(&config, weights, &sequences[i], layer, head, positions,
							 wanted);
	worst = difference(got, wanted, (size_t) n * n);
	for (int32 query = 0; query < n; query++)
	{
		double sum = 0;

		for (int32 key = 0; key < n; key++)
			sum += got[(size_t) query * n + key];
		if (!(fabs(sum - 1) <= ATTENTION_SUM))
			worst = INFINITY;
	}
	pfree(got);
	pfree(wanted);
	return worst;
}

static void
test_attention(void)
{
	double worst = 0;

	for (int layer = 1; layer <= config.num_layers; layer++)
		for (int i = 0; i < N_LOOKED_INTO; i++)
			worst = Max(worst, attention_difference(i, layer, i % config.num_heads,
													i % 3 != 0));
	ok(worst <= TOLERANCE,
	   "%s: hidden %d: attention is the reference's (within %.1e), and its rows sum to "
	   "1",
	   under_test.tier->name, config.hidden_size, worst);
}

/* ---- vectors ---- */

/* With another recipe than the model's. */
static double
recipe_difference(const BertRecipe *other, const BertSequence *sequence)
{
	BertRecipe kept = recipe;
	BertEncoder *before = encoder;
	char *weights_before = weights;
	BertWeightsLayout *layout_before = layout;
	float *got;
	float *wanted;
	double worst;

	recipe = *other;
	set_weights();
	got = results_for(BERT_OUTPUT_EMBEDDING, 1);
	wanted = results_for(BERT_OUTPUT_EMBEDDING, 1);
	encoder = create_encoder();
	bert_encode(encoder, sequence, 1, BERT_OUTPUT_EMBEDDING, true, 100, got);
	bert_reference_encode(&config, &recipe, weights, sequence, BERT_OUTPUT_EMBEDDING,
						  true, wanted);
	worst = difference(got, wanted, size_of(BERT_OUTPUT_EMBEDDING));
	bert_encoder_trim(encoder);
	bert_encoder_free(encoder);
	forget_model();
	pfree(got);
	pfree(wanted);
	recipe = kept;
	encoder = before;
	weights = weights_before;
	layout = layout_before;
	return worst;
}

static void
test_dense(BertActivation activation)
{
	int32 size = config.hidden_size;
	BertRecipe dense = {.pooling = BERT_POOL_CLS,
						.n_modules = 2,
						.modules = {DENSE(size, 3 * size, activation, true),
									DENSE(3 * size, 3 * size, activation, true)}};
	double worst = recipe_difference(&dense, &sequences[0]);

	ok(worst <= TOLERANCE,
	   "%s: Dense with activation %d and both residuals is the reference's (within "
	   "%.1e)",
	   under_test.tier->name, activation, worst);
}

/* A prompt that is all that is left of a text. */
static void
test_nothing_to_pool(BertPooling mode)
{
	BertRecipe pooling = {.pooling = mode};
	BertSequence sequence = sequences[0];
	double worst;

	sequence.pool_from = sequence.n_tokens;
	worst = recipe_difference(&pooling, &sequence);
	ok(worst <= TOLERANCE,
	   "%s: pooling %d of no token is what sentence-transformers makes of it",
	   under_test.tier->name, mode);
}

static void
test_vectors(void)
{
	for (int activation = 0; activation < BERT_ACT_PRELU; activation += small ? 8 : 1)
		test_dense(activation);
	for (int mode = BERT_POOL_CLS; mode <= BERT_POOL_LAST; mode++)
		if (mode != BERT_POOL_MAX) /* -infinity, which is an ERROR */
			test_nothing_to_pool(mode);
}

/* ---- damage ---- */

typedef struct Damage
{
	BertOutput output;
	float *results;
} Damage;

static void
encode_damaged(void *arg)
{
	Damage *damage = arg;

	bert_encode(encoder, sequences, n_expected, damage->output, true, 100,
				damage->results);
}

/*
 * One weight is another number. The buffers may be copies of the weights: so a new
 * encoder each time.
 */
static void
test_damaged(const char *what, size_t offset, float value, BertOutput output)
{
	float *weight = (float *) (weights + offset);
	float before = *weight;
	Damage damage = {output, results_for(output, n_expected)};
	BertEncoder *sound = encoder;

	*weight = value;
	encoder = create_encoder();
	ok(raises(encode_damaged, &damage, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
			  "not finite"),
	   "%s: hidden %d: %g in %s is an ERROR", under_test.tier->name, config.hidden_size,
	   value, what);
	bert_encoder_trim(encoder);
	bert_encoder_free(encoder);
	encoder = sound;
	*weight = before;
	pfree(damage.results);
}

/* A word's embedding is NaN: those who look inside are told, too. */
static void
look_inside_damaged(void *arg)
{
	Damage *damage = arg;

	if (damage->output == BERT_OUTPUT_CLS)
	{
		bert_encode_hidden(encoder, &sequences[0], 0, true, damage->results);
		bert_check_finite(damage->results,
						  (size_t) sequences[0].n_tokens * config.hidden_size);
	}
	else
		bert_encode_attention(encoder, &sequences[0], 1, 0, true, damage->results);
}

static void
test_damage_inside(size_t word)
{
	float *weight = (float *) (weights + word);
	float before = *weight;
	float results[1024]; /* the first sequence is short */
	Damage hidden = {BERT_OUTPUT_CLS, results};
	Damage attention = {BERT_OUTPUT_EMBEDDING, results};
	BertEncoder *sound = encoder;

	*weight = NAN;
	encoder = create_encoder();
	ok(raises(look_inside_damaged, &hidden, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
			  "not finite") &&
		   raises(look_inside_damaged, &attention, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
				  "not finite"),
	   "%s: hidden %d: hidden states and attention that are not finite are an ERROR",
	   under_test.tier->name, config.hidden_size);
	bert_encoder_trim(encoder);
	bert_encoder_free(encoder);
	encoder = sound;
	*weight = before;
}

/* In places from where it takes different ways out; keys are columns after the queries. */
static void
test_damage(void)
{
	const BertLayer *layer = &layout->layers[0];
	int32 hidden = config.hidden_size;
	size_t key_bias = layer->qkv.bias + hidden * sizeof(float);
	size_t value_bias = key_bias + hidden * sizeof(float);
	size_t word =
		layout->word_embeddings + (size_t) sequences[0].ids[0] * hidden * sizeof(float);
	int order[MAX_SEQUENCES];

	test_damaged("a word's embedding", word, NAN, BERT_OUTPUT_EMBEDDING);
	test_damaged("a word's embedding", word, INFINITY, BERT_OUTPUT_CLS);
	test_damaged("a query's bias", layer->qkv.bias, NAN, BERT_OUTPUT_CLS);
	test_damaged("a key's bias", key_bias, NAN, BERT_OUTPUT_CLS);
	test_damaged("a value's bias", value_bias, INFINITY, BERT_OUTPUT_EMBEDDING);
	test_damaged("the intermediate layer", layer->intermediate.bias, NAN,
				 BERT_OUTPUT_EMBEDDING);
	test_damaged("a norm's weight", layer->output_norm.weight, -INFINITY,
				 BERT_OUTPUT_EMBEDDING);
	test_damaged("the pooler", layout->pooler.bias, NAN, BERT_OUTPUT_POOLED);
	if (config.position_type != BERT_POSITIONS_ABSOLUTE)
		test_damaged("a distance's embedding",
					 layer->distances + (MAX_POSITIONS - 1) * sizeof(float), NAN,
					 BERT_OUTPUT_CLS);
	if (recipe.n_modules > 0)
		test_damaged("a module", layout->modules[0].linear.bias, NAN,
					 BERT_OUTPUT_EMBEDDING);
	test_damage_inside(word);
	for (int i = 0; i < n_sequences; i++)
		order[i] = i;
	ok(same_bits(order, BERT_OUTPUT_CLS, 100),
	   "%s: hidden %d: a sound encoder on the same device goes on, with the same bits",
	   under_test.tier->name, config.hidden_size);
}

static void
create_too_large(void *arg)
{
	BertConfig large = config;

	(void) arg;
	large.vocab_size = INT_MAX;
	large.hidden_size = 1 << 20;
	encoder = bert_encoder_create(&under_test, &large, &recipe, weights);
}

static void
create_with_large_heads(void *arg)
{
	BertConfig large = config;

	(void) arg;
	large.head_size = BERT_MAX_HEAD_SIZE + 1;
	encoder = bert_encoder_create(&under_test, &large, &recipe, weights);
}

static void
test_too_large(void)
{
	BertEncoder *before = encoder;

	ok(raises(create_too_large, NULL, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
			  "too large for the device"),
	   "%s: a model with a buffer that the device does not take is an ERROR",
	   under_test.tier->name);
	ok(raises(create_with_large_heads, NULL, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
			  "heads are too large"),
	   "%s: so is one with heads that the kernels do not take", under_test.tier->name);
	encoder = before;
}

/* ---- memory ---- */

/* In bytes: all that is mapped (0), or what of it is resident (1). */
static long
memory_of_process(int which)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages[2] = {0, 0};

	if (file == NULL || fscanf(file, "%ld %ld", &pages[0], &pages[1]) != 2)
		printf("# /proc/self/statm cannot be read\n");
	if (file != NULL)
		fclose(file);
	return pages[which] * sysconf(_SC_PAGESIZE);
}

/*
 * Forty long texts at once have activations of over 50 MB at hidden 312; all of it is
 * gone after a trim, but for what malloc() keeps. They also take many portions of work.
 */
#define N_LONG      40
#define MUST_COME   (40 << 20)
#define MAY_REMAIN  (4 << 20)
#define LONGEST     10 /* of the sequences */
#define LITTLE_MORE (8 << 20)

static BertSequence long_ones[N_LONG];
static float *long_results;

static void
encode_long_ones(void *arg)
{
	(void) arg;
	bert_encode(encoder, long_ones, N_LONG, BERT_OUTPUT_CLS, true, INT_MAX,
				long_results);
}

static bool
long_results_right(void)
{
	int32 size = config.hidden_size;
	bool right = true;

	for (int i = 0; i < N_LONG; i++)
		right = right && memcmp(long_results + (size_t) i * size,
								alone[BERT_OUTPUT_CLS] + (size_t) LONGEST * size,
								size * sizeof(float)) == 0;
	return right;
}

static void
test_given_back(void)
{
	long before;
	long between;
	long after;

	bert_encoder_trim(encoder);
	before = memory_of_process(1);
	encode_long_ones(NULL);
	between = memory_of_process(1);
	bert_encoder_trim(encoder);
	after = memory_of_process(1);
	ok(between - before > MUST_COME && after - before < MAY_REMAIN,
	   "%s: hidden %d: a large batch's memory is given back (%ld, %ld, %ld KB)",
	   under_test.tier->name, config.hidden_size, before / 1024, between / 1024,
	   after / 1024);
	ok(long_results_right(), "%s: hidden %d: in a large batch: the same bits",
	   under_test.tier->name, config.hidden_size);
}

/* The process may have a little more than it has, which is not enough. */
static void
test_no_memory(void)
{
	struct rlimit unlimited;
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &unlimited);
	limit = unlimited;
	limit.rlim_cur = memory_of_process(0) + LITTLE_MORE;
	setrlimit(RLIMIT_AS, &limit);
	ok(raises(encode_long_ones, NULL, ERRCODE_OUT_OF_MEMORY, "batch_tokens"),
	   "%s: hidden %d: a batch too large for memory is an ERROR with a hint",
	   under_test.tier->name, config.hidden_size);
	setrlimit(RLIMIT_AS, &unlimited);
	memset(long_results, 0, (size_t) N_LONG * config.hidden_size * sizeof(float));
	encode_long_ones(NULL);
	ok(long_results_right(),
	   "%s: hidden %d: and the encoder goes on, with the same bits",
	   under_test.tier->name, config.hidden_size);
	bert_encoder_trim(encoder);
}

static void
test_memory(void)
{
	if (!bert_device_info(device)->is_cpu)
	{
		ok(true, "%s: memory # SKIP the device has its own", under_test.tier->name);
		return;
	}
	for (int i = 0; i < N_LONG; i++)
		long_ones[i] = sequences[LONGEST];
	long_results = results_for(BERT_OUTPUT_CLS, N_LONG);
	test_given_back();
	test_no_memory();
	pfree(long_results);
}

/* ---- all of it ---- */

static void
test_model(int number)
{
	set_model(number);
	expect_results(number);
	build_program(&config);
	encoder = create_encoder();
	encode_alone();
	test_results(number);
	test_bits();
	test_without_positions();
	test_hidden();
	test_last_hidden();
	test_attention();
	if (number == 0)
	{
		test_too_large();
		test_vectors();
	}
	if (models[number].damage)
		test_damage();
	if (config.hidden_size == 312 && under_test.tier == bert_tier_at(0))
		test_memory(); /* the same whatever the tier; slow in the portable one */
	bert_encoder_trim(encoder);
	bert_encoder_free(encoder);
	forget_model();
}

static void
test_tier(void)
{
	for (int i = 0; i < (small ? N_SMALL : N_MODELS); i++)
		test_model(i);
}

/* ---- a device that fails ---- */

static void
recreate_encoder(void *arg)
{
	(void) arg;
	encoder = create_encoder();
}

/* The last thing the device does: a failure sticks. */
static void
test_failed_device(void)
{
	Damage damage;

	set_model(0);
	under_test.tier = bert_tier_for(bert_device_info(device));
	build_program(&config);
	encoder = create_encoder();
	bert_program_build(device, "", "", bert_kernel_names, 1);
	damage = (Damage){BERT_OUTPUT_CLS, results_for(BERT_OUTPUT_CLS, n_expected)};
	ok(raises(encode_damaged, &damage, ERRCODE_SYSTEM_ERROR, "OpenCL call"),
	   "on a device that has failed, the encoder raises the device's error");
	bert_encoder_trim(encoder);
	bert_encoder_free(encoder);
	ok(raises(recreate_encoder, NULL, ERRCODE_SYSTEM_ERROR, "OpenCL call"),
	   "and another encoder cannot be made there");
	bert_encoder_free(NULL);
	forget_model();
}

int
main(int argc, char **argv)
{
	small = argc > 1 && strcmp(argv[1], "--small") == 0;
	open_device();
	make_sequences();
	for_each_tier(test_tier);
	if (!small) /* simulators report what is wrong on purpose */
		test_failed_device();
	return done_testing();
}
