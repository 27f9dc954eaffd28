/*
 * test_encoder.c
 *	  The whole forward pass, on every tier, with models of odd sizes.
 *
 * The weights are random, which tells as much about the arithmetic as trained ones do.
 * Claims: it computes what the plain C reference computes; a text's vector does not
 * depend, to the bit, on the texts beside it, on their order, or on the size of batches;
 * it can be looked into after each layer; what is damaged raises an ERROR and leaves
 * nothing behind.
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

#define MAX_SEQUENCES 24
#define N_EXPECTED    12 /* so many of them the reference, which is slow, computes, too */
#define MAX_POSITIONS 150
#define VOCAB_SIZE    50

/* ---- models ---- */

static const BertConfig configs[] = {
	{
		.hidden_size = 24, /* the one with --small */
		.num_layers = 1,
		.num_heads = 3,
		.head_size = 8,
		.intermediate_size = 29,
		.type_vocab_size = 2,
		.hidden_act = BERT_ACT_SILU,
	},
	{
		.hidden_size = 48,
		.num_layers = 2,
		.num_heads = 3,
		.head_size = 16,
		.intermediate_size = 101,
		.type_vocab_size = 2,
		.hidden_act = BERT_ACT_GELU_TANH,
	},
	{
		.hidden_size = 128,
		.num_layers = 3,
		.num_heads = 2,
		.head_size = 64,
		.intermediate_size = 333,
		.type_vocab_size = 1,
		.hidden_act = BERT_ACT_RELU,
	},
	{
		.hidden_size = 312,
		.num_layers = 1,
		.num_heads = 12,
		.head_size = 26,
		.intermediate_size = 391,
		.type_vocab_size = 2,
		.hidden_act = BERT_ACT_GELU,
	},
};

static const BertRecipe recipes[] = {
	{.pooling = BERT_POOL_MEAN},
	{.pooling = BERT_POOL_MEAN, .normalize = true},
	{.pooling = BERT_POOL_CLS | BERT_POOL_MAX | BERT_POOL_WEIGHTED_MEAN},
	{.pooling = BERT_POOL_MEAN_SQRT | BERT_POOL_LAST, .normalize = true},
};

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
static float *expected[lengthof(configs)][lengthof(outputs)]; /* (n_expected, size) */

/* The encoder at hand, and a text's results when it is alone. */
static BertEncoder *encoder;
static float *alone[lengthof(outputs)];
static float *of_first_tier[lengthof(configs)][lengthof(outputs)];

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
		sequences[i] = (BertSequence){ids, n, n};
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
	return output == BERT_OUTPUT_EMBEDDING
			   ? config.hidden_size * __builtin_popcount(recipe.pooling)
			   : config.hidden_size;
}

static float *
results_for(BertOutput output, int n)
{
	return palloc0((size_t) n * size_of(output) * sizeof(float));
}

