# 011_memory.pl
#	  A connection that runs a model takes little memory of its own, and no more of it with
#	  time.
#
# Counted is what a backend shares with nobody (Private_Dirty): its heap, and pages of the
# driver's libraries that the dynamic linker wrote to. Weights are mapped and shared.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use List::Util qw(max);
use Test::More;

skip_unless_minilm();
my $model = MINILM;
my $node = BertTest->create('memory', models => minilm_directory());

# PoCL 3.1 with LLVM 15: 14 to 16 MB are relocations. From PoCL 5 with LLVM 18: 22 MB.
my $driver = $node->driver_version;
my $limit_mb = $driver =~ /^[34]\./ ? 25 : 32;

sub embed
{
	my ($text) = @_;

	return "SELECT array_length(bert_embed('$model', '$text'), 1)";
}

# ---- each of many ----

my @sessions = map { $node->session } 1 .. 10;
$_->query(embed('its first text')) for @sessions;
my @memory = map { private_kb($_->pid) / 1024 } @sessions[ 1 .. 9 ];
cmp_ok(max(@memory), '<', $limit_mb,
	"the 2nd to 10th session take less than $limit_mb MB each, with driver $driver");
diag sprintf 'driver %s: %.1f to %.1f MB', $driver, (sort { $a <=> $b } @memory)[ 0, -1 ];

# What all of them have mapped is there once.
my $weights = file_content('/proc/' . $sessions[0]->pid . '/smaps');
like($weights, qr/r--s .*\.pack\n/, 'weights are mapped, shared and read-only');
$_->quit for @sessions[ 1 .. 9 ];

# ---- one that goes on ----

my $session = $node->session;
my $number = 0;

sub calls
{
	my ($n) = @_;

	$session->query(<<"SQL");
SELECT count(bert_embed('$model', 'text number ' || i))
  FROM generate_series($number, $number + $n - 1) i
SQL
	$number += $n;
	return;
}

sub inventory
{
	my $pid = $session->pid;

	return (private_kb($pid), scalar threads($pid), n_descriptors($pid));
}

calls(200);
my ($memory, $threads, $files) = inventory();
calls(1800);
my ($memory_after, $threads_after, $files_after) = inventory();
cmp_ok($memory_after, '<', $memory + 1024, 'after 2,000 calls: not 1 MB more than after 200');
is($threads_after, $threads, 'nor more threads');
is($files_after, $files, 'nor more file descriptors');
diag "after 200 calls $memory KB, after 2000 calls $memory_after KB";

# ---- batches ----

my $batch = qq{SELECT count(*) FROM bert_embed_batch('$model',
	ARRAY(SELECT repeat('word ' || i || ' ', i % 60) FROM generate_series(1, 60) i))};
$session->query($batch) for 1 .. 2;
$memory = private_kb($session->pid);
$session->query($batch) for 1 .. 6;
$memory_after = private_kb($session->pid);
cmp_ok($memory_after, '<', $memory + 1024, 'batches take no more with time, either');
cmp_ok($memory_after / 1024, '<', $limit_mb + 5, 'and give back what they took');
diag "after 2 batches $memory KB, after 8 batches $memory_after KB";

# ---- a long text ----

$node->safe_psql('postgres',
	"CREATE TABLE long AS SELECT repeat('some words, ', 8 * 1000 * 1000) AS text");
$session = $node->session;
$session->query(embed('hello'));
my $peak = peak_kb();
my $size;
my $embed_long = "SELECT array_length(bert_embed('$model', text), 1) FROM long";
my $time = milliseconds(sub { $size = $session->query($embed_long) });
is($size, 384, 'a text of 96 MB has a vector');
cmp_ok(peak_kb(), '<', $peak + 50_000, 'of which only the beginning was fetched');
diag sprintf 'a text of 96 MB: %.0f ms', $time;

sub peak_kb
{
	return (split ' ', process_status($session->pid, 'VmHWM'))[0];
}

$node->finish;
done_testing();
