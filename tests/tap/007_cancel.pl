# 007_cancel.pl
#	  Whatever a session is at, a cancel is answered at once, and leaves nothing behind.
#
# A kernel that runs cannot be interrupted: so work is handed out in small portions. The
# time is from the signal to psql's printing the ERROR. What this machine needs for a
# cancelled pg_sleep() is measured beside it, as it may be busy with other things.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep);

use constant PROMISE_MS => 100;

my $has_minilm = -e minilm_directory() . '/' . MINILM . '/config.json';
my ($model, $models) = $has_minilm ? (MINILM, minilm_directory()) : ('tiny', undef);
my $node = BertTest->create('cancel', models => $models);
my $batch = qq{SELECT count(*) FROM bert_embed_batch('$model',
	ARRAY(SELECT repeat('word ' || i || ' ', 1 + i % 120) FROM generate_series(1, 20000) i))};
my $rows = qq{SELECT count(bert_embed('$model', 'word ' || i)) FROM generate_series(1, 100000) i};
my $embed = "SELECT array_length(bert_embed('$model', 'hello'), 1) > 0";

# Signals a session that has been busy for some seconds; the time to its answer in ms.
sub cancel_after
{
	my ($session, $seconds, $sql) = @_;
	my $outcome;

	$session->send($sql);
	sleep $seconds;
	my @descendants = descendants($session->pid);
	my $time = milliseconds(sub { kill INT => $session->pid; $outcome = $session->outcome });

	return $time if $outcome =~ /57014/ && !grep { is_running($_) } @descendants;
	diag "not cancelled: $outcome";
	return undef;
}

# Whether cancels of a statement, at moments within the first seconds of it, are prompt.
sub prompt_ok
{
	my ($what, $session, $n, $seconds, $sql) = @_;
	my @times = map { cancel_after($session, 0.05 + rand $seconds, $sql) } 1 .. $n;
	my @idle = map { cancel_after($session, 0.05, 'SELECT pg_sleep(10)') } 1 .. 3;
	my $slow = grep { !defined || $_ > PROMISE_MS + max(@idle) } @times;
	my @sorted = sort { $a <=> $b } grep { defined } @times;

	is(scalar @sorted, $n, "$what: cancelled $n times");
	cmp_ok($slow, '<=', max(1, $n / 10),
		"$what: answered within @{[PROMISE_MS]} ms, but for one in ten");
	diag sprintf '%s: median %.0f ms, slowest %.0f ms; of pg_sleep() %.0f ms', $what,
	  $sorted[ @sorted / 2 ], $sorted[-1], max(@idle);
	return;
}

# ---- the first call of all ----

my $session = $node->session;
my @times;
for my $i (1 .. 8)
{
	$node->forget_cache;
	push @times, cancel_after($session, 0.2 * $i, $embed);
}
is(scalar(grep { defined } @times), 8, 'cancelled 8 times during the very first call');
diag 'first call: ' . join ' ', map { sprintf '%.0f ms', $_ // -1 } @times;

# Another waits for what the first one makes, and goes on without it.
$node->forget_cache;
my $first = $node->session;
my $second = $node->session;
$first->send($embed);
sleep 0.5;
cmp_ok(cancel_after($second, 0.3, $embed) // 9999,
	'<', 500, 'one that waits for the first to finish can be cancelled');
$second->send($embed);
sleep 0.2;
kill INT => $first->pid;
like($first->outcome, qr/57014/, 'the first is cancelled');
is($second->outcome, 't', 'then the one that waits does the work');
is($first->query($embed), 't', 'which is there for the first one, too');

# ---- the model at work ----

$session->query($embed);
prompt_ok('one batch', $session, 20, 0.4, $batch);
prompt_ok('row by row', $session, 10, 0.4, $rows);
is($session->query($embed), 't', 'the session goes on');

my $parallel = $node->session;
$parallel->query(<<'SQL');
CREATE TABLE sentence AS SELECT 'word ' || i AS text FROM generate_series(1, 100000) i;
ALTER TABLE sentence SET (parallel_workers = 2);
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SQL
prompt_ok('parallel query', $parallel, 10, 0.6,
	"SELECT count(bert_embed('$model', text)) FROM sentence");

# A limit of the server's own.
my $over = milliseconds(
	sub { like($session->try("SET statement_timeout = '300ms'; $batch"), qr/57014.*timeout/,
			'statement_timeout ends a batch') });
cmp_ok($over, '<', 300 + 5 * PROMISE_MS, 'in time');
$session->query('RESET statement_timeout');

# ---- long texts ----

# Not compressed: the server decompresses without looking at interrupts.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE long (text text);
ALTER TABLE long ALTER text SET STORAGE EXTERNAL;
INSERT INTO long SELECT repeat('some words, ', 100 * 1000 * 1000 / 12);
SQL
prompt_ok('counting the tokens of 100 MB', $session, 6, 0.4,
	"SELECT bert_token_count('$model', text) FROM long");
prompt_ok('listing the tokens of 100 MB', $session, 4, 0.4,
	"SELECT count(*) FROM long, bert_tokenize('$model', text)");

# ---- what errors leave behind ----

$session = $node->session;
$session->query($embed);
cancel_after($session, 0.1, $batch) for 1 .. 5;
my ($memory, $threads, $files) = inventory($session->pid);
cancel_after($session, 0.05 + rand 0.1, $batch) for 1 .. 30;
my ($memory_after, $threads_after, $files_after) = inventory($session->pid);
cmp_ok($memory_after, '<', $memory + 1024, '30 cancelled batches take no memory');
is($threads_after, $threads, 'nor threads');
is($files_after, $files, 'nor file descriptors');
diag "private memory: $memory KB, then $memory_after KB";

sub inventory
{
	my ($pid) = @_;

	return (private_kb($pid), scalar threads($pid), n_descriptors($pid));
}

$node->finish;
done_testing();
