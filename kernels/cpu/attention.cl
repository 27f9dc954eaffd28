/*
 * cpu/attention.cl
 *	  context = softmax(Q K^T / sqrt(head_size)) V, per sequence and head, with the
 *	  scores never in global memory.
 *
 * One work-item, alone in its work-group, serves one head (y) of one block of up to 16
 * queries of one sequence (x). A lane is a query: every sum runs inside a lane, over
 * keys in their order, so a query's result does not depend on who shares its block,
 * and nothing is ever summed across lanes.
 *
 *	q_t[d]     16 queries' d-th element
 *	score[j]   16 queries' score of key j, then 2^(scale (score - max))
 *	out_t[d]   16 queries' sum of weights times V's d-th element
 *
 * Keys are taken KEY_BLOCK at a time with a running maximum and sum (online softmax).
 * scale is log2(e) / sqrt(head_size), so that the softmax needs 2^x only; it comes in
 * with the fma that subtracts the maximum, which rounds once.
 *
 * With relative positions a score is q . k + q . E[l - r] (RELATIVE_KEY), and + k . E[l -
 * r] (RELATIVE_KEY_QUERY), for a query at position l and a key at r. E lies transposed,
 * so that a key's distances from 16 queries in a row are 16 columns in a row.
 *
 *	qkv      (tokens, ld_qkv)   a row is Q of all heads, K of all heads, V of all heads
 *	context  (tokens, ld)       heads side by side
 *	blocks   (n, 4)             first query's row, queries, sequence's first row, length;
 *	                            x counts from first_block
 *	distances (HEAD_SIZE, ld_distances)  distance 0 is column `zero`; looked at where
 *	                            relative is not 0
 *
 * -D parameters: HEAD_SIZE (32), KEY_BLOCK (64, multiple of 8).
 */
#ifndef HEAD_SIZE
#define HEAD_SIZE 32
#endif
#ifndef KEY_BLOCK
#define KEY_BLOCK 64
#endif
#if KEY_BLOCK % 8 != 0
#error "KEY_BLOCK must be a multiple of 8"
#endif

#define RELATIVE_KEY 1
#define RELATIVE_KEY_QUERY 2

#define HEAD_PADDED ((HEAD_SIZE + LANES - 1) / LANES * LANES)

/* 16 x 16 floats: rows become columns, in place. */
static inline void transpose16(float16 m[LANES])
{
#define EXCHANGE(step, LOW, HIGH)                                                      \
	_Pragma("unroll") for (int i = 0; i < LANES; i++) if ((i & step) == 0)             \
	{                                                                                  \
		float16 a = m[i];                                                              \
		float16 b = m[i + step];                                                       \
		m[i] = LOW;                                                                    \
		m[i + step] = HIGH;                                                            \
	}
	EXCHANGE(8, (float16) (a.lo, b.lo), (float16) (a.hi, b.hi))
	EXCHANGE(4, (float16) (a.s0123, b.s0123, a.s89ab, b.s89ab),
			 (float16) (a.s4567, b.s4567, a.scdef, b.scdef))
	EXCHANGE(2, (float16) (a.s01, b.s01, a.s45, b.s45, a.s89, b.s89, a.scd, b.scd),
			 (float16) (a.s23, b.s23, a.s67, b.s67, a.sab, b.sab, a.sef, b.sef))
	EXCHANGE(1,
			 (float16) (a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6, a.s8, b.s8,
						a.sa, b.sa, a.sc, b.sc, a.se, b.se),
			 (float16) (a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7, a.s9, b.s9,
						a.sb, b.sb, a.sd, b.sd, a.sf, b.sf))
#undef EXCHANGE
}

/* 16 floats of a head's row, of which the first `valid` count; the rest are 0. */
static inline float16 load_head(const __global float *row, int valid)
{
	if (valid >= LANES)
		return load16(row);
	float tail[LANES];
	for (int i = 0; i < LANES; i++)
		tail[i] = i < valid ? row[i] : 0.0f;
	return vload16(0, tail);
}

static inline void store_head(__global float *row, int valid, float16 x)
{
	if (valid >= LANES)
	{
		store16(row, x);
		return;
	}
	float tail[LANES];
	vstore16(x, 0, tail);
	for (int i = 0; i < valid; i++)
		row[i] = tail[i];
}

/* score[0 .. n) of keys k, k + ld, ...; the largest of them and `largest`. */
static inline float16 score_keys(const float16 *q_t, const __global float *k, int ld,
								 int n, float16 *score, float16 largest)
{
	int j = 0;

	for (; j + 8 <= n; j += 8)
	{
		float16 s[8];
		_Pragma("unroll") for (int i = 0; i < 8; i++) s[i] = 0.0f;
		for (int d = 0; d < HEAD_SIZE; d++)
		{
			float16 q = q_t[d];
			_Pragma("unroll") for (int i = 0; i < 8; i++) s[i] =
				fma(q, (float16) k[(size_t) (j + i) * ld + d], s[i]);
		}
		_Pragma("unroll") for (int i = 0; i < 8; i++)
		{
			score[j + i] = s[i];
			largest = max(largest, s[i]);
		}
	}
	for (; j < n; j++)
	{
		float16 s = 0.0f;
		for (int d = 0; d < HEAD_SIZE; d++)
			s = fma(q_t[d], (float16) k[(size_t) j * ld + d], s);
		score[j] = s;
		largest = max(largest, s);
	}
	return largest;
}

/*
 * Adds q . E, or (q + k) . E, to score[0 .. n) and gives the largest of them and
 * `largest`. e: the columns of the first key; each key's are one before the last one's.
 */
