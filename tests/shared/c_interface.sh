#!/bin/sh
# Trains a small model and uses it from C and, where there is one, from Python.
# Usage: c_interface.sh GRADUS C_PROGRAM LIBRARY EXAMPLE
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
i=0
while [ $i -lt 200 ]; do
  printf 'the king sees the queen .\nthe queen has a crown .\na king has the crown .\n'
  i=$((i + 1))
done >"$folder/text.txt"
"$1" train "$folder/text.txt" --kind ngram --order 3 --out "$folder/model" >/dev/null
"$2" "$folder/model"
if ! command -v python3 >/dev/null; then
  echo "skipped: the example in Python, as there is no python3"
  exit 0
fi
python3 "$4" "$3" "$folder/model" >"$folder/out"
cat "$folder/out"
# What the program says of the same line, in log10.
log10=$(echo 'the king has a crown .' | "$1" score --model "$folder/model" | cut -f 1)
awk -v log10="$log10" 'NR == 1 { d = $4 - log10 * log(10); exit !(d < 1e-3 && d > -1e-3) }' "$folder/out"
[ "$(wc -l <"$folder/out")" -gt 2 ]  # the score, and what may come next
if python3 "$4" "$3" "$folder/none" 2>"$folder/error"; then exit 1; fi
grep -q "none" "$folder/error"
