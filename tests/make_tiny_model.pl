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
	prompts      => {},
	prefix       => '',
	shards       => 1,
	pooler       => 1,
	normalize    => 1,
	modules      => 1,
	lower        => 1,
	gain         => 1,
	seed         => 1);

GetOptions(
	\%o,
	'layers=i', 'hidden=i', 'heads=i', 'intermediate=i', 'positions=i', 'types=i',
	'vocab=i',              # pieces, filled up with [unusedN]
	'words!',               # or with words: aaaa, aaab, ...
	'gain=f',               # how wide queries, keys and intermediates spread
	'dtype=s',              # f32, f16, bf16, or mixed: one after the other
	'act=s',                # hidden_act
	'position_type=s',      # position_embedding_type: "relative_key"
	'prefix=s',             # before the tensors' names: "bert."
	'pooler!',              # with pooler.dense
	'extras!',              # with tensors that the encoder has no use for
	'shards=i',             # files of weights; more than one with an index
	'pooling=s',            # a mode of sentence-transformers, or several: "cls,mean"
	'include_prompt!',      # of Pooling; without the option, nothing is said of it
	'normalize!',           # with a Normalize module
	'after=s',              # modules after Pooling: "Dense:24:ReLU,LayerNorm,Normalize";
							# Dense:SIZE:ACTIVATION[:nobias][:residual]
	'modules!',             # with modules.json at all
	'encoder_folder!',      # the encoder's files are in 0_Transformer
	'max_seq_length=i',     # in sentence_bert_config.json
	'prompt=s',             # default prompt, named "query"
	'prompts=s%',           # a prompt: --prompts passage='passage: '
	'default_prompt=s',     # name of the default prompt
	'truncate_dim=i',       # elements of the vector that stay
	'lower!',               # lower-case the text
	'vocab_txt!',           # vocab.txt in place of tokenizer.json
	'old_names!',           # LayerNorm.gamma and LayerNorm.beta
	'seed=i') && @ARGV == 1
  or die "usage: $0 [options] DIRECTORY\n";
my $dir     = $ARGV[0];
my $encoder = $o{encoder_folder} ? '0_Transformer/' : '';

if (defined $o{prompt})
{
	$o{prompts}{query} = $o{prompt};
	$o{default_prompt} //= 'query';
}
$o{after} //= $o{normalize} ? 'Normalize' : '';

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
my @dtypes = $o{dtype} eq 'mixed' ? sort keys %packers : ($o{dtype});
die "unknown dtype $o{dtype}\n" if grep { !$packers{$_} } @dtypes;

# Tensors to be written: name => { shape, from, to }. Layers multiply by about one, so
# that differences survive to the output.
sub tensor
{
	my ($tensors, $name, $from, $to, @shape) = @_;

	$name =~ s/LayerNorm\.weight$/LayerNorm.gamma/ if $o{old_names};
	$name =~ s/LayerNorm\.bias$/LayerNorm.beta/    if $o{old_names};
	$tensors->{$name} = { shape => \@shape, from => $from, to => $to };
}

sub matrix
{
	my ($tensors, $name, $out, $in) = @_;
	my $gain  = $name =~ /query|key|intermediate/ ? $o{gain} : 1;
	my $bound = $gain * sqrt(3 / $in);

	tensor($tensors, "$name.weight", -$bound, $bound, $out, $in);
}

sub linear
{
	my ($tensors, $name, $out, $in) = @_;

	matrix($tensors, $name, $out, $in);
	tensor($tensors, "$name.bias", -0.1, 0.1, $out);
}

sub layer_norm
{
	my ($tensors, $name, $size) = @_;

	tensor($tensors, "$name.weight", 0.8, 1.2, $size);
	tensor($tensors, "$name.bias", -0.1, 0.1, $size);
}

# Values in slices, as a large table would not fit as a list.
sub tensor_data
{
	my ($tensor, $packer) = @_;
	my $left = 1;
	my $data = '';

	$left *= $_ foreach (@{ $tensor->{shape} });
	while ($left > 0)
	{
		my $n = $left < 4096 ? $left : 4096;

		$data .= $packer->(map { uniform($tensor->{from}, $tensor->{to}) } 1 .. $n);
		$left -= $n;
	}
	return $data;
}

my $n_tensors = 0;

# The tensors of these names as a safetensors file.
sub write_tensors
{
	my ($file, $tensors, @names) = @_;
	my ($header, $data) = ('', '');

	foreach my $name (@names)
	{
		my $begin = length($data);
		my $dtype = $dtypes[ $n_tensors++ % @dtypes ];

		$data .= tensor_data($tensors->{$name}, $packers{$dtype});
		$header .= sprintf(
			',"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}',
			$name, uc($dtype), join(',', @{ $tensors->{$name}{shape} }),
			$begin, length($data));
	}
	$header = "{\"__metadata__\":{\"format\":\"pt\"}$header}";
	$header .= ' ' while length($header) % 8 != 0;
	write_file($file, pack('Q<', length($header)) . $header . $data);
}

