-- Many texts at once: the same vectors, to the bit.
SET bert.model = 'all-MiniLM-L6-v2';
CREATE TABLE sample (n int, body text);
INSERT INTO sample
SELECT n, string_agg(word, ' ')
  FROM generate_series(1, 24) n,
       LATERAL (SELECT (ARRAY['query','table','index','join','sort','hash','page','vacuum'])
                       [1 + (n * 7 + k * k) % 8] AS word
                  FROM generate_series(1, 1 + n * n % 90) k) words
 GROUP BY n;

-- Rows in the order of the array, a NULL for a NULL.
SELECT ord, embedding IS NULL AS no_vector, n_tokens, truncated
  FROM bert_embed_batch(ARRAY['hello', NULL, '', 'hello world', NULL]);
SELECT * FROM bert_embed_batch(ARRAY[NULL, NULL]::text[]);
SELECT * FROM bert_embed_batch('{}');
SELECT * FROM bert_embed_batch(NULL);
SELECT * FROM bert_embed_batch('all-MiniLM-L6-v2', '{}');

-- An array of any shape gives its elements in their order.
SELECT ord, embedding = bert_embed((ARRAY['a','b','c','d'])[ord]) AS same
  FROM bert_embed_batch(ARRAY[['a','b'],['c','d']]);
SELECT ord, n_tokens FROM bert_embed_batch('[5:6]={a,b c}'::text[]);

-- Alone, in a batch, in another order, in other batches.
SELECT bool_and(embedding = bert_embed(body)) AS as_alone,
       bool_and(n_tokens = bert_token_count(body)) AS counted
  FROM sample, bert_embed_batch((SELECT array_agg(body ORDER BY n) FROM sample))
 WHERE ord = n;
SELECT bool_and(embedding = bert_embed(body)) AS backwards
  FROM sample, bert_embed_batch((SELECT array_agg(body ORDER BY n DESC) FROM sample))
 WHERE ord = 25 - n;
SET bert.batch_tokens = 64;
SELECT bool_and(embedding = bert_embed('all-MiniLM-L6-v2', body)) AS small_batches
  FROM sample, bert_embed_batch((SELECT array_agg(body ORDER BY n) FROM sample))
 WHERE ord = n;
SET bert.batch_tokens = 16384;
SELECT bool_and(embedding = bert_embed('all-MiniLM-L6-v2', body)) AS large_batch
  FROM sample, bert_embed_batch((SELECT array_agg(body ORDER BY n) FROM sample))
 WHERE ord = n;
RESET bert.batch_tokens;

-- More rows than are worked on at once, most of them equal.
SELECT count(*), count(embedding), count(DISTINCT embedding), max(ord), sum(n_tokens)
  FROM bert_embed_batch((SELECT array_agg(CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN 'one'
                                          ELSE 'two of them' END ORDER BY n)
                           FROM generate_series(1, 10000) n));

-- Cut texts are marked.
SELECT ord, n_tokens, truncated
  FROM bert_embed_batch(ARRAY['short', repeat('long ', 300), repeat('long ', 254)]);

-- In a select list, as a function in FROM that takes a column, in a cursor, with LIMIT.
SELECT (bert_embed_batch('{a,b}')).ord;
SELECT n, ord FROM sample, bert_embed_batch(ARRAY[body, body]) WHERE n <= 2 ORDER BY n, ord;
SELECT ord FROM bert_embed_batch('{a,b,c}') LIMIT 1;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT ord, n_tokens FROM bert_embed_batch('{a,b c}');
COMMIT;
FETCH ALL FROM c;
CLOSE c;

DROP TABLE sample;

-- The number of threads changes no bit.
SELECT md5(array_agg(embedding ORDER BY ord)::text) AS all_threads
  FROM bert_embed_batch(ARRAY['one thread', repeat('or as many as there are ', 20), '']) \gset
\c -
SET bert.threads = 1;
SELECT md5(array_agg(embedding ORDER BY ord)::text) = :'all_threads' AS one_thread
  FROM bert_embed_batch('all-MiniLM-L6-v2', ARRAY['one thread', repeat('or as many as there are ', 20), '']);
