#!/bin/sh
# Compiles natural mistakes, which the compiler refuses, and checks that its first error is one sentence that says what
# to write instead. Usage: check.sh COMPILER SOURCE_DIR
compiler=$1 source=$2
case $("$compiler" --version) in
*clang*) plain=-fno-caret-diagnostics header=pch ;;
*) plain=-fno-diagnostics-show-caret header=gch ;;
esac
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# The headers once, precompiled.
cat >"$dir/all.hpp" <<'END'
#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "autograd/ops/activations.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "nn/dropout.hpp"
#include "nn/linear.hpp"
#include "nn/sequential.hpp"
#include "nn/weights.hpp"
#include "optim/rules.hpp"

using namespace gradus;
END
"$compiler" -std=c++20 -I"$source" -x c++-header "$dir/all.hpp" -o "$dir/all.hpp.$header" || exit 1

fault() {
  echo "$1"
  touch "$dir/failed"
}
# NAME, the CODE, and the sentence of the first error; "" for what must compile.
expect() {
  text=$(printf '%s\n' "$2" | "$compiler" -std=c++20 -fsyntax-only $plain -I"$source" -include "$dir/all.hpp" -x c++ - 2>&1)
  status=$?
  if [ -z "$3" ]; then
    [ $status -eq 0 ] && return
    fault "$1 does not compile: $text"
  elif [ $status -eq 0 ]; then
    fault "$1 compiles"
  elif ! printf '%s' "$text" | grep -m1 'error:' | grep -qF -- "$3"; then
    fault "$1 does not begin with '$3': $text"
  elif [ "$(printf '%s\n' "$text" | wc -l)" -gt 16 ]; then
    fault "$1 says it in more than 16 lines: $text"
  fi
}

# NAME, the CODE of a function given to elementwise, of x, and the sentence.
formula() {
  expect "$1" "Variable f(const Variable& v) { return elementwise([](auto x) { $2 }, v); }" "$3"
}
{
formula "a plain formula" 'return exp(x) * where(x > 0, x, 2 * x) + max(x, 0) - pow(x, 2);' ""
formula "std::exp" 'return std::exp(x);' "call exp, log, tanh"
formula "a double" 'double y = x; return y * x;' "keep results in auto"
formula "?:" 'return x > 0 ? x : -x;' "use where(condition, a, b), max(a, b)"
formula "if" 'if (x > 0) return x; return -x;' "use where(condition, a, b), max(a, b)"
formula "std::max" 'return std::max(x, x + 1);' "use where(condition, a, b), max(a, b)"
formula "&&" 'return where(x > 0 && x < 1, x, 0);' "use where(condition, a, b), max(a, b)"
formula "two operands" 'return x; }, v, v); (void)([](auto y) { return y;' "f takes one number for each operand"
formula "a reduction of a symbol" 'return x / sum(x, 0);' "sees one element of each operand"
formula "the norm of a symbol" 'return x / norm(x);' "sees one element of each operand"
} &

# NAME, an EXPRESSION of the tensor t, the Variables v and w and the Parameter p, and the sentence.
statement() {
  expect "$1" "void f(Tensor t, Variable v, Variable w, Parameter p) { $2; (void)t, (void)v, (void)w, (void)p; }" "$3"
}
statement "what is right" 'v += t; w = v[-1] * t - max(v, {0}) + sum(t, -1, true) + sum(v, {0, 1}); v /= 2; p = Parameter(t);
  w = where(t, v, 0) + maximum(v, t) + matmul(v, t) + elementwise([](auto x, auto y) { return x * y; }, v, t); t = norm(t, {1})' ""
for x in t v; do
  statement "sum($x, true)" "sum($x, true)" "keepdims stands behind the axes"
  statement "argmax($x, true)" "argmax($x, true)" "keepdims stands behind the axes"
  statement "sum($x, 1.0)" "sum($x, 1.0)" "an axis is a whole number"
  statement "sum($x, 0, 1)" "sum($x, 0, 1)" "several axes stand in braces"
  statement "max($x, 0)" "max($x, 0)" "maximum(a, b) the larger of two"
  statement "max($x, $x)" "max($x, $x)" "maximum(a, b) the larger of two"
  statement "min(0.5, $x)" "min(0.5, $x)" "minimum(a, b) the smaller of two"
  statement "norm($x, 1)" "norm($x, 1)" "norm(x, {}, {.p = 1}) that of order 1"
  statement "$x == $x" "if ($x == $x) return" "identical(a, b) whole tensors"