# Of hidden_act, if it learns.
sub activation_tensors
{
	my ($tensors, $name) = @_;

	tensor($tensors, "$name.weight", 0.1, 0.4, 1) if $o{act} eq 'prelu';
	return if $o{act} ne 'xielu';
	tensor($tensors, "$name.alpha_p", -0.5, 0.5, 1);
	tensor($tensors, "$name.alpha_n", -0.5, 0.5, 1);
	tensor($tensors, "$name.beta", 0.5, 0.5);
	tensor($tensors, "$name.eps", -1e-6, -1e-6);
}

sub layer_tensors
{
	my ($tensors, $layer) = @_;
	my ($hidden, $inner) = ($o{hidden}, $o{intermediate});

	linear($tensors, "$layer.attention.self.$_", $hidden, $hidden)
	  foreach ('query', 'key', 'value');
	tensor($tensors, "$layer.attention.self.distance_embedding.weight",
		-0.5, 0.5, 2 * $o{positions} - 1, $hidden / $o{heads})
	  if defined $o{position_type} && $o{position_type} =~ /^relative/;
	linear($tensors, "$layer.attention.output.dense", $hidden, $hidden);
	layer_norm($tensors, "$layer.attention.output.LayerNorm", $hidden);
	linear($tensors, "$layer.intermediate.dense", $inner, $hidden);
	activation_tensors($tensors, "$layer.intermediate.intermediate_act_fn");
	linear($tensors, "$layer.output.dense", $hidden, $inner);
	layer_norm($tensors, "$layer.output.LayerNorm", $hidden);
}

# All of the encoder, without the prefix.
sub encoder_tensors
{
	my %tensors;
	my $hidden = $o{hidden};

	tensor(\%tensors, "embeddings.${_}_embeddings.weight", -1, 1,
		$o{ { word => 'vocab', position => 'positions', token_type => 'types' }->{$_} },
		$hidden)
	  foreach ('word', 'position', 'token_type');
	layer_norm(\%tensors, 'embeddings.LayerNorm', $hidden);
	layer_tensors(\%tensors, "encoder.layer.$_") foreach (0 .. $o{layers} - 1);
	linear(\%tensors, 'pooler.dense', $hidden, $hidden) if $o{pooler};
	return \%tensors;
}

# The first tensors in the first file, and so on.
sub write_shards
{
	my ($tensors, @names) = @_;
	my $each = int(@names / $o{shards}) + 1;
	my @map;

	foreach my $i (1 .. $o{shards})
	{
		my $file  = sprintf('model-%05d-of-%05d.safetensors', $i, $o{shards});
		my @shard = splice(@names, 0, $each);

		write_tensors("$encoder$file", $tensors, @shard);
		push(@map, map { "\"$_\":\"$file\"" } @shard);
	}
	write_file("${encoder}model.safetensors.index.json",
		'{"metadata":{},"weight_map":{' . join(",\n", @map) . "}}\n");
}

sub write_weights
{
	my $bare    = encoder_tensors();
	my %tensors = map { ("$o{prefix}$_" => $bare->{$_}) } keys %$bare;

	if ($o{extras})
	{
		tensor(\%tensors, "$o{prefix}embeddings.position_ids", 0, 1, 1, $o{positions});
		tensor(\%tensors, 'cls.predictions.bias', -0.1, 0.1, $o{vocab});
		linear(\%tensors, 'cls.predictions.transform.dense', $o{hidden}, $o{hidden});
		linear(\%tensors, 'cls.seq_relationship', 2, $o{hidden});
	}
	if ($o{shards} > 1)
	{
		write_shards(\%tensors, sort keys %tensors);
	}
	else
	{
		write_tensors("${encoder}model.safetensors", \%tensors, sort keys %tensors);
	}
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
	my $word = 'aaaa';
	push(@pieces, $o{words} ? $word++ : "[unused$_]") foreach (@pieces .. $o{vocab} - 1);
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

	write_file("${encoder}tokenizer_config.json",
		"{\"do_lower_case\":$lower,\"model_max_length\":512}\n");
	if ($o{vocab_txt})
	{
		write_file("${encoder}vocab.txt", join('', map { "$_\n" } @pieces));
		return;
	}
	write_file("${encoder}tokenizer.json", <<"EOF");
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
	my $position_type =
	  defined $o{position_type}
	  ? "\n  \"position_embedding_type\": \"$o{position_type}\","
	  : '';

	write_file("${encoder}config.json", <<"EOF");
{
  "architectures": ["BertModel"],
  "hidden_act": "$o{act}",
  "hidden_size": $o{hidden},
  "intermediate_size": $o{intermediate},
  "layer_norm_eps": 1e-12,
  "max_position_embeddings": $o{positions},
  "model_type": "bert",
  "num_attention_heads": $o{heads},
  "num_hidden_layers": $o{layers},$position_type
  "type_vocab_size": $o{types},
  "vocab_size": $o{vocab}
}
EOF
}

