#pragma once

#include <functional>
#include <vector>

#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"

namespace gradus::test {

/// Checks that the tensors which `make` gives, or the one, have the same bits for 1, 2, 3 and 8 threads.
inline void check_same_bits(const std::function<std::vector<Tensor>()>& make) {
  const int before = threads();
  set_threads(1);
  const std::vector<Tensor> one = make();
  for (const int count : {2, 3, 8}) {
    set_threads(count);
    const std::vector<Tensor> more = make();
    REQUIRE(more.size() == one.size());
    for (std::size_t i = 0; i < one.size(); ++i) {
      INFO("tensor " << i << " with " << count << " threads");
      CHECK(identical(one[i], more[i]));
    }
  }
  set_threads(before);
}
inline void check_same_bits(const std::function<Tensor()>& make) {
  check_same_bits([&] { return std::vector{make()}; });
}

}  // namespace gradus::test
