#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Writes internal/pb from faucetconfrpc.proto, with pinned versions of protoc
# (the one inside PyPI's grpcio-tools), protoc-gen-go and protoc-gen-go-grpc.
# Needs python3 with venv, and the network.
set -eu
cd "$(dirname "$0")"
module=dovesnap/faucet/rpc
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check grpcio-tools==1.78.0
# protoc-gen-go has the version of the library, from go.mod.
GOBIN="$tools" go install google.golang.org/protobuf/cmd/protoc-gen-go
GOBIN="$tools" go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0

PATH="$tools:$PATH" "$tools/venv/bin/python" -m grpc_tools.protoc -I. \
	--go_out=. --go_opt=module="$module" --go-grpc_out=. --go-grpc_opt=module="$module" faucetconfrpc.proto
