# 005_exit.pl
#	  A backend can be told to leave at any moment: it leaves at once, and cleanly.
#
# Exiting while a driver's thread was compiling, or running, has ended in abort(), and that
# restarts the server.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = BertTest->create('exit');
my $batch = q{SELECT count(*) FROM bert_embed_batch('tiny',
	ARRAY(SELECT repeat('word ' || i || ' ', 60) FROM generate_series(1, 20000) i))};

# Terminates a session that has been busy for some seconds; how long it takes, in ms.
sub terminate_after
{
	my ($seconds, $sql) = @_;
	my $session = $node->session;
	my $outcome;

	$session->send($sql);
	sleep $seconds;
	my @descendants = descendants($session->pid);
	my $time = milliseconds(sub { kill TERM => $session->pid; $outcome = $session->outcome });
	my $gone = wait_until(sub { !grep { is_running($_) } $session->pid, @descendants }, 2);

	return $time if $outcome =~ /57P01/ && $gone;
	diag "gone: $gone, outcome: $outcome";
	return undef;
}

# ---- while kernels are compiled ----

my @times;
for my $i (1 .. 8)
{
	$node->forget_cache;
	push @times, terminate_after(0.15 * $i, "SELECT bert_embed('tiny', 'hello')");
}
is(scalar(grep { defined } @times),
	8, 'terminated 8 times during the very first call: gone, and the helper with it');
diag 'took ' . join ' ', map { sprintf '%.0f ms', $_ // -1 } @times;
is($node->sql("SELECT array_length(bert_embed('tiny', 'hello'), 1)"),
	32, 'the next session finds nothing in its way');

# ---- while the model runs ----

@times = map { terminate_after(0.02 + rand 0.2, $batch) } 1 .. 20;
is(scalar(grep { defined } @times), 20, 'terminated 20 times with a batch under way: gone');
diag 'took ' . join ' ', map { sprintf '%.0f ms', $_ // -1 } @times;

# ---- FATAL of other kinds ----

my $session = $node->session;
$session->query("SET client_connection_check_interval = '100ms'");
$session->send($batch);
sleep 0.1;
$session->{psql}->kill_kill(grace => 0);
ok(wait_until(sub { !is_running($session->pid) }, 2),
	'a client that is gone: so is its backend');

$session = $node->session;
$session->query("SET idle_in_transaction_session_timeout = '100ms'");
$session->query("BEGIN; SELECT bert_embed('tiny', 'hello')");
sleep 0.3;
like($session->try('SELECT 1'),
	qr/25P03|connection lost/, 'idle in a transaction for too long: ended');

is($node->sql("SELECT array_length(bert_embed('tiny', 'hello'), 1)"), 32, 'the server lives');
$node->finish;

# ---- the postmaster is killed ----

$node->start;
my @at_work = map { $node->session } 1 .. 2;
$_->send($batch) for @at_work;
sleep 0.3;
$node->kill9;
ok(wait_until(sub { !grep { is_running($_->pid) } @at_work }, 5),
	'without a postmaster no backend works on');
done_testing();
