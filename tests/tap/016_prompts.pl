# 016_prompts.pl
#	  Prompts and cuts that a model's author wants: what encode(), encode_query() and
#	  encode_document() of sentence-transformers do with the same files.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The models differ in these files only, so their vectors can be compared.
my $prompts = '"prompts":{"query":"query: ","passage":"passage: ","größe":"cat "}';
my $node    = BertTest->create('prompts', start => 0);
my $models  = $node->{bert_models};

make_model("$models/$_", '--nonormalize') for qw(plain e5 kept left_out cut);
write_file("$models/e5/config_sentence_transformers.json",
	"{$prompts,\"default_prompt_name\":\"passage\"}");
write_file("$models/$_/config_sentence_transformers.json", "{$prompts}") for qw(kept left_out);
write_file("$models/left_out/1_Pooling/config.json",
	'{"word_embedding_dimension":32,"pooling_mode":"mean","include_prompt":false}');
write_file("$models/cut/config_sentence_transformers.json", '{"truncate_dim":8}');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bert');

sub same
{
	my ($left, $right, $claim) = @_;

	is($node->sql("SELECT $left = $right"), 't', $claim);
	return;
}

# What a call gives is the plain model's vector of this text.
sub reads
{
	my ($call, $text, $claim) = @_;

	same($call, "bert_embed('plain', '$text')", $claim);
	return;
}

# ---- which prompt ----

reads("bert_embed('e5', 'hello')", 'passage: hello', 'the default prompt goes before a text');
reads("bert_embed('kept', 'hello')", 'hello', 'prompts, and none of them the default: none');
reads("bert_embed('e5', 'hello', prompt => '')", 'hello', 'no prompt, if none is asked for');
reads("bert_embed('e5', 'hello', prompt => 'dog ')", 'dog hello', 'one that is given');
reads("bert_embed('e5', 'hello', prompt => '\@query')", 'query: hello', 'one by its name');
reads("bert_embed('e5', 'hello', prompt => '\@größe')", 'cat hello',
	'by a name that is not ASCII');
reads("bert_embed_query('e5', 'hello')", 'query: hello', 'that of queries');
reads("bert_embed_query('plain', 'hello')", 'hello', 'a model without prompts has an empty one');

# sentence-transformers has an empty "document" before it looks for "passage".
reads("bert_embed_document('e5', 'hello')", 'hello', 'documents: not "passage", not the default');
reads("bert_embed_document('e5', 'hello', prompt => '\@passage')",
	'passage: hello', 'unless that is asked for');
reads("(SELECT embedding FROM bert_embed_batch('e5', '{hello}'))",
	'passage: hello', 'in a batch too');
reads("(SELECT embedding FROM bert_embed_batch('e5', '{hello}', prompt => '\@query'))",
	'query: hello', 'by its name, in a batch');

my $session = $node->session;
$session->query("SET bert.model = 'e5'");
is( $session->query(
		"SELECT bert_embed_query('hello') = bert_embed('plain', 'query: hello'),
			bert_embed_document('hello') = bert_embed('plain', 'hello')"),
	't|t',
	'the forms without a model take the same prompts');
is( $session->query("SELECT bert_cls('hello') = bert_cls('plain', 'hello')"),
	't', 'other functions take none');
$session->quit;

my $error = $node->sql("SELECT bert_embed('e5', 'hello', prompt => '\@document_')");
like($error, qr/ERROR:  22023: model "e5" has no prompt "document_"/, 'a name that there is not');
like($error, qr/HINT:  It has "passage", "größe", "query", "document"\./,
	'is answered with those that there are');

# ---- prompts that are not pooled ----

# The mean over the tokens behind the prompt, which the model has read all the same.
sub mean_from
{
	my ($text, $pos) = @_;

	return <<"SQL";
(SELECT array_agg(mean ORDER BY i) FROM (SELECT i, avg(x::float8) AS mean
	FROM bert_tokens('plain', '$text'), unnest(vector) WITH ORDINALITY u(x, i)
	WHERE pos >= $pos GROUP BY i) s)
SQL
}

sub near
{
	my ($call, $mean, $claim) = @_;

	is( $node->sql("SELECT max(abs(a - b)) < 1e-6 FROM unnest($call, $mean) t(a, b)"),
		't', $claim);
	return;
}

near("bert_embed('kept', 'hello world', prompt => '\@query')",
	mean_from('query: hello world', 0), 'a prompt is pooled with its text');
near("bert_embed('left_out', 'hello world', prompt => '\@query')",
	mean_from('query: hello world', 3),
	'or left out: [CLS] and the two tokens of "query: "');
near("bert_embed('left_out', 'ing', prompt => 'hello')",
	mean_from('helloing', 2), 'by the number of tokens that the prompt has alone');
same("bert_embed('left_out', 'o', prompt => 'hell')", "array_fill(0::real, '{32}')",
	'which may be more than it has before the text, and more than there are: a sum of nothing');
same("bert_embed('left_out', 'hello', prompt => '')",
	"bert_embed('plain', 'hello')", 'no prompt, nothing left out: [CLS] is pooled');
near("(SELECT embedding FROM bert_embed_batch('left_out', '{hello}', prompt => 'a cat '))",
	mean_from('a cat hello', 3), 'in a batch too');
same("bert_embed('left_out', 'hello', prompt => 'cat ')",
	"bert_embed('left_out', 'hello', prompt => 'cat ')", 'and again, from the memo');
isnt( $node->sql(
		"SELECT bert_embed('left_out', 'hello', prompt => 'cat ')
			= bert_embed('left_out', 'cat hello')"),
	't',
	'which does not mix up equal tokens, of which others are left out');

# ---- vectors that are cut ----

same("bert_embed('cut', 'hello')", "(bert_embed('plain', 'hello'))[1:8]",
	'truncate_dim: so many elements');
same("bert_embed('cut', 'hello', dimensions => 3)", "(bert_embed('plain', 'hello'))[1:3]",
	'fewer, if asked for');
same("bert_embed('cut', 'hello', dimensions => 32)", "bert_embed('plain', 'hello')",
	'and more');
is( $node->sql("SELECT value FROM bert_model_info('cut') WHERE property = 'dimensions'"),
	'8', 'bert_model_info() tells how many');

$node->finish;
done_testing();
