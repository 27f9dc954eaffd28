# 012_encodings.pl
#	  A text means the same in whatever encoding the database keeps it.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Encode qw(encode);
use Test::More;

my $minilm = -e minilm_directory() . '/' . MINILM . '/config.json';
my ($model, $models) = $minilm ? (MINILM, minilm_directory()) : ('tiny', undef);
my $node = BertTest->create('encodings', models => $models);

my %databases = (LATIN1 => 'latin1', EUC_JP => 'euc_jp', SQL_ASCII => 'sql_ascii');
foreach my $encoding (sort keys %databases)
{
	$node->safe_psql('postgres', <<"SQL");
CREATE DATABASE $databases{$encoding} ENCODING '$encoding' LOCALE 'C' TEMPLATE template0
SQL
	$node->safe_psql($databases{$encoding}, 'CREATE EXTENSION bert');
}

# Written with escapes of the encoding's bytes, so that no client encoding plays a part.
sub answer
{
	my ($database, $function, $text, $encoding) = @_;
	my $bytes = join '', map { sprintf '%02x', ord } split //, encode($encoding, $text);
	my $value = "convert_from('\\x$bytes', getdatabaseencoding())";

	return $node->sql(sprintf($function, $value), $database);
}

my $embed = "SELECT md5(bert_embed('$model', %s)::text)";
my $count = "SELECT bert_token_count('$model', %s)";
my @samples = (
	[ 'latin1', 'iso-8859-1', 'Straße, garçon, ¿qué?' ],
	[ 'euc_jp', 'euc-jp', '日本語の文章です。これは試験' ],
	[ 'sql_ascii', 'utf-8', 'Ελληνικά и кириллица 漢字' ]);
foreach my $sample (@samples)
{
	my ($database, $encoding, $text) = @$sample;
	my $expected = answer('postgres', $embed, $text, 'utf-8');

	like($expected, qr/^[0-9a-f]{32}$/, 'there is a vector to compare with');
	is(answer($database, $embed, $text, $encoding),
		$expected, "$encoding: the same vector as in UTF-8");
	my $long = $text x 5_000;
	is( answer($database, $count, $long, $encoding),
		answer('postgres', $count, $long, 'utf-8'),
		"$encoding: and as many tokens of a long text");
}

# ---- what SQL_ASCII lets through ----

like($node->sql("SELECT bert_embed('$model', E'caf\\351')", 'sql_ascii'),
	qr/ERROR:  22021:.*UTF-8/, 'what is not UTF-8: an error');

# ---- tokens come back in the encoding ----

my $tokens = "SELECT string_agg(token, ' ' ORDER BY pos) FROM bert_tokenize('$model', 'the cat')";
is($node->sql($tokens, 'latin1'), '[CLS] the cat [SEP]', 'tokens in LATIN1');

$node->finish;
done_testing();
