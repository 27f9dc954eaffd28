# 014_standby.pl
#	  On a hot standby the functions work as on the primary: they write to the cache, which
#	  is the standby's own, and to nothing else.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;

my $primary = BertTest->create('primary', allows_streaming => 1);
my $standby = BertTest->new('standby');
my $embed = "SELECT bert_embed('tiny', 'hello')";
my $vector = $primary->sql($embed);

$primary->backup('start');
$standby->init_from_backup($primary, 'start', has_streaming => 1);
$standby->start;
is(join(' ', files_below($standby->cache_directory)), '', 'a standby begins without a cache');
is($standby->sql($embed), $vector, 'and gives the same vector, to the bit');
cmp_ok(scalar files_below($standby->cache_directory), '>', 0, 'having made a cache of its own');

# Vectors that are stored come over as they are.
my $same = "SELECT count(*) FROM kept WHERE e = bert_embed('tiny', 'text ' || i)";
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE kept AS
	SELECT i, bert_embed('tiny', 'text ' || i) AS e FROM generate_series(1, 50) i
SQL
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($standby->sql($same), 50, 'stored vectors equal those that a standby computes');

my $session = $standby->session;
$session->query($embed);
$standby->promote;
is($session->query($same), 50, 'a session goes on when its standby is promoted');

$standby->finish;
$primary->finish;
done_testing();
