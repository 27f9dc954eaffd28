# 001_embed.pl
#	  The whole way on the real model: what comes out is what Hugging Face computes, and
#	  the same to the bit however a text is asked for.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use GoldenVectors qw(read_golden distance);
use PostgreSQL::Test::Utils;
use Test::More;

skip_unless_minilm();
my $goldens = "$FindBin::Bin/../golden/" . MINILM . '.tsv';
my $node = BertTest->create('embed',
	models => minilm_directory(),
	conf => "bert.model = '@{[MINILM]}'");
my $first = "SELECT array_length(bert_embed('a fresh connection'), 1)";

# ---- the first call ----

my $cold = milliseconds(sub { is($node->sql($first), 384, 'the first call of all works') });
diag sprintf 'first call, nothing cached: %.0f ms', $cold;
cmp_ok($cold, '<', 60_000, 'it takes seconds, not minutes');

# Connecting is not counted.
my @warm = sort { $a <=> $b } map { first_call_ms() } 1 .. 5;
diag sprintf 'first call of a connection, everything cached: %.0f ms', $warm[2];
cmp_ok($warm[2], '<', 1_000, 'with everything cached it takes a moment');

sub first_call_ms
{
	my $session = $node->session;
	my $time = milliseconds(sub { $session->query($first) });

	$session->quit;
	return $time;
}

# ---- goldens ----

SKIP:
{
	skip 'there are no goldens', 1 unless -e $goldens;
	my @golden = read_golden($goldens);
	load_goldens();
	compare_vectors(\@golden, 'embedding',
		'SELECT name, bert_embed(model, text) FROM golden WHERE second IS NULL');
	compare_vectors(\@golden, 'cls', <<'SQL');
SELECT name, CASE WHEN second IS NULL THEN bert_cls(model, text)
	ELSE bert_cls(model, text, second) END FROM golden
SQL
	compare_vectors(\@golden, 'pooled', <<'SQL');
SELECT name, CASE WHEN second IS NULL THEN bert_pooled(model, text)
	ELSE bert_pooled(model, text, second) END FROM golden WHERE pooled IS NOT NULL
SQL
	compare_ids(\@golden);
}

sub load_goldens
{
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE golden (name text, text text, second text, ids text, embedding text,
	cls text, pooled text);
\\copy golden FROM '$goldens'
ALTER TABLE golden ADD model text DEFAULT '@{[MINILM]}';
SQL
	return;
}

sub rows_of
{
	my ($sql) = @_;
	my ($status, $stdout) = $node->psql('postgres', $sql, extra_params => [ '-F', "\t" ]);

	return map { split /\t/, $_, 2 } split /\n/, $stdout;
}

sub compare_vectors
{
	my ($golden, $kind, $sql) = @_;
	my %found = rows_of($sql);
	my $result = distance($golden, $kind, \%found);

	ok($result->{ok}, "$kind of $result->{count} texts: as Hugging Face computes it")
	  or diag "missing: @{ $result->{missing} }";
	diag sprintf '%s: max abs difference %.2e (%s), min cosine %.9f (%s)', $kind,
	  $result->{max_abs_diff}, $result->{max_abs_diff_at} // '',
	  $result->{min_cosine}, $result->{min_cosine_at} // '';
	return;
}

# The golden ids are cut to what the model reads, bert_tokenize() gives all.
sub compare_ids
{
	my ($golden) = @_;
	my %found = rows_of(<<'SQL');
SELECT name, (SELECT string_agg(id::text, ',' ORDER BY pos) FROM bert_tokenize(model, text))
  FROM golden WHERE second IS NULL AND cardinality(string_to_array(ids, ',')) < 256
SQL
	my %expected =
	  map { $_->{name} => join ',', @{ $_->{ids} } } grep { $found{ $_->{name} } } @$golden;

	is_deeply(\%found, \%expected, scalar(keys %found) . ' texts have the ids of Hugging Face');
	return;
}

# ---- to the bit ----

my $texts = 100;
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE sentence AS
	SELECT i AS id, repeat(chr(97 + i % 26) || i || ' and so on, ', 1 + i * 7 % 20) AS text
	  FROM generate_series(1, $texts) i;
CREATE TABLE alone AS SELECT id, bert_embed(text) AS e FROM sentence;
ALTER TABLE sentence SET (parallel_workers = 2);
ANALYZE sentence;
SQL

sub differing
{
	my ($settings, $embeddings) = @_;

	return $node->safe_psql('postgres', <<"SQL");
$settings;
WITH other AS MATERIALIZED ($embeddings)
SELECT count(*) FROM alone FULL JOIN other USING (id)
 WHERE alone.e IS DISTINCT FROM other.e
SQL
}

my $in_batch = <<'SQL';
SELECT ids[ord] AS id, embedding AS e
  FROM (SELECT array_agg(id %s) AS ids, array_agg(text %s) AS texts FROM sentence) a,
	   bert_embed_batch(texts)
SQL
is(differing('', sprintf($in_batch, ('ORDER BY id') x 2)),
	0, "a batch of $texts gives the same vectors to the bit");
is(differing('', sprintf($in_batch, ('ORDER BY md5(id::text)') x 2)),
	0, 'in another order too');
is(differing('SET bert.batch_tokens = 64', sprintf($in_batch, ('ORDER BY id') x 2)),
	0, 'in small portions too');
is(differing('SET bert.threads = 1', 'SELECT id, bert_embed(text) AS e FROM sentence'),
	0, 'with one thread too');

my $parallel = <<'SQL';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
SQL
like(
	$node->safe_psql('postgres',
		"$parallel EXPLAIN (COSTS OFF) SELECT id, bert_embed(text) AS e FROM sentence"),
	qr/Gather/, 'a parallel plan is made');
is(differing($parallel, 'SELECT id, bert_embed(text) AS e FROM sentence'),
	0, 'from parallel workers too');
is(differing('', 'SELECT id, bert_embed(text) AS e FROM sentence'), 0, 'in another session too');

# ---- the device against plain C ----

is($node->sql('SELECT bool_and(ok) FROM bert_selftest()'), 't', 'bert_selftest() is content');

$node->finish;
done_testing();
