# 002_signals.pl
#	  A backend that has run a model is a good neighbour: its signal handlers are the
#	  server's, and its driver's threads take no signal.
#
# PoCL's compiler library installs handlers of its own for most signals. A backend that
# lost SIGUSR1 makes others wait for ever: DROP DATABASE elsewhere, parallel queries,
# NOTIFY. 002_signals_bites.pl shows it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;

my $node = BertTest->create('signals');
my $session = $node->session;
my $plain = $node->session;
my $all_but_four = 'fffffffe7ffbfeff';    # KILL, STOP and the C library's two

$session->query("SELECT bert_embed('tiny', 'hello')");

# ---- handlers and masks ----

for my $what (qw(SigCgt SigIgn SigBlk))
{
	is(signals($session->pid, $what), signals($plain->pid, $what),
		"$what is that of a backend without a model");
}
my @threads = grep { $_ != $session->pid } threads($session->pid);
my @open = grep { process_status($session->pid, 'SigBlk', $_) ne $all_but_four } @threads;
cmp_ok(scalar @threads, '>', 0, 'the driver has threads');
is("@open", '', 'every one of them blocks all signals');

# Without 32 and 33, which the C library keeps for its threads.
sub signals
{
	my ($pid, $what) = @_;

	return sprintf '%x', hex(process_status($pid, $what)) & hex $all_but_four;
}

# ---- while it idles ----

$node->safe_psql('postgres', 'CREATE DATABASE other');
cmp_ok(milliseconds(sub { $node->safe_psql('postgres', 'DROP DATABASE other') }),
	'<', 5_000, 'DROP DATABASE elsewhere does not wait for it');
is($node->sql('SELECT pg_log_backend_memory_contexts(' . $session->pid . ')'),
	't', 'pg_log_backend_memory_contexts() is asked');
ok(wait_until(sub { $node->log_since(0) =~ /logging memory contexts of PID/ }, 5),
	'and answered');

# ---- at work ----

$session->query(<<'SQL');
CREATE TABLE numbers AS SELECT generate_series(1, 100000) AS i;
ALTER TABLE numbers SET (parallel_workers = 2);
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SQL
my $count;
cmp_ok(milliseconds(sub { $count = $session->query('SELECT count(*) FROM numbers') }),
	'<', 5_000, 'a parallel query in this session ends');
is($count, 100_000, 'with the right result');

$session->query('LISTEN news');
$node->safe_psql('postgres', 'NOTIFY news');
ok(wait_until(sub { $session->query('SELECT 1') =~ /notification "news"/ }, 5),
	'NOTIFY arrives');

# Signals while the model runs: SIGALRM as of a timer, SIGHUP as of a reload.
my $batch = q{SELECT count(*) FROM bert_embed_batch('tiny',
	ARRAY(SELECT repeat('word ' || i || ' ', 60) FROM generate_series(1, 3000) i))};
$session->send($batch);
for (1 .. 100)
{
	kill ALRM => $session->pid;
	kill HUP => $session->pid;
	kill USR1 => $session->pid;
	select undef, undef, undef, 0.01;
}
like($session->outcome,
	qr/^3000$/m, 'a rain of SIGALRM, SIGHUP and SIGUSR1 does not disturb the model');

# ---- shutdown ----

$plain->query("SELECT bert_embed('tiny', 'hello')");
$session->send($batch);
cmp_ok(milliseconds(sub { $node->stop('immediate') }),
	'<', 3_000, 'an immediate shutdown is quick, with one backend idle and one at work');
unlike($node->log_since(0), qr/issuing SIGKILL/, 'nobody had to be killed');

$node->start;
my @at_work = map { $node->session } 1 .. 4;
$_->send($batch) for @at_work;
select undef, undef, undef, 0.3;
my $position = $node->log_position;
cmp_ok(milliseconds(sub { $node->stop('fast') }),
	'<', 3_000, 'a fast shutdown is quick, with four backends at work');
like($node->log_since($position), qr/database system is shut down/, 'and clean');

# The database that was dropped is missed when recovery drops it once more.
$node->finish(expected => qr{"base/\d+"});
done_testing();
