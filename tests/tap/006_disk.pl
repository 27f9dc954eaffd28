# 006_disk.pl
#	  A cache directory that is full, or cannot be written to, is an ERROR that says so,
#	  and the session goes on.
#
# PoCL and its compiler, on a full disk, end the process: aloud, or without a word.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use PostgreSQL::Test::Utils;
use SmallDisk;
use Test::More;

my $temporary = PostgreSQL::Test::Utils::tempdir;
my $embed = "SELECT array_length(bert_embed('tiny', 'hello'), 1)";

# ---- not writable ----

my $node = BertTest->create('disk');
mkdir "$temporary/closed";
chmod 0500, "$temporary/closed";
my $session = $node->session;

like($session->try("SET bert.cache_directory = '$temporary/closed'; $embed"),
	qr/ERROR:  42501:/, 'a directory that the server may not write to: an error');
is($session->query('RESET bert.cache_directory'), '', 'the session goes on');

# ---- files may not grow ----

# 33,000 blocks of 512 bytes: enough for the server's own files, not for the model's pack.
SKIP:
{
	skip 'the model ' . MINILM . ' is not there', 6 unless -e minilm_directory() . '/' . MINILM;
	$node->stop;
	$node->{bert_wrapper} = [ 'sh', '-c', 'ulimit -f 33000; exec "$@"', 'sh' ];
	$node->start;
	$session = $node->session;
	$session->query("SET bert.model_directory = '@{[minilm_directory()]}'");
	for (1 .. 2)
	{
		like($session->try("SELECT bert_token_count('@{[MINILM]}', 'hello')"),
			qr/ERROR:  \w+:.*cache.*File too large/, 'a pack that cannot be written: an error');
	}
	is($session->query('SELECT 1'), 1, 'the session goes on');
	is(join(' ', $node->cache_files(qr/tmp\d/)), '', 'nothing half-written is left');
	is($node->sql($embed), 32, 'a smaller model is no problem');
	$node->stop;
	$node->{bert_wrapper} = undef;
	$node->start;
	is( $node->sql("SET bert.model_directory = '@{[minilm_directory()]}';
			SELECT bert_token_count('@{[MINILM]}', 'hello')"),
		3, 'with the limit gone, the larger one works');
}

# ---- full ----

SKIP:
{
	my $disk = SmallDisk->new;

	skip 'there is no small disk', 8 unless defined $disk;
	$node->stop;
	$node->append_conf('postgresql.conf', "bert.cache_directory = '@{[$disk->cache_directory]}'");
	$node->{bert_wrapper} = $disk->wrapper;
	$node->start;
	$session = $node->session;
	$disk->leave($session, 20 * 1024);
	like($session->try("SELECT bert_token_count('tiny', 'hello')"),
		qr/ERROR:  53100: not enough disk space.*HINT/s,
		'no room for a pack: an error with a hint');
	$disk->leave($session, 40 * 1024);
	is($session->query("SELECT bert_token_count('tiny', 'hello')"), 3, 'the session goes on');
	like($session->try($embed),
		qr/ERROR:  53100: not enough disk space/, 'no room to compile in: an error');
	is($session->query('SELECT 1'), 1, 'the session goes on');
	$disk->leave($session, 1024 * 1024);
	is($session->query($embed), 32, 'with room, it works');
	$disk->leave($session, 0);
	is($session->query("SELECT array_length(bert_embed('tiny', 'another text'), 1)"),
		32, 'what is open needs no room');
	like($node->sql($embed), qr/ERROR:  53100/, 'a new session does: an error');
	$disk->leave($session, 1024 * 1024);
	is($node->sql($embed), 32, 'with room, it works');
	$node->stop;    # before its disk goes
}

$node->finish;
done_testing();