done
statement "v != 0" "if (v != 0) return" "identical(a, b) whole tensors"
statement "v == t" 'if (v == t) return' "identical(a, b) whole tensors"
for change in 'p += v' 'p -= t' 'p *= 2' 'p /= p'; do statement "$change" "$change" "optimizers change it"; done
statement "zeros(2, 3)" 't = zeros(2, 3)' "stands in braces: zeros({2, 3})"
statement "ones(2, 3, f64)" 't = ones(2, 3, Dtype::f64)' "stands in braces: ones({2, 3})"
statement "p = t" 'p = t' "p.mutable_value() = tensor"
statement "p = v * v" 'p = v * v' "p.mutable_value() = tensor"
statement "v = t" 'v = t' "x = Variable(tensor)"
statement "a Tensor of ints" 'Tensor::from(std::vector<int>{1}, {1})' "elements of a Tensor are of type float or double"
statement "a Tensor of a span of ids" 't.data<std::int32_t>()' "elements of a Tensor are of type float or double"

# NAME, the MEMBERS of a struct, and the sentence.
module() {
  expect "$1" "struct Other { Parameter weight; }; struct Model { $2 };
void f(Model& m, optim::Sgd& sgd, const Gradients& g) { sgd.step(m, g); }" "$3"
}
a_module="a module is a struct with a public template static void members"
one() { printf 'static void members(auto& self, auto&& visit) { visit("part", self.part); } %s part;' "$1"; }
module "a plain module" 'static void members(auto& self, auto&& visit) { visit("p", self.p); visit("l", self.l); visit("a", self.a); }
  Parameter p; std::vector<Parameter> l; std::array<Parameter, 2> a;' ""
module "a struct without members" 'Parameter p;' "$a_module"
module "a part without members" "$(one Other)" "$a_module"
module "members that is private" 'private: static void members(auto& self, auto&& visit) { visit("p", self.p); } Parameter p;' "$a_module"
module "members that is no template" 'static void members(Model& self, void (*visit)(const char*, Parameter&)) { visit("p", self.p); } Parameter p;' "$a_module"
module "members that is not static" 'void members(auto& self, auto&& visit) { visit("p", self.p); } Parameter p;' "is static: static void members"
module "members of the object" 'void members(auto&& visit) { visit("p", p); } Parameter p;' "is static: static void members"
module "members of a const module" 'static void members(const Model& self, auto&& visit) { visit("p", self.p); } Parameter p;' "so that parts can be changed"
module "a part that is an array" 'static void members(auto& self, auto&& visit) { visit("p", self.p); } Parameter p[2];' "an array is no part of a module"
module "parts of every kind" 'static void members(auto& self, auto&& visit) { visit("o", self.o); visit("u", self.u); visit("v", self.v); visit("b", self.b); }
  std::optional<Parameter> o; std::unique_ptr<nn::Linear> u; std::variant<std::monostate, Parameter, nn::Linear> v; std::vector<Buffer> b;' ""
module "a part that is a pointer" "$(one 'Parameter*')" "a pointer is no part of a module, but for a std::unique_ptr"
module "a part that is a shared_ptr" "$(one 'std::shared_ptr<Parameter>')" "a pointer is no part of a module, but for a std::unique_ptr"
module "a part that owns no module" "$(one 'std::unique_ptr<Other>')" "$a_module"
module "a part that owns an array" "$(one 'std::unique_ptr<Parameter[]>')" "an array is no part of a module"
module "a variant with a number" "$(one 'std::variant<Parameter, double>')" "a number is no part of a module"
module "a part that is a map" "$(one 'std::map<std::string, Parameter>')" "this container is no part of a module"
module "a part that is a pair" "$(one 'std::pair<Parameter, Parameter>')" "$a_module"
module "a part that is a string" "$(one 'std::string')" "a number is no part of a module"
module "a part that is a number" "$(one double)" "a number is no part of a module"
module "a part that is a Tensor" "$(one Tensor)" "a Tensor or a Variable is no part of a module"
module "a part that is a Variable" "$(one Variable)" "a Tensor or a Variable is no part of a module"
model='struct Model { Parameter p; static void members(Model& self, auto&& visit) { visit("p", self.p); } };'
expect "members of a module that changes" "$model auto f(const Model& m) { return count_parameters(m); }" "as it serves const modules too"
expect "InModule of a plain struct" 'struct Model { void f() const { const InModule here(*this); } };' "$a_module"
expect "save_weights of a plain struct" 'struct Model {}; void f(const Model& m) { nn::save_weights("x", m); }' "$a_module"
sequential='void f(Rng& rng, const Variable& x) { const nn::Sequential model(nn::Linear(rng, 2, 2), nn::Dropout{0.5});'
expect "a Sequential that trains" "$sequential model(x, &rng); model(x, nullptr); }" ""
expect "a Sequential without the generator that it needs" "$sequential model(x); }" "call model(x, &rng) to train"
expect "a Sequential of a lambda" 'auto f(Rng& rng) { return nn::Sequential(nn::Linear(rng, 2, 2), [](const Variable& x) { return x; }); }' "the layers of a Sequential are modules"
wait
[ ! -e "$dir/failed" ]
