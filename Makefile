# make demo: the main job, shown. make test: all tests. make fuzz: each fuzz test
# for FUZZTIME. make bench: what things cost. They install what they need as root on
# Debian and Ubuntu, else they say what to install.

# The library's documentation generators are not for us.
TAGS = urfave_cli_no_docs
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO = go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.6.1
SHELL_SCRIPTS = .ci/run scripts/demo scripts/deps scripts/fuzz scripts/matrix scripts/test rootfs/etc/cont-init.d/* rootfs/etc/s6-overlay/stage2-hook testdata/container/enter testdata/container/init testdata/container/init-systemd testdata/container/rc.init testdata/container/printcontenv
# Where an image has the binaries: on the bare PATH of docker exec.
BINDIR = /usr/bin
# Rounds of make bench: fewer are done sooner, and less sure.
BENCH_RUNS = 10

.PHONY: build install demo test test-faults test-matrix fuzz chaos soak bench lint deps clean

# Libraries whose speed does not matter are not inlined: an image carries the
# whole suite in less than 5 MiB.
LEAN = text/template/... regexp/... encoding/json reflect fmt crypto/... net/... os/... flag time strconv \
	github.com/urfave/cli/v2 github.com/goccy/go-yaml/...

build:
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) $(patsubst %,-gcflags='%=-l',$(LEAN)) \
		-ldflags "-s -w -X hermes-s6/lib/cli.Version=$(VERSION)" -o bin/ ./cmd/...

demo:
	@scripts/deps s6-svscan execlineb pgrep
	@$(MAKE) --no-print-directory build
	@scripts/demo bin

deps:
	@scripts/deps s6-svscan execlineb cc shellcheck strace debootstrap systemctl

lint: deps
	shellcheck -s sh $(SHELL_SCRIPTS)
	for os in linux darwin windows; do GOOS=$$os $(GO) vet -tags $(TAGS) ./... || exit; done
	cd bench && $(GO) vet ./...
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) run $(STATICCHECK) -tags $(TAGS) ./...

test: lint
	scripts/test $(TAGS)

# Every system call of every command that makes or removes anything, failed.
test-faults: deps
	$(GO) test -count=1 -timeout 3h -tags $(TAGS) -v -run TestFaults . -fault-step 1

# Under each version of s6 that Debian has.
test-matrix: deps
	scripts/matrix $(TAGS)

# Each fuzz test for so long.
FUZZTIME = 1m

fuzz:
	@scripts/deps s6-svscan execlineb
	@scripts/fuzz $(TAGS) $(FUZZTIME)

# What the tests do for seconds, for minutes.
chaos: deps
	$(GO) test -count=1 -timeout 10m -tags $(TAGS) -v -run 'TestChaos$$' . -chaos 1m

soak: deps
	$(GO) test -count=1 -timeout 30m -tags $(TAGS) -v -run 'TestSoak$$' . -soak 10m

# Measures, and writes what came out into docs/performance.md and its charts.
bench: build
	@scripts/deps s6-svscan cc
	cd bench && $(GO) run . -runs $(BENCH_RUNS)

# Lays the programs, one file and links to it, and what an image adds to s6-overlay down below DESTDIR.
install: build
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)/etc"
	install -m 755 bin/hermes-s6 "$(DESTDIR)$(BINDIR)/"
	for program in cmd/hermes-*; do \
		[ "$$program" = cmd/hermes-s6 ] || ln -sf hermes-s6 "$(DESTDIR)$(BINDIR)/$${program##*/}" || exit; done
	cp -R --preserve=mode rootfs/etc/. "$(DESTDIR)/etc/"

clean:
	rm -rf bin
