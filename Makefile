# Zaki Platform. `make run` starts it, `make test` tests it; `make help` lists the rest.

PYTHON   := /usr/bin/python3
B        ?= build
V        ?= release
OUT      := $(B)/$(V)
GEN      := $(B)/gen
BIN      := $(OUT)/bin
SERVICES := $(notdir $(wildcard services/*))
STACK    := $(PYTHON) deploy/local/stack.py

# ---- compiler ------------------------------------------------------------------------------------

CC       := gcc
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
            -Wformat=2 -Wconversion -Wno-sign-conversion -Wpointer-arith -Wimplicit-fallthrough \
            -fno-common -Werror
FLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LINK_release  := -pie -Wl,-z,relro,-z,now
FLAGS_asan    := -O1 -DZAKI_FAULTS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK_asan     := -fsanitize=address,undefined
FLAGS_tsan    := -O1 -DZAKI_FAULTS -fsanitize=thread -fno-omit-frame-pointer
LINK_tsan     := -fsanitize=thread
CPPFLAGS := -D_GNU_SOURCE -include libs/base/banned.h -Ilibs -I$(GEN) -Iproto
CFLAGS    = -std=gnu17 -g $(WARN) $(CPPFLAGS) $(FLAGS_$(V))
LDFLAGS   = $(LINK_$(V)) -Wl,--as-needed
LDLIBS   := -lcivetweb -lwebsockets -lnats -lpq -lhiredis -ljwt -lcurl -lsodium -lcjson -lm -lpthread

ifeq ($(FLAGS_$(V)),)
$(error V is release, asan or tsan, not '$(V)')
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
HELPERS  := $(patsubst tests/bench/%.c,$(BIN)/%,$(wildcard tests/bench/*.c))

objects_of = $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard services/$(1)/*.c))
# A service's parts for its tests: all but main().
parts_of   = $(filter-out %/main.o,$(call objects_of,$(1)))

.PHONY: all build tests help
all: build
build: $(DAEMONS) $(ZAKICTL)
tests: $(UNIT) $(CONTRACT) $(INTEG)

$(GEN)/messages.c $(GEN)/messages.h &: $(wildcard proto/schema/*.json) tools/protogen.py
	$(PYTHON) tools/protogen.py proto/schema $(GEN)
$(GEN)/migrations.c: $(wildcard services/*/sql/*.sql) tools/sqlgen.py
	@mkdir -p $(GEN)
	$(PYTHON) tools/sqlgen.py $(GEN)

$(OUT)/obj/gen/%.o: $(GEN)/%.c $(GEN)/messages.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(OUT)/obj/services/%.o: services/%.c $(GEN)/messages.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Iservices/$(firstword $(subst /, ,$*)) -MMD -MP -c -o $@ $<
$(OUT)/obj/%.o: %.c $(GEN)/messages.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(LIB): $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

define daemon_rule
$(BIN)/$(1): $(call objects_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(CC) -o $$@ $$^ $(LDFLAGS) $(LDLIBS)
$(OUT)/tests/unit/$(1)/%: $(OUT)/obj/tests/unit/$(1)/%.o $(call parts_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(CC) -o $$@ $$^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(OUT)/obj/tests/unit/$(1)/%.o: CPPFLAGS += -Iservices/$(1)
$(OUT)/tests/integration/$(1)/%: $(OUT)/obj/tests/integration/$(1)/%.o $(call parts_of,$(1)) $(LIB)
	@mkdir -p $$(@D)
	$(CC) -o $$@ $$^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(OUT)/obj/tests/integration/$(1)/%.o: CPPFLAGS += -Iservices/$(1)
endef
$(foreach s,$(SERVICES),$(eval $(call daemon_rule,$(s))))

$(OUT)/obj/tests/%.o: CPPFLAGS += -Itests
$(OUT)/tests/unit/%: $(OUT)/obj/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(OUT)/tests/integration/%: $(OUT)/obj/tests/integration/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)
# Contract tests look at whole tables: the bus's and the gateway's routes.
$(OUT)/obj/tests/contract/%.o: CPPFLAGS += -Iservices/gateway
$(OUT)/tests/contract/%: $(OUT)/obj/tests/contract/%.o $(call parts_of,gateway) $(LIB)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(LDLIBS)
$(ZAKICTL): $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tools/zakictl/*.c)) $(LIB)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)
$(BIN)/bench-%: $(OUT)/obj/tests/bench/bench-%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) $(LDLIBS)

.SECONDARY:
-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
