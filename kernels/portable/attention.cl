/*
 * portable/attention.cl
 *	  One work-item per query and head; a work-group is a block of up to 16 queries.
 *	  Arguments, and the order of every sum, as in cpu/attention.cl.
 */
#ifndef HEAD_SIZE
#define HEAD_SIZE 32
#endif
#ifndef KEY_BLOCK
#define KEY_BLOCK 64
#endif

#define RELATIVE_KEY 1
#define RELATIVE_KEY_QUERY 2

static inline float score_of(const float *q, const __global float *k)
{
	float s = 0.0f;

	for (int d = 0; d < HEAD_SIZE; d++)
		s = fma(q[d], k[d], s);
	return s;
}

/* q . E, or (q + k) . E; e: the column of this query's and key's distance */
static inline float distance_score(const float *q, const __global float *k,
								   const __global float *e, int ld_e, int relative)
{
	float s = 0.0f;

	for (int d = 0; d < HEAD_SIZE; d++)
	{
		float x = relative == RELATIVE_KEY_QUERY ? q[d] + k[d] : q[d];
		s = fma(x, e[(size_t) d * ld_e], s);
	}
	return s;
}

__kernel __attribute__((reqd_work_group_size(16, 1, 1))) void
attention(const __global float *qkv, int ld_qkv, __global float *context, int ld,
		  const __global int *blocks, int first_block, int hidden_size, float scale,
		  const __global float *distances, int ld_distances, int zero, int relative)
{
	const __global int *block = blocks + 4 * (first_block + get_group_id(0));
	int query = get_local_id(0);
	int head = get_global_id(1) * HEAD_SIZE;
	int n_keys = block[3];

	if (query >= block[1])
		return;
	const __global float *q_row = qkv + (size_t) (block[0] + query) * ld_qkv + head;
	const __global float *k = qkv + (size_t) block[2] * ld_qkv + hidden_size + head;
	const __global float *v = k + hidden_size;
	const __global float *e = distances + zero + (block[0] + query - block[2]);
	__global float *to = context + (size_t) (block[0] + query) * ld + head;
	float q[HEAD_SIZE];
	float out[HEAD_SIZE];
	float score[KEY_BLOCK];
	float largest = -FLT_MAX;
	float bound = -FLT_MAX;
	float sum = 0.0f;

	for (int d = 0; d < HEAD_SIZE; d++)
	{
		q[d] = q_row[d];
		out[d] = 0.0f;
	}
	for (int first = 0; first < n_keys; first += KEY_BLOCK)
	{
		int n = min(KEY_BLOCK, n_keys - first);
		float bound_before = bound;
		float part = 0.0f;

		for (int j = 0; j < n; j++)
		{
			const __global float *key = k + (size_t) (first + j) * ld_qkv;
			score[j] = score_of(q, key);
			if (relative)
				score[j] +=
					distance_score(q, key, e - (first + j), ld_distances, relative);
			largest = max(largest, score[j]);
		}
		bound = largest * scale;
		float keep = exp2_1(bound_before - bound);
		for (int j = 0; j < n; j++)
		{
			score[j] = exp2_1(fma(score[j], scale, -bound));
			part += score[j];
		}
		sum = fma(sum, keep, part);
		for (int d = 0; d < HEAD_SIZE; d++)
		{
			float o = 0.0f;
			for (int j = 0; j < n; j++)
				o = fma(score[j], v[(size_t) (first + j) * ld_qkv + d], o);
			out[d] = fma(out[d], keep, o);
		}
	}
	sum = 1.0f / sum;
	for (int d = 0; d < HEAD_SIZE; d++)
		to[d] = out[d] * sum;
}
