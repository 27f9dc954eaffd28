#!/usr/bin/perl
#
# make_tiny_model.pl
#	  Writes a tiny BERT with random weights, in the files of Hugging Face.
#
# The same options give the same bytes. Perl, and no module beyond perl-base's, as that
# is what every Debian system has.
#
#	  make_tiny_model.pl [options] DIRECTORY
#
use strict;
use warnings;
use Getopt::Long;

my %o = (
	layers       => 2,
	hidden       => 32,
	heads        => 4,
	intermediate => 64,
	positions    => 64,
	types        => 2,
	vocab        => 160,
	dtype        => 'f32',
	act          => 'gelu',
	pooling      => 'mean',
	prefix       => '',
	pooler       => 1,
	normalize    => 1,
	modules      => 1,
	lower        => 1,
	seed         => 1);

GetOptions(
	\%o,
	'layers=i', 'hidden=i', 'heads=i', 'intermediate=i', 'positions=i', 'types=i',
	'vocab=i',              # pieces, filled up with [unusedN]
	'dtype=s',              # f32, f16, bf16
	'act=s',                # hidden_act
	'prefix=s',             # before the tensors' names: "bert."
	'pooler!',              # with pooler.dense
	'pooling=s',            # a mode of sentence-transformers, or several: "cls,mean"
	'normalize!',           # with a Normalize module
	'modules!',             # with modules.json at all
	'max_seq_length=i',     # in sentence_bert_config.json
	'prompt=s',             # default prompt
	'lower!',               # lower-case the text
	'vocab_txt!',           # vocab.txt in place of tokenizer.json
	'old_names!',           # LayerNorm.gamma and LayerNorm.beta
	'seed=i') && @ARGV == 1
  or die "usage: $0 [options] DIRECTORY\n";
my $dir = $ARGV[0];

# A generator of our own: perl's differs between versions.
my $state = $o{seed};

sub uniform
{
	my ($from, $to) = @_;

	$state = ($state * 1103515245 + 12345) % 2**31;
	return $from + ($to - $from) * ($state / 2**31);
}

sub write_file
{
	my ($name, $content) = @_;

	open(my $file, '>:raw', "$dir/$name") or die "could not write $dir/$name: $!\n";
	print $file $content;
	close($file) or die "could not write $dir/$name: $!\n";
}

# Numbers as the file has them. A half is made of the bits of a float, whose values here
# are normal halves or too small for one.
sub pack_half
{
	my $bits     = unpack('L', pack('f', $_[0]));
	my $exponent = ($bits >> 23 & 0xFF) - 127 + 15;

	return pack('S<', 0) if $exponent <= 0;
	return pack('S<', ($bits >> 16 & 0x8000) | $exponent << 10 | ($bits >> 13 & 0x3FF));
}

my %packers = (
	f32  => sub { return pack('f<*', @_) },
	f16  => sub { return join('', map { pack_half($_) } @_) },
	bf16 => sub { return join('', map { substr(pack('f<', $_), 2, 2) } @_) });
my $packer = $packers{ $o{dtype} } or die "unknown dtype $o{dtype}\n";

# Weights. Layers multiply by about one, so that differences survive to the output.
my (%shapes, %ranges);

sub tensor
{
	my ($name, $from, $to, @shape) = @_;

	$name =~ s/LayerNorm\.weight$/LayerNorm.gamma/ if $o{old_names};
	$name =~ s/LayerNorm\.bias$/LayerNorm.beta/    if $o{old_names};
	$shapes{"$o{prefix}$name"} = \@shape;
	$ranges{"$o{prefix}$name"} = [ $from, $to ];
}

sub linear
{
	my ($name, $out, $in) = @_;
	my $bound = sqrt(3 / $in);

	tensor("$name.weight", -$bound, $bound, $out, $in);
	tensor("$name.bias", -0.1, 0.1, $out);
}

sub layer_norm
{
	my ($name) = @_;

	tensor("$name.weight", 0.8, 1.2, $o{hidden});
	tensor("$name.bias", -0.1, 0.1, $o{hidden});
}

sub write_weights
{
	my ($header, $data) = ('', '');

	tensor('embeddings.word_embeddings.weight', -1, 1, $o{vocab}, $o{hidden});
	tensor('embeddings.position_embeddings.weight', -1, 1, $o{positions}, $o{hidden});
	tensor('embeddings.token_type_embeddings.weight', -1, 1, $o{types}, $o{hidden});
	layer_norm('embeddings.LayerNorm');
	foreach my $i (0 .. $o{layers} - 1)
	{
		my $layer = "encoder.layer.$i";

		linear("$layer.attention.self.$_", $o{hidden}, $o{hidden})
		  foreach ('query', 'key', 'value');
		linear("$layer.attention.output.dense", $o{hidden}, $o{hidden});
		layer_norm("$layer.attention.output.LayerNorm");
		linear("$layer.intermediate.dense", $o{intermediate}, $o{hidden});
		linear("$layer.output.dense", $o{hidden}, $o{intermediate});
		layer_norm("$layer.output.LayerNorm");
	}
	linear('pooler.dense', $o{hidden}, $o{hidden}) if $o{pooler};

	foreach my $name (sort keys %shapes)
	{
		my $n     = 1;
		my $begin = length($data);

		$n *= $_ foreach (@{ $shapes{$name} });
		$data .= $packer->(map { uniform(@{ $ranges{$name} }) } 1 .. $n);
		$header .= sprintf(
			',"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}',
			$name, uc($o{dtype}), join(',', @{ $shapes{$name} }),
			$begin, length($data));
	}
	$header = "{\"__metadata__\":{\"format\":\"pt\"}$header}";
	$header .= ' ' while length($header) % 8 != 0;
	write_file('model.safetensors', pack('Q<', length($header)) . $header . $data);
}

