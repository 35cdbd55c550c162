# SPDX-License-Identifier: Apache-2.0

# sudo's PATH often lacks the place where Go's own archive is unpacked.
GO := $(or $(shell command -v go),$(wildcard /usr/local/go/bin/go),go)

# Version information comes from here, since the go command refuses to build
# where git does not trust the checkout's owner (sudo) or has no metadata.
VERSION := $(or $(shell git -c safe.directory='$(CURDIR)' describe --tags --always --dirty 2>/dev/null),unknown)
GOFLAGS += -buildvcs=false
export GOFLAGS

UNIT := $$($(GO) list ./... | grep -v /e2e)
DEMO := bin/demo
# What demo-down removes again.
DEMO_PACKAGES := /var/lib/dovesnap-demo/packages

.PHONY: help
help: ## say what there is (default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/dovesnap
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X dovesnap/cli.version=$(VERSION)' -o bin/dovesnap .

.PHONY: package
package: ## build .deb and .rpm into dist/; ARCH=amd64 only those; PACKAGE_VERSION=1.2.3 instead of git's
	@rm -f dist/dovesnap_*.deb dist/dovesnap-*.rpm
	@cd packaging && $(GO) run . $(if $(ARCH),-arch $(ARCH)) $(if $(PACKAGE_VERSION),-version $(PACKAGE_VERSION))

.PHONY: test
test: setup check test-unit test-packages test-e2e test-vm ## the whole suite (as root): checks, unit tests, packages, end-to-end tests, a pass in two virtual machines

.PHONY: setup
setup: # install what the tests need and this machine lacks
	@hack/setup.sh

.PHONY: check
check: # formatting and go vet
	@echo "checking format and go vet"
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "gofmt differs: $$unformatted" >&2; exit 1; }
	@$(GO) vet ./...
	@cd packaging && $(GO) vet ./...

.PHONY: test-unit
test-unit: ## unit tests, with the race detector; what needs root skips without it
	@echo "unit tests"
	@faucet=$$($(GO) run ./hack/venv faucet) && confrpc=$$($(GO) run ./hack/venv faucetconfrpc) && \
		DOVESNAP_FAUCET_VENV=$$faucet DOVESNAP_FAUCETCONFRPC=$$confrpc/bin/faucetconfrpc_server $(GO) test -race $(UNIT)

.PHONY: test-packages
test-packages: ## build the packages and test them (as root): contents, scripts, install to purge
	@echo "packages"
	@cd packaging && $(GO) test -race -timeout 15m ./...

.PHONY: test-e2e
test-e2e: ## end-to-end tests (as root) with dockerd, Open vSwitch and Faucet; RUN=regexp picks some
	@echo "end-to-end tests (the first run downloads three root file systems)"
	@# One package at a time: of several, go test shows nothing before the end.
	@$(GO) test -count=1 -timeout 10m -v -run '$(RUN)' ./e2e/host
	@$(GO) test -count=1 -timeout 80m -parallel 3 -v -run '$(RUN)' ./e2e

.PHONY: test-vm
test-vm: # install, use and reboot on Debian 12 and 13
	@hack/setup.sh --vm
	@echo "a pass in virtual machines (the first run builds two, some minutes each)"
	@DOVESNAP_VM=1 $(GO) test -count=1 -timeout 60m -parallel 1 -v -run 'TestInstallUseReboot/^(bookworm|trixie)$$$$' ./vmtest

.PHONY: vmtest
vmtest: ## tests in virtual machines (as root): the package on real systems; RUN=regexp picks some
	@hack/setup.sh --vm
	@echo "tests in virtual machines (the first run builds three, two minutes each; all of them take hours)"
	@DOVESNAP_VM=1 $(GO) test -count=1 -timeout 12h -parallel 1 -v -run '$(RUN)' ./vmtest

.PHONY: bench
bench: setup ## compare with Docker's own bridge (as root): medians and ratios
	@$(GO) test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./e2e

.PHONY: vmbench
vmbench: ## the kernel's datapath, in a virtual machine (as root): throughput and attachments, as ratios
	@hack/setup.sh --vm
	@DOVESNAP_VM=1 $(GO) test -count=1 -timeout 2h -run '^$$' -bench . -benchtime 1x ./vmtest

.PHONY: demo
demo: ## see it work (as root): the README's commands on a host of its own; stays until demo-down
	@test "$$(id -u)" = 0 || { echo "the demo needs root: sudo make demo" >&2; exit 1; }
	@hack/setup.sh $(DEMO_PACKAGES)
	@echo "building dovesnap"
	@$(MAKE) --no-print-directory --silent build $(DEMO)
	@$(DEMO) up bin/dovesnap

.PHONY: demo-shell
demo-shell: $(DEMO) ## a shell in the demo
	@$(DEMO) shell

.PHONY: demo-down
demo-down: $(DEMO) ## remove every trace of the demo
	@$(DEMO) down

.PHONY: $(DEMO)
$(DEMO):
	@CGO_ENABLED=0 $(GO) build -o $@ ./hack/demo

.PHONY: golden
golden: ## write the expected results of golden tests anew; read the diff
	@$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update
	@cd packaging && $(GO) test . -rewrite

.PHONY: generate
generate: ## write generated files anew
	@$(GO) generate ./...

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin dist
