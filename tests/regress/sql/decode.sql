-- From ids back to a text, as tokenizer.decode() of Hugging Face.
SET bert.model = 'all-MiniLM-L6-v2';

-- A text comes back without its case, accents and white space; English loses the space
-- before its punctuation.
CREATE FUNCTION ids(t text) RETURNS int[] LANGUAGE sql
	AS $$ SELECT array_agg(id ORDER BY pos) FROM bert_tokenize(t) $$;
SELECT bert_decode(ids(t)) FROM (VALUES
	('Hello,   World!'), ('I don''t, you''re; is it?'), ('undoing the tokenization'), (''),
	('Größe: 你好 ½ [MASK] 3.5 %'), ('"quoted" (in) parts - ok ...')) v(t);

-- Special tokens can be left out, and the rest of English joined.
SELECT bert_decode('all-MiniLM-L6-v2', ids(t), skip_special_tokens => true) AS skipped,
       bert_decode('all-MiniLM-L6-v2', ids(t), true, true) AS cleaned,
       bert_decode('all-MiniLM-L6-v2', ids(t), true, false) = bert_decode('all-MiniLM-L6-v2', ids(t), true) AS as_the_files_say
  FROM (VALUES ('I''m sure they don''t [SEP] do not. It''s')) v(t);

-- A continuing piece keeps its mark only at the beginning; an id without a text is left out.
SELECT bert_decode('{2075,2075,1012}'), bert_decode('{7592,30522,2147483647,2088}');

-- Nothing stands for nothing.
SELECT bert_decode('{}') = '' AS empty, bert_decode(NULL) IS NULL AS null_ids,
       bert_decode(NULL, '{7592}') IS NULL AS null_model,
       bert_decode('all-MiniLM-L6-v2', '{7592}', NULL) IS NULL AS null_option;

SELECT bert_decode('{7592,NULL}');
SELECT bert_decode('{{7592},{2088}}');
SELECT bert_decode('{-1}');
SELECT bert_decode('no-such-model', '{7592}');
DROP FUNCTION ids;
