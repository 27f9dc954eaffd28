-- bert 0.1: the functions. Read a family at a time: model first where it is named, as in
-- to_tsvector('english', body).
--
-- Volatility follows to_tsvector. A form that names its model is IMMUTABLE: it may stand
-- in an index or a generated column, as no setting that an ordinary user can change alters
-- what it returns. A form without a model reads bert.model, and is STABLE. What looks at
-- files or devices to report on them is STABLE or VOLATILE.
--
-- COST is in units of cpu_operator_cost (0.0025). A page read in sequence costs 1, and
-- takes some 10 microseconds; by that measure one short text through a small model, 2 to 3
-- milliseconds, costs 250, or 100000 of these units. The planner then computes vectors
-- after LIMIT and after every other condition, uses an index where there is one, and takes
-- parallel workers for a table of some size. A call whose arguments are constant is
-- computed once however many rows it is evaluated for: that is what the support function
-- says.
--
-- Everything is PARALLEL SAFE: what a backend keeps are copies of files, and workers
-- share the server's cores rather than take as many again.
--
-- Functions name nothing in SQL, so they work with any search_path, in any schema.

\echo Use "CREATE EXTENSION bert" to load this file. \quit

-- ---- one text, one vector ----

CREATE FUNCTION bert_planner_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'bert_sql_planner_support'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bert_planner_support(internal) IS
	'tells the planner that a call with constant arguments is computed once';

CREATE FUNCTION bert_embed(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed(text) IS
	'sentence vector of a text, by the recipe of the model that bert.model names';

CREATE FUNCTION bert_embed(model text, text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed(text, text) IS
	'sentence vector of a text, by the model''s own recipe';

CREATE FUNCTION bert_cls(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_cls'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_cls(text) IS
	'last hidden state at [CLS], of the model that bert.model names';

CREATE FUNCTION bert_cls(model text, text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_cls'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_cls(text, text) IS
	'last hidden state at [CLS]';

CREATE FUNCTION bert_cls(model text, a text, b text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_cls'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_cls(text, text, text) IS
	'last hidden state at [CLS], of a pair of texts';

CREATE FUNCTION bert_pooled(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_pooled'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_pooled(text) IS
	'output of the pooler, of the model that bert.model names';

CREATE FUNCTION bert_pooled(model text, text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_pooled'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_pooled(text, text) IS
	'output of the pooler: tanh of a linear layer over [CLS]';

CREATE FUNCTION bert_pooled(model text, a text, b text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_pooled'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_pooled(text, text, text) IS
	'output of the pooler, of a pair of texts';

-- ---- many texts at once ----
--
-- How many cannot be told from the call: an array of a hundred, at half the price of a
-- single text.

CREATE FUNCTION bert_embed_batch(texts text[])
	RETURNS TABLE (ord integer, embedding real[], n_tokens integer, truncated boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_embed_batch'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 5000000 ROWS 100;
COMMENT ON FUNCTION bert_embed_batch(text[]) IS
	'sentence vectors of many texts at once, by the model that bert.model names';

CREATE FUNCTION bert_embed_batch(model text, texts text[])
	RETURNS TABLE (ord integer, embedding real[], n_tokens integer, truncated boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_embed_batch'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000000 ROWS 100;
COMMENT ON FUNCTION bert_embed_batch(text, text[]) IS
	'sentence vectors of many texts at once; a row for each, ord from 1';

-- ---- tokens ----
--
-- A kilobyte of text takes some 20 microseconds.

CREATE FUNCTION bert_tokenize(text text)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer)
	AS 'MODULE_PATHNAME', 'bert_sql_tokenize'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION bert_tokenize(text) IS
	'tokens of a text, all of them, for the model that bert.model names';

CREATE FUNCTION bert_tokenize(model text, text text)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer)
	AS 'MODULE_PATHNAME', 'bert_sql_tokenize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION bert_tokenize(text, text) IS
	'tokens of a text, all of them; pos and start from 0, stop exclusive, in characters';

CREATE FUNCTION bert_token_count(text text) RETURNS integer
	AS 'MODULE_PATHNAME', 'bert_sql_token_count'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bert_token_count(text) IS
	'number of tokens of a text, [CLS] and [SEP] included, for the model that bert.model names';

CREATE FUNCTION bert_token_count(model text, text text) RETURNS integer
	AS 'MODULE_PATHNAME', 'bert_sql_token_count'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bert_token_count(text, text) IS
	'number of tokens of a text, [CLS] and [SEP] included';

-- ---- vectors ----

CREATE FUNCTION bert_cosine(a real[], b real[]) RETURNS double precision
	AS 'MODULE_PATHNAME', 'bert_sql_cosine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bert_cosine(real[], real[]) IS
	'cosine of the angle between two vectors: 1 for the same direction; NaN for a zero vector';

-- ---- models and devices ----

CREATE FUNCTION bert_models()
	RETURNS TABLE (name text, chosen boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_models'
	LANGUAGE C STABLE PARALLEL SAFE COST 10000 ROWS 5;
COMMENT ON FUNCTION bert_models() IS
	'models in the model directory; chosen: that of the functions called without one';

CREATE FUNCTION bert_model_info(model text)
	RETURNS TABLE (property text, value text)
	AS 'MODULE_PATHNAME', 'bert_sql_model_info'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10000 ROWS 20;
COMMENT ON FUNCTION bert_model_info(text) IS
	'what a model is: sizes, pooling, longest text; named as in its files';

CREATE FUNCTION bert_devices()
	RETURNS TABLE (platform text, name text, type text, driver_version text,
		compute_units integer, memory bigint, chosen boolean, tier text, reason text)
	AS 'MODULE_PATHNAME', 'bert_sql_devices'
	LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000 ROWS 2;
COMMENT ON FUNCTION bert_devices() IS
	'OpenCL devices; which one is chosen, or why it is not; which kernels it gets';

-- Some seconds for each: most of that is the reference.

CREATE FUNCTION bert_selftest()
	RETURNS TABLE (output text, input text, n_tokens integer, max_difference real,
		ok boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_selftest'
	LANGUAGE C VOLATILE PARALLEL SAFE COST 100000000 ROWS 7;
COMMENT ON FUNCTION bert_selftest() IS
	'the device against a plain C reference, on the model that bert.model names';

CREATE FUNCTION bert_selftest(model text)
	RETURNS TABLE (output text, input text, n_tokens integer, max_difference real,
		ok boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_selftest'
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 100000000 ROWS 7;
COMMENT ON FUNCTION bert_selftest(text) IS
	'the device against a plain C reference, on one model';
