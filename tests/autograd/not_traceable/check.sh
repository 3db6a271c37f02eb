#!/bin/sh
# Compiles snippets that `elementwise` cannot trace, and checks that the compiler says what to write instead, in a
# few lines. Usage: check.sh COMPILER SOURCE_DIR
compiler=$1 source=$2 failed=0
case $("$compiler" --version) in *clang*) plain=-fno-caret-diagnostics ;; *) plain=-fno-diagnostics-show-caret ;; esac

# NAME, the EXPRESSION of x, and what the message must contain; "" for what must compile.
expect() {
  text=$(printf '#include <cmath>\n#include <algorithm>\n#include "autograd/elementwise.hpp"\nusing namespace gradus;\nVariable f(const Variable& v) {\n  return elementwise([](auto x) { %s }, v);\n}\n' "$2" |
    "$compiler" -std=c++20 -fsyntax-only $plain -I"$source" -x c++ - 2>&1)
  status=$?
  if [ -z "$3" ]; then
    [ $status -eq 0 ] && return
    echo "$1 does not compile: $text" && failed=1 && return
  fi
  if [ $status -eq 0 ]; then
    echo "$1 compiles" && failed=1
  elif ! printf '%s' "$text" | grep -q "$3"; then
    echo "$1 does not say '$3': $text" && failed=1
  elif [ "$(printf '%s\n' "$text" | wc -l)" -gt 16 ]; then
    echo "$1 says it in more than 16 lines: $text" && failed=1
  fi
}

expect "a plain formula" 'return exp(x) * where(x > 0, x, 2 * x) + max(x, 0) - pow(x, 2);' ""
expect "std::exp" 'return std::exp(x);' "call exp, log, tanh"
expect "a double" 'double y = x; return y * x;' "keep results in auto"
expect "?:" 'return x > 0 ? x : -x;' "use where(condition, a, b), max(a, b)"
expect "if" 'if (x > 0) return x; return -x;' "use where(condition, a, b), max(a, b)"
expect "std::max" 'return std::max(x, x + 1);' "use where(condition, a, b), max(a, b)"
expect "&&" 'return where(x > 0 && x < 1, x, 0);' "use where(condition, a, b), max(a, b)"
expect "two operands" 'return x; }, v, v); (void)([](auto y) { return y;' "f takes one number for each operand"
exit $failed
