# 004_jit.pl
#	  PostgreSQL's JIT and PoCL's compiler, two releases of LLVM, in one backend.
#
# Where a query was compiled by the one before a kernel was by the other, the process died
# (004_jit_bites.pl). It took a cold cache: so each order is tried with one.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;

my $node = BertTest->create('jit', conf => "jit = on\njit_above_cost = 0");
plan skip_all => 'this server has no JIT'
  unless $node->safe_psql('postgres', 'SELECT pg_jit_available()') eq 't';

my $jit = 'SELECT sum(i * 2) FROM generate_series(1, 1000) i';
my $embed = "SELECT array_length(bert_embed('tiny', t), 1) FROM (VALUES ('hello')) v (t)";
my $query = "SELECT count(bert_embed('tiny', 'number ' || i)) FROM generate_series(1, 20) i";

my $session = $node->session;
is($session->query($jit), 1001000, 'a query is compiled');
is(maps_library($session->pid, qr/llvmjit/), 1, 'by the JIT');
is($session->query($embed), 32, 'then a model runs, the cache being cold');
is($session->query($jit), 1001000, 'and a query again');
is($session->query($query), 20, 'and both in one');

$node->forget_cache;
$session = $node->session;
is($session->query($embed), 32, 'the other way round, with a cold cache');
is($session->query($jit), 1001000, 'a query is compiled after that');
is($session->query($query), 20, 'and both in one');

$session = $node->session;
is($session->query($jit), 1001000, 'JIT first, with a warm cache');
is($session->query($embed), 32, 'then a model');

$node->finish;
done_testing();
