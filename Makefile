# Zaki Platform. `make run` starts it, `make test` tests it; `make help` lists the rest.

PYTHON   := /usr/bin/python3
B        ?= build
V        ?= release
OUT      := $(B)/$(V)
GEN      := $(B)/gen
BIN      := $(OUT)/bin
SERVICES := $(notdir $(wildcard services/*))
# VERBOSE=1 shows the commands
Q        := $(if $(VERBOSE),,@)
STACK    := $(PYTHON) deploy/local/stack.py

# ---- compiler ------------------------------------------------------------------------------------

CC       := $(if $(filter fuzz,$(V)),clang,gcc)
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
            -Wformat=2 -Wconversion -Wno-sign-conversion -Wpointer-arith -Wimplicit-fallthrough \
            -fno-common -Werror
FLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LINK_release  := -pie -Wl,-z,relro,-z,now
FLAGS_asan    := -O1 -DZAKI_FAULTS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK_asan     := -fsanitize=address,undefined
FLAGS_tsan    := -O1 -DZAKI_FAULTS -fsanitize=thread -fno-omit-frame-pointer
LINK_tsan     := -fsanitize=thread
FLAGS_fuzz    := -O1 -w -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LINK_fuzz     := -fsanitize=fuzzer,address,undefined
CPPFLAGS := -D_GNU_SOURCE -include libs/base/banned.h -Ilibs -I$(GEN) -Iproto
CFLAGS    = -std=gnu17 -g $(WARN) $(CPPFLAGS) $(FLAGS_$(V))
LDFLAGS   = $(LINK_$(V)) -Wl,--as-needed
LDLIBS   := -lcivetweb -lwslay -lwebsockets -lnats -lpq -lhiredis -ljwt -lcurl -lsodium -lssl -lcrypto -lcjson -lzstd -lsqlite3 -lexpat -lidn2 -loath -lzxcvbn -larchive -lm -lpthread

ifeq ($(FLAGS_$(V)),)
$(error V is release, asan, tsan or fuzz, not '$(V)')
endif

# ---- what is built from what ---------------------------------------------------------------------

LIB_SRC  := $(wildcard libs/*/*.c)
GEN_SRC  := $(GEN)/messages.c $(GEN)/migrations.c
LIB_OBJ  := $(LIB_SRC:%.c=$(OUT)/obj/%.o) $(GEN_SRC:$(B)/%.c=$(OUT)/obj/%.o)
LIB      := $(OUT)/libzaki.a
DAEMONS  := $(SERVICES:%=$(BIN)/%)
ZAKICTL  := $(BIN)/zakictl
UNIT     := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/unit/*/test_*.c))
CONTRACT := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/contract/test_*.c))
INTEG    := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/integration/*/test_*.c))
FUZZERS  := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
HELPERS  := $(patsubst tests/bench/%.c,$(BIN)/%,$(wildcard tests/bench/*.c))

# A service may have rooms: folders of its own, one level deep.
sources_of = $(wildcard services/$(1)/*.c services/$(1)/*/*.c)
objects_of = $(patsubst %.c,$(OUT)/obj/%.o,$(call sources_of,$(1)))
# A service's parts for its tests: all but main().
parts_of   = $(filter-out %/main.o,$(call objects_of,$(1)))

.PHONY: all build tests helpers fuzzers help
all: build
build: $(DAEMONS) $(ZAKICTL)
tests: $(UNIT) $(CONTRACT) $(INTEG) $(BIN)/bench-ws $(BIN)/bench-backup
helpers: $(HELPERS)
fuzzers: $(FUZZERS)

$(GEN)/messages.c $(GEN)/messages.h &: $(wildcard proto/schema/*.json) tools/protogen.py
	$(PYTHON) tools/protogen.py proto/schema $(GEN)
$(GEN)/migrations.c: $(wildcard services/*/sql/*.sql) tools/sqlgen.py
	@mkdir -p $(GEN)
	$(PYTHON) tools/sqlgen.py $(GEN)

$(OUT)/obj/gen/%.o: $(GEN)/%.c $(GEN)/messages.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(OUT)/obj/services/%.o: services/%.c $(GEN)/messages.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Iservices/$(firstword $(subst /, ,$*)) -MMD -MP -c -o $@ $<
$(OUT)/obj/%.o: %.c $(GEN)/messages.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

define daemon_rule
$(BIN)/$(1): $(call objects_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(Q)$(CC) -o $$@ $$^ $(LDFLAGS) $(LDLIBS)
$(OUT)/tests/unit/$(1)/%: $(OUT)/obj/tests/unit/$(1)/%.o $(call parts_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(Q)$(CC) -o $$@ $$^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(OUT)/obj/tests/unit/$(1)/%.o: CPPFLAGS += -Iservices/$(1)
$(OUT)/tests/integration/$(1)/%: $(OUT)/obj/tests/integration/$(1)/%.o $(call parts_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(Q)$(CC) -o $$@ $$^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(OUT)/obj/tests/integration/$(1)/%.o: CPPFLAGS += -Iservices/$(1)
endef
$(foreach s,$(SERVICES),$(eval $(call daemon_rule,$(s))))

$(OUT)/obj/tests/%.o: CPPFLAGS += -Itests
$(OUT)/tests/unit/%: $(OUT)/obj/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(OUT)/tests/integration/%: $(OUT)/obj/tests/integration/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)
# Contract tests look at whole tables: the bus's and the gateway's routes.
$(OUT)/obj/tests/contract/%.o: CPPFLAGS += -Iservices/gateway
$(OUT)/tests/contract/%: $(OUT)/obj/tests/contract/%.o $(call parts_of,gateway) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)
# disaster-restore reads the backup store by itself: nothing else may run yet.
STORE_OBJ := $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard $(addprefix services/storage-backup/,dump/*.c engine/*.c format/*.c store/*.c)))
$(OUT)/obj/tools/zakictl/%.o: CPPFLAGS += -Iservices/storage-backup
$(ZAKICTL): $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tools/zakictl/*.c)) $(STORE_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(OUT)/obj/tests/bench/bench-backup.o: CPPFLAGS += -Iservices/storage-backup
$(BIN)/bench-backup: $(OUT)/obj/tests/bench/bench-backup.o $(call parts_of,storage-backup) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(BIN)/bench-%: $(OUT)/obj/tests/bench/bench-%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)

.SECONDARY:
-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

# ---- the local stack -----------------------------------------------------------------------------

.PHONY: deps-run deps-test run up down demo migrate status
deps-run:
	@deploy/local/install run
	@deploy/local/install build
deps-test: deps-run
	@deploy/local/install check test

run: deps-run
	@$(MAKE) --no-print-directory build
	@$(STACK) run
up: deps-run
	@$(MAKE) --no-print-directory build
	@$(STACK) up
down:
	@$(STACK) down
status:
	@$(STACK) status
demo:
	@deploy/local/install demo
	@$(PYTHON) tests/e2e/demo.py
migrate: build
	@$(STACK) migrate

# ---- tests ---------------------------------------------------------------------------------------

TIME        ?= 60
JOBS        ?= $(shell nproc)
C_FILES     := $(wildcard libs/*/*.[ch] services/*/*.[ch] services/*/*/*.[ch] tools/*/*.[ch] tests/*.h tests/*/*.[ch] tests/*/*/*.[ch])
TIDY_FILES  := $(filter %.c,$(filter libs/% services/% tools/%,$(C_FILES)))

.PHONY: realtime-client test check lint format tidy cppcheck fuzz bench variants
test: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) variants
	@$(PYTHON) tests/run --build $(B)

