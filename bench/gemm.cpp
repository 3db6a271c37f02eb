// Matrix products, in GFLOP/s. Usage: bench_gemm THREADS, then lines `NAME SECONDS` on stdin, as for the
// rivals.

#include <iostream>
#include <string>

#include "bench/gemm_shape.hpp"
#include "bench/timing.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"

using namespace gradus;

namespace {

template <class T>
double gflops(const GemmShape& s, double seconds) {
  Rng rng(1);
  const Tensor a = rng.normal({s.m, s.k}, 0, 1, dtype_of<T>()),
               b = rng.normal({s.k, s.n}, 0, 1, dtype_of<T>());
  Tensor c = zeros({s.m, s.n}, dtype_of<T>());
  T* const out = c.mutable_data<T>();
  const kernels::Gemm<T> call{.m = s.m,
                              .n = s.n,
                              .k = s.k,
                              .a = a.data<T>(),
                              .lda = s.transpose_a ? s.m : s.k,
                              .a_transposed = s.transpose_a,
                              .b = b.data<T>(),
                              .ldb = s.transpose_b ? s.k : s.n,
                              .b_transposed = s.transpose_b,
                              .c = out,
                              .ldc = s.n,
                              .precision = s.bf16 ? MatmulPrecision::medium : MatmulPrecision::exact};
  if (!s.packed) return s.flops() / bench::median_seconds([&] { kernels::gemm(call); }, seconds) / 1e9;
  const kernels::PackedMatrix<T> right(call.b, call.ldb, call.b_transposed, s.k, s.n, call.precision);
  const auto run = [&] { kernels::gemm_packed(call.m, call.a, call.k, right, out, call.n, T{0}); };
  return s.flops() / bench::median_seconds(run, seconds) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(argc > 1 ? std::stoi(argv[1]) : 1);
  std::cout << "ready " << kernels::instruction_set() << std::endl;
  std::string name;
  for (double seconds = 0; std::cin >> name >> seconds;) {
    GemmShape shape;
    if (!shape.parse(name)) return 2;
    std::cout << (shape.f64 ? gflops<double>(shape, seconds) : gflops<float>(shape, seconds)) << std::endl;
  }
}
