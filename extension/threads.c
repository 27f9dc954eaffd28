/*
 * threads.c
 *	  How many threads this backend's driver may start.
 *
 * bert.threads, but never more than the processors that the server may use: its
 * affinity mask (cpuset) and the quotas of the control groups that it lives in, of both
 * versions. Workers of a parallel query share them with their leader.
 */
#include "port.h"
#include "driver.h"
#include "settings.h"

#include "access/parallel.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "storage/fd.h"

#include <math.h>
#include <sched.h>

static int
affinity_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return Max(1, (int) sysconf(_SC_NPROCESSORS_ONLN));
	return CPU_COUNT(&set);
}

/* The numbers at the start of a small file; how many were read. */
static int
read_numbers(const char *path, double *a, double *b)
{
	char line[128] = "";
	FILE *file = AllocateFile(path, "r");
	int n = 0;

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) != NULL)
		n = sscanf(line, "%lf %lf", a, b); /* "max 100000": none */
	FreeFile(file);
	return n;
}

/* Processors that one control group leaves, INFINITY without a quota. */
static double
group_quota(const char *directory)
{
	char path[MAXPGPATH];
	double quota;
	double period;
	double unused;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", directory);
	if (read_numbers(path, &quota, &period) == 2 && period > 0)
		return quota / period;
	snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", directory);
	if (read_numbers(path, &quota, &unused) < 1 || quota <= 0)
		return INFINITY;
	snprintf(path, sizeof(path), "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", directory);
	if (read_numbers(path, &period, &unused) < 1 || period <= 0)
		return INFINITY;
	return quota / period;
}

/* The smallest quota from a group up to the root. */
static double
tree_quota(char *directory)
{
	double smallest = group_quota("");

	while (strlen(directory) > 1)
	{
		smallest = Min(smallest, group_quota(directory));
		*strrchr(directory, '/') = '\0';
	}
	return smallest;
}

/* Over the groups that /proc/self/cgroup names: "0::/path", "4:cpu,cpuacct:/path". */
static double
quota(void)
{
	FILE *file = AllocateFile("/proc/self/cgroup", "r");
	char line[MAXPGPATH];
	double smallest = INFINITY;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		char *controllers = strchr(line, ':');
		char *directory = controllers ? strchr(controllers + 1, ':') : NULL;

		if (directory == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (controllers[1] == ':' || strstr(controllers, "cpu") != NULL)
			smallest = Min(smallest, tree_quota(directory + 1));
	}
	if (file != NULL)
		FreeFile(file);
	return smallest;
}

/* Looked up once: the driver's threads are started once in a process. */
static int
available_processors(void)
{
	static int available = 0;

	if (available == 0)
		available = Max(1, (int) Min(affinity_count(), ceil(quota())));
	return available;
}

int
bert_driver_threads(void)
{
	int available = available_processors();
	int threads;

	threads =
		bert_threads_setting == 0 ? available : Min(bert_threads_setting, available);
	if (IsParallelWorker())
		threads = Max(1, threads / (max_parallel_workers_per_gather + 1));
	return threads;
}