# The frontends' WebSocket client, whose types come from the same tables.
REALTIME := frontends/realtime
$(REALTIME)/node_modules/.package-lock.json: $(REALTIME)/package-lock.json
	@cd $(REALTIME) && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json
realtime-client: $(REALTIME)/node_modules/.package-lock.json
	@cd $(REALTIME) && npm run -s build

variants:
	@$(MAKE) --no-print-directory V=release build
	@$(MAKE) --no-print-directory realtime-client
	@$(MAKE) --no-print-directory V=asan build tests
	@$(MAKE) --no-print-directory V=tsan build tests
	@$(MAKE) --no-print-directory V=fuzz fuzzers

check: lint format tidy cppcheck
lint:
	$(PYTHON) tools/lint.py
format:
	@clang-format --dry-run -Werror $(C_FILES) && echo "clang-format: $(words $(C_FILES)) files clean"

# A stamp a file, so that only what changed is looked at again.
tidy: $(TIDY_FILES:%.c=$(B)/tidy/%.ok)
	@echo "clang-tidy: $(words $(TIDY_FILES)) files clean"
$(B)/tidy/%.ok: %.c .clang-tidy $(GEN)/messages.h
	@mkdir -p $(@D)
	@clang-tidy --quiet --warnings-as-errors='*' $< -- -std=gnu17 $(CPPFLAGS) \
		$(if $(filter services/%,$<),-Iservices/$(word 2,$(subst /, ,$<))) \
		$(if $(filter tools/zakictl/%,$<),-Iservices/storage-backup) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@
