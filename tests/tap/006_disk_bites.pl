# 006_disk_bites.pl
#	  Without a look at the disk before, and a helper that compiles, a full disk ends the
#	  session.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use SmallDisk;
use Test::More;

skip_unless_developer_build();
my $disk = SmallDisk->new;
plan skip_all => 'there is no small disk' unless defined $disk;

my $node = BertTest->create('full', start => 0,
	conf => "bert.cache_directory = '@{[$disk->cache_directory]}'\n"
	  . "bert.without = 'helper, preflight'");
$node->{bert_wrapper} = $disk->wrapper;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION bert');
$node->sql("SELECT bert_token_count('tiny', 'hello'), count(*) FROM bert_devices()");

my %outcomes = map { $_ => outcome_with($_) } 50, 100, 150, 200, 300, 400;
ok((grep { /connection lost/ } values %outcomes),
	'a nearly full disk ends a session that compiles by itself');
diag "$_ KB free: " . (split /\n/, $outcomes{$_})[0] for sort { $a <=> $b } keys %outcomes;
$node->abandon;
done_testing();

# Of a first call, with so many KB free.
sub outcome_with
{
	my ($kilobytes) = @_;

	return 'the server is down' unless is_running($node->pid);
	my $session = $node->session;
	$session->query("COPY (SELECT 1) TO PROGRAM 'rm -rf @{[$disk->cache_directory]}/programs'");
	$disk->leave($session, $kilobytes);
	return $session->try("SELECT bert_embed('tiny', 'hello')");
}
