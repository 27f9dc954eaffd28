# GoldenVectors.pm
#	  Read the golden vectors (tests/golden) and say how far other vectors are from
#	  them.
#
# A vector is an array reference of numbers. Outside of this module it is written in
# one of two ways, and vector() reads both: base64 of little-endian float32, as the
# golden files have it, and {0.1,-2.5e-3}, as psql prints a real[]. With
# extra_float_digits at its default psql prints enough digits for every bit.
#
# A caller that has a server needs only COPY to load the texts; see README.md there.
package GoldenVectors;

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);
use MIME::Base64 qw(decode_base64);

our @EXPORT_OK = qw(read_golden vector float_list max_abs_diff cosine distance length_of
  largest quantile MAX_ABS_DIFF MIN_COSINE);

# What the project promises for float32. The goldens, computed in float32 too, are
# themselves up to 1.3e-6 from float64.
use constant MAX_ABS_DIFF => 1e-5;
use constant MIN_COSINE => 0.999999;

my @COLUMNS = qw(name text second ids embedding cls pooled);

# COPY's text format, as far as make_embeddings.py writes it.
my %UNESCAPED = (
	'\\' => '\\',
	t => "\t",
	n => "\n",
	r => "\r",
	b => "\b",
	f => "\f",
	v => "\x0b");

# A golden file as a list of { name, text, second, ids, embedding, cls, pooled }, in
# the file's order. Texts are UTF-8 bytes, ids an array reference, vectors still
# base64; undef stands for NULL.
sub read_golden
{
	my ($file) = @_;

	open my $in, '<:raw', $file or die "could not open \"$file\": $!\n";
	my @golden;
	while (my $line = <$in>)
	{
		push @golden, _golden_line($line, "\"$file\", line $.,");
	}
	close $in;
	return @golden;
}

sub _golden_line
{
	my ($line, $where) = @_;

	chomp $line;
	my @fields = map { _unescape($_) } split /\t/, $line, -1;
	die "$where has " . @fields . " columns instead of " . @COLUMNS . "\n"
	  if @fields != @COLUMNS;
	my %golden;
	@golden{@COLUMNS} = @fields;
	$golden{ids} = [ split /,/, $golden{ids} ];
	return \%golden;
}

sub _unescape
{
	my ($field) = @_;

	return undef if $field eq '\N';
	$field =~ s/\\(.)/$UNESCAPED{$1} \/\/ die "unknown escape \\$1\n"/ge;
	return $field;
}

# A vector from either of its spellings. Of a real[][] it makes one row after the other.
sub vector
{
	my ($written) = @_;

	return [ split /,/, $written =~ tr/{}//dr ] if $written =~ /^\{/;
	return float_list($written);
}

sub float_list
{
	my ($base64) = @_;

	return [ unpack 'f<*', decode_base64($base64) ];
}

# The largest |x[i] - y[i]|. NaN in either of them counts as infinitely far.
sub max_abs_diff
{
	my ($x, $y) = _same_length(@_);
	my @differences = map { abs($x->[$_] - $y->[$_]) } 0 .. $#$x;

	return 9**9**9 if grep { $_ != $_ } @differences;
	return max(0, @differences);
}

sub length_of
{
	my ($x) = @_;

	return sqrt _dot($x, $x);
}

# The largest |x[i]|.
sub largest
{
	my ($x) = @_;

	return max(0, map { abs } @$x);
}

# Of the numbers, in order, the one that comes after this part of them; 0.5: the median.
sub quantile
{
	my ($part, @numbers) = @_;
	my @sorted = sort { $a <=> $b } @numbers;

	return $sorted[ int($part * $#sorted + 0.5) ];
}

# 0 where an angle makes no sense: a vector of zeros, or with NaN.
sub cosine
{
	my ($x, $y) = _same_length(@_);
	my $norms = sqrt(_dot($x, $x) * _dot($y, $y));

	return $norms > 0 ? _dot($x, $y) / $norms : 0;
}

sub _dot
{
	my ($x, $y) = @_;

	return sum0(map { $x->[$_] * $y->[$_] } 0 .. $#$x);
}

sub _same_length
{
	my ($x, $y) = @_;

	die "cannot compare " . @$x . " numbers with " . @$y . "\n" if @$x != @$y;
	return ($x, $y);
}

# How far many vectors are from the goldens: $found is { name => written vector },
# $kind is embedding, cls or pooled. Every golden that has this kind must be among
# those found. Returns { count, missing => [names], max_abs_diff, max_abs_diff_at,
# min_cosine, min_cosine_at, ok }, ok by the limits above.
sub distance
{
	my ($golden, $kind, $found) = @_;
	my %result = (count => 0, missing => [], max_abs_diff => 0, min_cosine => 1);

	for my $expected (grep { defined $_->{$kind} } @$golden)
	{
		my $name = $expected->{name};
		if (defined $found->{$name})
		{
			_add_pair(\%result, $name, vector($found->{$name}), vector($expected->{$kind}));
		}
		else
		{
			push @{ $result{missing} }, $name;
		}
	}
	$result{ok} =
		 $result{count} > 0
	  && !@{ $result{missing} }
	  && $result{max_abs_diff} <= MAX_ABS_DIFF
	  && $result{min_cosine} >= MIN_COSINE;
	return \%result;
}

sub _add_pair
{
	my ($result, $name, @vectors) = @_;
	my $difference = max_abs_diff(@vectors);
	my $cosine = cosine(@vectors);

	$result->{count}++;
	@$result{qw(max_abs_diff max_abs_diff_at)} = ($difference, $name)
	  if $difference > $result->{max_abs_diff};
	@$result{qw(min_cosine min_cosine_at)} = ($cosine, $name)
	  if $cosine < $result->{min_cosine};
	return;
}

1;
