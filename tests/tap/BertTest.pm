# BertTest.pm
#	  A server that has the extension, as tests of processes and failures want it.
#
# A PostgreSQL::Test::Cluster with these differences:
#
#	- it is started with an empty environment, as Debian's pg_ctlcluster does: a PATH or
#	  HOME that the tester has would hide what happens without;
#	- a crash is not recovered from (restart_after_crash = off), so none goes unnoticed;
#	- finish() stops it and looks through its log: no process may have died of a signal,
#	  and there may be no WARNING.
#
# What the tests take from the environment, all of it optional:
#
#	BERT_TEST_MODELS      directory with all-MiniLM-L6-v2; default: below the share directory
#	BERT_TEST_DESTDIR     where "make install DESTDIR=..." has put the extension, for a
#	                      server that knows extension_destdir (Debian's do)
#	BERT_TEST_SMALL_DISK  a small file system, see SmallDisk.pm
#
# Most tests use a tiny model with random weights: what they look at does not depend on it.
package BertTest;

use strict;
use warnings;

use BertSession;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(run_command slurp_file system_log system_or_bail);
use Test::More;
use Time::HiRes qw(sleep time);

our @ISA = qw(PostgreSQL::Test::Cluster);
our @EXPORT = qw(is_developer_build skip_unless_developer_build skip_unless_minilm
  minilm_directory make_model copy_tree library_directory file_content write_file
  files_below private_kb threads n_descriptors process_status maps_library children
  descendants is_running wait_until milliseconds MINILM);

use constant MINILM => 'all-MiniLM-L6-v2';

my $tests = abs_path(dirname(__FILE__) . '/..');

# ---- what is installed ----

sub config
{
	my ($what) = @_;
	my ($stdout) = run_command([ 'pg_config', "--$what" ]);

	return $stdout;
}