cppcheck: $(GEN)/messages.h
	@mkdir -p $(B)/cppcheck
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --cppcheck-build-dir=$(B)/cppcheck \
		-j $(JOBS) -Ilibs -I$(GEN) -Iproto -D_GNU_SOURCE '-DcJSON_ArrayForEach(e,a)=for(e=(a)->child;e;e=e->next)' $(TIDY_FILES) && echo "cppcheck: $(words $(TIDY_FILES)) files clean"

# With V=fuzz: every target of tests/fuzz. Those named fuzz_<service>_… also link that service's parts.
$(OUT)/tests/fuzz/%: $(OUT)/obj/tests/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)
define fuzz_rule
$(OUT)/tests/fuzz/fuzz_$(subst -,_,$(1))_%: $(OUT)/obj/tests/fuzz/fuzz_$(subst -,_,$(1))_%.o $(call parts_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(Q)$(CC) -o $$@ $$^ $(LDFLAGS) $(LDLIBS)
$(OUT)/obj/tests/fuzz/fuzz_$(subst -,_,$(1))_%.o: CPPFLAGS += -Iservices/$(1)
endef
$(foreach s,$(SERVICES),$(eval $(call fuzz_rule,$(s))))
fuzz: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) V=fuzz fuzzers
	@FUZZ_S=$(TIME) $(PYTHON) tests/run --build $(B) --group fuzz

bench: deps-test
	@$(MAKE) --no-print-directory realtime-client
	@$(MAKE) --no-print-directory V=release build helpers
	@$(PYTHON) tests/bench/bench.py --build $(B)

MINUTES ?= 15
.PHONY: soak
soak: deps-test
	@$(MAKE) --no-print-directory V=release build helpers
	@$(PYTHON) tests/bench/soak.py --build $(B) --minutes $(MINUTES)

# What the suite is made of, with versions (CycloneDX).
.PHONY: sbom
sbom:
	@$(MAKE) --no-print-directory V=release build
	@$(PYTHON) tools/sbom.py $(B)/release/bin > $(B)/sbom.json && echo "$(B)/sbom.json"

# One defence taken away at a time, in a tree of its own; ONLY: requirements or words, "9.2 refresh".
ONLY ?=
.PHONY: mutants
mutants: deps-test
	@$(PYTHON) tests/mutants --build $(B) $(ONLY)

.PHONY: clean
clean:
	rm -rf $(B)

help:
	@echo "make run      start the platform here, show its logs, stop it at Ctrl-C (state in .zaki/)"
	@echo "make up/down  the same in the background; make status says how it is"
	@echo "make demo     the main job against the running platform, step by step"
	@echo "make test     every test; ends with their number"
	@echo "make check    the static part alone: lint, clang-format, clang-tidy, cppcheck"
	@echo "make fuzz     every fuzz target, TIME=$(TIME) seconds each"
	@echo "make bench    the benchmarks; writes docs/BENCHMARKS.md"
	@echo "make mutants  takes each defence of docs/SECURITY.md away: its tests must fail; ONLY=\"9.2 refresh\""
	@echo "make soak     sockets that come and go, MINUTES=$(MINUTES) long; memory, threads and files stay flat"
	@echo "make sbom     what the suite is made of, with versions, into build/sbom.json (CycloneDX)"
	@echo "make migrate  brings the database's schema up to date"
