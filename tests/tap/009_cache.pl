# 009_cache.pl
#	  The cache may be damaged, deleted or outdated at any time: what was lost is made
#	  again, and the vectors stay the same.
#
# PoCL aborts on a file that it cannot load. So files are compared with checksums before
# it sees them.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use File::Path qw(remove_tree);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = BertTest->create('cache');
my $models = $node->{bert_models};
my $embed = "SELECT md5(bert_embed('tiny', 'hello world')::text)";
my $vector = $node->sql($embed);
like($vector, qr/^[0-9a-f]{32}$/, 'there is a vector to compare with');

# ---- damage ----

sub flip
{
	my ($path) = @_;
	my $content = file_content($path);

	substr($content, length($content) / 2, 1) ^= "\xff";
	write_file($path, $content);
	return;
}

sub cut
{
	my ($path) = @_;

	return truncate $path, (-s $path) / 2;
}

sub empty
{
	my ($path) = @_;

	return truncate $path, 0;
}

sub replace_by_link
{
	my ($path) = @_;

	rename $path, "$path.moved";
	return symlink "$path.moved", $path;
}

my %damages = (
	'a byte flipped' => \&flip,
	'cut short' => \&cut,
	'empty' => \&empty,
	'gone' => sub { unlink $_[0] },
	'a link' => \&replace_by_link);

# In every file that matches: the next session makes it again, or does without.
sub survives
{
	my ($what, $regex, @damages) = @_;

	foreach my $damage (@damages)
	{
		my @files = $node->cache_files($regex);

		$damages{$damage}->($_) for @files;
		is(@files > 0 && $node->sql($embed), $vector, "$what: $damage");
	}
	return;
}

survives('pack', qr/\.pack$/, sort keys %damages);
survives('index of packs', qr{/models/}, sort keys %damages);
survives('list of devices', qr{/devices/[0-9a-f]+$}, sort keys %damages);
survives('finished program', qr/\.program$/, 'a byte flipped', 'gone');
survives('manifest', qr/\.manifest$/, 'a byte flipped', 'empty');
survives("driver's machine code", qr{/pocl/.*\.so$}, 'a byte flipped', 'empty', 'gone');
survives('everything', qr/./, 'cut short');
is($node->sql($embed), $vector, 'after which all is well again');

# ---- deleted ----

my $session = $node->session;
$session->query($embed);
$node->forget_cache;
is($session->query("SELECT array_length(bert_embed('tiny', 'another text'), 1)"),
	32, 'a session goes on when the cache is deleted');
is($session->query("SELECT array_length(bert_pooled('tiny', 'another text'), 1)"),
	32, 'with a kernel that it has not used before, too');
cmp_ok(scalar($node->cache_files(qr/\.manifest$/)),
	'==', 1, 'its programs having been made again by the helper');
is($node->sql($embed), $vector, 'others make it again');
make_model("$models/second", '--seed', 2);
$node->forget_cache;
is($session->query("SELECT array_length(bert_embed('second', 'hello'), 1)"),
	32, 'as does the first for another model');

# ---- a model changes ----

my $tiny = $session->query("SELECT bert_embed('tiny', 'hello')");
my $second = $session->query("SELECT bert_embed('second', 'hello')");
my $other = $node->session;
$other->query("SELECT bert_embed('tiny', 'hello')");
isnt($tiny, $second, 'two models differ');

rename "$models/tiny", "$models/first";
rename "$models/second", "$models/tiny";
is($session->query("SELECT bert_embed('tiny', 'hello')"),
	$second, 'another model under an old name: noticed in the next statement');
is($other->query("SELECT bert_embed('tiny', 'hello')"), $second, 'of every session');
is($other->query("SELECT bert_embed('first', 'hello')"), $tiny, 'the old one is found again');
like($session->try("SELECT bert_embed('second', 'hello')"),
	qr/ERROR:  42704:.*"second"/, 'a name that is gone: an error');

# One file of it, replaced as it should be done.
copy_tree("$models/first", "$models/second");
write_file("$models/tiny/new", file_content("$models/first/model.safetensors"));
rename "$models/tiny/new", "$models/tiny/model.safetensors";
is($session->query("SELECT bert_embed('tiny', 'hello')"), $tiny, 'other weights: noticed');

# Another directory.
my $elsewhere = $node->basedir . '/elsewhere';
mkdir $elsewhere;
make_model("$elsewhere/tiny", '--seed', 3);
$session->query("SET bert.model_directory = '$elsewhere'");
isnt($session->query("SELECT bert_embed('tiny', 'hello')"),
	$tiny, 'another model directory: noticed');
$session->query('RESET bert.model_directory');
is($session->query("SELECT bert_embed('tiny', 'hello')"), $tiny, 'and the first one again');

# Half of it, as while it is copied.
my $weights = file_content("$models/first/model.safetensors");
write_file("$models/tiny/model.safetensors", substr $weights, 0, length($weights) / 2);
like($session->try("SELECT bert_embed('tiny', 'hello')"),
	qr/ERROR:.*model\.safetensors/, 'half of the weights: an error that names the file');
like($node->sql("SELECT bert_embed('tiny', 'hello')"),
	qr/ERROR:.*model\.safetensors/, 'of every session');
write_file("$models/tiny/model.safetensors", $weights);
is($session->query("SELECT bert_embed('tiny', 'hello')"), $tiny, 'all of them: it works');

# ---- nothing piles up ----

for my $seed (10 .. 14)
{
	remove_tree("$models/tiny");
	make_model("$models/tiny", '--seed', $seed);
	$session->query("SELECT bert_embed('tiny', 'hello')");
}
# Of tiny, first, second, and tiny elsewhere.
my @packs = $node->cache_files(qr/\.pack/);
cmp_ok(scalar @packs, '<=', 4, 'packs of contents that no model has any more are removed');
is(join(' ', $node->cache_files(qr/\.tmp|\/work\./)), '', 'there are no temporary files');

$node->finish;
done_testing();
