# bert: BERT encoders inside PostgreSQL.
#
#	make                  the extension and its helper program
#	make install          (as a user who may write to PostgreSQL's directories)
#	make check-unit       plain C programs: tokenizer, parsers, kernels, encoder
#	make installcheck     SQL tests against a running server (see tests/README.md)
#	make format           clang-format
#
# Settings: PG_CONFIG=/path/to/pg_config, WERROR=1 (warnings are errors), DEVELOPER=1
# (the settings bert.without and bert.fault, see extension/developer.h).

MODULE_big = bert
EXTENSION = bert
DATA = $(wildcard sql/bert--*.sql)

# Not in the server: the run-time and main function of plain programs, and what only the
# helper and the tests need.
PLAIN_SOURCES = extension/standalone.c extension/helper_main.c extension/trial.c \
	extension/faults.c
# In the server and in plain programs.
COMMON = device opencl model kernels encoder batch weights reference
MODEL = json safetensors beneath packing $(patsubst extension/%.c,%,$(wildcard extension/model_*.c))
TOKENIZER = $(patsubst extension/%.c,%,$(filter-out extension/tokenizer_%.h, \
	$(wildcard extension/token*.c extension/trie.c extension/unicode.c)))

OBJS = $(patsubst %.c,%.o,$(filter-out $(PLAIN_SOURCES),$(wildcard extension/*.c)))

PG_CPPFLAGS = -D_GNU_SOURCE -I$(CURDIR)/extension
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wmissing-prototypes -Wno-sign-compare \
	-Wno-unused-parameter -Wno-declaration-after-statement -Wno-missing-field-initializers
SHLIB_LINK = -ldl -lm
ifdef WERROR
PG_CFLAGS += -Werror
endif
ifdef DEVELOPER
PG_CPPFLAGS += -DBERT_DEVELOPER
OBJS += extension/trial.o extension/faults.o build/developer_kernel_sources.o
endif

REGRESS = $(patsubst tests/regress/sql/%.sql,%,$(filter-out %/vector.sql,$(sort $(wildcard tests/regress/sql/*.sql))))
REGRESS_OPTS = --inputdir=tests/regress --outputdir=tests/regress --load-extension=bert
TAP_TESTS = 1
PROVE_TESTS ?= tests/tap/*.pl
EXTRA_CLEAN = build tests/regress/results tests/regress/regression.* tmp_check

# No LLVM bitcode: inlining our functions into queries gains nothing.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# ---- plain programs: the helper, unit tests ----

PLAIN_CFLAGS = $(CFLAGS) -D_GNU_SOURCE -DFRONTEND -Iextension -Itests/unit \
	-I$(includedir_server) -I$(includedir)
PLAIN_LIBS = -L$(pkglibdir) -L$(libdir) -lpgcommon -lpgport -lm -ldl -lpthread
KERNELS = $(sort $(wildcard kernels/*.cl kernels/*/*.cl))

build/kernel_sources.c: scripts/embed_kernels.pl $(KERNELS)
	@mkdir -p build
	perl $< $(KERNELS) > $@

build/%.o: extension/%.c $(wildcard extension/*.h)
	@mkdir -p build
	$(CC) $(PLAIN_CFLAGS) -c $< -o $@

build/developer_kernel_sources.o: build/kernel_sources.c
	$(CC) $(CFLAGS) $(CFLAGS_SL) $(PG_CPPFLAGS) -c $< -o $@

build/kernel_sources.o: build/kernel_sources.c
	$(CC) $(PLAIN_CFLAGS) -c $< -o $@

plain_objects = $(patsubst %,build/%.o,$(1))

# Programs that open a device, and so on: what each kind is linked from.
DEVICE_OBJECTS = $(call plain_objects,$(COMMON) kernel_sources standalone \
	$(if $(wildcard extension/trial.c),trial))
MODEL_OBJECTS = $(call plain_objects,$(MODEL) $(TOKENIZER))

build/bert_helper: build/helper_main.o $(DEVICE_OBJECTS)
	$(CC) $(CFLAGS) $^ $(PLAIN_LIBS) -o $@

build/unit/%: tests/unit/%.c $(DEVICE_OBJECTS) $(MODEL_OBJECTS)
	@mkdir -p build/unit
	$(CC) $(PLAIN_CFLAGS) $^ $(PLAIN_LIBS) -o $@

# The driver of the kernels is of several files, a kernel or two each.
build/unit/test_kernels: $(wildcard tests/unit/kernel_*.c) build/faults.o

$(OBJS): $(wildcard extension/*.h)

all: build/bert_helper

install: install-helper
install-helper: build/bert_helper
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_PROGRAM) build/bert_helper '$(DESTDIR)$(pkglibdir)/bert_helper'

uninstall: uninstall-helper
uninstall-helper:
	rm -f '$(DESTDIR)$(pkglibdir)/bert_helper'

UNIT_TESTS = $(patsubst tests/unit/%.c,build/unit/%,$(sort $(wildcard tests/unit/test_*.c)))

check-unit: $(UNIT_TESTS) build/tokens/encode_texts
	prove --verbose --exec '' $(UNIT_TESTS)

# The large comparison with the reference: tests/tokens/README.md
build/tokens/encode_texts: tests/tokens/encode_texts.c $(DEVICE_OBJECTS) $(MODEL_OBJECTS)
	@mkdir -p build/tokens
	$(CC) $(PLAIN_CFLAGS) $^ $(PLAIN_LIBS) -o $@

# Fuzzers for clang: build/fuzz/fuzz_json -max_total_time=60
FUZZ_TARGETS = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SOURCES = $(patsubst %,extension/%.c,$(MODEL) $(TOKENIZER) weights model standalone)

build/fuzz/%: tests/fuzz/%.c $(FUZZ_SOURCES)
	@mkdir -p build/fuzz
	clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -Wno-ignored-attributes \
		-D_GNU_SOURCE -DFRONTEND -Iextension -Itests/unit -I$(includedir_server) \
		$^ $(PLAIN_LIBS) -o $@

fuzz: $(FUZZ_TARGETS)

format:
	clang-format -i extension/*.[ch] tests/unit/*.[ch] $(wildcard tests/fuzz/*.[ch]) tests/tokens/*.c

.PHONY: install-helper uninstall-helper check-unit fuzz format
