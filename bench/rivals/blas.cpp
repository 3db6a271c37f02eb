// Matrix products by another library, the counterpart of bench/gemm.cpp. Usage: bench_rival_blas LIBRARY,
// such as libopenblas.so.0, libblis.so.4 or libdnnl.so.2, then lines `NAME SECONDS` on stdin; answers
// GFLOP/s. The library is loaded at run time, so that building needs none of them. Environment variables set
// the number of threads.

#include <dlfcn.h>

#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "bench/gemm_shape.hpp"
#include "bench/timing.hpp"

namespace {

// The interfaces of BLAS and oneDNN.
using CblasSgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                            const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
using DnnlSgemm = int (*)(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                          float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                          float beta, float* c, std::int64_t ldc);

std::vector<float> numbers(std::size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& x : out) x = normal(generator);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  void* const library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (library == nullptr) {
    std::cerr << (argc > 1 ? dlerror() : "usage: bench_rival_blas LIBRARY") << '\n';
    return 1;
  }
  const auto cblas = reinterpret_cast<CblasSgemm>(dlsym(library, "cblas_sgemm"));
  const auto dnnl = reinterpret_cast<DnnlSgemm>(dlsym(library, "dnnl_sgemm"));
  if (cblas == nullptr && dnnl == nullptr) return 1;
  std::cout << "ready " << argv[1] << std::endl;
  std::string name;
  for (double seconds = 0; std::cin >> name >> seconds;) {
    GemmShape s;
    if (!s.parse(name)) return 2;
    const auto size = [](int x, int y) { return static_cast<std::size_t>(x) * static_cast<std::size_t>(y); };
    const std::vector<float> a = numbers(size(s.m, s.k)), b = numbers(size(s.k, s.n));
    std::vector<float> c(size(s.m, s.n));
    const int lda = s.transpose_a ? s.m : s.k, ldb = s.transpose_b ? s.k : s.n;
    const auto run = [&] {
      constexpr int row_major = 101, plain = 111, transposed = 112;
      if (cblas != nullptr) {
        cblas(row_major, s.transpose_a ? transposed : plain, s.transpose_b ? transposed : plain, s.m, s.n,
              s.k, 1, a.data(), lda, b.data(), ldb, 0, c.data(), s.n);
      } else {
        dnnl(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1, a.data(), lda, b.data(),
             ldb, 0, c.data(), s.n);
      }
    };
    std::cout << s.flops() / bench::median_seconds(run, seconds) / 1e9 << std::endl;
  }
}
