# 015_goldens.pl
#	  Every shape and option of a BERT: what comes out is what Hugging Face computes.
#
# The goldens (tests/golden) are calls in SQL with the value that their code gives in
# float64, and how far it is from that in float32. Here each call is made, and its result
# held against the value:
#
#	  sentence vectors     the largest difference, over the vector's length
#	  hidden states        the largest difference, over the largest value if above 1
#	  weights of attention the largest difference; each row sums to 1
#	  tokens               all ids are equal
#
# No single result may be further away than the project promises; and over the texts the
# middle one, and the one that 5 in 100 exceed, no more than twice as far as those of
# transformers in float32.
#
# BERT_TEST_GOLDENS in the environment names another file for the real model, such as the
# large one with every hidden state (tests/golden/README.md); only this is then done.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use GoldenVectors qw(vector float_list max_abs_diff length_of largest quantile);
use List::Util qw(max sum0);
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	MAX_EMBEDDING_DIFF => 1e-6,
	MAX_EMBEDDING_DIFF_MINILM => 5e-7,
	MAX_HIDDEN_DIFF => 1e-5,
	MAX_ATTENTION_DIFF => 2e-6,
	MAX_ROW_SUM_DIFF => 1e-6,
	MAX_RATIO => 2,
	MIN_TEXTS => 20,    # for which a median and a 95th percentile mean something
	SLICE => 20         # calls in a statement
};

my $goldens = "$FindBin::Bin/../golden";
my %kinds = (
	tokens => 'ids',
	attention => 'attention',
	(map { $_ => 'embedding' } qw(embed embed_query embed_document)),
	(map { $_ => 'hidden' } qw(hidden cls pooled)));

my ($node, $session);

compare_small_models() unless $ENV{BERT_TEST_GOLDENS};
compare_minilm();
done_testing();

sub compare_small_models
{
	my $models = PostgreSQL::Test::Utils::tempdir();

	copy_tree($_, $models) for glob "$goldens/models/*";
	make_big_models($models);
	start('models', $models, "$goldens/models.tsv");
	make_activations($models);
	my %found = map { $_ => compare_model($_, MAX_EMBEDDING_DIFF) }
	  split /\n/, $session->query('SELECT DISTINCT model FROM golden ORDER BY model');
	cmp_ok(scalar(keys %found), '>=', 12, 'there are models of many kinds');
	report(\%found);
	finish();
	return;
}

sub compare_minilm
{
  SKIP:
	{
		skip 'the model ' . MINILM . ' is not in ' . minilm_directory(), 1
		  unless -e minilm_directory() . '/' . MINILM . '/config.json';
		start('minilm', minilm_directory(),
			$ENV{BERT_TEST_GOLDENS} || "$goldens/" . MINILM . '.float64.tsv');
		report({ MINILM, compare_model(MINILM, MAX_EMBEDDING_DIFF_MINILM) });
		finish();
	}
	return;
}

# ---- the server ----

