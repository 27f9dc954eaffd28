# 003_environment_bites.pl
#	  Without what the extension does for its surroundings, 003_environment.pl would fail.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use File::Path qw(remove_tree);
use Test::More;

skip_unless_developer_build();
my $embed = "SELECT array_length(bert_embed('tiny', 'hello'), 1)";

# ---- compiling without PATH ----

my $poor = BertTest->create('poor', conf => "bert.without = 'helper, environment'");
like($poor->sql($embed), qr/connection lost/, 'compiling in a backend without PATH ends it');
ok($poor->crashes, 'and with it the server');
$poor->abandon;

my $half = BertTest->create('half', conf => "bert.without = 'environment'");
like($half->sql($embed),
	qr/ERROR:  58000: the OpenCL driver could not compile.*signal 6/s,
	'in the helper the same is only an error');
$half->finish;

# ---- the driver's own choice of a cache ----

SKIP:
{
	my $taken = '/tmp/pocl';

	skip "$taken is there already", 2 if -e $taken;
	my $shared = BertTest->create('shared', conf => "bert.without = 'private_cache'");
	$shared->sql($embed);
	ok(-d $taken, "without a cache of ours the driver takes $taken");
	remove_tree($taken);
	$shared->finish;
}

# ---- a driver in the postmaster ----

my $eager = BertTest->create(
	'eager',
	start => 0,
	conf => "shared_preload_libraries = '@{[library_directory()]}/bert'\n"
	  . "bert.without = 'lazy_open'");
$eager->start;
cmp_ok(scalar threads($eager->pid), '>', 1, 'a driver in the postmaster starts threads there');
$eager->safe_psql('postgres', 'CREATE EXTENSION bert');
my $session = $eager->session;
$session->send($embed);
ok(!wait_until(sub { $session->is_done }, 10),
	'and a backend, which has none of them, waits for ever');
kill KILL => $session->pid;
$eager->abandon;
done_testing();
