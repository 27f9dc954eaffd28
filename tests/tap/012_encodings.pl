# 012_encodings.pl
#	  A text means the same in whatever encoding the database keeps it, or the client
#	  sends it; offsets count what the database counts.
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

my $cjk = "日本語の文章です。これは 試験 text";
my $mixed = 'Ελληνικά и кириллица 漢字, naïve: “quoted” ＡＢＣ';
my %texts = (
	LATIN1       => 'Straße, garçon, ¿qué? naïve [SEP] ½',
	EUC_JP       => $cjk,
	EUC_JIS_2004 => $cjk,
	EUC_KR       => '한국어 텍스트: 漢字, кириллица, text',
	WIN1251      => 'Съешь ещё этих мягких булок, да выпей чаю. № 5 „так“',
	SQL_ASCII    => $mixed,
	UTF8         => $mixed);

foreach my $encoding (sort keys %texts)
{
	my $database = lc $encoding;

	$node->safe_psql('postgres', <<"SQL");
CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0
SQL
	$node->safe_psql($database, 'CREATE EXTENSION bert');
}

# Written in ASCII, so that no client encoding plays a part. SQL_ASCII takes the bytes.
sub literal
{
	my ($text) = @_;

	return sprintf "convert_from('\\x%s', 'UTF8')", unpack 'H*', encode('utf-8', $text);
}

# What a part of a text is, in UTF-8, in a database of any encoding.
sub in_hex
{
	my ($part) = @_;

	return "encode(convert_to($part, 'UTF8'), 'hex')";
}

my $part = in_hex('substr(t, start + 1, stop - start)');
my %queries = (
	'the vector'         => "SELECT md5(bert_embed('$model', t)::text) FROM t",
	'ids of tokens'      => "SELECT string_agg(id::text, ' ' ORDER BY pos) FROM t, bert_tokenize('$model', t)",
	'what tokens stand for' => "SELECT string_agg($part, ' ' ORDER BY pos) FROM t, bert_tokenize('$model', t)",
	'how many tokens'    => "SELECT bert_token_count('$model', repeat(t, 2000)) FROM t",
	'chunks'             => 'SELECT string_agg(' . in_hex('chunk')
	  . " || ' ' || n_tokens, ',' ORDER BY ord) FROM t, bert_chunk('$model', repeat(t || ' ', 20), 24, 5)",
	'chunks are where they say' => 'SELECT bool_and(chunk = substr(r, start + 1, stop - start)'
	  . " AND bert_token_count('$model', chunk) = n_tokens) FROM t, repeat(t || ' ', 20) r,"
	  . " bert_chunk('$model', r, 24, 5)");

foreach my $encoding (sort keys %texts)
{
	my $text = literal($texts{$encoding});

	foreach my $what (sort keys %queries)
	{
		my $query = "WITH t AS MATERIALIZED (SELECT $text AS t) $queries{$what}";
		my $expected = $node->sql($query, 'postgres');

		unlike($expected, qr/^$|ERROR/, "UTF8 has an answer: $what");
		is($node->sql($query, lc $encoding), $expected, "$encoding: $what");
	}
}

# ---- offsets ----

my $offsets = "SELECT string_agg(start || '-' || stop, ' ' ORDER BY pos) FROM bert_tokenize('$model', %s)";
foreach my $encoding (qw(LATIN1 EUC_JP EUC_JIS_2004 EUC_KR WIN1251))
{
	my $query = sprintf $offsets, literal($texts{$encoding});

	is($node->sql($query, lc $encoding), $node->sql($query, 'postgres'),
		"$encoding: offsets in characters");
}

is( $node->sql(sprintf($offsets, literal('é, ñ x')), 'sql_ascii'),
	'0-0 0-2 2-3 4-6 7-8 0-0', 'SQL_ASCII: offsets in bytes');

# A letter that is two characters in Unicode, and those around it.
is( $node->sql(sprintf($offsets, literal("か\x{309A}. ˩˥ x")), 'euc_jis_2004'),
	'0-0 0-1 1-2 3-4 5-6 0-0',
	'EUC_JIS_2004: a letter is one character');
is( $node->sql(
		"SELECT bool_and(chunk = substr(t, start + 1, stop - start)"
		  . " AND bert_token_count('$model', chunk) = n_tokens) FROM repeat("
		  . literal("か\x{309A}か\x{309A}か\x{309A}æ\x{300}x") . ", 20) t,"
		  . " bert_chunk('$model', t, 6, 2)",
		'euc_jis_2004'),
	't', 'EUC_JIS_2004: no chunk cuts a letter in two');

# ---- what SQL_ASCII lets through ----

foreach my $call ("bert_embed('$model', %s)", "bert_token_count('$model', %s)",
	"bert_tokenize('$model', %s)", "bert_chunk('$model', %s, 16)")
{
	like($node->sql('SELECT ' . sprintf($call, "E'caf\\351 x'"), 'sql_ascii'),
		qr/ERROR:  22021:.* byte 4, 0xe9/, "what is not UTF-8 is an error: $call");
}

# ---- clients ----

# GB18030 is for clients only. cp936 is the part of it that perl knows.
my $chinese = '天地玄黃，宇宙洪荒 abc';
my $ids = "SELECT string_agg(id::text, ' ' ORDER BY pos) FROM bert_tokenize('$model', %s)";
my $bytes = encode('cp936', sprintf($ids, "'$chinese'"));
is( $node->sql("SET client_encoding = 'GB18030'; $bytes", 'postgres'),
	$node->sql(sprintf($ids, literal($chinese)), 'postgres'),
	'a client of GB18030');

# ---- what comes back ----

my $tokens = "SELECT string_agg(token, ' ' ORDER BY pos) FROM bert_tokenize('$model', 'the cat')";
is($node->sql($tokens, 'latin1'), '[CLS] the cat [SEP]', 'tokens in LATIN1');
is( $node->sql("SELECT bert_decode('$model', (SELECT array_agg(id ORDER BY pos)"
		  . " FROM bert_tokenize('$model', 'the cat')), true)", 'latin1'),
	'the cat', 'a decoded text in LATIN1');

$node->finish;
done_testing();
