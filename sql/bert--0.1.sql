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

-- Options stand on the forms that name their model only, as a default on both would make
-- f('a', 'b') ambiguous, and are given by name: bert_embed('m', 'text', dimensions => 64).
-- None is NULL, so that a form stays STRICT.
--
--	prompt      goes before the text. '@NAME' is the model's prompt of that name; '@@x' is
--	            the text '@x'; '' is none. '@default' is the prompt that the model's author
--	            made the default, or none. '@query' and '@document' are there in every
--	            model, and empty where its author gave none.
--	normalized  true: the vector gets length one, whatever the recipe says
--	dimensions  how many elements stay, which are normalized after that; 0: as many as the
--	            recipe says, mostly all
--	truncate    'error', 'warn' or 'silent', in place of the setting bert.truncate
--	positions   false: the model is not told the order of the tokens
--	split_special_tokens
--	            true: '[SEP]' in the text is text, and ends nothing

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

CREATE FUNCTION bert_embed(model text, text text, prompt text DEFAULT '@default',
	normalized boolean DEFAULT false, dimensions integer DEFAULT 0,
	truncate text DEFAULT 'setting', positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed(text, text, text, boolean, integer, text, boolean, boolean) IS
	'sentence vector of a text, by the model''s own recipe';

CREATE FUNCTION bert_embed_query(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed_query'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed_query(text) IS
	'sentence vector of a question, by the model that bert.model names';

CREATE FUNCTION bert_embed_query(model text, text text, prompt text DEFAULT '@query',
	normalized boolean DEFAULT false, dimensions integer DEFAULT 0,
	truncate text DEFAULT 'setting', positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed_query(text, text, text, boolean, integer, text, boolean, boolean) IS
	'sentence vector of a question: bert_embed with the prompt that the model has for these';

CREATE FUNCTION bert_embed_document(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed_document'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed_document(text) IS
	'sentence vector of a text that is to be found, by the model that bert.model names';

CREATE FUNCTION bert_embed_document(model text, text text, prompt text DEFAULT '@document',
	normalized boolean DEFAULT false, dimensions integer DEFAULT 0,
	truncate text DEFAULT 'setting', positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_embed'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_embed_document(text, text, text, boolean, integer, text, boolean, boolean) IS
	'sentence vector of a text that is to be found: bert_embed with the prompt that the model has for these';

CREATE FUNCTION bert_cls(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_cls'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_cls(text) IS
	'last hidden state at [CLS], of the model that bert.model names';

CREATE FUNCTION bert_cls(model text, text text, positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_cls'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_cls(text, text, boolean, boolean) IS
	'last hidden state at [CLS]';

CREATE FUNCTION bert_cls(model text, a text, b text, positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_cls'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_cls(text, text, text, boolean, boolean) IS
	'last hidden state at [CLS], of a pair of texts';

CREATE FUNCTION bert_pooled(text text) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_pooled'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_pooled(text) IS
	'output of the pooler, of the model that bert.model names';

CREATE FUNCTION bert_pooled(model text, text text, positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_pooled'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_pooled(text, text, boolean, boolean) IS
	'output of the pooler: tanh of a linear layer over [CLS]';

CREATE FUNCTION bert_pooled(model text, a text, b text, positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_pooled'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 SUPPORT bert_planner_support;
COMMENT ON FUNCTION bert_pooled(text, text, text, boolean, boolean) IS
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

CREATE FUNCTION bert_embed_batch(model text, texts text[], prompt text DEFAULT '@default',
	normalized boolean DEFAULT false, dimensions integer DEFAULT 0,
	truncate text DEFAULT 'setting', positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (ord integer, embedding real[], n_tokens integer, truncated boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_embed_batch'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000000 ROWS 100;
COMMENT ON FUNCTION bert_embed_batch(text, text[], text, boolean, integer, text, boolean, boolean) IS
	'sentence vectors of many texts at once; a row for each, ord from 1';

-- ---- inside the model ----
--
-- A row for each token that the model reads. start and stop are the token's place in its
-- text, as bert_tokenize() has them; of a pair, the second text begins after the first
-- [SEP].

CREATE FUNCTION bert_tokens(text text)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer,
		vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_tokens'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 ROWS 100;
COMMENT ON FUNCTION bert_tokens(text) IS
	'tokens of a text with their contextual vectors, of the model that bert.model names';

CREATE FUNCTION bert_tokens(model text, text text, positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer,
		vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_tokens'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 100;
COMMENT ON FUNCTION bert_tokens(text, text, boolean, boolean) IS
	'tokens of a text with their contextual vectors: the last hidden state';

CREATE FUNCTION bert_tokens(model text, a text, b text, positions boolean DEFAULT true,
	split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer,
		vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_tokens'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 100;
COMMENT ON FUNCTION bert_tokens(text, text, text, boolean, boolean) IS
	'tokens of a pair of texts with their contextual vectors';

CREATE FUNCTION bert_hidden(text text, layer integer)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer,
		vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_hidden'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000 ROWS 100;
COMMENT ON FUNCTION bert_hidden(text, integer) IS
	'tokens of a text with their hidden states, of the model that bert.model names';

CREATE FUNCTION bert_hidden(model text, text text, layer integer,
	positions boolean DEFAULT true, split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer,
		vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_hidden'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 100;
COMMENT ON FUNCTION bert_hidden(text, text, integer, boolean, boolean) IS
	'tokens of a text with their hidden states after a layer; 0: the embeddings';

CREATE FUNCTION bert_hidden(model text, a text, b text, layer integer,
	positions boolean DEFAULT true, split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer,
		vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_hidden'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 100;
COMMENT ON FUNCTION bert_hidden(text, text, text, integer, boolean, boolean) IS
	'tokens of a pair of texts with their hidden states after a layer';

-- Elements [i][j]: how much the token at position i - 1 attends to that at j - 1.

CREATE FUNCTION bert_attention(text text, layer integer, head integer) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_attention'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION bert_attention(text, integer, integer) IS
	'attention between the tokens of a text, of the model that bert.model names';

CREATE FUNCTION bert_attention(model text, text text, layer integer, head integer,
	positions boolean DEFAULT true, split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_attention'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION bert_attention(text, text, integer, integer, boolean, boolean) IS
	'attention between the tokens of a text: a row for each, which sums to 1; layers from 1, heads from 0';

CREATE FUNCTION bert_attention(model text, a text, b text, layer integer, head integer,
	positions boolean DEFAULT true, split_special_tokens boolean DEFAULT false) RETURNS real[]
	AS 'MODULE_PATHNAME', 'bert_sql_attention'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION bert_attention(text, text, text, integer, integer, boolean, boolean) IS
	'attention between the tokens of a pair of texts';

CREATE FUNCTION bert_word(word text)
	RETURNS TABLE (pos integer, id integer, token text, vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_word'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 3;
COMMENT ON FUNCTION bert_word(text) IS
	'static vectors of the pieces of a word, of the model that bert.model names';

CREATE FUNCTION bert_word(model text, word text)
	RETURNS TABLE (pos integer, id integer, token text, vector real[])
	AS 'MODULE_PATHNAME', 'bert_sql_word'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 3;
COMMENT ON FUNCTION bert_word(text, text) IS
	'static vectors of the pieces of a word: rows of the word embeddings';

-- ---- tokens ----
--
-- A kilobyte of text takes some 20 microseconds. With split_special_tokens, as in Hugging
-- Face's tokenizers, a special token that is spelled out in the text is text: a forged
-- [SEP] ends nothing.

CREATE FUNCTION bert_tokenize(text text)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer)
	AS 'MODULE_PATHNAME', 'bert_sql_tokenize'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION bert_tokenize(text) IS
	'tokens of a text, all of them, for the model that bert.model names';

CREATE FUNCTION bert_tokenize(model text, text text,
	split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (pos integer, id integer, token text, start integer, stop integer)
	AS 'MODULE_PATHNAME', 'bert_sql_tokenize'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION bert_tokenize(text, text, boolean) IS
	'tokens of a text, all of them; pos and start from 0, stop exclusive, in characters';

CREATE FUNCTION bert_token_count(text text) RETURNS integer
	AS 'MODULE_PATHNAME', 'bert_sql_token_count'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bert_token_count(text) IS
	'number of tokens of a text, [CLS] and [SEP] included, for the model that bert.model names';

CREATE FUNCTION bert_token_count(model text, text text,
	split_special_tokens boolean DEFAULT false) RETURNS integer
	AS 'MODULE_PATHNAME', 'bert_sql_token_count'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bert_token_count(text, text, boolean) IS
	'number of tokens of a text, [CLS] and [SEP] included';

-- clean_up_tokenization_spaces is null for what the model's files say, so this form alone
-- takes a null.

CREATE FUNCTION bert_decode(ids integer[]) RETURNS text
	AS 'MODULE_PATHNAME', 'bert_sql_decode'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bert_decode(integer[]) IS
	'text that ids of tokens stand for, by the model that bert.model names';

CREATE FUNCTION bert_decode(model text, ids integer[],
	skip_special_tokens boolean DEFAULT false,
	clean_up_tokenization_spaces boolean DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'bert_sql_decode'
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION bert_decode(text, integer[], boolean, boolean) IS
	'text that ids of tokens stand for';

-- ---- chunks ----
--
-- max_tokens is the caller's to choose: bert_model_info() tells what the model reads
-- (max_seq_length), and a prompt that bert_embed() puts before takes some of it. A
-- character that has more tokens than fit, as a Hangul syllable may with max_tokens 3, is
-- an ERROR. Where the next word would not fit beside the overlap, there is none.

CREATE FUNCTION bert_chunk(text text, max_tokens integer, overlap integer)
	RETURNS TABLE (ord integer, chunk text, start integer, stop integer,
		n_tokens integer)
	AS 'MODULE_PATHNAME', 'bert_sql_chunk'
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 2000 ROWS 20;
COMMENT ON FUNCTION bert_chunk(text, integer, integer) IS
	'parts of a text with at most max_tokens tokens, for the model that bert.model names';

CREATE FUNCTION bert_chunk(model text, text text, max_tokens integer,
	overlap integer DEFAULT 0, split_special_tokens boolean DEFAULT false)
	RETURNS TABLE (ord integer, chunk text, start integer, stop integer,
		n_tokens integer)
	AS 'MODULE_PATHNAME', 'bert_sql_chunk'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2000 ROWS 20;
COMMENT ON FUNCTION bert_chunk(text, text, integer, integer, boolean) IS
	'parts of a text with at most max_tokens tokens, [CLS] and [SEP] included; ord from 1';

-- ---- vectors ----

CREATE FUNCTION bert_cosine(a real[], b real[]) RETURNS double precision
	AS 'MODULE_PATHNAME', 'bert_sql_cosine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bert_cosine(real[], real[]) IS
	'cosine of the angle between two vectors: 1 for the same direction; NaN for a zero vector';

-- As quantize_embeddings() of sentence-transformers. The ranges of bert_int8 are the
-- smallest and the largest of each element, over many vectors.

CREATE FUNCTION bert_binary(vector real[]) RETURNS smallint[]
	AS 'MODULE_PATHNAME', 'bert_sql_binary'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bert_binary(real[]) IS
	'signs of a vector''s elements, eight in a number from -128 to 127';

CREATE FUNCTION bert_bits(vector real[]) RETURNS bit varying
	AS 'MODULE_PATHNAME', 'bert_sql_bits'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bert_bits(real[]) IS
	'signs of a vector''s elements, as a string of bits';

CREATE FUNCTION bert_int8(vector real[], minimum real[], maximum real[]) RETURNS smallint[]
	AS 'MODULE_PATHNAME', 'bert_sql_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bert_int8(real[], real[], real[]) IS
	'elements of a vector as numbers from -128 to 127, which stand for minimum to maximum';

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
	LANGUAGE C VOLATILE PARALLEL SAFE COST 100000000 ROWS 12;
COMMENT ON FUNCTION bert_selftest() IS
	'the device against a plain C reference, on the model that bert.model names';

CREATE FUNCTION bert_selftest(model text)
	RETURNS TABLE (output text, input text, n_tokens integer, max_difference real,
		ok boolean)
	AS 'MODULE_PATHNAME', 'bert_sql_selftest'
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 100000000 ROWS 12;
COMMENT ON FUNCTION bert_selftest(text) IS
	'the device against a plain C reference, on one model';
