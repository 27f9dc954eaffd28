# 013_threads.pl
#	  How many threads a session may start: bert.threads, but no more than there are
#	  processors for the server, which parallel workers share.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use List::Util qw(max);
use Test::More;

my $node = BertTest->create('threads');
my $available = available();
my $embed = "SELECT array_length(bert_embed('tiny', 'hello'), 1)";

plan skip_all => 'there is one processor' if $available < 2;

# Processors that this process, and so the server, may use.
sub available
{
	my $list = process_status($$, 'Cpus_allowed_list');
	my $n = 0;

	$n += /(\d+)-(\d+)/ ? $2 - $1 + 1 : 1 for split /,/, $list;
	return $n;
}

# Of a session that has run a model.
sub threads_with
{
	my ($setting) = @_;
	my $session = $node->session;

	$session->query("SET bert.threads = $setting");
	$session->query($embed);
	my $n = threads($session->pid);
	$session->quit;
	return $n;
}

$node->sql($embed);
my $one = threads_with(1);
cmp_ok($one, '>=', 2, 'bert.threads = 1: there is one');
cmp_ok(threads_with(2), '>', $one, 'bert.threads = 2: there are more');
is(threads_with(1000), threads_with(0), 'never more than there are processors');
is(threads_with(0), $one + $available - 1, 'by default as many as those');

my $session = $node->session;
$session->query($embed);
my $before = threads($session->pid);
$session->query("SET bert.threads = 1; SELECT array_length(bert_embed('tiny', 'another'), 1)");
is(scalar threads($session->pid), $before, 'a change is for sessions that have not run a model');

# ---- workers of a parallel query ----

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE sentence AS SELECT 'sentence ' || i AS text FROM generate_series(1, 20000) i;
ALTER TABLE sentence SET (parallel_workers = 2);
SQL
$session = $node->session;
$session->query(<<"SQL");
SET max_parallel_workers_per_gather = @{[$available - 1]};
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SQL
$session->send(
	"SELECT count(e) FROM (SELECT bert_embed('tiny', text) AS e FROM sentence OFFSET 0) s");
my $workers = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker'";
my $most = 0;
until ($session->is_done)
{
	foreach my $pid (split /\n/, $node->safe_psql('postgres', $workers))
	{
		$most = max($most, scalar threads($pid));
	}
}
is($most, $one, 'a parallel worker has its share of them');
is($session->outcome, 20000, 'and the query its result');

# ---- fewer processors for the server ----

SKIP:
{
	skip 'there is no taskset', 1 if system('command -v taskset > /dev/null') != 0;
	my ($first) = process_status($$, 'Cpus_allowed_list') =~ /^(\d+)/;

	$node->stop;
	$node->{bert_wrapper} = [ 'taskset', '-c', $first ];
	$node->start;
	is(threads_with(0), $one, 'a server that may use one processor starts one thread');
}

$node->finish;
done_testing();
