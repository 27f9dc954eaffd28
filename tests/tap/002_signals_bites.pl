# 002_signals_bites.pl
#	  Without the guard around the driver, what 002_signals.pl looks at goes wrong.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;

skip_unless_developer_build();
my $node = BertTest->create('unguarded');
my $guarded = $node->session;
$guarded->query("SELECT bert_embed('tiny', 'hello')");
$node->append_conf('postgresql.conf', "bert.without = 'signal_guard'");
$node->reload;

my $session = $node->session;
my $plain = $node->session;
$session->query("SELECT bert_embed('tiny', 'hello')");

isnt(process_status($session->pid, 'SigCgt'), process_status($guarded->pid, 'SigCgt'),
	'the driver takes signal handlers');
my ($thread) = grep { $_ != $session->pid } threads($session->pid);
is(process_status($session->pid, 'SigBlk', $thread), process_status($plain->pid, 'SigBlk'),
	'its threads take what signals come');

$node->safe_psql('postgres', 'CREATE DATABASE other');
like($plain->try("SET statement_timeout = '3s'; DROP DATABASE other"),
	qr/statement timeout/, 'an idle session makes DROP DATABASE elsewhere wait');

my $other = $node->session;
$other->query("SELECT bert_embed('tiny', 'hello')");
$other->query(<<'SQL');
CREATE TABLE numbers AS SELECT generate_series(1, 100000) AS i;
ALTER TABLE numbers SET (parallel_workers = 2);
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET statement_timeout = '3s';
SQL
like($other->try('SELECT count(*) FROM numbers'),
	qr/statement timeout/, 'a parallel query in such a session hangs');

# What an immediate shutdown sends; a lucky one sends it twice.
kill QUIT => $session->pid;
ok(!wait_until(sub { !is_running($session->pid) }, 1), 'SIGQUIT is swallowed');
$node->abandon;
done_testing();
