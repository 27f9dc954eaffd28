/*
 * sql_cost.c
 *	  What the planner is told of a call that COST cannot say.
 *
 * COST is the price of a text that comes from a row. But bert_embed('...') in an ORDER BY
 * is evaluated for every row and computed for the first one only (see session.h). At the
 * price of the first, ten thousand rows would seem worth parallel workers and a JIT
 * compilation, which take longer than the whole query.
 */
#include "port.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "compat.h"
#include "nodes/primnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/syscache.h"

/* To find what is remembered: some microseconds, in units of cpu_operator_cost. */
#define REMEMBERED_COST 100

/* Whether all rows give it the same arguments. */
static bool
is_constant_call(const Node *node)
{
	ListCell *cell;

	if (node == NULL || !IsA(node, FuncExpr))
		return false;
	foreach (cell, ((const FuncExpr *) node)->args)
	{
		const Node *argument = lfirst(cell);

		if (!IsA(argument, Const) &&
			!(IsA(argument, Param) &&
			  ((const Param *) argument)->paramkind == PARAM_EXTERN))
			return false;
	}
	return true;
}

static double
declared_cost(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	double cost;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	cost = ((Form_pg_proc) GETSTRUCT(tuple))->procost;
	ReleaseSysCache(tuple);
	return cost;
}

PG_FUNCTION_INFO_V1(bert_sql_planner_support);

Datum
bert_sql_planner_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestCost *cost = (SupportRequestCost *) request;

	if (!IsA(request, SupportRequestCost) || !is_constant_call(cost->node))
		PG_RETURN_POINTER(NULL); /* nothing to add to what is declared */
	cost->startup = declared_cost(cost->funcid) * cpu_operator_cost;
	cost->per_tuple = REMEMBERED_COST * cpu_operator_cost;
	PG_RETURN_POINTER(cost);
}
