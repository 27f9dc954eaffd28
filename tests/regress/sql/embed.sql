-- One text in, one vector out. Floats are compared, never printed.
SET bert.model = 'all-MiniLM-L6-v2';

CREATE FUNCTION length_of(v real[]) RETURNS float8
	LANGUAGE sql IMMUTABLE AS 'SELECT sqrt(sum(x::float8 * x)) FROM unnest(v) x';

-- Shape, and the recipe of this model: mean of all tokens, then length one.
SELECT array_ndims(v), array_lower(v, 1), array_upper(v, 1),
       round(length_of(v)::numeric, 5) AS length
  FROM bert_embed('hello world') v;

-- The values that the model's authors give, to the three digits that they give.
SELECT bool_and(abs(a - b) < 1e-3) AS as_published
  FROM unnest((bert_embed('hello world'))[1:5],
              '{-0.034478,0.03102,0.00673,0.02611,-0.039362}'::real[]) AS t(a, b);

-- With and without the model's name, and with its precision.
SELECT bert_embed('hello') = bert_embed('all-MiniLM-L6-v2', 'hello') AS same,
       bert_embed('hello') = bert_embed('all-MiniLM-L6-v2@fp32', 'hello') AS same_fp32;

-- It is about meaning.
SELECT bert_cosine(bert_embed('the cat sits on the mat'), bert_embed('a kitten on a rug'))
     > bert_cosine(bert_embed('the cat sits on the mat'), bert_embed('quarterly tax returns'))
       AS closer;

-- NULL in, NULL out, without a look at the model.
SELECT bert_embed(NULL) IS NULL, bert_embed('no-such-model', NULL) IS NULL,
       bert_embed(NULL, 'text') IS NULL, bert_cls(NULL) IS NULL,
       bert_cls('no-such-model', 'a', NULL) IS NULL, bert_pooled(NULL) IS NULL;

-- An empty text is a text, and so is one in which the model sees nothing.
SELECT round(length_of(bert_embed(''))::numeric, 5) AS length,
       bert_embed('') = bert_embed(' ') AS blank,
       bert_embed('') = bert_embed(E'\t\n\u200B') AS invisible,
       bert_embed('') = bert_embed('a') AS a_letter;

-- Whatever type a text has, and however it is stored.
CREATE DOMAIN title AS varchar(100);
CREATE TABLE stored (kind text, body text);
ALTER TABLE stored ALTER body SET STORAGE EXTERNAL;
INSERT INTO stored VALUES ('short', 'hello'), ('long', repeat('hello world ', 10000));
ALTER TABLE stored ALTER body SET STORAGE EXTENDED;
INSERT INTO stored VALUES ('compressed', repeat('hello world ', 10000));
SET bert.truncate = silent;
SELECT kind, bert_embed(body) = CASE kind WHEN 'short' THEN bert_embed('hello')
                                ELSE bert_embed(repeat('hello world ', 200)) END AS same
  FROM stored;
SELECT bert_embed('hello'::varchar(5)) = bert_embed('hello') AS varchar,
       bert_embed('hello'::title) = bert_embed('hello') AS domain,
       bert_embed('hello'::char(8)) = bert_embed('hello') AS char;

-- A text that has its tokens at the end of what is fetched at once, or after it; and a
-- character that lies across the end.
SELECT bert_embed(repeat(' ', n) || 'hello world') = bert_embed('hello world') AS same
  FROM unnest('{65530,65533,65536,300000}'::int[]) n;
SELECT bert_embed(repeat(' ', n) || repeat('ж', 50000)) = bert_embed(repeat('ж', 50000)) AS same
  FROM generate_series(0, 3) n;
SELECT bert_cls('all-MiniLM-L6-v2', repeat(' ', 70000) || repeat('cat ', 30000), repeat('dog ', 30000))
     = bert_cls('all-MiniLM-L6-v2', repeat('cat ', 300), repeat('dog ', 300)) AS same_pair;

-- The hidden state at [CLS], and the pooler's output, which is a tanh.
SELECT array_length(bert_cls('hello'), 1), array_length(bert_pooled('hello'), 1),
       (SELECT bool_and(abs(x) <= 1) FROM unnest(bert_pooled('hello')) x) AS tanh,
       bert_cls('hello') = bert_cls('all-MiniLM-L6-v2', 'hello') AS same_cls,
       bert_pooled('hello') = bert_pooled('all-MiniLM-L6-v2', 'hello') AS same_pooled;

-- A pair is not its texts joined, and its order counts.
SELECT bert_cls('all-MiniLM-L6-v2', 'a', 'b') = bert_cls('all-MiniLM-L6-v2', 'a b') AS joined,
       bert_cls('all-MiniLM-L6-v2', 'a', 'b') = bert_cls('all-MiniLM-L6-v2', 'b', 'a') AS swapped,
       bert_cls('all-MiniLM-L6-v2', 'a', 'b') = bert_cls('all-MiniLM-L6-v2', 'a', 'b') AS again,
       bert_cls('all-MiniLM-L6-v2', 'ab', '') = bert_cls('all-MiniLM-L6-v2', 'a', 'b') AS split,
       array_length(bert_pooled('all-MiniLM-L6-v2', 'a', 'b'), 1) AS pooled;

-- A text that is asked for again and again is computed once; what is kept of it must not
-- mix up texts, outputs or lengths.
SELECT count(DISTINCT bert_embed('the same')) FROM generate_series(1, 1000);
SELECT bert_cls('same') <> bert_embed('same') AS output,
       bert_cls('same') <> bert_pooled('same') AS output2,
       bert_embed('same ') = bert_embed('same') AS space,
       bert_embed('same') <> bert_embed('sam') AS prefix;

-- ---- texts that are too long ----

-- warn, the default: the text is cut, with one warning a statement.
RESET bert.truncate;
SELECT bert_embed(repeat('word ', 300)) = bert_embed(repeat('word ', 254)) AS cut;
SELECT count(bert_embed(repeat('word ', 300 + n))) FROM generate_series(1, 5) n;
SELECT count(bert_embed(repeat('word ', 300))) FROM generate_series(1, 5);
SELECT count(embedding) FROM bert_embed_batch(ARRAY[repeat('word ', 300), repeat('word ', 400)]);
DO $$ BEGIN FOR i IN 1..3 LOOP PERFORM bert_embed(repeat('text ', 300 + i)); END LOOP; END $$;

-- Exactly as long as the model reads: no warning.
SELECT bert_token_count(repeat('word ', 254)), bert_embed(repeat('word ', 254)) IS NOT NULL AS fits;

-- silent
SET bert.truncate = silent;
SELECT bert_embed(repeat('word ', 300)) = bert_embed(repeat('word ', 254)) AS cut;

-- error
SET bert.truncate = error;
SELECT bert_embed(repeat('word ', 254)) IS NOT NULL AS fits;
SELECT bert_embed(repeat('word ', 255));
SELECT bert_embed(repeat('word ', 300));	-- remembered, and still an error
SELECT bert_cls('all-MiniLM-L6-v2', repeat('word ', 200), repeat('word ', 200));
SELECT count(*) FROM bert_embed_batch(ARRAY['short', repeat('word ', 300)]);
\set VERBOSITY sqlstate
SELECT bert_embed(repeat('word ', 300));
\set VERBOSITY default
RESET bert.truncate;

DROP TABLE stored;
DROP DOMAIN title;
DROP FUNCTION length_of;
