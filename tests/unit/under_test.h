/*
 * under_test.h
 *	  The device, the tier and the program that a claim is about; numbers to feed them.
 *
 * BERT_TEST_DEVICE	index in the list of devices, default 0
 * BERT_TEST_TIER	test this tier only
 * --small			fewer and smaller shapes, for simulators that need seconds for each
 */
#ifndef BERT_UNDER_TEST_H
#define BERT_UNDER_TEST_H

#include "port.h"

#include <math.h>

#include "kernels.h"
#include "tap.h"
#include "trial.h"

#define ROUNDING 5.9604645e-08 /* unit roundoff of float, 2^-24 */

static bool small;
static BertDevice *device;
static BertLauncher under_test; /* device, tier, and the program last built */

static inline void
open_device(int argc, char **argv)
{
	const char *index = getenv("BERT_TEST_DEVICE");
	const BertDeviceInfo *info;
	BertStatus status;

	small = argc > 1 && strcmp(argv[1], "--small") == 0;
	device = bert_device_open(index ? atoi(index) : 0, &status);
	if (device == NULL)
		bert_status_raise(&status);
	info = bert_device_info(device);
	printf("# device: %s; %s, %s; driver %s%s\n", info->name, info->platform,
		   info->platform_version, info->driver_version, small ? "; small shapes" : "");
}

/* Runs tests() once for every tier that the device takes. */
static inline void
for_each_tier(void (*tests)(void))
{
	const char *only = getenv("BERT_TEST_TIER");
	const BertTier *tier;

	for (int i = 0; (tier = bert_tier_at(i)) != NULL; i++)
	{
		const char *reason = tier->decline(bert_device_info(device));

		if (reason == NULL && only != NULL && strcmp(only, tier->name) != 0)
			reason = "not in BERT_TEST_TIER";
		if (reason != NULL)
		{
			ok(true, "%s # SKIP %s", tier->name, reason);
			continue;
		}
		under_test = (BertLauncher){.device = device, .tier = tier};
		printf("# tier: %s\n", tier->name);
		tests();
	}
}

/* An ERROR that a test does not expect ends the program. */
static inline void
build_program(int32 activation, int32 head_size)
{
	BertConfig config = {.hidden_act = activation, .head_size = head_size};
	char *source = bert_trial_source(under_test.tier);
	char options[256];

	bert_program_free(unconstify(BertProgram *, under_test.program));
	bert_program_options(&config, options, sizeof(options));
	under_test.program =
		bert_program_build(device, source, options, bert_kernel_names, BERT_N_KERNELS);
	bert_device_raise(device);
	pfree(source);
}

/* ---- numbers ---- */

static inline uint32
random_bits(void)
{
	static uint32 state = 1;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

/* In [-1, 1). */
static inline float
random_float(void)
{
	return random_bits() / 8388608.0f - 1;
}

/* In -limit .. limit. Sums of products of such numbers are exact, in any order. */
static inline float
random_whole(int limit)
{
	return (float) (random_bits() % (2 * limit + 1)) - limit;
}

#endif /* BERT_UNDER_TEST_H */
