#!/usr/bin/perl
# Write kernel_sources.c: the .cl files named on the command line as C strings.
#
#     embed_kernels.pl kernels/common.cl kernels/cpu/linear.cl > kernel_sources.c
use strict;
use warnings;

sub c_string
{
	my ($line) = @_;

	$line =~ s/(["\\])/\\$1/g;
	$line =~ s/\t/\\t/g;
	return qq(\t\t"$line\\n"\n);
}

print qq(/* Made by scripts/embed_kernels.pl from kernels/: change it there. */\n);
print qq(#include <stddef.h>\n#include "kernel_sources.h"\n\n);
print qq(const BertKernelSource bert_kernel_sources[] = {\n);
foreach my $path (@ARGV)
{
	(my $name = $path) =~ s{^kernels/}{};

	open(my $file, '<', $path) or die "$path: $!\n";
	print qq(\t{"$name",\n), c_string(qq(#line 1 "$name"));
	while (my $line = <$file>)
	{
		chomp $line;
		print c_string($line);
	}
	print qq(\t},\n);
}
print qq(\t{NULL, NULL}\n};\n);
