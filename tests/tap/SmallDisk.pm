# SmallDisk.pm
#	  A file system of some megabytes for a server's cache.
#
#	my $disk = SmallDisk->new;                   undef where there can be none
#	$node->{bert_wrapper} = $disk->wrapper;      before the server starts
#	$disk->leave($session, 100);                 fill it, but for 100 KB
#
# Either one that is mounted already, and BERT_TEST_SMALL_DISK names (empty, ours, closed
# to others, 50 MB or so). Or a tmpfs in a mount namespace, inside a user namespace, that
# only the server sees: Linux lets any user have those, unless an administrator or a chroot
# forbids. The server runs in a second user namespace within, as it refuses to be root even
# there.
package SmallDisk;

use strict;
use warnings;

use File::Path qw(remove_tree);
use PostgreSQL::Test::Utils qw(run_command);

use constant MEGABYTES => 50;

sub new
{
	my ($class) = @_;
	my $self = bless { directory => $ENV{BERT_TEST_SMALL_DISK} }, $class;

	return $self if $self->{directory};
	$self->{directory} = PostgreSQL::Test::Utils::tempdir();
	$self->{wrapper} = [ namespaces($self->{directory}) ];
	my ($stdout) = run_command([ @{ $self->{wrapper} }, 'echo', 'possible' ]);
	return $stdout eq 'possible' ? $self : undef;
}

# A command that runs the command which follows, and mounts the disk before.
sub namespaces
{
	my ($directory) = @_;
	my ($user, $group) = ($>, (split ' ', $))[0]);
	my $size = MEGABYTES . 'm';

	return (
		'unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
		"mount -t tmpfs -o size=$size,mode=0700 tmpfs '$directory' && "
		  . "exec unshare --user --map-user=$user --map-group=$group \"\$@\"",
		'sh');
}

sub wrapper
{
	my ($self) = @_;

	return $self->{wrapper};
}

# A directory on it.
sub cache_directory
{
	my ($self) = @_;

	return "$self->{directory}/cache";
}

# Done by the server's shell, as we may not see that disk.
sub leave
{
	my ($self, $session, $kilobytes) = @_;
	my $filler = "$self->{directory}/filler";

	$session->query(<<"SQL");
COPY (SELECT 1) TO PROGRAM \$\$
	rm -f $filler
	free=\$(df --output=avail -k $self->{directory} | tail -n 1)
	if [ \$free -gt $kilobytes ]; then
		head -c \$((free - $kilobytes))K /dev/zero > $filler
	fi
\$\$
SQL
	return;
}

sub DESTROY
{
	my ($self) = @_;

	remove_tree($self->{directory}, { keep_root => 1 }) if $ENV{BERT_TEST_SMALL_DISK};
	return;
}

1;
