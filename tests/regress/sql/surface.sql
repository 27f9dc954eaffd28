-- What the extension brings: every function with what the planner is told of it.
SET search_path = public;
SELECT p.oid::regprocedure AS function, provolatile AS v, proisstrict AS strict,
       proparallel AS p, procost AS cost, prorows AS rows
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                 JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass
                                    AND d.refobjid = e.oid
 WHERE extname = 'bert' AND deptype = 'e'
 ORDER BY p.oid::regprocedure::text COLLATE "C";

-- The form that names its model is IMMUTABLE, the form that reads bert.model STABLE.
SELECT proname, array_agg(provolatile ORDER BY pronargs) AS volatility
  FROM pg_proc
 WHERE proname ~ '^bert_(embed|embed_query|embed_document|embed_batch|cls|pooled|tokenize|token_count|decode|chunk|tokens|hidden|attention|word)$'
 GROUP BY proname ORDER BY proname COLLATE "C";

-- Every function says what it is for, and anyone may call it.
SELECT p.oid::regprocedure AS undocumented
  FROM pg_proc p
 WHERE proname LIKE 'bert\_%' AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT p.oid::regprocedure AS not_for_all
  FROM pg_proc p
 WHERE proname LIKE 'bert\_%' AND NOT has_function_privilege('public', p.oid, 'EXECUTE');

-- Nothing but functions.
SELECT DISTINCT classid::regclass
  FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass
                                      AND d.refobjid = e.oid
 WHERE extname = 'bert' AND deptype = 'e';

-- Named notation.
SET bert.model = 'all-MiniLM-L6-v2';
SELECT bert_token_count(model => 'all-MiniLM-L6-v2', text => 'hello');
SELECT ord, n_tokens FROM bert_embed_batch(texts => '{hello}');
SELECT bert_cosine(a => '{1,0}', b => '{0,1}');

-- In another schema, and back.
CREATE SCHEMA elsewhere;
ALTER EXTENSION bert SET SCHEMA elsewhere;
SELECT elsewhere.bert_token_count('hello');
SET search_path = '';
SELECT pg_catalog.array_length(elsewhere.bert_embed('hello'), 1);
SELECT ord, n_tokens FROM elsewhere.bert_embed_batch('{hello}');
RESET search_path;
ALTER EXTENSION bert SET SCHEMA public;
DROP SCHEMA elsewhere;

-- What is there to see.
SELECT name, chosen FROM bert_models() WHERE name = 'all-MiniLM-L6-v2';
SELECT * FROM bert_model_info('all-MiniLM-L6-v2');
SELECT count(*) FILTER (WHERE chosen) AS chosen, bool_and(name <> '') AS named,
       bool_and(compute_units > 0 AND memory > 0) AS sized,
       bool_and(tier IS NOT NULL) FILTER (WHERE chosen) AS has_kernels,
       bool_and(reason <> '') AS explained
  FROM bert_devices();
SELECT output, input, n_tokens, ok FROM bert_selftest();