sub start
{
	my ($name, $models, $file) = @_;

	$node = BertTest->create($name, models => $models);
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE input (name text PRIMARY KEY, text text, second text);
\\copy input FROM '$goldens/texts.tsv'
\\copy input FROM '$goldens/model_texts.tsv'
CREATE TABLE golden (model text, name text, call text, value text, float32 float8,
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
\\copy golden (model, name, call, value, float32) FROM '$file'
SQL
	$session = $node->session;
	return;
}

sub finish
{
	$session->quit;
	$node->finish;
	return;
}

# ---- models that are not kept ----

# Too big for that: made here with the options they had when the goldens were made.
sub make_big_models
{
	my ($models) = @_;

	for my $line (split /\n/, file_content("$goldens/made_models.tsv"))
	{
		my ($name, $options) = split /\t/, $line;

		make_model("$models/$name", split / /, $options);
	}
	return;
}

# One for each hidden_act that there are goldens of.
sub make_activations
{
	my ($models) = @_;
	my $config = file_content("$goldens/models/activations/config.json");
	my $names = $session->query(
		"SELECT DISTINCT model FROM golden WHERE model LIKE 'activations-%'");

	for my $name (split /\n/, $names)
	{
		my ($activation) = $name =~ /^activations-(.*)$/;

		copy_tree("$goldens/models/activations", "$models/$name");
		write_file("$models/$name/config.json",
			$config =~ s/("hidden_act": )"\w+"/$1"$activation"/r);
	}
	return;
}

# ---- calls ----

# Makes all calls of a model. Returns { kind => [ { at, ours, theirs } ] }.
sub compare_model
{
	my ($model, $max_embedding_diff) = @_;
	my %limits = (
		ids => 0,
		embedding => $max_embedding_diff,
		hidden => MAX_HIDDEN_DIFF,
		attention => MAX_ATTENTION_DIFF);
	my (%found, @wrong);

	for my $slice (slices_of($model))
	{
		my ($call, $ids) = @$slice;
		my ($kind) = map { $kinds{$_} } $call =~ /^bert_(\w+)/;

		for my $row (rows_of($call, $ids, \@wrong))
		{
			my $result = compare($kind, $call, @$row);

			push @{ $found{$kind} }, $result;
			push @wrong, "$result->{at}: $result->{wrong}" if defined $result->{wrong};
			push @wrong, "$result->{at}: off by $result->{ours}"
			  if !($result->{ours} <= $limits{$kind});
		}
	}
	is(join("\n", @wrong), '', "$model: as Hugging Face computes it");
	return \%found;
}

# [ call, ids of goldens ], not too many at a time.
sub slices_of
{
	my ($model) = @_;
	my $slices = $session->query(<<"SQL");
SELECT call || '|' || string_agg(id::text, ',' ORDER BY id)
  FROM (SELECT *, row_number() OVER (PARTITION BY call ORDER BY id) / @{[SLICE]} AS slice
		  FROM golden WHERE model = '$model') s
 GROUP BY call, slice ORDER BY min(id)
SQL

	return map { [ split /\|/ ] } split /\n/, $slices;
}

# [ text's name, golden value, float32, value ]. An ERROR is noted, as each text it spoils.
sub rows_of
{
	my ($call, $ids, $wrong) = @_;
	my $outcome = $session->try(<<"SQL");
SELECT name, value, float32, @{[ as_one_value($call) ]}
  FROM golden JOIN input USING (name) WHERE id IN ($ids) ORDER BY id
SQL
	my @rows = map { [ split /\|/ ] } split /\n/, $outcome;

	return @rows if @rows && !grep { @$_ != 4 } @rows;
	push @$wrong, "$call: $outcome";
	return ();
}

sub as_one_value
{
	my ($call) = @_;

	return "(SELECT array_agg(id ORDER BY pos) FROM $call)" if $call =~ /^bert_tokens/;
	return <<"SQL" if $call =~ /^bert_hidden/;
(SELECT array_agg(x ORDER BY pos, i)
   FROM $call h, unnest(h.vector) WITH ORDINALITY v(x, i))
SQL
	return $call;
}

# ---- comparing ----

# How far a value is from the golden, and what else is wrong with it.
sub compare
{
	my ($kind, $call, $name, $golden, $float32, $value) = @_;
	my %result = (at => "$call of $name", ours => 0);

	if ($kind eq 'ids')
	{
		$result{wrong} = "$value, not $golden" if $value ne "{$golden}";
		return \%result;
	}
	my $exact = float_list($golden);
	my $vector = vector($value);
	my $scale =
		$kind eq 'embedding' ? length_of($exact)
	  : $kind eq 'hidden' ? max(1, largest($exact))
	  : 1;

	$result{theirs} = $float32 / $scale;
	if (@$vector != @$exact)
	{
		$result{wrong} = 'another size: ' . @$vector;
		return \%result;
	}
	$result{ours} = max_abs_diff($vector, $exact) / $scale;
	$result{wrong} = 'a row does not sum to 1'
	  if $kind eq 'attention' && !(row_sum_diff($vector) <= MAX_ROW_SUM_DIFF);
	return \%result;
}

sub row_sum_diff
{
	my ($weights) = @_;
	my $n = sqrt @$weights;

	return max(map { abs(1 - sum0(@$weights[ $_ * $n .. $_ * $n + $n - 1 ])) } 0 .. $n - 1);
}

# ---- what is known of all ----

# The differences of each model, and of all together where some have too few texts.
sub report
{
	my ($found) = @_;
	my %all;

	diag 'differences from float64 (in brackets: of transformers in float32)';
	for my $model (sort keys %$found)
	{
		for my $kind (sort grep { $_ ne 'ids' } keys %{ $found->{$model} })
		{
			push @{ $all{$kind} }, @{ $found->{$model}{$kind} };
			hold_against_transformers($model, $kind, $found->{$model}{$kind});
		}
	}
	return if keys %$found == 1;
	hold_against_transformers('all of them', $_, $all{$_}) for sort keys %all;
	return;
}

sub hold_against_transformers
{
	my ($model, $kind, $results) = @_;

	diag sprintf '%-30s %-10s %s', $model, $kind, summary($results);
	return if @$results < MIN_TEXTS || $kind eq 'attention';
	for my $part (0.5, 0.95)
	{
		my ($ours, $theirs) = quantiles($results, $part);

		cmp_ok($ours, '<=', MAX_RATIO * $theirs,
			"$model, $kind: the $part quantile is near that of transformers");
	}
	return;
}

sub summary
{
	my ($results) = @_;

	return sprintf '%4d  worst %.1e (%.1e)  median %.1e (%.1e)  p95 %.1e (%.1e)',
	  scalar @$results, map { quantiles($results, $_) } 1, 0.5, 0.95;
}

sub quantiles
{
	my ($results, $part) = @_;

	return map { my $side = $_; quantile($part, map { $_->{$side} } @$results) }
	  qw(ours theirs);
}
