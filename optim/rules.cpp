#include "optim/rules.hpp"

#include <tuple>

#include "optim/step_table.hpp"

namespace gradus::optim::detail {

namespace {

const StepTable<LibraryRules>& table_in_use() {
  using Set = kernels::InstructionSet;
#if defined(__x86_64__)
  const Set set = kernels::instruction_set_in_use();
  if (set == Set::avx512) return step_table<Set::avx512>();
  if (set == Set::avx2) return step_table<Set::avx2>();
#endif
  return step_table<Set::baseline>();
}

}  // namespace

template <class Rule, class T>
void step_vectors(const Rule& rule, const Run<T>& run, int state) {
  const StepFunctions<Rule>& functions = table_in_use();
  if constexpr (sizeof(T) == 4) {
    functions.f32(rule, run, state);
  } else {
    functions.f64(rule, run, state);
  }
}

template <class List>
struct Instantiate;
template <class... Rules>
struct Instantiate<RuleList<Rules...>> {
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&step_vectors<Rules, float>..., &step_vectors<Rules, double>...);
};
template struct Instantiate<LibraryRules>;

}  // namespace gradus::optim::detail
