#!/usr/bin/env bash
# Generates python/interopinterp/_pb from protos/ (Debian: protobuf-compiler, protobuf-compiler-grpc, libprotobuf-dev).
# The stubs are checked in and are to work with protobuf 4.21, so protoc must be 3.21; a folder may be given to write elsewhere.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
out="${1:-$root/python/interopinterp/_pb}"
version="$(protoc --version)"
[[ "$version" == "libprotoc 3.21."* ]] || { echo "protoc 3.21 is needed; this is $version" >&2; exit 1; }
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

protoc -I "$root/protos" --python_out="$work" --grpc_python_out="$work" --plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" \
  "$root"/protos/interopinterp/v1/*.proto
rm -f "$out"/*_pb2*.py
for file in "$work"/interopinterp/v1/*.py; do
  # Modules live in the package of the client, not where the protos' package says.
  sed 's/^from interopinterp\.v1 import/from interopinterp._pb import/' "$file" > "$out/$(basename "$file")"
done
