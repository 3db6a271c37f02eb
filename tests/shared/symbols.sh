#!/bin/sh
# Fails when the shared library shows names that are not Gradus's own, or those of its kernels. Usage: symbols.sh LIBRARY
shown=$(nm -DC --defined-only "$1" | sed 's/^[0-9a-f]* . //')
if [ -z "$shown" ]; then
  echo "$1 shows nothing"
  exit 1
fi
wrong=$(printf '%s\n' "$shown" | awk '/^gradus_[a-z_]*$/ { next } !/^(typeinfo (name )?for |vtable for |void )?gradus::/ ||
  /^(typeinfo (name )?for |vtable for |void )?gradus::(kernels|\(anonymous namespace\))::/')
if [ -n "$wrong" ]; then
  printf '%s shows\n%s\n' "$1" "$wrong"
  exit 1
fi
