/*
 * model.c
 *	  What a recipe amounts to. See model.h.
 */
#include "port.h"
#include "model.h"

const char *
bert_recipe_prompt(const BertRecipe *recipe, const char *name)
{
	const char *at = recipe->prompts;
	const char *end = at + recipe->prompts_nbytes;

	while (at < end)
	{
		const char *text = at + strlen(at) + 1;

		if (strcmp(at, name) == 0)
			return text;
		at = text + strlen(text) + 1;
	}
	return NULL;
}

int32
bert_recipe_pooled_size(const BertRecipe *recipe, int32 hidden_size)
{
	int32 size = 0;

	for (uint32 modes = recipe->pooling; modes != 0; modes >>= BERT_POOL_BITS)
		size += hidden_size;
	return size;
}

int32
bert_recipe_size(const BertRecipe *recipe, int32 hidden_size)
{
	int32 size = bert_recipe_pooled_size(recipe, hidden_size);

	for (int32 i = 0; i < recipe->n_modules; i++)
		if (recipe->modules[i].kind == BERT_MODULE_DENSE)
			size = recipe->modules[i].out_size;
	if (recipe->truncate_dim > 0)
		size = Min(size, recipe->truncate_dim);
	return size;
}
