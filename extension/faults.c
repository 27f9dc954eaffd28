/*
 * faults.c
 *	  Kernels that are broken on purpose. See faults.h.
 *
 * None reads or writes out of bounds: a fault must be seen in results. Some have an effect
 * in some shapes only: rows or columns that do not fill a block, more than one block of
 * keys. "gelu" is what is often taken for it, the one with tanh.
 */
#include "port.h"
#include "faults.h"
#include "trial.h"

/* { name, tier, kernel, text, instead } */
static const BertFault faults[] = {
	{"embed_type", "cpu", BERT_KERNEL_EMBED, "tokens[3 * r + 1]",
	 "(tokens[3 * r + 1] & 0)"},
	{"embed_position", "cpu", BERT_KERNEL_EMBED, "tokens[3 * r + 2]",
	 "(tokens[3 * r + 2] & ~1)"},
	{"embed_column", "cpu", BERT_KERNEL_EMBED, "for (; i < hidden_size; i++)",
	 "for (; i < hidden_size - 1; i++)"},
	{"norm_mean", "cpu", BERT_KERNEL_LAYER_NORM,
	 "float mean = sum16(sum) / hidden_size;",
	 "float mean = sum16(sum) / (hidden_size + 1);"},
	{"norm_columns", "cpu", BERT_KERNEL_LAYER_NORM,
	 "lane + i < hidden_size);\n\t\tsquares", "lane + i <= hidden_size);\n\t\tsquares"},
	{"norm_eps", "cpu", BERT_KERNEL_LAYER_NORM, "/ hidden_size + eps)",
	 "/ hidden_size)"},
	{"linear_tail", "cpu", BERT_KERNEL_LINEAR, "if (i <= last)",
	 "if (i < max(last, 1))"},
	{"linear_sum", "cpu", BERT_KERNEL_LINEAR, "min(K_BLOCK, in_size)",
	 "min(K_BLOCK, in_size - 1)"},
	{"linear_block", "cpu", BERT_KERNEL_LINEAR, "min(first + K_BLOCK, in_size)",
	 "min(first + K_BLOCK, in_size - 1)"},
	{"linear_lane", "cpu", BERT_KERNEL_LINEAR, "\tstore16(c + at, x);",
	 "\tx.sb *= 1.0005f; store16(c + at, x);"},
	{"linear_residual", "cpu", BERT_KERNEL_LINEAR, "residual + at)",
	 "residual + at).s1032547698badcfe"},
	{"gelu", "cpu", BERT_KERNEL_LINEAR, "return x * normal_##suffix(x);",
	 "return gelu_tanh_##suffix(x, 0.79788456080287f);"},
	{"attention_key", "cpu", BERT_KERNEL_ATTENTION, "int n_keys = block[3];",
	 "int n_keys = max(block[3] - 1, 1);"},
	{"attention_block", "cpu", BERT_KERNEL_ATTENTION,
	 "keep = exp2_16(bound_before - bound)", "keep = 1.0f"},
	{"attention_query", "cpu", BERT_KERNEL_ATTENTION,
	 "for (int i = 0; i < n_queries; i++)",
	 "for (int i = 0; i < min(n_queries, 15); i++)"},
	{"attention_head", "cpu", BERT_KERNEL_ATTENTION, "for (int i = 0; i < valid; i++)",
	 "for (int i = 0; i < max(valid - 1, 1); i++)"},
	{"attention_value", "cpu", BERT_KERNEL_ATTENTION,
	 "for (; d < HEAD_SIZE; d++)\n\t\tCOLUMNS(1)",
	 "for (; d < HEAD_SIZE - 1; d++)\n\t\tCOLUMNS(1)"},
	{"attention_distance", "cpu", BERT_KERNEL_ATTENTION, "e - first,", "e,"},
	{"pool_token", "cpu", BERT_KERNEL_POOL, "t = from; t < n;",
	 "t = from; t < max(n - 1, 1);"},
	{"pool_tail", "cpu", BERT_KERNEL_POOL, "y[size + i + j] = tail[j];",
	 "y[size + i + j] = tail[0];"},
	{"activate_lane", "cpu", BERT_KERNEL_ACTIVATE_ROWS, "lane + i < size));",
	 "lane + i < size - 1));"},
	{"normalize_lane", "cpu", BERT_KERNEL_NORMALIZE_ROWS,
	 "float norm = sqrt(sum16(squares));",
	 "squares.s5 = 0.0f; float norm = sqrt(sum16(squares));"},

	{"embed_type", "portable", BERT_KERNEL_EMBED, "tokens[3 * r + 1]",
	 "(tokens[3 * r + 1] & 0)"},
	{"norm_eps", "portable", BERT_KERNEL_LAYER_NORM, "/ hidden_size + eps)",
	 "/ hidden_size)"},
	{"linear_sum", "portable", BERT_KERNEL_LINEAR, "min(first + K_BLOCK, in_size)",
	 "min(first + K_BLOCK, in_size - 1)"},
	{"gelu", "portable", BERT_KERNEL_LINEAR, "return x * normal_##suffix(x);",
	 "return gelu_tanh_##suffix(x, 0.79788456080287f);"},
	{"attention_key", "portable", BERT_KERNEL_ATTENTION, "int n_keys = block[3];",
	 "int n_keys = max(block[3] - 1, 1);"},
	{"attention_block", "portable", BERT_KERNEL_ATTENTION,
	 "keep = exp2_1(bound_before - bound)", "keep = 1.0f"},
	{"attention_distance", "portable", BERT_KERNEL_ATTENTION, "e - (first + j)",
	 "e - j"},
	{"pool_token", "portable", BERT_KERNEL_POOL, "t = from; t < n;",
	 "t = from; t < max(n - 1, 1);"},
	{"activate_residual", "portable", BERT_KERNEL_ACTIVATE_ROWS, "add ? y +",
	 "add ? x[at] +"},
	{"normalize_sum", "portable", BERT_KERNEL_NORMALIZE_ROWS,
	 "squares[i % 16] = fma(row[i], row[i], squares[i % 16]);\n\tfloat norm",
	 "squares[i % 16] = row[i] * row[i];\n\tfloat norm"},
};

const BertFault *
bert_fault_at(int i)
{
	return i < (int) lengthof(faults) ? &faults[i] : NULL;
}

const BertFault *
bert_fault_by_name(const BertTier *tier, const char *name)
{
	for (int i = 0; i < (int) lengthof(faults); i++)
		if (strcmp(faults[i].name, name) == 0 &&
			strcmp(faults[i].tier, tier->name) == 0)
			return &faults[i];
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("the tier \"%s\" has no fault \"%s\"", tier->name, name));
	return NULL;
}

char *
bert_faulty_source(const BertTier *tier, const BertFault *fault)
{
	char *source = bert_trial_source(tier);
	char *at = strstr(source, fault->text);

	if (at == NULL || strstr(at + 1, fault->text) != NULL)
		elog(ERROR, "the text of the fault \"%s\" is in the kernels %s", fault->name,
			 at == NULL ? "no more" : "more than once");
	*at = '\0';
	return psprintf("%s%s%s", source, fault->instead, at + strlen(fault->text));
}
