-- What the planner may do with the functions, and that it changes no bit.
SET bert.model = 'all-MiniLM-L6-v2';
CREATE TABLE doc (id int, body text);
INSERT INTO doc SELECT n, 'text number ' || n FROM generate_series(1, 60) n;

-- Constant arguments: IMMUTABLE is computed by the planner, STABLE is not.
EXPLAIN (COSTS OFF, VERBOSE) SELECT bert_token_count('all-MiniLM-L6-v2', 'hello') FROM doc;
EXPLAIN (COSTS OFF, VERBOSE) SELECT bert_token_count('hello') FROM doc;

-- Generated columns and expression indexes want IMMUTABLE.
CREATE TABLE generated (body text, e real[] GENERATED ALWAYS AS (bert_embed(body)) STORED);
CREATE TABLE generated (body text,
	e real[] GENERATED ALWAYS AS (bert_embed('all-MiniLM-L6-v2', body)) STORED);
INSERT INTO generated VALUES ('hello'), (NULL);
UPDATE generated SET body = 'world' WHERE body = 'hello';
SELECT body, e = bert_embed(body) AS same FROM generated ORDER BY body;
CREATE INDEX ON doc (bert_token_count(body));
CREATE INDEX doc_tokens ON doc (bert_token_count('all-MiniLM-L6-v2', body));
CREATE INDEX doc_like ON doc (bert_cosine(bert_embed('all-MiniLM-L6-v2', body), bert_embed('all-MiniLM-L6-v2', 'text')));
ANALYZE doc;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM doc WHERE bert_token_count('all-MiniLM-L6-v2', body) > 100;
RESET enable_seqscan;
DROP INDEX doc_tokens, doc_like;

-- What costs much comes late: after the cheap condition, after LIMIT.
EXPLAIN (COSTS OFF) SELECT id FROM doc WHERE bert_cosine(bert_embed(body), '{1}') > 0 AND id = 1;
EXPLAIN (COSTS OFF, VERBOSE) SELECT bert_embed(body) FROM doc ORDER BY id LIMIT 1;

-- A call with constant arguments is computed once, and the planner knows: a scan that
-- only compares costs little beside one that embeds each row.
CREATE FUNCTION cost_of(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Total Cost';
END $$;
SELECT cost_of('SELECT bert_embed(body) FROM doc') > 50 * 250 AS each_row,
       cost_of('SELECT bert_embed(''hello'') FROM doc') < 2 * 250 AS once,
       cost_of('SELECT bert_embed(''all-MiniLM-L6-v2'', ''hello'') FROM doc') < 250 AS by_planner,
       cost_of('SELECT bert_cls(''all-MiniLM-L6-v2'', ''hello'', body) FROM doc') > 50 * 250 AS pairs;
SELECT cost_of('SELECT bert_embed_query(''hello'') FROM doc') < 2 * 250 AS query_once,
       cost_of('SELECT bert_embed(''all-MiniLM-L6-v2'', body, dimensions => 8) FROM doc') > 50 * 250 AS with_options,
       cost_of('SELECT bert_embed(''all-MiniLM-L6-v2'', ''hello'', dimensions => id) FROM doc') > 50 * 250 AS option_varies;
DROP FUNCTION cost_of;

-- The search that everyone writes.
SELECT id FROM doc ORDER BY bert_cosine(bert_embed(body), bert_embed('text number 7')) DESC LIMIT 1;

-- Parallel workers give the same vectors.
CREATE TABLE alone AS SELECT id, bert_embed(body) AS e FROM doc;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE doc SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT id, bert_embed(body) AS e FROM doc;
CREATE TABLE together AS SELECT id, bert_embed(body) AS e FROM doc;
SELECT count(*), bool_and(a.e = t.e) AS same FROM alone a JOIN together t USING (id);
SET parallel_leader_participation = off;
CREATE TABLE in_workers AS SELECT id, bert_embed(body) AS e FROM doc;
SELECT count(*), bool_and(a.e = w.e) AS same FROM alone a JOIN in_workers w USING (id);
-- They warn together: once.
CREATE TABLE long (body text) WITH (parallel_workers = 2);
INSERT INTO long SELECT repeat('word ', 300 + n) FROM generate_series(1, 12) n;
EXPLAIN (COSTS OFF) SELECT count(bert_embed(body)) FROM long;
SELECT count(bert_embed(body)) FROM long;
RESET parallel_leader_participation;
SELECT count(bert_embed(body)) FROM long;
DROP TABLE long;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- Prepared: the STABLE form follows the setting, also in a generic plan.
SET plan_cache_mode = force_generic_plan;
PREPARE count_tokens(text) AS SELECT bert_token_count($1);
EXECUTE count_tokens('hello');
SET bert.model = 'no-such-model';
\set VERBOSITY terse
EXECUTE count_tokens('hello');
\set VERBOSITY default
SET bert.model = 'all-MiniLM-L6-v2';
EXECUTE count_tokens('hello');
DEALLOCATE count_tokens;

-- Evaluated for each row and computed once: else these would take minutes.
PREPARE again(text, boolean) AS
	SELECT count(bert_embed('all-MiniLM-L6-v2', $1, positions => $2)) FROM generate_series(1, 100000);
SET statement_timeout = '30s';
EXECUTE again('hello', true);
EXECUTE again('hello', false);
DISCARD ALL;
SELECT bert_token_count('all-MiniLM-L6-v2', 'hello');

-- Under JIT, whose compiler shares the process with the driver's.
SET jit = on;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
SELECT count(bert_embed('all-MiniLM-L6-v2', body)) FROM doc WHERE id < 5;
RESET ALL;

-- With an empty search_path, as pg_dump and maintenance have it.
SET search_path = '';
SELECT pg_catalog.count(*) FROM public.doc WHERE public.bert_embed('all-MiniLM-L6-v2', body) IS NOT NULL AND id < 3;
REINDEX TABLE public.doc;
RESET search_path;

-- In views, materialized views, triggers, aggregates and windows.
CREATE MATERIALIZED VIEW matview AS SELECT id, bert_embed('all-MiniLM-L6-v2', body) AS e FROM doc WHERE id < 5;
REFRESH MATERIALIZED VIEW matview;
SELECT count(e) FROM matview;
SELECT id, count(bert_embed('all-MiniLM-L6-v2', body)) OVER (ORDER BY id) FROM doc WHERE id < 4;
CREATE FUNCTION count_body() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN NEW.body := bert_token_count('all-MiniLM-L6-v2', NEW.body); RETURN NEW; END $$;
CREATE TRIGGER count_body BEFORE INSERT ON doc FOR EACH ROW EXECUTE FUNCTION count_body();
INSERT INTO doc VALUES (1000, 'hello world') RETURNING body;

-- Row-level security comes first: the function is not leakproof.
SELECT count(*) AS leakproof FROM pg_proc WHERE proname LIKE 'bert\_%' AND proleakproof;

DROP MATERIALIZED VIEW matview;
DROP TABLE doc, generated, alone, together, in_workers;
DROP FUNCTION count_body;
