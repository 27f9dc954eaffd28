/*
 * helper_main.c
 *	  The program bert_helper: what a driver does first, it does here.
 *
 *	bert_helper devices
 *		Print every device that the ICD loader finds.
 *	bert_helper build FILE DEVICE TIER ACTIVATION HEAD_SIZE
 *		Compile the tier's kernels, run each, write the finished program to FILE.
 *	bert_helper load FILE DEVICE TIER ACTIVATION HEAD_SIZE
 *		Load FILE as the backend will, run each kernel, compare with the C reference.
 *
 * Lines of the answer begin with BERT_HELPER_MARK; whatever else comes out is a
 * driver's. Exit status 0: done. The backend sees to our environment, our end, and that
 * we inherit nothing.
 */
#include "port.h"
#include "encoder.h"
#include "helper.h"
#include "reference.h"
#include "trial.h"

#include <link.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLERANCE   1e-4
#define TEST_VOCAB  8
#define TEST_TOKENS 70 /* more than a KEY_BLOCK of attention.cl */

static _Noreturn void
give_up(const BertStatus *status)
{
	printf(BERT_HELPER_MARK "error\t%s\t%s\n%s\n", status->call,
		   bert_status_name(status), status->log);
	exit(1);
}

/* ---- devices ---- */

/* Mix name, size and time of one loaded library into the hash (FNV-1a). */
static int
hash_library(struct dl_phdr_info *library, size_t size, void *arg)
{
	uint64 *hash = arg;
	char text[MAXPGPATH];
	struct stat st;

	(void) size;
	if (stat(library->dlpi_name, &st) != 0)
		return 0;
	snprintf(text, sizeof(text), "%s %lld %lld", library->dlpi_name,
			 (long long) st.st_size, (long long) st.st_mtime);
	for (const char *c = text; *c != '\0'; c++)
		*hash = (*hash ^ (unsigned char) *c) * UINT64CONST(1099511628211);
	return 0;
}

static void
print_libraries(void)
{
	uint64 hash = UINT64CONST(14695981039346656037);

	dl_iterate_phdr(hash_library, &hash);
	printf(BERT_HELPER_MARK "libraries\t%llx\n", (unsigned long long) hash);
}

static void
print_devices(void)
{
	BertDeviceInfo infos[32];
	BertStatus status;
	int n = bert_device_list(infos, lengthof(infos), &status);

	if (n < 0)
		give_up(&status);
	print_libraries();
	for (int i = 0; i < n; i++)
	{
		BertDeviceInfo *info = &infos[i];

		printf(BERT_HELPER_MARK "device\t%s\t%s\t%s\t%s\t%d\t%d\t%u\t%llu\t%llu\n",
			   info->platform, info->platform_version, info->name, info->driver_version,
			   info->is_cpu, info->is_gpu, info->compute_units,
			   (unsigned long long) info->global_memory,
			   (unsigned long long) info->max_buffer);
	}
}

/* ---- a small model that uses every kernel ---- */

static BertRecipe
test_recipe(int hidden_size)
{
	return (BertRecipe){
		.max_tokens = TEST_TOKENS,
		.pooling = BERT_POOL_MEAN,
		.n_modules = 3,
		.modules = {{.kind = BERT_MODULE_DENSE,
					 .in_size = hidden_size,
					 .out_size = hidden_size,
					 .activation = BERT_ACT_TANH,
					 .has_residual = true},
					{.kind = BERT_MODULE_LAYER_NORM,
					 .in_size = hidden_size,
					 .out_size = hidden_size},
					{.kind = BERT_MODULE_NORMALIZE,
					 .in_size = hidden_size,
					 .out_size = hidden_size}},
	};
}

static BertConfig
test_config(int activation, int head_size, BertPositions position_type)
{
	return (BertConfig){
		.vocab_size = TEST_VOCAB,
		.hidden_size = 2 * head_size,
		.num_layers = 1,
		.num_heads = 2,
		.head_size = head_size,
		.intermediate_size = 3 * head_size + 1,
		.max_positions = TEST_TOKENS,
		.type_vocab_size = 2,
		.hidden_act = activation,
		.position_type = position_type,
		.layer_norm_eps = 1e-12,
		.has_pooler = true,
	};
}

