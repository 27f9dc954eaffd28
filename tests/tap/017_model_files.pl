# 017_model_files.pl
#	  Models come in many files: what they hold decides, not where it lies, and a change
#	  of any of them is noticed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BertTest->create('models');
my $models = $node->{bert_models};
my $session = $node->session;

sub vector
{
	my ($model) = @_;

	return $session->try("SELECT bert_embed('$model', 'hello world')");
}

sub property
{
	my ($model, $property) = @_;

	return $session->try("SELECT value FROM bert_model_info('$model') "
		  . "WHERE property = '$property'");
}

# ---- where it lies ----

my $vector = vector('tiny');
like($vector, qr/^\{.*\}$/, 'there is a vector to compare with');

my %same = (
	'encoder in a folder' => ['--encoder_folder'],
	'weights in three files' => [ '--shards', 3 ],
	'tensors with a prefix' => [ '--prefix', 'bert.' ],
	'vocabulary as text' => ['--vocab_txt'],
	'prompts that are not asked for' => [ '--prompts', 'query=query: ' ],
	'a Dropout' => [ '--after', 'Dropout,Normalize' ]);

foreach my $what (sort keys %same)
{
	make_model("$models/same", @{ $same{$what} });
	is(vector('same'), $vector, "the vector is the same: $what");
	system_or_bail('rm', '-r', "$models/same");
}

# ---- what it holds ----

my @after = ('--after', 'Dense:24:ReLU,LayerNorm,Dense:16:Tanh:residual,Normalize');

make_model("$models/pipeline", '--pooling', 'cls,mean', @after);
is(property('pipeline', 'pooling'), 'cls, mean', 'poolings are joined in their order');
is( property('pipeline', 'modules'),
	'Dense(64, 24, relu), LayerNorm(24), Dense(24, 16, tanh, residual), Normalize',
	'modules follow each other');
is(property('pipeline', 'dimensions'), 16, 'the last one decides the size');
is($session->try("SELECT bool_and(ok) FROM bert_selftest('pipeline')"),
	't', 'the device computes them as the reference does');

make_model("$models/relative", '--position_type', 'relative_key_query', '--act', 'xielu');
is(property('relative', 'position_embedding_type'),
	'relative_key_query', 'positions may be relative');
is($session->try("SELECT bool_and(ok) FROM bert_selftest('relative')"),
	't', 'the device computes them as the reference does');

make_model("$models/short", '--truncate_dim', 8);
is(property('short', 'dimensions'), 8, 'truncate_dim decides the size');
is($session->try("SELECT array_length(bert_embed('short', 'hello'), 1)"),
	8, 'a vector has it');

# 250,000 pieces, 8,192 positions
make_model("$models/large", qw(--vocab 250000 --positions 8192 --hidden 8 --heads 2
	  --intermediate 16 --layers 1));
is( $session->try("SELECT bert_token_count('large', repeat('house ', 9000))"),
	9002, 'a text may have thousands of tokens');
is( $session->try("SELECT abs(bert_cosine(v, v) - 1) < 1e-6 "
		  . "FROM bert_embed('large', repeat('house ', 8190)) v"),
	't', 'and a model may read 8192 of them');

# ---- results that are no numbers ----

make_model("$models/damaged");
write_file("$models/damaged/model.safetensors",
	with_weight(file_content("$models/damaged/model.safetensors"),
		'embeddings.LayerNorm.weight', 3e38));
like($session->try("SELECT count(*) FROM $_"), qr/ERROR:.*not finite/, "is an error: $_")
  for "bert_embed('damaged', 'hello')", "bert_tokens('damaged', 'hello')";
is( $session->try("SELECT string_agg(DISTINCT output, ','), bool_and(ok), "
		  . "bool_or(max_difference = 'NaN') FROM bert_selftest('damaged')"),
	'hidden|f|t', 'bert_selftest() has rows that tell more');

# The file with another first value of a tensor.
sub with_weight
{
	my ($content, $tensor, $value) = @_;
	my $nbytes = unpack 'Q<', $content;

	substr($content, 8, $nbytes) =~ /"\Q$tensor\E":\{[^}]*"data_offsets":\[(\d+),/
	  or die "there is no tensor \"$tensor\"";
	substr($content, 8 + $nbytes + $1, 4) = pack 'f<', $value;
	return $content;
}

# ---- a change ----

my $before = vector('pipeline');

foreach my $file (
	qw(2_Dense/model.safetensors 3_LayerNorm/model.safetensors
	4_Dense/config.json 1_Pooling/config.json))
{
	my $path = "$models/pipeline/$file";
	my $content = file_content($path);

	if ($file =~ /json$/)
	{
		$content =~ s/Tanh/Sigmoid/;
		$content =~ s/"cls","mean"/"mean","cls"/;
	}
	else
	{
		substr($content, -4) = pack('f<', 3);
	}
	write_file($path, $content);
	my $after = vector('pipeline');
	like($after, qr/^\{.*\}$/, "there is another vector: $file");
	isnt($after, $before, "the session sees the change: $file");
	$before = $after;
}

$session->quit;
$node->finish;
done_testing();
