// Matrix products by another library, the counterpart of bench/gemm.cpp. Usage: bench_rival_blas LIBRARY,
// such as libopenblas.so.0, libblis.so.4 or libdnnl.so.2, then lines `NAME SECONDS` on stdin; answers
// GFLOP/s, 0 where the library has no such product. The library is loaded at run time, so that building needs
// none of them. Environment variables set the number of threads.

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
template <class T>
using CblasGemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                           const T* a, int lda, const T* b, int ldb, T beta, T* c, int ldc);
using DnnlSgemm = int (*)(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                          float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                          float beta, float* c, std::int64_t ldc);

template <class T>
std::vector<T> numbers(std::size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<T> normal;
  std::vector<T> out(count);
  for (T& x : out) x = normal(generator);
  return out;
}

template <class T>
double gflops(const GemmShape& s, CblasGemm<T> cblas, DnnlSgemm dnnl, double seconds) {
  const auto size = [](int x, int y) { return static_cast<std::size_t>(x) * static_cast<std::size_t>(y); };
  const std::vector<T> a = numbers<T>(size(s.m, s.k)), b = numbers<T>(size(s.k, s.n));
  std::vector<T> c(size(s.m, s.n));
  const int lda = s.transpose_a ? s.m : s.k, ldb = s.transpose_b ? s.k : s.n;
  const auto run = [&] {
    constexpr int row_major = 101, plain = 111, transposed = 112;
    if (cblas != nullptr) {
      cblas(row_major, s.transpose_a ? transposed : plain, s.transpose_b ? transposed : plain, s.m, s.n, s.k,
            1, a.data(), lda, b.data(), ldb, 0, c.data(), s.n);
    } else if constexpr (sizeof(T) == 4) {
      dnnl(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1, a.data(), lda, b.data(),
           ldb, 0, c.data(), s.n);
    }
  };
  return s.flops() / bench::median_seconds(run, seconds) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  void* const library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (library == nullptr) {
    std::cerr << (argc > 1 ? dlerror() : "usage: bench_rival_blas LIBRARY") << '\n';
    return 1;
  }
  const auto sgemm = reinterpret_cast<CblasGemm<float>>(dlsym(library, "cblas_sgemm"));
  const auto dgemm = reinterpret_cast<CblasGemm<double>>(dlsym(library, "cblas_dgemm"));
  const auto dnnl = reinterpret_cast<DnnlSgemm>(dlsym(library, "dnnl_sgemm"));
  if (sgemm == nullptr && dnnl == nullptr) return 1;
  std::cout << "ready " << argv[1] << std::endl;
  std::string name;
  for (double seconds = 0; std::cin >> name >> seconds;) {
    GemmShape s;
    if (!s.parse(name)) return 2;
    if (s.f64 && dgemm == nullptr) {
      std::cout << 0 << std::endl;  // oneDNN has none
    } else {
      std::cout << (s.f64 ? gflops<double>(s, dgemm, nullptr, seconds)
                          : gflops<float>(s, sgemm, dnnl, seconds))
                << std::endl;
    }
  }
}