static void
compare(BertEncoder *encoder, const BertConfig *config, const BertRecipe *recipe,
		const char *weights, const BertSequence *sequences, int n, BertOutput output)
{
	int32 size = bert_encoder_size(encoder, output);
	float *got = palloc((size_t) n * size * sizeof(float));
	float *expected = palloc(size * sizeof(float));

	bert_encode(encoder, sequences, n, output, true, 1024, got);
	for (int i = 0; i < n; i++)
	{
		bert_reference_encode(config, recipe, weights, &sequences[i], output, true,
							  expected);
		for (int32 j = 0; j < size; j++)
			if (!(fabsf(got[i * size + j] - expected[j]) <= TOLERANCE))
			{
				printf(BERT_HELPER_MARK "wrong\t%d\t%g\t%g\n", output,
					   got[i * size + j], expected[j]);
				exit(1);
			}
	}
}

static void
run_model(const BertLauncher *launcher, const BertConfig *config)
{
	BertRecipe recipe = test_recipe(config->hidden_size);
	char *weights = bert_trial_weights(config, &recipe);
	BertEncoder *encoder = bert_encoder_create(launcher, config, &recipe, weights);
	int32 ids[TEST_TOKENS];
	BertSequence sequences[] = {{ids, 3, 3}, {ids, TEST_TOKENS, 20}};

	for (int i = 0; i < TEST_TOKENS; i++)
		ids[i] = i % TEST_VOCAB;
	compare(encoder, config, &recipe, weights, sequences, 2, BERT_OUTPUT_EMBEDDING);
	compare(encoder, config, &recipe, weights, sequences, 2, BERT_OUTPUT_POOLED);
}

/* Run every kernel, so that the driver finishes all of them, and see if they are right. */
static void
run_kernels(const BertLauncher *launcher, int activation, int head_size)
{
	BertConfig absolute = test_config(activation, head_size, BERT_POSITIONS_ABSOLUTE);
	BertConfig relative =
		test_config(activation, head_size, BERT_POSITIONS_RELATIVE_KEY_QUERY);

	run_model(launcher, &absolute);
	run_model(launcher, &relative);
}

/* ---- programs ---- */

static void
write_program(BertDevice *device, const BertProgram *program, const char *path)
{
	size_t nbytes;
	void *binary = bert_program_binary(device, program, &nbytes);
	FILE *file;

	if (binary == NULL)
		give_up(bert_device_status(device));
	file = fopen(path, "wb");
	if (file == NULL || fwrite(binary, 1, nbytes, file) != nbytes ||
		fsync(fileno(file)) != 0 || fclose(file) != 0)
	{
		fprintf(stderr, "could not write the finished program: %s\n", strerror(errno));
		exit(1);
	}
}

static BertProgram *
load_program(BertDevice *device, const char *path)
{
	FILE *file = fopen(path, "rb");
	long nbytes = -1;
	char *binary;

	if (file != NULL && fseek(file, 0, SEEK_END) == 0)
		nbytes = ftell(file);
	binary = nbytes > 0 ? malloc(nbytes) : NULL;
	if (binary == NULL || fseek(file, 0, SEEK_SET) != 0 ||
		fread(binary, 1, nbytes, file) != (size_t) nbytes)
	{
		fprintf(stderr, "could not read the finished program: %s\n", strerror(errno));
		exit(1);
	}
	fclose(file);
	return bert_program_load(device, binary, nbytes, bert_kernel_names, BERT_N_KERNELS);
}

static void
make_program(bool build, char **args)
{
	const char *path = args[0];
	const BertTier *tier = bert_tier_by_name(args[2]);
	BertConfig config =
		test_config(atoi(args[3]), atoi(args[4]), BERT_POSITIONS_ABSOLUTE);
	BertStatus status;
	BertDevice *device = bert_device_open(atoi(args[1]), &status);
	BertProgram *program;
	char options[256];

	if (device == NULL)
		give_up(&status);
	bert_program_options(&config, options, sizeof(options));
	if (build)
		program = bert_program_build(device, bert_trial_source(tier), options,
									 bert_kernel_names, BERT_N_KERNELS);
	else
		program = load_program(device, path);
	if (program == NULL)
		give_up(bert_device_status(device));
	run_kernels(&(BertLauncher){device, program, tier}, config.hidden_act,
				config.head_size);
	if (build)
		write_program(device, program, path);
}

int
main(int argc, char **argv)
{
	syscall(SYS_close_range, 3, ~0U, 0); /* before any driver sees a descriptor */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "devices") == 0)
		print_devices();
	else if (argc == 7 && strcmp(argv[1], "build") == 0)
		make_program(true, argv + 2);
	else if (argc == 7 && strcmp(argv[1], "load") == 0)
		make_program(false, argv + 2);
	else
	{
		fprintf(stderr, "bert_helper is run by the PostgreSQL extension bert\n");
		return 2;
	}
	/* A driver's destructors have nothing to do that the end of the process does not. */
	fflush(stdout);
	_exit(0);
}