sub write_pooling
{
	my ($folder) = @_;
	my @modes = map { "\"$_\"" } split(/,/, $o{pooling});
	my $modes = @modes == 1 ? $modes[0] : '[' . join(',', @modes) . ']';
	my $include =
	  defined $o{include_prompt}
	  ? ',"include_prompt":' . ($o{include_prompt} ? 'true' : 'false')
	  : '';

	write_file("$folder/config.json",
		"{\"word_embedding_dimension\":$o{hidden},\"pooling_mode\":$modes$include}\n");
	return $o{hidden} * @modes;
}

sub write_dense
{
	my ($folder, $in, $out, $activation, @flags) = @_;
	my %flag   = map { $_ => 1 } @flags;
	my $module = $activation eq 'Identity' ? 'linear' : 'activation';
	my %tensors;

	write_file("$folder/config.json",
		"{\"in_features\":$in,\"out_features\":$out,\"bias\":"
		  . ($flag{nobias} ? 'false' : 'true')
		  . ",\"activation_function\":\"torch.nn.modules.$module.$activation\""
		  . ($flag{residual} ? ',"use_residual":true' : '')
		  . "}\n");
	linear(\%tensors, 'linear', $out, $in);
	delete $tensors{'linear.bias'} if $flag{nobias};
	matrix(\%tensors, 'residual', $out, $in) if $flag{residual} && $in != $out;
	write_tensors("$folder/model.safetensors", \%tensors, sort keys %tensors);
	return $out;
}

# A module's folder; returns the size of the vector that comes out of it.
sub write_module
{
	my ($folder, $size, $kind, @options) = @_;

	mkdir("$dir/$folder");
	return write_pooling($folder) if $kind eq 'Pooling';
	return write_dense($folder, $size, @options) if $kind eq 'Dense';
	write_file("$folder/config.json", "{\"dropout\":0.5}\n") if $kind eq 'Dropout';
	if ($kind eq 'LayerNorm')
	{
		my %tensors;

		layer_norm(\%tensors, 'norm', $size);
		write_file("$folder/config.json", "{\"dimension\":$size}\n");
		write_tensors("$folder/model.safetensors", \%tensors, sort keys %tensors);
	}
	return $size;
}

sub write_modules
{
	my @modules = ('Transformer', 'Pooling', split(/,/, $o{after}));
	my $size    = $o{hidden};
	my @lines;

	foreach my $i (0 .. $#modules)
	{
		my ($kind, @options) = split(/:/, $modules[$i]);
		my $folder = $i == 0 ? $encoder =~ s/\/$//r : "${i}_$kind";

		$size = write_module($folder, $size, $kind, @options) if $i > 0;
		push(@lines,
			sprintf('{"idx":%d,"name":"%d","path":"%s",'
				  . '"type":"sentence_transformers.models.%s"}',
				$i, $i, $folder, $kind));
	}
	write_file('modules.json', '[' . join(",\n", @lines) . "]\n");
}

sub write_sentence_transformers_config
{
	my @prompts = map { quote($_) . ':' . quote($o{prompts}{$_}) }
	  sort keys %{ $o{prompts} };
	my @members;

	push(@members, '"prompts":{' . join(',', @prompts) . '}') if @prompts;
	push(@members, '"default_prompt_name":' . quote($o{default_prompt}))
	  if defined $o{default_prompt};
	push(@members, "\"truncate_dim\":$o{truncate_dim}") if defined $o{truncate_dim};
	write_file('config_sentence_transformers.json', '{' . join(',', @members) . "}\n")
	  if @members;
}

sub write_recipe
{
	write_modules();
	write_file("${encoder}sentence_bert_config.json",
		"{\"max_seq_length\":$o{max_seq_length},\"do_lower_case\":false}\n")
	  if defined $o{max_seq_length};
	write_sentence_transformers_config();
}

umask(022);
mkdir($dir);
mkdir("$dir/$encoder") if $encoder;
write_config();
write_tokenizer();
write_weights();
write_recipe() if $o{modules};
