-- With pgvector: its types take our vectors, its indexes find them.
CREATE EXTENSION vector;
SET bert.model = 'all-MiniLM-L6-v2';
CREATE TABLE doc (id int, body text, embedding vector(384));
INSERT INTO doc (id, body) VALUES
	(1, 'a program that plays chess'), (2, 'an editor for vector graphics'),
	(3, 'a mail server'), (4, 'tools to recover deleted files'), (5, 'a typesetting system');

-- real[] assigns by itself.
UPDATE doc SET embedding = bert_embed(body);
INSERT INTO doc VALUES (6, 'a web browser', bert_embed('a web browser'));
UPDATE doc SET embedding = b.embedding
  FROM (SELECT array_agg(id ORDER BY id) AS ids, array_agg(body ORDER BY id) AS bodies FROM doc) d,
       bert_embed_batch(d.bodies) b
 WHERE id = ids[ord];
SELECT bool_and(embedding = bert_embed(body)::vector) AS same FROM doc;

-- The cosine is pgvector's.
SELECT bool_and(abs(bert_cosine(bert_embed(body), bert_embed('games')) -
                    (1 - (embedding <=> bert_embed('games')::vector))) < 1e-6) AS same
  FROM doc;

-- A search, with and without an index.
SELECT body FROM doc ORDER BY embedding <=> bert_embed('get back what I have erased')::vector LIMIT 1;
CREATE INDEX ON doc USING hnsw (embedding vector_cosine_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF)
SELECT body FROM doc ORDER BY embedding <=> bert_embed('draw pictures')::vector LIMIT 1;
SELECT body FROM doc ORDER BY embedding <=> bert_embed('draw pictures')::vector LIMIT 1;
SELECT body FROM doc ORDER BY embedding <=> bert_embed('all-MiniLM-L6-v2', 'send letters')::vector LIMIT 1;
RESET enable_seqscan;

-- Bits, for Hamming's distance, with and without an index.
SELECT bert_bits('{1,1,-1}')::bit(3) <~> bert_bits('{1,-1,1}')::bit(3) AS hamming;
SELECT bool_and(bert_bits(embedding) = binary_quantize(embedding)) AS same FROM doc;
CREATE INDEX ON doc USING hnsw ((bert_bits(embedding)::bit(384)) bit_hamming_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF)
SELECT body FROM doc ORDER BY bert_bits(embedding)::bit(384) <~> bert_bits(bert_embed('draw pictures'))::bit(384) LIMIT 1;
SELECT body FROM doc ORDER BY bert_bits(embedding)::bit(384) <~> bert_bits(bert_embed('draw pictures'))::bit(384) LIMIT 1;
DROP TABLE doc;
DROP EXTENSION vector;
