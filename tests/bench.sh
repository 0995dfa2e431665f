#!/bin/sh
# The benchmark: installs what is missing (Debian 12, as root), builds the release, measures all peers side by side.
# Usage: tests/bench.sh [--quick] [--only PEER,PEER] [--rounds N] [--pool 10k,65k,1M] …; --help lists everything.
# What the numbers mean: docs/benchmark.md.

set -eu
cd "$(dirname "$0")/.."

tests/install-packages.sh build radiusd postgres
cargo build --release --lib --bins --example radload >&2
exec "${CARGO_TARGET_DIR:-target}/release/examples/radload" bench "$@"
