#
# package-descriptions.pl COUNT <Translation-en
#	The reading half of package-descriptions: a list of paragraphs like
#
#		Package: gnuchess
#		Description-md5: 6a9cd9d8d4f2d7a6a6c9c4e4d0c1f0a1
#		Description-en: plays a game of chess, either against the user or ...
#		 Gnuchess is a program that plays chess.  It allows one to play ...
#		 .
#		 The program has a terminal interface.
#
#	becomes lines of name, synopsis, text. Wrapped lines are joined, " ." separates
#	paragraphs, lines that are indented further (lists) stay lines.

use strict;
use warnings;

my $count = shift // die "usage: package-descriptions.pl COUNT\n";

# Names of what is not installed for its own sake.
my $part = qr/
	^(?:lib|python3?-|ruby-|node-|golang-|r-(?:cran|bioc|other)-|php-|ghc|haskell-
		|librust-|elpa-|lua-|ocaml-|texlive-|fonts-|task-|hunspell-|aspell-
		|linux-(?:headers|image|modules|config|support)|gcc-|g\+\+-|gir1\.2-|kodi-|xfonts-)
	| -(?:dev|doc|docs|data|dbg|dbgsym|common|el|examples|bin|l10n|lang|locales|tests
		|plugins?|modules?|cross|udeb|perl|java|dkms|theme|themes|source)(?:-|$)
	| -(?:amd64|arm64|armhf|i386|mips\w*|powerpc\w*|s390x|riscv64|x86-64)
	| -perl$ | ^firmware- | ^education- | -i18n | -l10n
/x;

sub text_of
{
	my @paragraphs = ('');
	for my $line (@_)
	{
		if ($line =~ /^ \.$/) { push @paragraphs, '' }
		elsif ($line =~ /^  +(.*)/) { $paragraphs[-1] .= "\n$1" }
		elsif ($line =~ /^ (.*)/) { $paragraphs[-1] .= " $1" }
	}
	return join "\n\n", grep { length } map { s/^\s+|\s+$//gr } @paragraphs;
}

# COPY's text format: three characters need a backslash.
sub escaped { return $_[0] =~ s/\\/\\\\/gr =~ s/\n/\\n/gr =~ s/\t/\\t/gr }

my (@rows, %seen);
local $/ = '';
while (my $paragraph = <STDIN>)
{
	my @lines = split /\n/, $paragraph;
	my ($name) = $paragraph =~ /^Package: (\S+)/m or next;
	next if $name =~ $part;
	shift @lines while @lines && $lines[0] !~ /^Description-en: /;
	my $synopsis = substr(shift(@lines) // next, length 'Description-en: ');
	my $text = text_of(@lines);
	next if $text eq '' || $seen{$text}++ || $seen{$synopsis}++;
	push @rows, join "\t", map { escaped($_) } $name, $synopsis, "$synopsis\n\n$text";
}
@rows = sort @rows;
die "only " . @rows . " descriptions found, $count wanted\n" if @rows < $count;
print "$rows[int($_ * @rows / $count)]\n" for 0 .. $count - 1;