static void
set_model(int number)
{
	config = configs[number];
	config.vocab_size = VOCAB_SIZE;
	config.max_positions = MAX_POSITIONS;
	config.layer_norm_eps = 1e-12;
	config.has_pooler = true;
	recipe = recipes[number];
	weights = bert_trial_weights(&config);
	layout = bert_weights_layout(&config);
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
			bert_reference_encode(&config, &recipe, weights, &sequences[i], outputs[o],
								  expected[model][o] +
									  (size_t) i * size_of(outputs[o]));
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
			bert_encode(encoder, &sequences[i], 1, outputs[o], 2048,
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
	bert_encode(encoder, ordered, n_sequences, output, batch_tokens, got);
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
	int n = small ? 2 : (int) lengthof(batch_tokens);
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

/* ---- looking inside ---- */

/* What a tap saw of every sequence: (layers + 1, all tokens, hidden_size). */
typedef struct Seen
{
	int last_layer; /* stop after this one */
	int calls;
	int32 row_of[MAX_SEQUENCES];
	int32 n_rows;
	float *hidden;
} Seen;

static bool
see_layer(void *arg, int layer, const float *hidden, int32 ld, const int *sequence,
		  const int32 *first_row, int n)
{
	Seen *seen = arg;
	int32 size = config.hidden_size;

	seen->calls++;
	for (int i = 0; i < n; i++)
		for (int32 t = 0; t < sequences[sequence[i]].n_tokens; t++)
		{
			size_t row = (size_t) layer * seen->n_rows + seen->row_of[sequence[i]] + t;

			memcpy(seen->hidden + row * size, hidden + (size_t) (first_row[i] + t) * ld,
				   size * sizeof(float));
		}
	return layer < seen->last_layer;
}

static void
look_inside(Seen *seen, int last_layer, int batch_tokens)
{
	BertTap tap = {see_layer, seen};

	memset(seen, 0, sizeof(*seen));
	seen->last_layer = last_layer;
	for (int i = 0; i < n_sequences; i++)
	{
		seen->row_of[i] = seen->n_rows;
		seen->n_rows += sequences[i].n_tokens;
	}
	seen->hidden = palloc0((size_t) (config.num_layers + 1) * seen->n_rows *
						   config.hidden_size * sizeof(float));
	bert_encode_tapped(encoder, sequences, n_sequences, batch_tokens, &tap);
}

static const float *
seen_rows(const Seen *seen, int layer, int sequence)
{
	return seen->hidden + ((size_t) layer * seen->n_rows + seen->row_of[sequence]) *
							  config.hidden_size;
}

/* Tokens of the first sequences, against the reference after as many layers. */
static void
test_layer(const Seen *seen, int layer)
{
	double worst = 0;

	for (int i = 0; i < Min(n_expected, 8); i++)
	{
		size_t n = (size_t) sequences[i].n_tokens * config.hidden_size;
		float *wanted = palloc(n * sizeof(float));

		bert_reference_hidden(&config, weights, &sequences[i], layer, wanted);
		worst = Max(worst, difference(seen_rows(seen, layer, i), wanted, n));
		pfree(wanted);
	}
	ok(worst <= TOLERANCE,
	   "%s: hidden %d: every token after layer %d is the reference's (within %.1e)",
	   under_test.tier->name, config.hidden_size, layer, worst);
}

/* Stopped early, and in other batches, the tap sees the same. */
static void
test_stopping(const Seen *whole)
{
	size_t n = (size_t) whole->n_rows * config.hidden_size;

	for (int layer = 0; layer < config.num_layers; layer++)
	{
		Seen seen;

		look_inside(&seen, layer, INT_MAX);
		ok(seen.calls == layer + 1 &&
			   memcmp(seen.hidden, whole->hidden, (layer + 1) * n * sizeof(float)) == 0,
		   "%s: hidden %d: stopped after layer %d: the same bits",
		   under_test.tier->name, config.hidden_size, layer);
		pfree(seen.hidden);
	}
}

static void
test_tap(void)
{
	size_t nbytes = config.hidden_size * sizeof(float);
	bool same = true;
	Seen seen;

	look_inside(&seen, config.num_layers, 100);
	for (int layer = 0; layer <= config.num_layers; layer++)
		test_layer(&seen, layer);
	for (int i = 0; i < n_sequences; i++)
		same = same && memcmp(seen_rows(&seen, config.num_layers, i),
							  alone[BERT_OUTPUT_CLS] + (size_t) i * config.hidden_size,
							  nbytes) == 0;
	ok(same, "%s: hidden %d: the last layer's first row is [CLS], to the bit",
	   under_test.tier->name, config.hidden_size);
	test_stopping(&seen);
	pfree(seen.hidden);
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

	bert_encode(encoder, sequences, n_expected, damage->output, 100, damage->results);
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
test_too_large(void)
{
	BertEncoder *before = encoder;

	ok(raises(create_too_large, NULL, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
			  "too large for the device"),
	   "%s: a model with a buffer that the device does not take is an ERROR",
	   under_test.tier->name);
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
	bert_encode(encoder, long_ones, N_LONG, BERT_OUTPUT_CLS, INT_MAX, long_results);
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
	build_program(config.hidden_act, config.head_size);
	encoder = create_encoder();
	encode_alone();
	test_results(number);
	test_bits();
	test_tap();
	test_damage();
	test_too_large();
	if (config.hidden_size == 312)
		test_memory();
	bert_encoder_trim(encoder);
	bert_encoder_free(encoder);
	forget_model();
}

static void
test_tier(void)
{
	int n = small ? 1 : (int) lengthof(configs);

	for (int i = 0; i < n; i++)
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
	build_program(config.hidden_act, config.head_size);
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
	open_device(argc, argv);
	make_sequences();
	for_each_tier(test_tier);
	if (!small) /* simulators report what is wrong on purpose */
		test_failed_device();
	return done_testing();
}
