#!/bin/sh
# Fails when an object file compiled for one instruction set defines a function that files compiled for others could
# share: the linker keeps one copy, and on an older processor that copy would crash. Usage: simd_symbols.sh OBJECT...
status=0
for object; do
  shared=$(nm -C --defined-only "$object" | grep -E ' [TW] ' | grep -vE '(kernel_set|step_table)<|bf16_(avx512|amx)\(\)')
  if [ -n "$shared" ]; then
    printf '%s defines\n%s\n' "$object" "$shared"
    status=1
  fi
done
[ $# -gt 0 ] && exit $status
