# BertSession.pm
#	  A psql that stays open: statements can be sent without waiting for their end.
#
#	my $session = BertSession->new($connection_string);
#	my $rows = $session->query('SELECT 1');     dies on an ERROR
#	$session->send('SELECT pg_sleep(10)');      returns at once
#	kill INT => $session->pid;
#	my $outcome = $session->outcome;            rows, or what went wrong
#
# An outcome is what psql printed: rows, or the server's ERROR with its SQLSTATE, detail
# and hint (VERBOSITY verbose), or "connection lost" with the server's last words.
package BertSession;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;

my $end_of_statement = 'end of statement';

sub new
{
	my ($class, $connection) = @_;
	my $self = bless { in => '', out => '', err => '' }, $class;

	$self->{timeout} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
	$self->{psql} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $connection, '-f', '-' ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timeout});
	$self->{pid} = $self->query('SELECT pg_backend_pid()');
	return $self;
}

# Of the backend.
sub pid
{
	my ($self) = @_;

	return $self->{pid};
}

sub send
{
	my ($self, $sql) = @_;

	$self->{out} = $self->{err} = '';
	$self->{timeout}->start;
	$self->{in} .= "$sql;\n\\echo $end_of_statement\n\\warn $end_of_statement\n";
	$self->{psql}->pump_nb;
	return;
}

sub outcome
{
	my ($self) = @_;

	while (!$self->at_end && $self->{psql}->pumpable)
	{
		eval { $self->{psql}->pump; 1 } or last;    # psql has ended with its connection
	}
	die 'the statement took too long' if $self->{timeout}->is_expired;
	my $lost = !$self->at_end;
	s/\Q$end_of_statement\E\n// for $self->{out}, $self->{err};
	return "connection lost: $self->{err}" if $lost;
	return $self->{err} if $self->{err} =~ /ERROR:|FATAL:/;
	$self->{notices} = $self->{err};
	chomp(my $rows = $self->{out});
	return $rows;
}

sub at_end
{
	my ($self) = @_;

	return $self->{out} =~ /$end_of_statement\n/ && $self->{err} =~ /$end_of_statement\n/;
}

# Whether the outcome is there, without waiting for it.
sub is_done
{
	my ($self) = @_;

	return !eval { $self->{psql}->pump_nb; 1 } || $self->at_end;
}

# An ERROR is an outcome like another.
sub try
{
	my ($self, $sql) = @_;

	$self->send($sql);
	return $self->outcome;
}

sub query
{
	my ($self, $sql) = @_;
	my $rows = $self->try($sql);

	die "\"$sql\": $rows" if $rows =~ /ERROR:|FATAL:|^connection lost/;
	return $rows;
}

# What came with the last statement's rows: WARNINGs and the like.
sub notices
{
	my ($self) = @_;

	return $self->{notices} // '';
}

sub quit
{
	my ($self) = @_;

	$self->{in} .= "\\q\n";
	eval { $self->{psql}->finish };
	return;
}

1;
