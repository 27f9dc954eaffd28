-- What the model reads of a text, as Hugging Face's tokenizer has it.
SET bert.model = 'all-MiniLM-L6-v2';

SELECT * FROM bert_tokenize('Hello, undoing!');
SELECT * FROM bert_tokenize('');
SELECT * FROM bert_tokenize(NULL);
SELECT * FROM bert_tokenize('all-MiniLM-L6-v2', 'the same') EXCEPT SELECT * FROM bert_tokenize('the same');

-- Offsets are in characters: substr() finds the token again.
SELECT pos, token, start, stop, substr(t, start + 1, stop - start) AS source
  FROM (VALUES ('Ünïcödé 你好 naïve 😀 cafe' || U&'\0301' || ' ﬁn')) AS v(t), bert_tokenize(t);

-- A special token in the text is that token.
SELECT pos, id, token, start, stop FROM bert_tokenize('a [MASK] b[SEP]');

-- A word that is too long is unknown; punctuation splits.
SELECT token, stop - start AS length FROM bert_tokenize(repeat('x', 101) || ' ' || repeat('x', 3) || '-y');

-- Never cut, and counted alike.
SELECT bert_token_count(''), bert_token_count('hello'), bert_token_count(NULL),
       bert_token_count('all-MiniLM-L6-v2', 'hello world');
SELECT n, bert_token_count(repeat('word ', n)) AS count,
       (SELECT count(*) FROM bert_tokenize(repeat('word ', n))) AS rows,
       (SELECT max(pos) + 1 FROM bert_tokenize(repeat('word ', n))) AS positions
  FROM unnest('{1,254,1000,20000}'::int[]) n;
SELECT bert_token_count(repeat('x', 1000000)) AS one_word,
       bert_token_count(repeat('?', 1000000)) AS a_million;

-- A special token in the text can be kept from being one.
SELECT pos, id, token, start, stop FROM bert_tokenize('all-MiniLM-L6-v2', 'x [SEP]', split_special_tokens => true);
SELECT bert_token_count('all-MiniLM-L6-v2', '[SEP][MASK]') AS found,
       bert_token_count('all-MiniLM-L6-v2', '[SEP][MASK]', true) AS split,
       bert_token_count('all-MiniLM-L6-v2', '[SEP][MASK]', NULL) AS unknown;
