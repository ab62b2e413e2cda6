#!/usr/bin/env bash
# Installs what the tests need from Debian and NuGet, builds everything, and runs every test: quick ones first.
# The last line is "N passed, N failed, N skipped", added up over C# and Python; the exit status says whether any failed.
# Tests that read the folder `shared` beside this repository (or at INTEROPINTERP_SHARED) are skipped where it is absent.
set -uo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

debian=(python3 python3-numpy python3-grpcio python3-protobuf python3-pytest)
missing=()
for package in "${debian[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing ${missing[*]}"
  root=(); [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || exit 1
fi
if ! command -v dotnet >/dev/null; then
  echo "The .NET SDK $(grep -oE '[0-9]+\.[0-9]+\.[0-9]+' global.json) is missing: https://dotnet.microsoft.com/download" >&2
  exit 1
fi

dotnet build --nologo -v quiet InteropInterp.sln || exit 1

passed=0 failed=0 skipped=0
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# Adds up what a JUnit file says, and names the tests that failed.
count() {
  local figures
  figures=$(/usr/bin/python3 - "$1" "$results/skipped" <<'PYTHON'
import sys
import xml.etree.ElementTree as xml

try:
    cases = list(xml.parse(sys.argv[1]).iter("testcase"))
except (OSError, xml.ParseError):
    cases = []
failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
skipped = [c for c in cases if c.find("skipped") is not None]
for case in failed:
    print(f"FAILED {case.get('classname')} {case.get('name')}", file=sys.stderr)
with open(sys.argv[2], "a") as reasons:
    for case in skipped:
        skip = case.find("skipped")
        print((skip.get("message") or skip.text or "no reason").strip().splitlines()[0], file=reasons)
print(len(cases) - len(failed) - len(skipped), len(failed), len(skipped))
PYTHON
  )
  read -r p f s <<<"$figures"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  # A run that ended badly and names no failed test is a failure too: it crashed, or ran out of time.
  if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then
    failed=$((failed + 1))
    echo "FAILED $3 ended with status $2" >&2
  fi
}

# $1: a C# test project; the rest: which of its tests.
csharp() {
  local name=$1 file="$results/$1.xml" start=$SECONDS
  shift
  echo "== $name $*"
  timeout 900 "artifacts/bin/$name/debug/$name" -noColor -noLogo -parallelMode none -result-junit "$file" "$@" >"$results/out" 2>&1
  local status=$?
  [ "$status" -eq 0 ] || cat "$results/out"
  count "$file" "$status" "$name"
  rm -f "$file"
  echo "   $((SECONDS - start)) s; so far $passed passed, $failed failed, $skipped skipped"
}

# The rest: what pytest is to run.
python() {
  local file="$results/pytest.xml" start=$SECONDS
  echo "== pytest $*"
  timeout 900 /usr/bin/python3 -m pytest -q -p no:cacheprovider --tb=short --junitxml="$file" "$@" >"$results/out" 2>&1
  local status=$?
  # 5: nothing to run
  [ "$status" -eq 0 ] || [ "$status" -eq 5 ] && status=0 || cat "$results/out"
  count "$file" "$status" pytest
  rm -f "$file"
  echo "   $((SECONDS - start)) s; so far $passed passed, $failed failed, $skipped skipped"
}

projects=()
for folder in tests/*.Tests; do projects+=("$(basename "$folder")"); done
for project in "${projects[@]}"; do csharp "$project" -trait- Speed=slow; done
python tests/python
for project in "${projects[@]}"; do csharp "$project" -trait Speed=slow; done

if [ "$skipped" -gt 0 ]; then
  echo "Skipped, by reason:"
  sort "$results/skipped" | uniq -c | sort -rn | head -40
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
