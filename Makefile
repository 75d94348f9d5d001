# make demo: the main job, shown. make test: all tests. make test-foreign: those of the
# programs on arm64 and armhf. make fuzz: each fuzz test for FUZZTIME. make bench: what
# things cost. make dist: what is released. They install what they need as root on Debian
# and Ubuntu, else they say what to install.

# The library's documentation generators are not for us.
TAGS = urfave_cli_no_docs
# So many digits of a commit in each clone: git's own choice grows with the clone.
VERSION = $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo devel)
GO = go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.6.1
SHELL_SCRIPTS = .ci/run completions/complete scripts/demo scripts/deps scripts/dist scripts/faults scripts/foreign scripts/foreign-tests scripts/fuzz scripts/licenses scripts/matrix scripts/roots scripts/spdx scripts/test scripts/tracked rootfs/etc/cont-init.d/* rootfs/etc/s6-overlay/stage2-hook rootfs/etc/s6-overlay/s6-rc.d/registrar/run rootfs/etc/s6-overlay/s6-rc.d/reconciler/run testdata/container/busybox testdata/container/enter testdata/container/init testdata/container/init-systemd testdata/container/rc.init testdata/container/printcontenv
# What is built, and where it is put.
PROGRAMS = ./cmd/...
BIN = bin
# Where an image has the binaries: on the bare PATH of docker exec.
BINDIR = /usr/bin
SHARE = /usr/share
# Rounds of make bench: fewer are done sooner, and less sure.
BENCH_RUNS = 10

.PHONY: build license install install-share dist demo test test-faults test-foreign test-matrix fuzz chaos soak fence bench lint rooms deps clean

# Inlining makes the runtime fast and all else only large: 5.37 MB with it, 5.01 without,
# of 5 that an image is to carry at most, and a start is the same within what can be
# measured. Of several patterns the last that matches counts. Functions that begin at
# multiples of 16 bytes instead of 32 are 0.08 MB less; linkers before Go 1.26 cannot.
LEAN = -gcflags=all=-l -gcflags=runtime= -gcflags=internal/runtime/maps=
ALIGN = $(shell $(GO) tool link -h 2>&1 | grep -q funcalign && echo -funcalign 16)

# The version says which commit this is. What git says of the work tree besides would
# make two builds of one commit differ.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags $(TAGS) $(LEAN) \
		-ldflags "-s -w $(ALIGN) -X hermes-s6/lib/cli.Version=$(VERSION)" -o "$(BIN)/" $(PROGRAMS)

# Ours, and those of the libraries that are in what was built.
license:
	install -d "$(BIN)"
	scripts/licenses $(TAGS) >"$(BIN)/LICENSE"

demo:
	@scripts/deps s6-svscan execlineb pgrep
	@$(MAKE) --no-print-directory build
	@scripts/demo bin

deps:
	@scripts/deps s6-svscan execlineb cc shellcheck strace debootstrap systemctl jq python3 python3-yaml python3-pip python3-setuptools python3-wheel pyflakes3 mypy patch mandoc zsh fish busybox xz zip codespell wine podman newuidmap

lint: deps
	scripts/tracked
	git ls-files -z | xargs -0 codespell
	shellcheck -s sh $(SHELL_SCRIPTS)
	shellcheck completions/hermes-s6.bash testdata/completions/bash
	mandoc -T lint -W warning man/*
	pyflakes3 python
	cd python && mypy
	for os in linux darwin windows; do GOOS=$$os $(GO) vet -tags $(TAGS) ./... || exit; done
	GOARCH=arm $(GO) vet -tags $(TAGS) ./...
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) run $(STATICCHECK) -tags $(TAGS) ./...
	cd test/deploy && $(GO) vet ./... && $(GO) test -count=1 ./...

# Who imports whom.
rooms:
	@$(GO) list -tags $(TAGS) -f '{{.ImportPath}} {{join .Imports " "}}' ./lib/... | \
		awk '{ printf "%s:", $$1; for (i = 2; i <= NF; i++) if ($$i ~ /^hermes-s6/) printf " %s", $$i; print "" }' | sed 's,hermes-s6/lib/,,g'

test: lint
	scripts/test $(TAGS)

# Every system call of every command that makes or removes anything, failed.
test-faults: deps
	scripts/faults $(TAGS)

# Under each version of s6 that Debian has, or that of SUITES, and of Python from 3.9.
SUITES =

test-matrix: deps
	scripts/matrix $(TAGS) "$(SUITES)"

# Under arm64 and armhf, or those of ARCHITECTURES, by qemu, in a quarter of an hour.
ARCHITECTURES =

test-foreign:
	@scripts/deps debootstrap
	scripts/foreign $(TAGS) "$(ARCHITECTURES)"

# Each fuzz test for so long.
FUZZTIME = 1m

fuzz:
	@scripts/deps s6-svscan execlineb python3 python3-yaml
	@scripts/fuzz $(TAGS) $(FUZZTIME)

# What the tests do for seconds, for minutes.
chaos: deps
	$(GO) test -count=1 -timeout 10m -tags $(TAGS) -v -run 'TestChaos$$' ./test -chaos 1m

soak: deps
	$(GO) test -count=1 -timeout 60m -tags $(TAGS) -v -run 'Test(Soak|FollowIdle|FollowJunk)$$' ./test -soak 10m

fence: deps
	$(GO) test -count=1 -timeout 30m -tags $(TAGS) -v -run 'TestFenceExactlyOnce$$' ./test -fence 5m

# Measures, and writes what came out into docs/performance.md and its charts.
bench: build
	@scripts/deps s6-svscan cc strace
	$(GO) run -tags $(TAGS) ./bench -runs $(BENCH_RUNS)

# Lays the programs, one file and links to it, and what an image adds to s6-overlay down below DESTDIR.
install: build license install-share
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)/etc"
	install -D -m 644 "$(BIN)/LICENSE" "$(DESTDIR)$(SHARE)/doc/hermes-s6/LICENSE"
	install -m 755 "$(BIN)/hermes-s6" "$(DESTDIR)$(BINDIR)/"
	for program in cmd/hermes-*; do \
		[ "$$program" = cmd/hermes-s6 ] || ln -sf hermes-s6 "$(DESTDIR)$(BINDIR)/$${program##*/}" || exit; done
	cp -R --preserve=mode rootfs/etc/. "$(DESTDIR)/etc/"

