# 007_cancel_bites.pl
#	  Without small portions a cancel waits for the whole batch; without trimming an error
#	  leaves a batch's memory behind.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;
use Time::HiRes qw(sleep);

skip_unless_developer_build();
skip_unless_minilm();
my $model = MINILM;
my $node = BertTest->create('slow', models => minilm_directory());
my $session = $node->session;
my $batch = qq{SELECT count(*) FROM bert_embed_batch('$model',
	ARRAY(SELECT repeat('word ' || i || ' ', 120) FROM generate_series(1, 60) i))};

sub cancel
{
	my $outcome;

	$session->send("SET bert.batch_tokens = 16384; $batch");
	sleep 0.5;
	my $time = milliseconds(sub { kill INT => $session->pid; $outcome = $session->outcome });

	like($outcome, qr/57014/, 'a batch is cancelled');
	$session->query('SELECT 1');    # what an ERROR leaves is cleared up after its report
	return $time;
}

$session->query("SELECT bert_embed('$model', 'hello')");
my $with = cancel();
my $memory = private_kb($session->pid);

$session->query("SET bert.without = 'interrupts'");
my $without = cancel();
cmp_ok($without, '>', 3 * $with, 'one whole portion is waited for');
diag sprintf 'cancelled after %.0f ms, without interrupts after %.0f ms', $with, $without;

$session->query("SET bert.without = 'trim'");
cancel();
cmp_ok(private_kb($session->pid), '>', $memory + 10_000, 'memory is not given back');
diag sprintf '%d KB, without trimming %d KB', $memory, private_kb($session->pid);

$node->finish;
done_testing();