sub library_directory
{
	return ($ENV{BERT_TEST_DESTDIR} // '') . config('pkglibdir');
}

# Built with DEVELOPER=1: with the setting bert.without.
sub is_developer_build
{
	return file_content(library_directory() . '/bert.so') =~ /bert\.without/;
}

sub skip_unless_developer_build
{
	plan skip_all => 'needs a build with DEVELOPER=1' unless is_developer_build();
	return;
}

sub minilm_directory
{
	return $ENV{BERT_TEST_MODELS} // config('sharedir') . '/bert';
}

sub skip_unless_minilm
{
	plan skip_all => 'the model ' . MINILM . ' is not in ' . minilm_directory()
	  unless -e minilm_directory() . '/' . MINILM . '/config.json';
	return;
}

# ---- the server ----

# create(NAME, models => DIRECTORY, conf => TEXT, encoding => NAME, env => {...},
#		 start => 0): a running server with the extension in the database postgres.
# Without "models" it has one tiny model called "tiny".
sub create
{
	my ($class, $name, %options) = @_;
	my $self = $class->new($name);

	$self->init(
		allows_streaming => $options{allows_streaming},
		extra => [ '--encoding', $options{encoding} // 'UTF8', '--no-locale' ]);
	$self->{bert_env} = $options{env} // {};
	$self->{bert_models} = $options{models} // $self->tiny_models;
	$self->append_conf('postgresql.conf', <<"EOF");
restart_after_crash = off
log_statement = none
jit = off
max_connections = 40
bert.model_directory = '$self->{bert_models}'
bert.truncate = silent
EOF
	$self->append_conf('postgresql.conf', "extension_destdir = '$ENV{BERT_TEST_DESTDIR}'")
	  if $ENV{BERT_TEST_DESTDIR};
	$self->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	return $self unless $options{start} // 1;
	$self->start;
	$self->safe_psql('postgres', 'CREATE EXTENSION bert');
	return $self;
}

sub tiny_models
{
	my ($self) = @_;
	my $models = $self->basedir . '/models';

	mkdir $models;
	make_model("$models/tiny");
	return $models;
}

# As pg_ctlcluster starts it: with the variables that $self->{bert_env} has, and no other.
# {bert_wrapper}: a command that runs the command which follows, as env(1) does.
sub start
{
	my ($self, %options) = @_;
	my $pg_ctl = config('bindir') . '/pg_ctl';
	my $env = $self->{bert_env} // {};
	my @variables = map { "$_=$env->{$_}" } sort keys %$env;
	my @command = (
		'env', '-i', @variables, $pg_ctl, '-w', '-D', $self->data_dir, '-l',
		$self->logfile, '-o', '--cluster-name=' . $self->name, 'start');

	unshift @command, @{ $self->{bert_wrapper} // [] };
	if (system_log(@command) != 0)
	{
		print slurp_file($self->logfile);
		$self->_update_pid(-1);
		BAIL_OUT('pg_ctl start failed') unless $options{fail_ok};
		return 0;
	}
	$self->_update_pid(1);
	return 1;
}

sub restart
{
	my ($self) = @_;

	$self->stop;
	return $self->start;
}

# The end of every test file. expected => REGEX: warnings that are meant to be.
sub finish
{
	my ($self, %options) = @_;
	my $expected = $options{expected};

	$self->stop;
	my @lines = grep { /process \(PID \d+\) was terminated|PANIC:|TRAP:|LLVM ERROR|POCL|WARNING:/ }
	  split /\n/, slurp_file($self->logfile);
	@lines = grep { $_ !~ $expected } @lines if defined $expected;
	is(join("\n", @lines),
		'', $self->name . ': its log has no crash, no panic, no unexpected warning');
	return;
}

# That a process dies of a signal, which ends this server, is what a test expects.
sub crashes
{
	my ($self, $seconds) = @_;

	return wait_until(
		sub { slurp_file($self->logfile) =~ /was terminated by signal/ }, $seconds // 5);
}

# Behind a crash: whatever is left is ended, nothing asserted.
sub abandon
{
	my ($self) = @_;

	$self->stop('immediate', fail_ok => 1);
	wait_until(sub { !-e $self->data_dir . '/postmaster.pid' }, 10);
	$self->{_pid} = undef;
	return;
}

# Of the postmaster.
sub pid
{
	my ($self) = @_;

	return $self->{_pid};
}

# ---- SQL ----

sub session
{
	my ($self, $database) = @_;

	return BertSession->new($self->connstr($database // 'postgres'));
}

# A statement in a connection of its own: its rows, or the ERROR with all its fields.
sub sql
{
	my ($self, $sql, $database) = @_;
	my $session = $self->session($database);
	my $outcome = $session->try($sql);

	$session->quit;
	return $outcome;
}

# What a driver does to a process depends on its release: PoCL 3.1 does the worst.
sub driver_version
{
	my ($self) = @_;

	return $self->sql('SELECT driver_version FROM bert_devices() WHERE chosen');
}

# Statements, each in a connection of its own, all at once; their outcomes in order.
sub at_once
{
	my ($self, $statements, @databases) = @_;
	my @sessions = map { $self->session($databases[ $_ % (@databases || 1) ]) }
	  0 .. $#$statements;

	$sessions[$_]->send($statements->[$_]) for 0 .. $#$statements;
	my @outcomes = map { $_->outcome } @sessions;
	$_->quit for @sessions;
	return @outcomes;
}

# ---- its cache and log ----

sub cache_directory
{
	my ($self) = @_;

	return $self->data_dir . '/pgsql_tmp.bert';
}

# Files of the cache that match REGEX, sorted.
sub cache_files
{
	my ($self, $regex) = @_;

	return grep { $_ =~ $regex } files_below($self->cache_directory);
}

sub forget_cache
{
	my ($self) = @_;

	remove_tree($self->cache_directory);
	return;
}

sub log_position
{
	my ($self) = @_;

	return -s $self->logfile;
}

sub log_since
{
	my ($self, $position) = @_;

	return slurp_file($self->logfile, $position);
}

# ---- models and files ----

sub make_model
{
	my ($directory, @options) = @_;

	system_or_bail('perl', "$tests/make_tiny_model.pl", @options, $directory);
	return;
}

sub copy_tree
{
	my ($from, $to) = @_;

	system_or_bail('cp', '-R', $from, $to);
	return;
}

sub file_content
{
	my ($path) = @_;

	open my $file, '<:raw', $path or die "could not open \"$path\": $!";
	local $/;
	return <$file>;
}

sub write_file
{
	my ($path, $content) = @_;

	open my $file, '>:raw', $path or die "could not open \"$path\": $!";
	print $file $content;
	close $file or die "could not write \"$path\": $!";
	return;
}

sub files_below
{
	my ($path) = @_;

	opendir(my $dir, $path) or return ();
	my @names = sort grep { !/^\.\.?$/ } readdir $dir;
	closedir $dir;
	return map { -d "$path/$_" && !-l "$path/$_" ? files_below("$path/$_") : "$path/$_" }
	  @names;
}

# ---- processes ----

# Memory that a process shares with nobody, in KB: its heap, and relocations of libraries.
# Not what it maps shared, which counts as private while nobody else happens to map it.
sub private_kb
{
	my ($pid) = @_;
	my ($sum, $is_shared) = (0, 0);

	foreach my $line (split /\n/, file_content("/proc/$pid/smaps"))
	{
		$is_shared = $1 eq 's' if $line =~ /^[0-9a-f]+-[0-9a-f]+ ...([ps])/;
		$sum += $1 if !$is_shared && $line =~ /^Private_Dirty:\s+(\d+)/;
	}
	return $sum;
}

sub threads
{
	my ($pid) = @_;

	return map { m{(\d+)$} } glob "/proc/$pid/task/*";
}

sub n_descriptors
{
	my ($pid) = @_;

	return scalar(() = glob "/proc/$pid/fd/*");
}

# A line of the status file of a process, or of one of its threads: "SigCgt".
sub process_status
{
	my ($pid, $name, $thread) = @_;
	my $path = defined $thread ? "/proc/$pid/task/$thread/status" : "/proc/$pid/status";
	my $status = eval { file_content($path) } // '';    # it may have gone

	return $status =~ /^$name:\s+(.*)$/m ? $1 : undef;
}

sub maps_library
{
	my ($pid, $name) = @_;

	return file_content("/proc/$pid/maps") =~ /$name/ ? 1 : 0;
}

sub children
{
	my ($pid) = @_;
	my $path = "/proc/$pid/task/$pid/children";

	return -r $path ? split(' ', file_content($path)) : ();
}

sub descendants
{
	my ($pid) = @_;

	return map { ($_, descendants($_)) } children($pid);
}

sub is_running
{
	my ($pid) = @_;

	return (process_status($pid, 'State') // 'Z') !~ /^Z/;
}

# ---- time ----

sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);

	while (time < $end)
	{
		return 1 if $condition->();
		sleep 0.02;
	}
	return 0;
}

sub milliseconds
{
	my ($what) = @_;
	my $begin = time;

	$what->();
	return 1000 * (time - $begin);
}

1;