# Lays the manual pages and the completions down, where Debian's shells look for them.
install-share:
	install -d $(addprefix "$(DESTDIR)$(SHARE)"/,man/man1 man/man7 hermes-s6 bash-completion/completions zsh/vendor-completions fish/vendor_completions.d)
	install -m 644 man/*.1 "$(DESTDIR)$(SHARE)/man/man1/"
	install -m 644 man/*.7 "$(DESTDIR)$(SHARE)/man/man7/"
	install -m 755 completions/complete "$(DESTDIR)$(SHARE)/hermes-s6/"
	install -m 644 completions/hermes-s6.bash "$(DESTDIR)$(SHARE)/bash-completion/completions/hermes-s6"
	install -m 644 completions/_hermes-s6 "$(DESTDIR)$(SHARE)/zsh/vendor-completions/"
	install -m 644 completions/hermes-s6.fish "$(DESTDIR)$(SHARE)/fish/vendor_completions.d/"
	for program in cmd/hermes-*; do program=$${program##*/}; [ $$program = hermes-s6 ] || { \
		ln -sf hermes-s6 "$(DESTDIR)$(SHARE)/bash-completion/completions/$$program" && \
		ln -sf hermes-s6.fish "$(DESTDIR)$(SHARE)/fish/vendor_completions.d/$$program.fish"; } || exit; done

# What is released, in dist/: of all systems, or of TARGETS.
DIST = dist

dist:
	@scripts/deps xz zip jq
	@scripts/dist "$(DIST)" "$(VERSION)" $(TARGETS)

clean:
	rm -rf bin dist
