-- Options by name, on the forms that name their model.
\set m '''all-MiniLM-L6-v2'''
SET bert.model = 'all-MiniLM-L6-v2';

-- Left out, they change nothing; said as they are by default, neither.
SELECT bert_embed('hello') = bert_embed(:m, 'hello') AS left_out,
       bert_embed('hello') = bert_embed(:m, 'hello', prompt => '@default', normalized => false,
                                        dimensions => 0, truncate => 'setting', positions => true,
                                        split_special_tokens => false) AS said,
       bert_embed('hello') = bert_embed(:m, 'hello', '@default', false, 0, 'setting', true, false) AS in_order;
SELECT bert_cls('hello') = bert_cls(:m, 'hello', positions => true, split_special_tokens => false) AS cls,
       bert_pooled('hello') = bert_pooled(:m, 'hello', positions => true, split_special_tokens => false) AS pooled,
       bert_cls(:m, 'a', 'b') = bert_cls(:m, a => 'a', b => 'b', positions => true,
                                         split_special_tokens => false) AS pair;

-- An option that is NULL gives NULL, as any argument.
SELECT bert_embed(:m, 'hello', prompt => NULL) IS NULL AS prompt,
       bert_embed(:m, 'hello', normalized => NULL) IS NULL AS normalized,
       bert_embed(:m, 'hello', dimensions => NULL) IS NULL AS dimensions,
       bert_embed(:m, 'hello', truncate => NULL) IS NULL AS truncate,
       bert_cls(:m, 'hello', positions => NULL) IS NULL AS positions;
SELECT * FROM bert_embed_batch(:m, '{a}', dimensions => NULL);

-- ---- which form is called ----

-- A third literal is the second text of a pair; true and false are an option.
SELECT bert_cls(:m, 'x', 'false') = bert_cls(:m, a => 'x', b => 'false') AS literal,
       bert_cls(:m, 'x', true) = bert_cls(:m, 'x') AS boolean,
       bert_cls(:m, 'x', 'y', true) = bert_cls(:m, 'x', 'y') AS pair_boolean,
       bert_cls(:m, 'x', NULL) IS NULL AS "null",
       bert_cls('all-MiniLM-L6-v2'::varchar, 'x'::varchar, 'y'::char(1)) = bert_cls(:m, 'x', 'y') AS varchar;
CREATE TABLE two (a varchar(10), b char(10), c text);
INSERT INTO two VALUES ('x', 'y', 'y'), ('x', NULL, NULL);
SELECT bert_cls(:m, a, b) = bert_cls(:m, 'x', 'y') AS columns, bert_pooled(:m, a, c) = bert_pooled(:m, 'x', 'y') AS text,
       bert_cls(:m, a) = bert_cls('x') AS one, bert_embed(:m, a) = bert_embed('x') AS embed
  FROM two;
PREPARE pair AS SELECT bert_cls($1, $2, $3) = bert_cls(:m, 'x', 'y') AS parameters;
EXECUTE pair(:m, 'x', 'y');
DEALLOCATE pair;
DROP TABLE two;

-- The form without a model has no options.
SELECT bert_embed(text => 'hello', normalized => true);
SELECT bert_embed(:m, 'hello', normalize => true);
SELECT bert_embed(:m, 'hello', true);

-- ---- prompt ----

-- A prompt and the text are one string.
SELECT bert_embed(:m, 'what is it?', prompt => 'query: ') = bert_embed('query: what is it?') AS joined,
       bert_embed(:m, 'ing', prompt => 'undo') = bert_embed('undoing') AS in_a_word,
       bert_embed(:m, 'text', prompt => '') = bert_embed('text') AS none,
       bert_embed(:m, '', prompt => 'text') = bert_embed('text') AS alone;

-- This model has no prompts. Those for queries and documents are empty then.
SELECT bert_embed_query('text') = bert_embed('text') AS query, bert_embed_document('text') = bert_embed('text') AS document,
       bert_embed_query(:m, 'text') = bert_embed('text') AS named_query,
       bert_embed_document(:m, 'text') = bert_embed('text') AS named_document,
       bert_embed(:m, 'text', prompt => '@query') = bert_embed('text') AS by_name,
       bert_embed(:m, 'text', prompt => '@default') = bert_embed('text') AS by_default;
SELECT bert_embed_query(:m, 'text', prompt => 'p: ', dimensions => 3) = (bert_embed('p: text'))[1:3] AS query,
       bert_embed_document(:m, 'text', prompt => 'p: ', dimensions => 3) = (bert_embed('p: text'))[1:3] AS document;

-- A name that there is not, and texts that begin as one.
SELECT bert_embed(:m, 'text', prompt => '@passage');
SELECT bert_embed(:m, 'text', prompt => '@');
SELECT bert_embed(:m, 'text', prompt => '@@passage') = bert_embed('@passagetext') AS at,
       bert_embed(:m, 'text', prompt => '@@') = bert_embed('@text') AS only_at,
       bert_embed(:m, 'text', prompt => ' @x') = bert_embed('@xtext') AS later;

