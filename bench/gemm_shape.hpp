#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

/// What a row of the group gemm is named for: [packed.][TT.]MxNxK, where TT tells of each side whether it is
/// transposed (n or t), and packed a right side that is laid out once and used again.
struct GemmShape {
  bool packed = false, transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;

  double flops() const { return 2.0 * m * n * k; }
  /// False when the name is none.
  bool parse(std::string name) {
    if (name.rfind("packed.", 0) == 0) {
      packed = true;
      name.erase(0, 7);
    }
    if (name.size() > 3 && name[2] == '.') {
      transpose_a = name[0] == 't';
      transpose_b = name[1] == 't';
      name.erase(0, 3);
    }
    return std::sscanf(name.c_str(), "%dx%dx%d", &m, &n, &k) == 3;
  }
};
