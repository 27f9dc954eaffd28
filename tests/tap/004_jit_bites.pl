# 004_jit_bites.pl
#	  When a backend compiles kernels itself, after the JIT had its turn, the server crashes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use BertTest;
use Test::More;

skip_unless_developer_build();
my $node = BertTest->create('both',
	conf => "jit = on\njit_above_cost = 0\nbert.without = 'helper'");
my $session = $node->session;

$session->query('SELECT sum(i * 2) FROM generate_series(1, 1000) i');
plan skip_all => 'this server has no JIT' unless maps_library($session->pid, qr/llvmjit/);
plan skip_all => 'seen with LLVM 14 in the JIT and LLVM 15 in PoCL'
  unless maps_library($session->pid, qr/libLLVM-14/);

like($session->try("SELECT bert_embed('tiny', 'hello')"),
	qr/connection lost/, 'JIT first, then a kernel is compiled: the backend dies');
ok($node->crashes, 'and with it the server');
$node->abandon;
done_testing();
