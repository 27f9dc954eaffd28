# 018_selftest_bites.pl
#	  bert_selftest() sees a broken kernel: with each of the faults that a developer's
#	  build can put into one, and with none it is content.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;

skip_unless_developer_build();

# Sizes that are no multiple of anything, so that every tail is a model's.
my $node = BertTest->create('broken', models => odd_models());
my %faults = (
	embed => [qw(embed_type embed_position embed_column)],
	layer_norm => [qw(norm_mean norm_columns)],
	linear => [qw(linear_tail linear_sum linear_block linear_lane linear_residual gelu)],
	attention =>
	  [qw(attention_key attention_block attention_query attention_head attention_value)],
	pool => [qw(pool_token pool_tail)],
	activate_rows => ['activate_lane'],
	normalize_rows => ['normalize_lane']);

is(selftest('odd', ''), 't', 'with sound kernels bert_selftest() is content');
is($node->sql(q{SELECT input FROM bert_selftest('odd') WHERE output = 'kernels'}),
	join(', ', qw(embed layer_norm linear attention pool activate_rows normalize_rows)),
	'it has run every kernel');
is(selftest('relative', ''),
	't', 'so it is with relative positions, Dense and LayerNorm');
is(selftest('relative', 'attention_distance'), 'f', 'it sees distances that are wrong');
foreach my $kernel (sort keys %faults)
{
	is(selftest('odd', $_), 'f', "it sees a broken kernel $kernel: $_") for @{ $faults{$kernel} };
}

SKIP:
{
	skip 'the model ' . MINILM . ' is not there', 3
	  unless -e minilm_directory() . '/' . MINILM . '/config.json';
	$node->append_conf('postgresql.conf', "bert.model_directory = '@{[minilm_directory()]}'");
	$node->restart;
	is(selftest(MINILM, ''), 't', 'with sound kernels it is content with ' . MINILM);
	is(selftest(MINILM, $_), 'f', MINILM . " makes $_ seen") for qw(gelu linear_lane);
}

$node->finish;
done_testing();

sub odd_models
{
	my $models = PostgreSQL::Test::Utils::tempdir();

	my @sizes = qw(--hidden 36 --heads 4 --intermediate 70 --positions 150);

	make_model("$models/odd", @sizes);
	make_model("$models/relative", @sizes, '--position_type=relative_key_query',
		'--after=Dense:20:Tanh,LayerNorm,Normalize');
	return $models;
}

# 't' if all is well, with programs built in a session of their own, with that fault.
sub selftest
{
	my ($model, $fault) = @_;
	my $session = $node->session;

	$session->query("SET bert.without = 'helper'; SET bert.fault = '$fault'");
	my $outcome = $session->try("SELECT bool_and(ok) FROM bert_selftest('$model')");
	$session->quit;
	return $outcome;
}
