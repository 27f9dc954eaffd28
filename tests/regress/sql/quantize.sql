-- Vectors in fewer bits: the numbers of quantize_embeddings() in sentence-transformers.
-- What is expected was computed with numpy.
SELECT bert_binary('{0.3,-0.1,0,2,1,1,-1,1,0.5}') = '{29,0}' AS "binary",
       bert_bits('{0.3,-0.1,0,2,1,1,-1,1,0.5}') AS bits;
CREATE TABLE sample AS
SELECT array_agg(((n * 37 % 101 - 50) / 64.0)::real ORDER BY n) AS v FROM generate_series(1, 40) n;
SELECT bert_binary(v) = '{-53,-55,-23,-19,-83}' AS "binary", length(bert_bits(v)), bit_count(bert_bits(v)) FROM sample;

-- Bits are for Hamming's distance: those of bit strings, and pgvector's <~>.
SELECT bert_bits('{1,1,-1,-1}') # bert_bits('{1,-1,1,-1}') AS differ, bert_bits('{1,-1,1}')::bit(3) AS fixed;

-- A byte: the range of each element in 255 steps; what is outside is cut.
SELECT bert_int8(v, array_fill(-0.75::real, '{40}'), array_fill(0.75::real, '{40}'))
  FROM sample;
SELECT bert_int8('{0.3,-0.2,-0.1,0.1,-0.5,5,-5,0}', '{-0.1,-0.2,-0.3,-0.4,-0.5,-0.6,-0.7,-0.8}',
                 '{0.3,0.3,0.3,0.3,0.3,0.3,0.3,0.3}');

-- A range that is a point has steps of one; infinite elements are outside any range.
SELECT bert_int8('{0,0.5,1,-1,2}', '{0,0,1,0,2}', '{1,1,1,0,2}');
SELECT bert_int8('{Infinity,-Infinity,-0}', '{0,0,0}', '{1,1,1}');

-- Ranges come from vectors that are like those to come.
SET bert.model = 'all-MiniLM-L6-v2';
CREATE TABLE doc AS SELECT n, bert_embed('text number ' || n) AS e FROM generate_series(1, 20) n;
CREATE TABLE ranges AS
SELECT array_agg(least ORDER BY i) AS minimum, array_agg(most ORDER BY i) AS maximum
  FROM (SELECT i, min(x) AS least, max(x) AS most FROM doc, unnest(e) WITH ORDINALITY u(x, i) GROUP BY i) s;
SELECT min(x), max(x), count(*) FROM doc, ranges, unnest(bert_int8(e, minimum, maximum)) x;
SELECT count(*) AS found FROM doc d
 WHERE n = (SELECT n FROM doc ORDER BY bit_count(bert_bits(e) # bert_bits(d.e)) LIMIT 1);

-- Edges.
SELECT bert_binary('{}'), bert_bits('{}') = '' AS bits, bert_int8('{}', '{}', '{}');
SELECT bert_binary(NULL) IS NULL AS "binary", bert_bits(NULL) IS NULL AS bits, bert_int8('{1}', NULL, '{1}') IS NULL AS int8;
SELECT bert_bits('[0:1]={1,-1}') AS bounds;
SELECT bert_binary('{1,NaN}');
SELECT bert_bits('{1,NULL}');
SELECT bert_bits('{{1,2}}');
SELECT bert_int8('{1,2}', '{0}', '{1,1}');
SELECT bert_int8('{1,2}', '{0,0}', '{1,1,1}');
SELECT bert_int8('{1}', '{2}', '{1}');
SELECT bert_int8('{1}', '{0}', '{Infinity}');
SELECT bert_int8('{1}', '{-3e38}', '{3e38}');
SELECT bert_int8('{1}', '{NaN}', '{1}');
\set VERBOSITY sqlstate
SELECT bert_binary('{1,NaN}');
SELECT bert_int8('{1,2}', '{0}', '{1,1}');
SELECT bert_int8('{1}', '{2}', '{1}');
\set VERBOSITY default

-- In an index.
CREATE INDEX ON doc (bert_binary(e));
DROP TABLE sample, doc, ranges;
