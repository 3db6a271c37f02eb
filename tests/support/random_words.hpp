#pragma once

#include <cstdint>
#include <string>

#include "tensor/random.hpp"

namespace gradus::test {

/// Lines of so many words at random, some of them frequent, of a vocabulary of that size.
inline std::string random_words(std::uint64_t seed, int lines, int words, int vocabulary) {
  Rng rng(seed);
  std::string out;
  for (int i = 0; i < lines; ++i) {
    for (int n = 1; n <= words; ++n) {
      const double u = rng.uniform();
      out += "w" + std::to_string(static_cast<int>(u * u * u * vocabulary)) + (n < words ? " " : "\n");
    }
  }
  return out;
}

}  // namespace gradus::test
