// The steps of the library's rules for one instruction set: this file is compiled once for each.

#include "optim/rules.hpp"
#include "optim/step_table.hpp"
#include "tensor/kernels/impl/arch.hpp"

namespace gradus::optim::detail {
namespace {

using kernels::Arch;
#include "tensor/kernels/impl/batch.hpp"

/// The arithmetic of a register of elements.
template <class T>
struct Lanes {
  using Value = Batch<T>;
  using Mask = typename Batch<T>::batch_bool_type;
  static Value constant(double x) { return Value(static_cast<T>(x)); }
  static Value fma(const Value& a, const Value& b, const Value& c) { return mul_add(a, b, c); }
  static Value sqrt(const Value& a) { return xsimd::sqrt(a); }
  static Value abs(const Value& a) { return xsimd::abs(a); }
  static Value sign(const Value& a) {
    return select(a > Value(0), Value(1), select(a < Value(0), Value(-1), Value(0)));
  }
  static Value select(const Mask& mask, const Value& yes, const Value& no) {
    return xsimd::select(mask, yes, no);
  }
};

template <class Rule, class T>
[[gnu::flatten]] void step(const Rule& given, const Run<T>& all, int state) {
  with_state<Rule>(state, [&](auto indices) {
    // Copies, which no store can change: their constants stay in registers.
    const Rule rule = given;
    const Run<T> run = all;
    for_batches<T>(run.size, [&](std::int64_t i, auto load, auto store) {
      update_at<Number<Lanes<T>>>(rule, run, i, load, store, indices);
    });
  });
}

template <class... Rules>
constexpr StepTable<RuleList<Rules...>> table_of(RuleList<Rules...>) {
  return {{step<Rules, float>, step<Rules, double>}...};
}
constexpr StepTable<LibraryRules> table = table_of(LibraryRules{});

}  // namespace

template <>
const StepTable<LibraryRules>& step_table<kernels::this_set>() {
  return table;
}

}  // namespace gradus::optim::detail