static inline float16 add_distances(const float16 *q_t, const __global float *k, int ld,
									int n, const __global float *e, int ld_e,
									int relative, float16 *score, float16 largest)
{
#define KEYS(COUNT)                                                                    \
	{                                                                                  \
		float16 s[COUNT];                                                              \
		_Pragma("unroll") for (int i = 0; i < COUNT; i++) s[i] = 0.0f;                 \
		for (int d = 0; d < HEAD_SIZE; d++)                                            \
			_Pragma("unroll") for (int i = 0; i < COUNT; i++)                          \
			{                                                                          \
				float16 x = q_t[d];                                                    \
				if (relative == RELATIVE_KEY_QUERY)                                    \
					x += k[(size_t) (j + i) * ld + d];                                 \
				s[i] = fma(x, load16(e + (size_t) d * ld_e - (j + i)), s[i]);          \
			}                                                                          \
		_Pragma("unroll") for (int i = 0; i < COUNT; i++)                              \
		{                                                                              \
			score[j + i] += s[i];                                                      \
			largest = max(largest, score[j + i]);                                      \
		}                                                                              \
	}
	int j = 0;

	for (; j + 8 <= n; j += 8)
		KEYS(8)
	for (; j < n; j++)
		KEYS(1)
	return largest;
#undef KEYS
}

/* out_t[d] = out_t[d] * keep + sum over j of weight[j] * v[j][d] */
static inline void add_values(const float16 *weight, const __global float *v, int ld,
							  int n, float16 keep, float16 *out_t)
{
#define COLUMNS(COUNT)                                                                 \
	{                                                                                  \
		float16 o[COUNT];                                                              \
		_Pragma("unroll") for (int i = 0; i < COUNT; i++) o[i] = 0.0f;                 \
		for (int j = 0; j < n; j++)                                                    \
		{                                                                              \
			float16 w = weight[j];                                                     \
			_Pragma("unroll") for (int i = 0; i < COUNT; i++) o[i] =                   \
				fma(w, (float16) v[(size_t) j * ld + d + i], o[i]);                    \
		}                                                                              \
		_Pragma("unroll") for (int i = 0; i < COUNT; i++) out_t[d + i] =               \
			fma(out_t[d + i], keep, o[i]);                                             \
	}
	int d = 0;

	for (; d + 16 <= HEAD_SIZE; d += 16)
		COLUMNS(16)
	for (; d + 4 <= HEAD_SIZE; d += 4)
		COLUMNS(4)
	for (; d < HEAD_SIZE; d++)
		COLUMNS(1)
#undef COLUMNS
}

/* weight[0 .. n) = 2^(scale weight - bound), whose sum is returned */
static inline float16 exp2_scores(float16 *weight, int n, float scale, float16 bound)
{
	float16 sum = 0.0f;

	for (int j = 0; j < n; j++)
	{
		weight[j] = exp2_16(fma(weight[j], (float16) scale, -bound));
		sum += weight[j];
	}
	return sum;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention(const __global float *qkv, int ld_qkv, __global float *context, int ld,
		  const __global int *blocks, int first_block, int hidden_size, float scale,
		  const __global float *distances, int ld_distances, int zero, int relative)
{
	const __global int *block = blocks + 4 * (first_block + get_global_id(0));
	int head = get_global_id(1) * HEAD_SIZE;
	int n_queries = block[1];
	int n_keys = block[3];
	const __global float *q = qkv + (size_t) block[0] * ld_qkv + head;
	const __global float *k = qkv + (size_t) block[2] * ld_qkv + hidden_size + head;
	const __global float *v = k + hidden_size;
	const __global float *e = distances + zero + (block[0] - block[2]);
	float16 q_t[HEAD_PADDED];
	float16 out_t[HEAD_PADDED];
	float16 score[KEY_BLOCK];
	float16 largest = -FLT_MAX;
	float16 bound = -FLT_MAX; /* largest times scale, rounded once for all keys */
	float16 sum = 0.0f;

	for (int d = 0; d < HEAD_SIZE; d += LANES)
	{
		float16 tile[LANES];
		for (int i = 0; i < LANES; i++)
			tile[i] = load_head(q + (size_t) min(i, n_queries - 1) * ld_qkv + d,
								HEAD_SIZE - d);
		transpose16(tile);
		for (int i = 0; i < LANES; i++)
		{
			q_t[d + i] = tile[i];
			out_t[d + i] = 0.0f;
		}
	}
	for (int first = 0; first < n_keys; first += KEY_BLOCK)
	{
		int n = min(KEY_BLOCK, n_keys - first);
		size_t offset = (size_t) first * ld_qkv;
		float16 before = largest;
		float16 bound_before = bound;

		largest = score_keys(q_t, k + offset, ld_qkv, n, score, before);
		if (relative)
			largest = add_distances(q_t, k + offset, ld_qkv, n, e - first,
									ld_distances, relative, score, before);
		bound = largest * scale;
		float16 keep = exp2_16(bound_before - bound);
		sum = fma(sum, keep, exp2_scores(score, n, scale, bound));
		add_values(score, v + offset, ld_qkv, n, keep, out_t);
	}
	sum = 1.0f / sum;
	for (int d = 0; d < HEAD_SIZE; d += LANES)
	{
		float16 tile[LANES];
		for (int i = 0; i < LANES; i++)
			tile[i] = out_t[d + i] * sum;
		transpose16(tile);
		for (int i = 0; i < n_queries; i++)
			store_head(context + (size_t) (block[0] + i) * ld + head + d,
					   HEAD_SIZE - d, tile[i]);
	}
}
