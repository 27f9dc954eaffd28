-- bert_cosine: edges as in pgvector's cosine distance.
SELECT bert_cosine('{1,0}', '{1,0}') AS same, bert_cosine('{1,0}', '{0,1}') AS right_angle,
       bert_cosine('{1,0}', '{-2,0}') AS opposite, round(bert_cosine('{1,2,3}', '{4,5,6}')::numeric, 6);

-- Rounding does not lead out of [-1, 1].
SELECT bool_and(bert_cosine(v, v) <= 1 AND bert_cosine(v, v) > 0.9999999) AS within
  FROM (SELECT ARRAY[sin(n), cos(n), n, 1.0 / n]::real[] AS v FROM generate_series(1, 1000) n) s;

-- Large and small elements neither overflow nor vanish.
SELECT bert_cosine('{3e38,3e38}', '{3e38,3e38}') AS large, bert_cosine('{1e-44,0}', '{1e-44,0}') AS small;

-- No direction, no cosine.
SELECT bert_cosine('{0,0}', '{1,0}') AS zero, bert_cosine('{}', '{}') AS empty,
       bert_cosine('{NaN,1}', '{1,1}') AS nan, bert_cosine('{Infinity,1}', '{1,1}') AS infinite;
SELECT bert_cosine(NULL, '{1}') IS NULL, bert_cosine('{1}', NULL) IS NULL;

-- Whatever the lower bound.
SELECT bert_cosine('[0:1]={1,0}', '[7:8]={1,0}') AS bounds;

SELECT bert_cosine('{1,2}', '{1,2,3}');
SELECT bert_cosine('{1,2}', '{}');
SELECT bert_cosine('{1,NULL}', '{1,2}');
SELECT bert_cosine('{1,2}', '{1,NULL}');
SELECT bert_cosine('{{1,2}}', '{{1,2}}');
\set VERBOSITY sqlstate
SELECT bert_cosine('{1,2}', '{1,2,3}');
SELECT bert_cosine('{1,NULL}', '{1,2}');
\set VERBOSITY default

-- In an index.
CREATE TABLE point (v real[]);
INSERT INTO point SELECT ARRAY[n, 1]::real[] FROM generate_series(1, 1000) n;
CREATE INDEX ON point (bert_cosine(v, '{1,0}'));
ANALYZE point;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM point WHERE bert_cosine(v, '{1,0}') > 0.9999995;
SELECT min(v[1]), count(*) FROM point WHERE bert_cosine(v, '{1,0}') > 0.99999;
DROP TABLE point;