-- The prompt counts in the text's length.
SET bert.truncate = silent;
SELECT bert_embed(:m, repeat('word ', 254), prompt => 'one more ') = bert_embed('one more ' || repeat('word ', 252)) AS cut,
       bert_embed(:m, 'text', prompt => repeat('word ', 300)) = bert_embed(repeat('word ', 254)) AS nothing_left,
       bert_embed(:m, repeat(' ', 100000) || 'text', prompt => 'a ') = bert_embed('a text') AS long;
RESET bert.truncate;

-- ---- dimensions, normalized ----

CREATE FUNCTION unit(v real[]) RETURNS real[] LANGUAGE sql IMMUTABLE AS
	'SELECT array_agg((x::float8 / s)::real ORDER BY i)
	   FROM unnest(v) WITH ORDINALITY u(x, i), (SELECT sqrt(sum(x::float8 * x)) AS s FROM unnest(v) x) l';

-- The first elements, as they are; of length one, if asked.
SELECT n, bert_embed(:m, 'hello', dimensions => n) = (bert_embed('hello'))[1:n] AS cut,
       bert_embed(:m, 'hello', dimensions => n, normalized => true) = unit((bert_embed('hello'))[1:n]) AS then_normalized
  FROM unnest('{1,2,64,383,384}'::int[]) n;
SELECT bert_embed(:m, 'hello', normalized => true) = unit(bert_embed('hello')) AS normalized;
SELECT bert_embed(:m, 'hello', dimensions => 385);
SELECT bert_embed(:m, 'hello', dimensions => -1);

-- ---- truncate ----

SET bert.truncate = error;
SELECT bert_embed(:m, repeat('word ', 255));
SELECT bert_embed(:m, repeat('word ', 255), truncate => 'silent') = bert_embed(repeat('word ', 254)) AS silent;
SELECT bert_embed(:m, repeat('word ', 256), truncate => 'Warn') = bert_embed(repeat('word ', 254)) AS warn;
SELECT bert_embed(:m, repeat('word ', 255), truncate => 'setting');
SET bert.truncate = silent;
SELECT bert_embed(:m, repeat('word ', 255), truncate => 'error');
SELECT ord, truncated FROM bert_embed_batch(:m, ARRAY['short', repeat('word ', 255)], truncate => 'error');
SELECT bert_embed(:m, 'hello', truncate => 'cut');
SELECT bert_embed(:m, 'hello', truncate => '');
RESET bert.truncate;

-- ---- split_special_tokens ----

-- A special token that somebody writes into a text ends nothing then.
SELECT bert_embed(:m, 'a [SEP] b') = bert_embed(:m, 'a [SEP] b', split_special_tokens => true) AS embed,
       bert_cls(:m, 'a [SEP] b') = bert_cls(:m, 'a [SEP] b', split_special_tokens => true) AS cls,
       bert_pooled(:m, '[CLS]', 'b', split_special_tokens => true) = bert_pooled(:m, '[ CLS ]', 'b') AS as_text,
       bert_embed(:m, '[MASK]', prompt => '[SEP]', split_special_tokens => true) = bert_embed('[ SEP ] [ MASK ]') AS prompt;
SELECT bert_cls(:m, 'a [SEP] b', split_special_tokens => false) = bert_cls(:m, 'a [SEP] b') AS by_default;

-- ---- in a batch ----

SELECT ord, n_tokens, truncated,
       embedding = bert_embed(:m, ('{hello,[SEP] world,hello}'::text[])[ord], prompt => 'p: ', normalized => true,
                              dimensions => 5, split_special_tokens => true) AS as_alone
  FROM bert_embed_batch(:m, '{hello,[SEP] world,hello}', prompt => 'p: ', normalized => true, dimensions => 5,
                        split_special_tokens => true);
SELECT * FROM bert_embed_batch(:m, '{}', prompt => '@passage');

-- ---- in a generated column, and what the planner makes of it ----

CREATE TABLE doc (body text, e real[] GENERATED ALWAYS AS
	(bert_embed_document('all-MiniLM-L6-v2', body, dimensions => 16, normalized => true)) STORED);
INSERT INTO doc VALUES ('hello'), (NULL);
SELECT body, e = unit((bert_embed(body))[1:16]) AS same FROM doc;
EXPLAIN (COSTS OFF, VERBOSE)
SELECT array_length(bert_embed_query(:m, 'hello', dimensions => 4), 1) FROM doc;
EXPLAIN (COSTS OFF, VERBOSE) SELECT bert_embed_query('hello') FROM doc;
DROP TABLE doc;
DROP FUNCTION unit;

\set VERBOSITY sqlstate
SELECT bert_embed(:m, 'text', prompt => '@passage');
SELECT bert_embed(:m, 'hello', dimensions => 385);
SELECT bert_embed(:m, 'hello', truncate => 'cut');
SELECT bert_embed(:m, repeat('word ', 255), truncate => 'error');
\set VERBOSITY default
