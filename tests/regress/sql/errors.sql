-- What goes wrong is said in one line, and nothing else happens. Messages name no path.
SET bert.model = 'all-MiniLM-L6-v2';

-- Names that are no names: no file is looked for.
SELECT bert_embed('../x', 'text');
SELECT bert_embed('/etc', 'text');
SELECT bert_embed('a/b', 'text');
SELECT bert_embed('', 'text');
SELECT bert_embed('.', 'text');
SELECT bert_embed('..', 'text');
SELECT bert_embed('-x', 'text');
SELECT bert_embed('a b', 'text');
SELECT bert_embed('größe', 'text');
SELECT bert_embed('a%s$', 'text');
SELECT bert_embed(repeat('a', 64), 'text');
SELECT bert_embed('@fp32', 'text');

-- Models that there are not, by whichever function. The answer lists what there is.
\set SHOW_CONTEXT never
DO $$
DECLARE
	hint text;
BEGIN
	PERFORM bert_embed('no-such-model', 'text');
EXCEPTION WHEN undefined_object THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '% (names a model: %)', SQLERRM, hint LIKE '%all-MiniLM-L6-v2%';
END $$;
\set VERBOSITY terse
SELECT bert_embed('no-such-model', 'text');
SELECT bert_embed(repeat('a', 63), 'text');
SELECT bert_cls('no-such-model', 'a', 'b');
SELECT bert_pooled('no-such-model', 'text');
SELECT * FROM bert_embed_batch('no-such-model', '{}');
SELECT * FROM bert_tokenize('no-such-model', 'text');
SELECT bert_token_count('no-such-model', 'text');
SELECT bert_embed_query('no-such-model', 'text');
SELECT * FROM bert_hidden('no-such-model', 'a', 'b', 1);
SELECT bert_attention('no-such-model', 'text', 1, 0);
SELECT * FROM bert_word('no-such-model', 'text');
SELECT * FROM bert_model_info('no-such-model');
SELECT * FROM bert_selftest('no-such-model');
SET bert.model = 'no-such-model';
SELECT bert_embed('text');
SELECT name FROM bert_models() WHERE chosen;
RESET bert.model;
\set VERBOSITY default

-- Precisions.
SELECT bert_embed('all-MiniLM-L6-v2@int8', 'text');
SELECT bert_embed('all-MiniLM-L6-v2@', 'text');
SELECT bert_embed('all-MiniLM-L6-v2@fp32@fp32', 'text');

\set VERBOSITY sqlstate
SELECT bert_embed('../x', 'text');
SELECT bert_embed('no-such-model', 'text');
SELECT bert_embed('all-MiniLM-L6-v2@int8', 'text');
SELECT bert_embed('all-MiniLM-L6-v2@fp99', 'text');
\set VERBOSITY default

-- A transaction that failed goes on after its savepoint.
BEGIN;
SAVEPOINT before;
SELECT bert_embed('../x', 'text');
ROLLBACK TO before;
SELECT array_length(bert_embed('all-MiniLM-L6-v2', 'text'), 1);
COMMIT;
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		BEGIN
			PERFORM bert_embed('no-such-model', 'text');
		EXCEPTION WHEN undefined_object THEN NULL;
		END;
	END LOOP;
END $$;
SELECT array_length(bert_embed('all-MiniLM-L6-v2', 'text'), 1);
