-- Inside the model: tokens with their vectors, hidden states, attention, words.
\set m '''all-MiniLM-L6-v2'''
SET bert.model = 'all-MiniLM-L6-v2';
CREATE FUNCTION mean(v real[][]) RETURNS real[] LANGUAGE sql IMMUTABLE AS
	'SELECT array_agg(m ORDER BY j) FROM (SELECT j, avg(v[i][j]::float8)::real AS m
	   FROM generate_subscripts(v, 1) i, generate_subscripts(v, 2) j GROUP BY j) s';

-- ---- bert_tokens ----

SELECT pos, id, token, start, stop, array_length(vector, 1) AS size FROM bert_tokens('Hello, undoing!');
SELECT pos, token, start, stop FROM bert_tokens('');
SELECT * FROM bert_tokens(NULL);

-- The tokens of bert_tokenize.
CREATE VIEW texts AS SELECT * FROM unnest(ARRAY['hello world', '', 'Ünïcödé 你好 naïve 😀 cafe' || U&'\0301' || ' ﬁn',
	'a [MASK] b[SEP]', repeat('x', 101), 'it''s, well - fine']) t(body);
SELECT body FROM texts WHERE EXISTS
	(SELECT pos, id, token, start, stop FROM bert_tokens(body) EXCEPT SELECT * FROM bert_tokenize(body)) OR EXISTS
	(SELECT * FROM bert_tokenize(body) EXCEPT SELECT pos, id, token, start, stop FROM bert_tokens(body));

-- Its vectors: the first is bert_cls, their mean is the sentence's, but for its length.
SELECT bool_and(vector = bert_cls(body)) AS first FROM texts, bert_tokens(body) WHERE pos = 0;
SELECT bool_and(bert_cosine(mean(vectors), bert_embed(body)) > 0.9999999) AS mean
  FROM texts, LATERAL (SELECT array_agg(vector ORDER BY pos) AS vectors FROM bert_tokens(body)) t;

-- With the model's name; options.
SELECT bool_and(a.vector = b.vector) AS same, count(*)
  FROM bert_tokens('hello world') a JOIN bert_tokens(:m, 'hello world') b USING (pos, id, token, start, stop);
SELECT pos, token, start, stop FROM bert_tokens(:m, 'a [SEP] b', split_special_tokens => true);

-- Of a pair: places are in the token's own text.
SELECT pos, token, start, stop FROM bert_tokens(:m, 'Hello world', 'undoing it');
SELECT vector = bert_cls(:m, 'Hello world', 'undoing it') AS cls FROM bert_tokens(:m, 'Hello world', 'undoing it') WHERE pos = 0;
SELECT pos, token, start, stop FROM bert_tokens(:m, '[SEP]', '', split_special_tokens => true);
SELECT count(*) FROM bert_tokens(:m, 'a', NULL);

-- As much as the model reads, also of a long text whose tokens come late.
SELECT count(*), max(stop) FROM bert_tokens(repeat('word ', 300));
SELECT count(*), min(start), max(stop)
  FROM bert_tokens(repeat(' ', 100000) || repeat('word ', 200)) WHERE stop > 0;
SET bert.truncate = silent;
SELECT count(*), count(*) FILTER (WHERE token = 'cat') AS cats, count(*) FILTER (WHERE token = 'dog') AS dogs,
       max(stop) FILTER (WHERE token = 'dog') AS last
  FROM bert_tokens(:m, repeat('cat ', 300), repeat('dog ', 20000));
SET bert.truncate = error;
SELECT count(*) FROM bert_tokens(repeat('word ', 300));
RESET bert.truncate;

-- ---- bert_hidden ----

-- Layer 0 are the embeddings, the last is bert_tokens. Each layer changes all vectors.
SELECT layer, count(*), bool_and(h.vector = t.vector) AS last,
       bool_or(h.vector = before.vector) AS unchanged
  FROM generate_series(0, 6) layer, bert_hidden('hello world', layer) h
       JOIN bert_tokens('hello world') t USING (pos, id, token, start, stop)
       LEFT JOIN LATERAL (SELECT * FROM bert_hidden('hello world', layer - 1) b WHERE layer > 0) before USING (pos)
 GROUP BY layer ORDER BY layer;
