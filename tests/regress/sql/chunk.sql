-- A text in parts that the model reads whole.
SET bert.model = 'all-MiniLM-L6-v2';

SELECT * FROM bert_chunk('A model reads some hundred tokens, and a text may have more of them.', 8, 0);

-- With an overlap the last words of a chunk begin the next one.
SELECT ord, chunk, n_tokens FROM bert_chunk('A model reads some hundred tokens, and a text may have more.', 8, 2);

-- What has no white space is cut between words, and a word that does not fit inside.
SELECT ord, chunk, n_tokens FROM bert_chunk('see state-of-the-art and unaffable tokenizations', 6, 0);
SELECT ord, chunk, n_tokens FROM bert_chunk('天地玄黃宇宙洪荒', 5, 0);

-- Blank text belongs to a chunk; an empty one has none.
SELECT ord, quote_literal(chunk) AS chunk, start, stop, n_tokens FROM bert_chunk(E'  one\n\n two  ', 3, 0);
SELECT ord, quote_literal(chunk) AS chunk, start, stop, n_tokens FROM bert_chunk('   ', 3, 0);
SELECT count(*) FROM bert_chunk('', 3, 0);
SELECT count(*) FROM bert_chunk(NULL, 3, 0);

-- A form that names its model has options.
SELECT ord, chunk, n_tokens FROM bert_chunk('all-MiniLM-L6-v2', 'forged [SEP] here', 7);
SELECT ord, chunk, n_tokens FROM bert_chunk('all-MiniLM-L6-v2', 'forged [SEP] here', 7, overlap => 1, split_special_tokens => true);

-- Whatever the text: each chunk is where it says, counts what it says, and none is missing.
CREATE TABLE texts AS SELECT t FROM (VALUES
	(repeat('The quick brown fox, unaffable, jumps over the lazy dog. ', 40)),
	(repeat('http://example.org/a-b_c?d=1&e=2#f ', 20)), (repeat('x', 300)), (repeat('tokenization', 8)),
	(repeat('naïve café Größe ½ ﬁn ' || U&'e\0301\0316 ', 20)), (repeat('天地玄黃，宇宙洪荒。abc', 30)),
	(repeat('한국어 텍스트 각각 ', 30)), (repeat('👩‍👩‍👧‍👦🥱 ☕️ ', 20)), (repeat(E' \t\n', 50) || 'a' || repeat(' ', 50)),
	(repeat('[MASK][SEP] [CLS]x', 20)), (repeat('नमस्ते दुनिया ', 20)), (repeat('?!...', 60))) v(t);
SELECT count(*) AS chunks,
       bool_and(chunk = substr(t, start + 1, stop - start)) AS in_place,
       bool_and(n_tokens = bert_token_count(chunk) AND n_tokens <= max_tokens) AS counted,
       bool_and(start >= last_start AND start <= last_stop AND stop > last_stop) AS in_order,
       sum(stop - last_stop) = (SELECT 12 * sum(length(t)) FROM texts) AS complete,
       bool_and(bert_token_count(substr(t, start + 1, last_stop - start)) - 2 <= overlap) AS shared
  FROM (SELECT *, lag(start, 1, 0) OVER w AS last_start, lag(stop, 1, 0) OVER w AS last_stop
          FROM texts, unnest('{5,8,16,64}'::int[]) max_tokens, unnest('{0,1,2}'::int[]) overlap,
               bert_chunk(t, max_tokens, overlap) WINDOW w AS (PARTITION BY t, max_tokens, overlap ORDER BY ord)) c;
DROP TABLE texts;

-- A megabyte.
SELECT count(*) AS chunks, max(n_tokens), sum(n_tokens) FROM bert_chunk(repeat('word ', 200000), 256, 0);
SELECT count(*) AS chunks, max(n_tokens) FROM bert_chunk(repeat('x', 1000000), 256, 0);

SELECT * FROM bert_chunk('text', 2, 0);
SELECT * FROM bert_chunk('text', 1000001, 0);
SELECT * FROM bert_chunk('text', 10, 8);
SELECT * FROM bert_chunk('text', 10, -1);
SELECT * FROM bert_chunk('a 한', 4, 0);
