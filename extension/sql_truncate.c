/*
 * sql_truncate.c
 *	  What happens when a text is longer than its model reads. See sql_truncate.h.
 *
 * A statement that embeds a million rows warns once. A statement is known by when it
 * began, so it is enough to remember which one was warned last; that is
 * remembered here, as no model is concerned.
 *
 * Workers of a parallel query are processes of their own, and each of them warns. Their
 * messages come to the leader, which sends them on to the client, with no way to look at
 * them before but the hook for the server's log. It lets the first one pass. (It is not
 * called when log_min_messages leaves warnings out: then there is one for each process.)
 */
#include "port.h"

#include "access/xact.h"
#include "sql_truncate.h"

static TimestampTz warned_statement;
static emit_log_hook_type next_hook;

void
bert_truncated(const BertModel *model, BertTruncate answer)
{
	int max_tokens = model->recipe.max_tokens;

	if (answer == BERT_TRUNCATE_ERROR)
		ereport(
			ERROR, errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
			errmsg("text is too long for model \"%s\"", model->name),
			errdetail("The model reads %d tokens, [CLS] and [SEP] included.",
					  max_tokens),
			errhint(
				"Shorten or split the text. To use its beginning, set bert.truncate, "
				"or the option \"truncate\" of the call, to \"warn\" or \"silent\"."));

	if (answer == BERT_TRUNCATE_WARN &&
		warned_statement != GetCurrentStatementStartTimestamp())
	{
		ereport(
			WARNING, errcode(ERRCODE_WARNING_STRING_DATA_RIGHT_TRUNCATION),
			errmsg("text was cut to the %d tokens that model \"%s\" reads", max_tokens,
				   model->name),
			errhint("Further texts of this statement are cut without a warning. Set "
					"bert.truncate to \"error\" or \"silent\" for another behavior."));
		warned_statement = GetCurrentStatementStartTimestamp();
	}
}

/* Our warning, be it from here or from a worker? */
static bool
is_ours(const ErrorData *message)
{
	return message->sqlerrcode == ERRCODE_WARNING_STRING_DATA_RIGHT_TRUNCATION &&
		   message->funcname != NULL &&
		   strcmp(message->funcname, "bert_truncated") == 0;
}

static void
pass_first_warning(ErrorData *message)
{
	if (is_ours(message))
	{
		TimestampTz statement = GetCurrentStatementStartTimestamp();

		if (statement == warned_statement)
			message->output_to_client = message->output_to_server = false;
		warned_statement = statement;
	}
	if (next_hook != NULL)
		next_hook(message);
}

void
bert_truncate_init(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = pass_first_warning;
}