SELECT bool_and(a.vector = b.vector) AS same FROM bert_hidden('hello world', 3) a JOIN bert_hidden(:m, 'hello world', 3) b USING (pos);

-- The embeddings of a word are the same in any company, at the same place.
SELECT a.vector = b.vector AS embeddings, c.vector = d.vector AS later
  FROM bert_hidden('the bank of the river', 0) a, bert_hidden('the bank that took my money', 0) b,
       bert_hidden('the bank of the river', 1) c, bert_hidden('the bank that took my money', 1) d
 WHERE a.token = 'bank' AND b.token = 'bank' AND c.token = 'bank' AND d.token = 'bank';

-- The second text of a pair has another type.
SELECT pos, a.vector = b.vector AS same
  FROM bert_hidden(:m, 'one', 'two', 0) a JOIN bert_hidden('one[SEP]two', 0) b USING (pos, id) ORDER BY pos;

SELECT * FROM bert_hidden('x', 7);
SELECT * FROM bert_hidden(:m, 'x', -1);
SELECT count(*) FROM bert_hidden('x', NULL);

-- ---- bert_attention ----

-- n by n for n tokens, each row sums to one, whatever layer and head.
SELECT array_dims(bert_attention('hello world', 1, 0)) AS one, array_dims(bert_attention(:m, 'hello world', 'again', 6, 11)) AS pair,
       array_dims(bert_attention('', 1, 0)) AS empty;
CREATE FUNCTION off_one(w real[][]) RETURNS float8 LANGUAGE sql IMMUTABLE AS
	'SELECT max(abs(sum - 1)) FROM (SELECT sum(w[i][j]::float8)
	   FROM generate_subscripts(w, 1) i, generate_subscripts(w, 2) j GROUP BY i) rows';
SELECT count(*), bool_and(off_one(bert_attention(:m, 'the cat sat on the mat', 'and slept', layer, head)) < 1e-6) AS sums_to_one,
       bool_and(0 <= ALL (bert_attention(:m, 'the cat sat on the mat', 'and slept', layer, head))) AS positive
  FROM generate_series(1, 6) layer, generate_series(0, 11) head;
SELECT count(DISTINCT bert_attention('hello world', layer, head))
  FROM generate_series(1, 6) layer, generate_series(0, 11) head;
SELECT bert_attention('hello', 1, 0) = bert_attention(:m, 'hello', 1, 0) AS same,
       bert_attention(:m, '[SEP]', 1, 0, split_special_tokens => true) = bert_attention(:m, '[ SEP ]', 1, 0) AS split;

SELECT bert_attention('x', 0, 0);
SELECT bert_attention('x', 7, 0);
SELECT bert_attention('x', 1, 12);
SELECT bert_attention(:m, 'x', 'y', 1, -1);
SELECT bert_attention(NULL, 1, 0) IS NULL AS text, bert_attention('x', NULL, 0) IS NULL AS layer;

-- ---- positions ----

-- A model that is not told the order of the tokens does not see it: what differs is less
-- than rounding makes of sums in another order. That it is told makes a difference.
CREATE FUNCTION distance(a real[], b real[]) RETURNS float8 LANGUAGE sql IMMUTABLE AS
	'SELECT max(abs(x::float8 - y)) FROM unnest(a, b) t(x, y)';
CREATE VIEW orders AS SELECT told, distance(bert_embed(:m, 'dog bites man', positions => told),
                                            bert_embed(:m, 'man bites dog', positions => told)) AS embed,
       distance(bert_cls(:m, 'dog bites man', positions => told), bert_cls(:m, 'man bites dog', positions => told)) AS cls,
       distance(bert_pooled(:m, 'dog bites man', positions => told), bert_pooled(:m, 'man bites dog', positions => told)) AS pooled,
       distance(bert_cls(:m, 'dog bites', 'man eats', positions => told), bert_cls(:m, 'bites dog', 'eats man', positions => told)) AS pair
  FROM unnest('{true,false}'::bool[]) told;