# A vocabulary that can spell every English word, and has a few words whole.
sub vocabulary
{
	my @letters = ('a' .. 'z', '0' .. '9');
	my @pieces  = (
		'[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]',
		@letters, (map { "##$_" } @letters),
		split(//, '.,:;!?-()\'"/'),
		qw(the a of and to in is it that was for on are as with his they at be this
		  cat dog house query passage hello world),
		(map { "##$_" } qw(ing ed er ly)));
	my %seen;

	@pieces = grep { !$seen{$_}++ } @pieces;
	push(@pieces, "[unused$_]") foreach (@pieces .. $o{vocab} - 1);
	die "a vocabulary has at least " . scalar(@pieces) . " pieces\n"
	  if @pieces > $o{vocab};
	return @pieces;
}

sub quote
{
	my ($text) = @_;

	$text =~ s/(["\\])/\\$1/g;
	return "\"$text\"";
}

sub write_tokenizer
{
	my @pieces = vocabulary();
	my $lower  = $o{lower} ? 'true' : 'false';
	my $id     = 0;
	my $vocab  = join(',', map { quote($_) . ':' . $id++ } @pieces);
	my $flags  = '"single_word":false,"lstrip":false,"rstrip":false,'
	  . '"normalized":false,"special":true';
	my $added =
	  join(',', map { "{\"id\":$_,\"content\":\"$pieces[$_]\",$flags}" } 0 .. 4);
	my ($cls, $sep) = map { "{\"SpecialToken\":{\"id\":\"[$_]\",\"type_id\":0}}" }
	  ('CLS', 'SEP');
	my ($a, $b) = map { "{\"Sequence\":{\"id\":\"$_\",\"type_id\":0}}" } ('A', 'B');
	my ($b1, $sep1) = map { s/"type_id":0/"type_id":1/r } ($b, $sep);

	write_file('tokenizer_config.json',
		"{\"do_lower_case\":$lower,\"model_max_length\":512}\n");
	if ($o{vocab_txt})
	{
		write_file('vocab.txt', join('', map { "$_\n" } @pieces));
		return;
	}
	write_file('tokenizer.json', <<"EOF");
{"version":"1.0","truncation":null,"padding":null,
"added_tokens":[$added],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,
"strip_accents":null,"lowercase":$lower},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"TemplateProcessing","single":[$cls,$a,$sep],
"pair":[$cls,$a,$sep,$b1,$sep1],
"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},
"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},
"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
"max_input_chars_per_word":100,"vocab":{$vocab}}}
EOF
}

sub write_config
{
	write_file('config.json', <<"EOF");
{
  "architectures": ["BertModel"],
  "hidden_act": "$o{act}",
  "hidden_size": $o{hidden},
  "intermediate_size": $o{intermediate},
  "layer_norm_eps": 1e-12,
  "max_position_embeddings": $o{positions},
  "model_type": "bert",
  "num_attention_heads": $o{heads},
  "num_hidden_layers": $o{layers},
  "type_vocab_size": $o{types},
  "vocab_size": $o{vocab}
}
EOF
}

sub write_recipe
{
	my @modules = ('Transformer', 'Pooling', $o{normalize} ? 'Normalize' : ());
	my @modes   = map { "\"$_\"" } split(/,/, $o{pooling});
	my $modes   = @modes == 1 ? $modes[0] : '[' . join(',', @modes) . ']';
	my @lines;

	foreach my $i (0 .. $#modules)
	{
		push(@lines,
			sprintf('{"idx":%d,"name":"%d","path":"%s",'
				  . '"type":"sentence_transformers.models.%s"}',
				$i, $i, $i == 0 ? '' : "${i}_$modules[$i]", $modules[$i]));
	}
	write_file('modules.json', '[' . join(",\n", @lines) . "]\n");
	mkdir("$dir/1_Pooling");
	write_file('1_Pooling/config.json',
		"{\"word_embedding_dimension\":$o{hidden},\"pooling_mode\":$modes}\n");
	write_file('sentence_bert_config.json',
		"{\"max_seq_length\":$o{max_seq_length},\"do_lower_case\":false}\n")
	  if defined $o{max_seq_length};
	write_file('config_sentence_transformers.json',
		"{\"prompts\":{\"query\":"
		  . quote($o{prompt})
		  . "},\"default_prompt_name\":\"query\"}\n")
	  if defined $o{prompt};
}

umask(022);
mkdir($dir);
write_config();
write_tokenizer();
write_recipe() if $o{modules};
write_weights();
