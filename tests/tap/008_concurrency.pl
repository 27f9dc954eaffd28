# 008_concurrency.pl
#	  What is costly is done once, however many ask for it at the same time, and whoever of
#	  them dies over it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = BertTest->create('concurrency');
my $embed = "SELECT array_length(bert_embed('tiny', 'hello'), 1)";

# ---- at once ----

my @outcomes = $node->at_once([ ($embed) x 16 ]);
is(join(' ', @outcomes), join(' ', (32) x 16), '16 sessions start at once in an empty cache');
is(scalar $node->cache_files(qr/\.pack$/), 1, 'there is one pack');
is(scalar $node->cache_files(qr/\.program$/), 1, 'and one program');

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION bert');
$node->forget_cache;
my $compilers = watch_compilers(
	sub { @outcomes = $node->at_once([ ($embed) x 8 ], 'postgres', 'other') });
is(join(' ', @outcomes), join(' ', (32) x 8), '8 sessions of two databases do so');
is($compilers, 1, 'and one helper compiles');

# How many helpers of this server compile while something goes on.
sub watch_compilers
{
	my ($what) = @_;
	my $list = $node->basedir . '/compilers';
	my $watcher = fork;

	if (!$watcher)
	{
		my %seen;
		while (getppid != 1)
		{
			$seen{$_} = 1 for grep { is_compiler($_) } map { m{(\d+)$} } glob '/proc/[0-9]*';
			write_file($list, scalar keys %seen);
			sleep 0.05;
		}
	}
	$what->();
	kill KILL => $watcher;
	waitpid $watcher, 0;
	return file_content($list);
}

# A helper of this server that compiles, and not a child of it, before it is the linker.
sub is_compiler
{
	my ($pid) = @_;

	return is_compiling($pid) && !is_compiling(process_status($pid, 'PPid') // 0);
}

# By what it writes to, which is in this server's cache.
sub is_compiling
{
	my ($pid) = @_;
	my $command = eval { file_content("/proc/$pid/cmdline") } // '';

	return $command =~ /^bert_helper\0build\0/ && index($command, $node->data_dir) >= 0;
}

# ---- workers of one parallel query ----

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE sentence AS SELECT 'sentence ' || i AS text FROM generate_series(1, 2000) i;
ALTER TABLE sentence SET (parallel_workers = 4);
SQL
$node->forget_cache;
is( $node->sql(<<'SQL'), 2000, 'workers of one query start at once in an empty cache');
SET max_parallel_workers_per_gather = 4;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT count(e) FROM (SELECT bert_embed('tiny', text) AS e FROM sentence OFFSET 0) s
SQL
is(scalar $node->cache_files(qr/\.(pack|program)$/), 2, 'and make one pack and one program');

# ---- who makes it dies ----

$node->forget_cache;
my $maker = $node->session;
my @waiting = map { $node->session } 1 .. 3;
$maker->send($embed);
wait_until(sub { grep { is_compiler($_) } descendants($maker->pid) }, 30);
$_->send($embed) for @waiting;
sleep 0.3;
kill TERM => $maker->pid;
like($maker->outcome, qr/57P01/, 'the session that compiles is terminated');
is(join(' ', map { $_->outcome } @waiting), '32 32 32', 'one of those that wait takes over');

$node->forget_cache;
$maker = $node->session;
my $helper;
$maker->send($embed);
wait_until(sub { ($helper) = grep { is_compiler($_) } descendants($maker->pid) }, 30);
kill KILL => $helper;
like($maker->outcome, qr/ERROR:  58000:.*HINT/s, 'a helper that is killed: an error');
is($maker->query($embed), 32, 'and another try');

# ---- a statement fails over it ----

$node->forget_cache;
my $session = $node->session;
my $other = $node->session;
$session->query('BEGIN; SAVEPOINT s');
$session->send($embed);
sleep 0.5;
kill INT => $session->pid;
like($session->outcome, qr/57014/, 'the session that compiles is cancelled, in a transaction');
$other->send($embed);
is($other->outcome, 32, 'no lock is left, though its transaction goes on');
$session->query('ROLLBACK TO s');
is($session->query($embed), 32, 'nor does it hold itself up');

# ---- in PL/pgSQL ----

is( $session->query(<<'SQL'), 'done', 'a thousand errors in subtransactions, and it works');
CREATE FUNCTION many() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		BEGIN
			PERFORM bert_embed('tiny', 'text ' || i);
			PERFORM bert_embed('no-such-model', 'text ' || i);
		EXCEPTION WHEN undefined_object THEN
			NULL;
		END;
	END LOOP;
	PERFORM bert_embed('tiny', 'text');
	RETURN 'done';
END $$;
SELECT many()
SQL

# ---- all have the same answer ----

my $same = "SELECT md5(bert_embed('tiny', 'the same text')::text)";
my %answers = map { $_ => 1 } $node->at_once([ ($same) x 8 ], 'postgres', 'other');
is(scalar keys %answers, 1, 'all sessions have the same vector, to the bit');

$node->finish;
done_testing();