SELECT told, embed < 1e-6 AS embed, cls < 1e-5 AS cls, pooled < 1e-5 AS pooled, pair < 1e-5 AS pair FROM orders;
SELECT told, embed > 1e-2 AS embed, cls > 1e-2 AS cls, pooled > 1e-2 AS pooled, pair > 1e-2 AS pair FROM orders;
SELECT told, bool_and(distance(a.embedding, bert_embed(:m, texts[a.ord], positions => told)) = 0) AS as_alone,
       distance(max(a.embedding) FILTER (WHERE ord = 1), max(a.embedding) FILTER (WHERE ord = 2)) < 1e-6 AS same
  FROM unnest('{true,false}'::bool[]) told, (VALUES ('{dog bites man,man bites dog}'::text[])) v(texts),
       bert_embed_batch(:m, texts, positions => told) a
 GROUP BY told ORDER BY told DESC;

-- Every token: in the embeddings to the bit, then in each layer.
SELECT told, layer, max(distance(a.vector, b.vector)) < 1e-5 AS same,
       bool_and(a.vector = b.vector) FILTER (WHERE layer = 0) AS to_the_bit
  FROM unnest('{true,false}'::bool[]) told, generate_series(0, 6, 3) layer,
       bert_hidden(:m, 'dog bites man', layer, positions => told) a,
       bert_hidden(:m, 'man bites dog', layer, positions => told) b
 WHERE a.token = b.token
 GROUP BY told, layer ORDER BY told DESC, layer;
SELECT max(distance(a.vector, b.vector)) < 1e-5 AS tokens
  FROM bert_tokens(:m, 'dog bites man', positions => false) a JOIN bert_tokens(:m, 'man bites dog', positions => false) b USING (token);
SELECT abs((bert_attention(:m, 'dog bites', 1, 0, positions => false))[2][3]
         - (bert_attention(:m, 'bites dog', 1, 0, positions => false))[3][2]) < 1e-6 AS attention,
       abs((bert_attention(:m, 'dog bites', 1, 0))[2][3] - (bert_attention(:m, 'bites dog', 1, 0))[3][2]) < 1e-6 AS with_positions;
DROP VIEW orders;

-- ---- bert_word ----

SELECT pos, id, token, array_length(vector, 1) AS size FROM bert_word('undoing');
SELECT pos, id, token FROM bert_word(:m, '[MASK]');
SELECT count(*) FROM bert_word('');
SELECT count(*) FROM bert_word(NULL);

-- One piece has one vector, in whatever word; words of a kind are near each other.
SELECT token, a.vector = b.vector AS same FROM bert_word('undoing') a JOIN bert_word('undo') b USING (id, token);
SELECT bert_cosine(cat.vector, dog.vector) > bert_cosine(cat.vector, tax.vector) AS near
  FROM bert_word('cat') cat, bert_word('dog') dog, bert_word('tax') tax;

-- ---- errors, and where they come from ----

\set VERBOSITY sqlstate
SELECT * FROM bert_hidden('x', 7);
SELECT bert_attention('x', 1, 12);
\set VERBOSITY default

-- In a table, row by row.
CREATE TABLE doc AS SELECT n, 'text number ' || n AS body FROM generate_series(1, 5) n;
SELECT n, count(*) FROM doc, bert_tokens(body) GROUP BY n ORDER BY n;
SELECT count(DISTINCT bert_attention(:m, body, n, n)) FROM doc;
DROP TABLE doc;
DROP VIEW texts;
DROP FUNCTION mean, off_one, distance;

-- Where the database counts bytes, places are bytes.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_bert_inside;
RESET client_min_messages;
SELECT current_database() AS main \gset
CREATE DATABASE regress_bert_inside TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_inside
CREATE EXTENSION bert;
SELECT pos, token, start, stop, substr(t, start + 1, stop - start) AS source
  FROM (VALUES ('naïve café au lait')) AS v(t), bert_tokens(:m, t);
\c :main
DROP DATABASE regress_bert_inside;
