#!/usr/bin/perl
#
# compare.pl
#	  How far are the vectors or ids on standard input from the golden ones?
#
#	psql -XAtF "$(printf '\t')" -c "SELECT name, bert_embed(text) FROM golden WHERE second IS NULL" |
#		tests/golden/compare.pl embedding tests/golden/all-MiniLM-L6-v2.tsv
#
# A line of input is a name, a tab and a value: for embedding, cls and pooled a vector
# as real[] or as base64 of little-endian float32, for ids a list such as {101,102} or
# 101,102. Names can come in any order, but all must come. Exit status 1 says that
# something is missing or further away than the project allows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../tap";
use GoldenVectors qw(read_golden distance);

use constant MAX_TOKENS => 256;    # of all-MiniLM-L6-v2

my ($kind, $file) = @ARGV;
die "usage: compare.pl embedding|cls|pooled|ids GOLDEN.tsv < ROWS\n"
  if @ARGV != 2 || $kind !~ /^(embedding|cls|pooled|ids)$/;

my @golden = read_golden($file);
my %found = map { chomp; split /\t/, $_, 2 } <STDIN>;
exit !($kind eq 'ids' ? compare_ids() : compare_vectors());

sub compare_vectors
{
	my $result = distance(\@golden, $kind, \%found);

	printf "%s: %d vectors, max abs difference %.2e%s, min cosine %.9f%s\n", $kind,
	  $result->{count},
	  $result->{max_abs_diff}, at($result->{max_abs_diff_at}),
	  $result->{min_cosine}, at($result->{min_cosine_at});
	print "missing: @{ $result->{missing} }\n" if @{ $result->{missing} };
	print $result->{ok} ? "within the limits\n" : "NOT within the limits\n";
	return $result->{ok};
}

# bert_tokenize() takes no pairs, so pairs need not come.
sub compare_ids
{
	my @expected = grep { !defined $_->{second} || defined $found{ $_->{name} } } @golden;
	my @different;

	for my $expected (@expected)
	{
		my @golden_ids = @{ $expected->{ids} };
		my $ids = ids_cut($found{ $expected->{name} } // 'missing', scalar @golden_ids);
		push @different, "$expected->{name}\n  golden @golden_ids\n  found  $ids\n"
		  if $ids ne "@golden_ids";
	}
	printf "ids: %d texts, %d different\n", scalar @expected, scalar @different;
	print @different;
	return !@different && @expected > 0;
}

# "1 2 3" from "{1,2,3}" or "1,2,3". bert_tokenize() never cuts: where the golden ids
# were cut, so is this list, its last token kept.
sub ids_cut
{
	my ($list, $max) = @_;
	my @ids = split /,/, $list =~ tr/{}//dr;

	splice @ids, $max - 1, @ids - $max if $max == MAX_TOKENS && @ids > $max;
	return "@ids";
}

sub at
{
	my ($name) = @_;

	return defined $name ? " at $name" : '';
}
