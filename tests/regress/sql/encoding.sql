-- A text means the same in a database of any encoding.
SET client_min_messages = warning;	-- a run that broke off may have left them
DROP DATABASE IF EXISTS regress_bert_latin1;
DROP DATABASE IF EXISTS regress_bert_euc_kr;
DROP DATABASE IF EXISTS regress_bert_euc_jp;
DROP DATABASE IF EXISTS regress_bert_euc_jis;
DROP DATABASE IF EXISTS regress_bert_win1251;
DROP DATABASE IF EXISTS regress_bert_ascii;
RESET client_min_messages;

SELECT current_database() AS main \gset
SET client_encoding = UTF8;
SET bert.model = 'all-MiniLM-L6-v2';
SET bert.truncate = silent;
SELECT md5(bert_embed('Größe: naïve café')::text) AS latin, md5(bert_embed('日本語 テキスト')::text) AS japanese,
       md5(bert_embed('한국어')::text) AS korean, md5(bert_embed('Съешь ещё № 5')::text) AS russian,
       md5(bert_embed(repeat('語', 100000))::text) AS long \gset

CREATE DATABASE regress_bert_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_latin1
CREATE EXTENSION bert;
SET client_encoding = UTF8;
SET bert.model = 'all-MiniLM-L6-v2';
SELECT md5(bert_embed('Größe: naïve café')::text) = :'latin' AS same;
SELECT ord, md5(embedding::text) = :'latin' AS same, n_tokens FROM bert_embed_batch('{Größe: naïve café}');
SELECT * FROM bert_tokenize('Größe: ½ß');

CREATE DATABASE regress_bert_euc_kr TEMPLATE template0 ENCODING 'EUC_KR' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_euc_kr
CREATE EXTENSION bert;
SET client_encoding = UTF8;
SET bert.model = 'all-MiniLM-L6-v2';
SELECT md5(bert_embed('한국어')::text) = :'korean' AS same;
-- This model reads syllables as letters, which EUC_KR does not have: as in E''.
SELECT pos, token, start, stop, substr(t, start + 1, stop - start) AS source
  FROM (VALUES ('한국 text')) AS v(t), bert_tokenize(t);

CREATE DATABASE regress_bert_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_euc_jp
CREATE EXTENSION bert;
SET client_encoding = UTF8;
SET bert.model = 'all-MiniLM-L6-v2';
SET bert.truncate = silent;
SELECT md5(bert_embed('日本語 テキスト')::text) = :'japanese' AS same;
SELECT md5(bert_embed(repeat('語', 100000))::text) = :'long' AS same;
-- A character of three bytes lies across the end of what is fetched at once.
SELECT count(DISTINCT md5(bert_embed(repeat(' ', n) || repeat('丂', 100000))::text))
  FROM generate_series(0, 2) n;
SELECT pos, token, start, stop, substr(t, start + 1, stop - start) AS source
  FROM (VALUES ('日本 テキスト text')) AS v(t), bert_tokenize(t);

-- One that has letters which are two characters in Unicode.
CREATE DATABASE regress_bert_euc_jis TEMPLATE template0 ENCODING 'EUC_JIS_2004' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_euc_jis
CREATE EXTENSION bert;
SET client_encoding = UTF8;
SET bert.model = 'all-MiniLM-L6-v2';
SELECT length(t), pos, token, start, stop, substr(t, start + 1, stop - start) AS source
  FROM (VALUES ('か゚き. æ̀')) AS v(t), bert_tokenize(t);
SELECT chunk, start, stop, n_tokens FROM bert_chunk('か゚き. æ̀', 3, 0);

CREATE DATABASE regress_bert_win1251 TEMPLATE template0 ENCODING 'WIN1251' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_win1251
CREATE EXTENSION bert;
SET client_encoding = UTF8;
SET bert.model = 'all-MiniLM-L6-v2';
SELECT md5(bert_embed('Съешь ещё № 5')::text) = :'russian' AS same;
SELECT pos, token, start, stop FROM bert_tokenize('ещё № 5');

-- One that does not look at its bytes: they are read as UTF-8, and have to be.
CREATE DATABASE regress_bert_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_bert_ascii
CREATE EXTENSION bert;
SET bert.model = 'all-MiniLM-L6-v2';
SET bert.truncate = silent;
SELECT md5(bert_embed('Größe: naïve café')::text) = :'latin' AS same;
SELECT md5(bert_embed(repeat('語', 100000))::text) = :'long' AS same;
SELECT count(DISTINCT bert_embed(repeat(' ', n) || repeat('語', 100000))) FROM generate_series(0, 2) n;
\set SHOW_CONTEXT never
SELECT bert_embed(E'abc\377');
\set VERBOSITY sqlstate
SELECT bert_embed(E'abc\377');
\set VERBOSITY default
SELECT bert_embed(E'caf\303');
SELECT * FROM bert_tokenize(E'\300\200');
SELECT bert_token_count(E'\355\240\200');
SELECT * FROM bert_embed_batch(ARRAY['fine', E'\200']);
SELECT * FROM bert_chunk(E'a b \351', 16, 0);
SELECT bert_token_count(E'caf\303\251');
-- Offsets count bytes, as length() does.
SELECT pos, token, start, stop, substr(t, start + 1, stop - start) AS source
  FROM (VALUES (E'caf\303\251 \350\252\236x')) AS v(t), bert_tokenize(t);
SELECT chunk, start, stop, n_tokens FROM bert_chunk(E'caf\303\251 \350\252\236x', 3, 0);

\c :main
DROP DATABASE regress_bert_latin1;
DROP DATABASE regress_bert_euc_kr;
DROP DATABASE regress_bert_euc_jp;
DROP DATABASE regress_bert_euc_jis;
DROP DATABASE regress_bert_win1251;
DROP DATABASE regress_bert_ascii;
