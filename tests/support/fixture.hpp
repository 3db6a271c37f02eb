#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "tensor/npy.hpp"
#include "tests/support/paths.hpp"

namespace gradus::test {

/// A value of a fixture that tests/fixtures/make_fixtures.py made with PyTorch, in f64.
inline Tensor fixture(const std::string& name) {
  return load_npy(source_dir() + "/tests/fixtures/" + name + ".npy");
}

/// The largest |a - b| / max(1, |b|) over all elements; infinite for different shapes or NaN.
inline double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a.at(i) - b.at(i)) / std::max(1.0, std::abs(b.at(i)));
    if (!(error <= largest)) largest = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return largest;
}

}  // namespace gradus::test
