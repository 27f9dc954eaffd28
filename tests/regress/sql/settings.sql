-- Settings: ranges, and who may change what.
SELECT bert_cosine('{1}', '{1}');	-- loads the library, which defines them
SELECT name, vartype, context, unit, min_val, max_val, enumvals, boot_val
  FROM pg_settings WHERE name LIKE 'bert.%' AND name <> 'bert.without'
 ORDER BY name COLLATE "C";
SELECT count(*) AS without_description FROM pg_settings
 WHERE name LIKE 'bert.%' AND coalesce(short_desc, '') = '';

-- A name that there is not.
SET bert.modell = 'x';

-- A model's name is checked as a name, not as a model.
SET bert.model = 'not-there-yet@int8';
SHOW bert.model;
SET bert.model = '../x';
SET bert.model = 'a@';
SET bert.model = 'a@b/c';
SET bert.model = '@fp32';
SET bert.model = '-a';
SET bert.model = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
SET bert.model = '';
RESET bert.model;

SET bert.model_directory = 'relative';
SET bert.cache_directory = './x';
SET bert.truncate = 'sometimes';
SET bert.threads = -1;
SET bert.threads = 1025;
SET bert.batch_tokens = 63;
SET bert.batch_tokens = 16385;

-- An ordinary user.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_bert_user;
RESET client_min_messages;
CREATE ROLE regress_bert_user;
SET ROLE regress_bert_user;
SET bert.model_directory = '/tmp';
SET bert.cache_directory = '/tmp';
SET bert.device = 'gpu';
\set VERBOSITY sqlstate
SHOW bert.model_directory;
SHOW bert.cache_directory;
\set VERBOSITY default
SELECT count(*) FROM pg_settings WHERE name LIKE 'bert.%directory';
SET bert.model = 'all-MiniLM-L6-v2';
SET bert.truncate = silent;
SET bert.threads = 1;
SET bert.batch_tokens = 100;
SELECT array_length(bert_embed('any role may call it'), 1);
RESET ROLE;

-- Unless a superuser says so.
GRANT SET ON PARAMETER bert.device TO regress_bert_user;
SET ROLE regress_bert_user;
SET bert.device = 'auto';
RESET ROLE;
REVOKE SET ON PARAMETER bert.device FROM regress_bert_user;

-- A function may bring its own model.
CREATE FUNCTION count_with(text) RETURNS int LANGUAGE sql STABLE
	SET bert.model = 'no-such-model' AS 'SELECT bert_token_count($1)';
\set VERBOSITY terse
SELECT count_with('hello');
\set VERBOSITY default
ALTER FUNCTION count_with SET bert.model = 'all-MiniLM-L6-v2';
SELECT count_with('hello');
DROP FUNCTION count_with;

-- What is set before the library is loaded is looked at when it is.
\c -
SET ROLE regress_bert_user;
SET bert.model_directory = '/tmp';
SET bert.truncate = 'sometimes';
SET bert.no_such_setting = 'x';
SET bert.model = 'all-MiniLM-L6-v2';
SELECT bert_token_count('hello');
SHOW bert.truncate;
RESET ROLE;
DROP ROLE regress_bert_user;
