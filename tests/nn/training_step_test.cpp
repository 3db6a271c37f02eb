#include <string_view>
#include <vector>

#include "bench/training.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sanitizers.hpp"

using namespace gradus;

namespace {

/// The weights after one of the steps that scripts/bench measures.
template <class Network>
std::vector<Tensor> after_a_step(const bench::Size& size, int count) {
  set_threads(count);
  bench::Training<Network> training(size);
  training.step();
  std::vector<Tensor> out;
  for_each_parameter(training.network,
                     [&](const std::string&, const Parameter& p) { out.push_back(p.value()); });
  set_threads(0);
  return out;
}

template <class Network>
void check(const bench::Size& size) {
  const std::vector<Tensor> expected = after_a_step<Network>(size, 1);
  for (const int count : {2, 3, 8}) {
    INFO(size.name << " with " << count << " threads");
    const std::vector<Tensor> found = after_a_step<Network>(size, count);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(identical(found[i], expected[i]));
  }
}

// Sanitizers make the larger ones take minutes.
#if defined(GRADUS_ADDRESS_SANITIZER) || defined(GRADUS_THREAD_SANITIZER)
constexpr std::int64_t widest = 256;
#else
constexpr std::int64_t widest = 4096;
#endif

}  // namespace

TEST_CASE("every benchmarked training step has the same bits for any number of threads",
          "[models][threads]") {
  for (const bench::Size& size : bench::sizes) {
    if (size.hidden > widest) continue;
    check<models::LstmNetwork>(size);
    const std::string_view name = size.name;
    if (name == "char" || name == "small" || name == "medium") {
      check<models::GruNetwork>(size);
      check<models::RnnNetwork>(size);
    }
  }
}
