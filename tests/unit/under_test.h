/*
 * under_test.h
 *	  The device, the tier and the program that a claim is about. For the main file of a
 *	  test program: it defines them.
 *
 * BERT_TEST_DEVICE	index in the list of devices, default 0
 * BERT_TEST_TIER	test this tier only
 */
#ifndef BERT_UNDER_TEST_H
#define BERT_UNDER_TEST_H

#include "port.h"

#include "kernels.h"
#include "numbers.h"
#include "tap.h"
#include "trial.h"

uint32 random_state = 1;
BertLauncher under_test; /* device, tier, and the program last built */
static BertDevice *device;
static const char *only_tier; /* NULL: all */
static bool small; /* fewer and smaller shapes: simulators need seconds for each */

static inline void
open_device(void)
{
	const char *index = getenv("BERT_TEST_DEVICE");
	const BertDeviceInfo *info;
	BertStatus status;

	device = bert_device_open(index ? atoi(index) : 0, &status);
	if (device == NULL)
		bert_status_raise(&status);
	if (only_tier == NULL)
		only_tier = getenv("BERT_TEST_TIER");
	info = bert_device_info(device);
	printf("# device: %s; %s, %s; driver %s%s\n", info->name, info->platform,
		   info->platform_version, info->driver_version, small ? "; small shapes" : "");
}

/* Runs tests() once for every tier that the device takes. */
static inline void
for_each_tier(void (*tests)(void))
{
	const BertTier *tier;

	for (int i = 0; (tier = bert_tier_at(i)) != NULL; i++)
	{
		const char *reason = tier->decline(bert_device_info(device));

		if (reason == NULL && only_tier != NULL && strcmp(only_tier, tier->name) != 0)
			reason = "not asked for";
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
build_program_of(const char *source, const BertConfig *config)
{
	char options[256];

	bert_program_free(unconstify(BertProgram *, under_test.program));
	bert_program_options(config, options, sizeof(options));
	under_test.program =
		bert_program_build(device, source, options, bert_kernel_names, BERT_N_KERNELS);
	bert_device_raise(device);
}

static inline void
build_program(const BertConfig *config)
{
	char *source = bert_trial_source(under_test.tier);

	build_program_of(source, config);
	pfree(source);
}

#endif /* BERT_UNDER_TEST_H */
