# 005_exit_bites.pl
#	  A backend that leaves while its driver's threads compile aborts, and restarts the
#	  server. Not each time: so it is tried until it does.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;
use Time::HiRes qw(sleep);

skip_unless_developer_build();
my $node = BertTest->create('undrained', conf => "bert.without = 'helper, drain'");
my $driver = $node->driver_version;
my $tries = 0;

plan skip_all => "PoCL 3.1 aborts, $driver does not" unless $driver =~ /^3\./;

while ($tries < 25 && is_running($node->pid))
{
	my $session;

	$tries++;
	$node->forget_cache;
	$session = $node->session;
	$session->query("SELECT bert_token_count('tiny', 'hello'), count(*) FROM bert_devices()");
	$session->send("SELECT bert_embed('tiny', 'hello')");
	sleep 0.1 + rand 1;
	kill TERM => $session->pid;
	$session->outcome;
	last if $node->crashes(0.3);
}
ok($node->crashes(1), 'a backend that leaves while its driver compiles ends the server');
diag "seen at try number $tries";
$node->abandon;
done_testing();
