# 003_environment.pl
#	  What surrounds the extension: variables, directories, the postmaster, backups.
#
# Servers that Debian's pg_ctlcluster starts have no PATH and no HOME. PoCL then finds no
# linker, and takes /tmp/pocl, which any user can make before, for a cache from which it
# loads machine code.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $started = time;
my $node = BertTest->create('environment',
	allows_streaming => 1,
	conf => "shared_preload_libraries = '@{[library_directory()]}/bert'");
my $embed = "SELECT array_length(bert_embed('tiny', 'hello'), 1)";
my $temporary = PostgreSQL::Test::Utils::tempdir;

# ---- variables ----

unlike(file_content('/proc/' . $node->pid . '/environ'), qr/^(PATH|HOME)=|\0(PATH|HOME)=/,
	'the server has neither PATH nor HOME');
is($node->sql($embed), 32, 'the first call of all works there');
is($node->sql($embed), 32, 'and the next');

# ---- the postmaster ----

is(scalar threads($node->pid), 1, 'preloaded, it starts no thread in the postmaster');
is(maps_library($node->pid, qr/bert\.so/), 1, 'its library is mapped there');
is(maps_library($node->pid, qr/libOpenCL|libpocl|libLLVM/), 0, 'but no driver is');

# ---- the private cache ----

is(join("\n", grep { is_ours($_) } files_below('/tmp/pocl')),
	'', "nothing of the server's is in /tmp/pocl");
is(mode($node->cache_directory), '0700', 'the cache directory is closed to others');
is(mode($_), '0700', 'as is what it has: ' . (split '/', $_)[-1])
  for grep { -d $_ } glob $node->cache_directory . '/*';

sub is_ours
{
	my ($path) = @_;
	my @status = stat $path;

	return @status && $status[4] == $> && $status[9] >= $started;
}

sub mode
{
	my ($path) = @_;

	return sprintf '%04o', (stat $path)[2] & 07777;
}

# What a model's tokenizer needs is in the cache, too.
sub outcome_in
{
	my ($directory) = @_;

	return $node->sql(
		"SET bert.cache_directory = '$directory'; SELECT bert_token_count('tiny', 'hello')");
}

mkdir "$temporary/open";
chmod 0777, "$temporary/open";
mkdir "$temporary/group";
chmod 0750, "$temporary/group";
mkdir "$temporary/private";
chmod 0700, "$temporary/private";
symlink "$temporary/private", "$temporary/link";
write_file("$temporary/file", '');
mkdir "$temporary/inner";
chmod 0700, "$temporary/inner";
mkdir "$temporary/inner/programs";
chmod 0777, "$temporary/inner/programs";

my %faults = (
	open => qr/Other users have access/,
	group => qr/Other users have access/,
	link => qr/not a directory/,
	file => qr/not a directory/,
	inner => qr/Other users have access/);
foreach my $name (sort keys %faults)
{
	my $outcome = outcome_in("$temporary/$name");

	like($outcome, qr/ERROR:  42501:.*$faults{$name}.*HINT/s, "refused as a cache: $name");
	unlike($outcome, qr/\Q$temporary\E/, 'without telling its path');
}
like(outcome_in('/usr'), qr/ERROR:  42501:.*belongs to another user/s,
	'refused as a cache: what is not ours');
like(outcome_in("$temporary/no/such"), qr/ERROR:  58P01/, 'what cannot be made is an error');
is(outcome_in("$temporary/private"), 3, 'a private directory is taken');
is(outcome_in("$temporary/new"), 3, 'and one is made where there is none');
is($node->sql($embed), 32, 'the server lives');

# ---- what PoCL leaves behind ----

my ($pocl) = map { m{^(.*/programs/[^/]+/pocl)/} } $node->cache_files(qr{/programs/.*/pocl/});
ok(defined $pocl, "the driver's own cache is in ours");
write_file("$pocl/tempfile_old", '');
utime 1, 1, "$pocl/tempfile_old";
write_file("$pocl/tempfile_new", '');
$node->sql($embed);
ok(!-e "$pocl/tempfile_old", 'old temporary files are swept away');
ok(-e "$pocl/tempfile_new", 'what may be in use is not');

# ---- base backups ----

my $backup = $node->backup_dir . '/one';
$node->command_ok([ 'pg_basebackup', '-D', $backup, '-c', 'fast', '-X', 'none' ],
	'a base backup can be made');
is(join(' ', files_below("$backup/pgsql_tmp.bert")), '', 'and has nothing of the cache');
ok(-e "$backup/PG_VERSION", 'though all else');

# ---- model directories that are not what they seem ----

my $models = $node->{bert_models};
copy_tree("$models/tiny", "$temporary/outside");
symlink "$temporary/outside", "$models/escape";
copy_tree("$models/tiny", "$models/partly");
unlink "$models/partly/model.safetensors";
symlink "$temporary/outside/model.safetensors", "$models/partly/model.safetensors";
copy_tree("$models/tiny", "$models/pipe");
unlink "$models/pipe/config.json";
system_or_bail('mkfifo', "$models/pipe/config.json");
foreach my $model (qw(escape partly pipe))
{
	my $outcome = $node->sql("SET statement_timeout = '5s'; SELECT bert_embed('$model', 'x')");

	like($outcome, qr/ERROR:  \w+: .*"$model"/, "refused as a model: $model");
	unlike($outcome, qr/\Q$temporary\E|\Q$models\E|statement timeout/, 'without telling a path');
}
like($node->sql("SELECT bert_embed('$_', 'x')"), qr/ERROR:  22023/, "no name of a model: $_")
  for '../tiny', '/etc', 'tiny/../tiny', '.', '..', '.hidden', '', 'a' x 64;

$node->finish;
done_testing();
