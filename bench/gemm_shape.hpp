#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

/// The shape in the name of a row of the group gemm: [bf16.|f64.][packed.][TT.]MxNxK, where TT is n or t for
/// each side, t if it is transposed, `packed` means that the right side is packed once for all calls, `bf16`
/// that numbers are rounded to bfloat16, and f64 is their type, else f32.
struct GemmShape {
  bool bf16 = false, f64 = false, packed = false, transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;

  double flops() const { return 2.0 * m * n * k; }
  /// False when the name is malformed.
  bool parse(std::string name) {
    if (name.rfind("bf16.", 0) == 0) {
      bf16 = true;
      name.erase(0, 5);
    }
    if (name.rfind("f64.", 0) == 0) {
      f64 = true;
      name.erase(0, 4);
    }
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
