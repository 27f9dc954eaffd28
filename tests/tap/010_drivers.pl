# 010_drivers.pl
#	  Drivers that crash, leave, hang or are not there: an ERROR, or a row of bert_devices()
#	  with the reason. The server lives.
#
# The drivers are made here, from a few lines of C. They do what they do when the ICD
# loader asks them for their platforms.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Test::More;

my $temporary = PostgreSQL::Test::Utils::tempdir;
my $vendors = "$temporary/vendors";
my $report = "$temporary/report";
my ($pocl) = glob '/etc/OpenCL/vendors/pocl*.icd';
my $embed = "SELECT array_length(bert_embed('tiny', 'hello'), 1)";

sub make_driver
{
	my ($name, $what_it_does) = @_;

	write_file("$temporary/$name.c", <<"C");
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
platforms(unsigned n, void **ids, unsigned *n_found)
{
	$what_it_does
	return -1001;
}

void *
clGetExtensionFunctionAddress(const char *name)
{
	return strcmp(name, "clIcdGetPlatformIDsKHR") == 0 ? (void *) platforms : NULL;
}
int clIcdGetPlatformIDsKHR(unsigned n, void **ids, unsigned *n_found)
{
	return platforms(n, ids, n_found);
}
int clGetPlatformInfo(void) { return -30; }
C
	system_or_bail('cc', '-shared', '-fPIC', '-o', "$temporary/$name.so", "$temporary/$name.c");
	write_file("$vendors/$name.icd", "$temporary/$name.so\n");
	return;
}

plan skip_all => 'PoCL is not installed' unless defined $pocl;
plan skip_all => 'there is no C compiler' if system('command -v cc > /dev/null') != 0;
mkdir $vendors;
make_driver('aborts', 'abort();');
make_driver('leaves', 'exit(3);');
make_driver('reports', <<"C");
	FILE *file = fopen("$report", "w");
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[256];

	while ((entry = readdir(dir)) != NULL)
	{
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, target, 255);

		int fd = atoi(entry->d_name);

		if (length > 0 && fd != dirfd(dir) && fd != fileno(file))
			fprintf(file, "%s %.*s\\n", entry->d_name, (int) length, target);
	}
	fclose(file);
C
write_file("$vendors/missing.icd", "$temporary/no-such-library.so\n");
write_file("$vendors/nonsense.icd", "$temporary/nonsense.so\n");
write_file("$temporary/nonsense.so", 'not a library');
write_file("$vendors/nothing.icd", '');
copy($pocl, "$vendors/zzz-pocl.icd");

# ---- one good driver among bad ones ----

my $node = BertTest->create('drivers', env => { OCL_ICD_VENDORS => $vendors });
my $devices = $node->sql('SELECT platform, chosen, reason FROM bert_devices()');
like($devices, qr/^aborts\.icd\|f\|.*was terminated by signal 6/m,
	'a driver that aborts: a row, with the reason');
like($devices, qr/^leaves\.icd\|f\|.*exited with status 3/m,
	'one that calls exit(): the same');
unlike($devices, qr/^(missing|nonsense|nothing)/m, 'one that is not there has no devices');
like($devices, qr/^Portable Computing Language\|t\|/m, 'PoCL is chosen');
is($node->sql($embed), 32, 'and works');
my @descriptors = split /\n/, file_content($report);
is(join(' ', map { (split ' ')[0] } @descriptors), '0 1 2', 'a helper has three descriptors');
is(join(' ', grep { !m{/dev/null|pipe:} } @descriptors), '', "none of them is the server's");
is(join(' ', map { /^1 pipe:(\S+)/ } @descriptors),
	join(' ', map { /^2 pipe:(\S+)/ } @descriptors), 'what it says goes one way');

# ---- which device ----

like($node->sql("SET bert.device = 'quantum'; $embed"),
	qr/ERROR:  58000:.*DETAIL:.*Portable.*HINT/s,
	'a device that is not there: an error that lists what is');
is($node->sql("SET bert.device = 'cpu'; $embed"), 32, 'a kind of device');
like($node->sql("SET bert.device = 'gpu'; $embed"),
	qr/ERROR:  58000/, 'a kind that is not there');

my $session = $node->session;
my $another = "SELECT array_length(bert_embed('tiny', 'another text'), 1)";
$session->query($embed);
$session->query("SET bert.device = 'gpu'");
like($session->try($another), qr/ERROR:  58000/, 'a session that has another: an error, too');
$session->query("SET bert.device = 'cpu'");
is($session->query($another), 32, 'and back');

# ---- a driver that hangs ----

make_driver('hangs', 'for (;;) pause();');
$session = $node->session;
$session->query("SET statement_timeout = '1s'");
my $outcome;
my $time = milliseconds(sub { $outcome = $session->try('SELECT * FROM bert_devices()') });
like($outcome, qr/57014/, 'a driver that hangs: a timeout');
cmp_ok($time, '<', 3_000, 'in time');
unlink "$vendors/hangs.icd";
is($node->sql($embed), 32, 'without it all is well');
$node->stop;

# ---- no driver at all ----

unlink glob "$vendors/*";
$node->start;
$session = $node->session;
for (1 .. 2)
{
	like($session->try($embed),
		qr/ERROR:  58000: there is no OpenCL device\n.*HINT:.*pocl-opencl-icd/s,
		'no driver at all: an error that names the package');
}
is($session->query('SELECT count(*) FROM bert_devices()'), 0, 'there are no devices');
is($session->query("SELECT bert_token_count('tiny', 'hello')"), 3, 'tokens need none');
$node->stop;

# The ICD loader's library cannot be loaded: as good as not there.
copy($pocl, "$vendors/pocl.icd");
mkdir "$temporary/lib";
write_file("$temporary/lib/libOpenCL.so.1", 'not a library');
$node->{bert_env}{LD_LIBRARY_PATH} = "$temporary/lib";
$node->start;
like($node->sql($embed), qr/ERROR:  58000:.*ocl-icd-libopencl1.*HINT/s,
	'no OpenCL loader: an error that names the package');
is($node->sql("SELECT bert_token_count('tiny', 'hello')"), 3, 'tokens need none');
$node->stop;
delete $node->{bert_env}{LD_LIBRARY_PATH};

# ---- no helper ----

# The library alone, in a place where the helper is not.
copy(library_directory() . '/bert.so', "$temporary/lonely.so");
$node->start;
$node->forget_cache;
like($node->sql(<<"SQL"), qr/ERROR:  58000: the helper program of bert cannot be run.*HINT/s,
CREATE DATABASE lonely;
\\c lonely
CREATE FUNCTION lonely_cls(text, text, boolean, boolean) RETURNS real[]
	AS '$temporary/lonely', 'bert_sql_cls' LANGUAGE C IMMUTABLE STRICT;
SELECT lonely_cls('tiny', 'hello', true, false)
SQL
	'no helper: an error with a hint');

# ---- declarations of another version ----

like($node->sql(<<"SQL"), qr/ERROR:  42P13: function is declared with other arguments/, 'an old declaration');
CREATE FUNCTION old_embed(text, text) RETURNS real[]
	AS '\$libdir/bert', 'bert_sql_embed' LANGUAGE C IMMUTABLE STRICT;
SELECT old_embed('tiny', 'hello')
SQL
is($node->sql($embed), 32, 'the server lives');

$node->finish;
done_testing();
