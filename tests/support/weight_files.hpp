#pragma once

#include "tensor/files/stored_array.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"

namespace gradus::test {

/// A file that tests/fixtures/make_weights_fixtures.py made.
inline std::filesystem::path weight_file(const std::string& name) {
  return source_dir() + "/tests/fixtures/weights/" + name;
}

/// Small arrays of several types, for files to be damaged.
inline StoredArrays small_arrays() {
  StoredArrays out;
  out.arrays.emplace("first.weight", StoredArray(Tensor::of({1, 2, 3, 4, 5, 6}).reshape({2, 3})));
  out.arrays.emplace("first.bias", StoredArray(Tensor::of({0.5, -1}, Dtype::f64)));
  out.arrays.emplace("steps", StoredArray(Tensor::scalar(7), NumberType::i64));
  out.arrays.emplace("half", StoredArray(Tensor::of({0.5, 8}), NumberType::f16));
  out.arrays.emplace("zeros", StoredArray(zeros({8, 8})));
  return out;
}

/// Reads every array of a file in each way that there is, as far as they can be read.
inline void read_every_array(const StoredArrays& content) {
  const auto goes = [](auto&& f) {
    try {
      f();
    } catch (const DataError&) {
    }
  };
  for (const auto& entry : content.arrays) {
    const StoredArray& array = entry.second;  // clang 14 captures no binding by itself
    goes([&] { array.tensor(Dtype::f32); });
    goes([&] { array.indices(); });
  }
}

}  // namespace gradus::test
