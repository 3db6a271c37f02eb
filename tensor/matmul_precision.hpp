#pragma once

#include <cstdint>

namespace gradus {

/// How exactly large products of f32 matrices are computed. Tensors, sums, parameters and files are f32 all
/// the same, and products of f64 are exact.
enum class MatmulPrecision : std::uint8_t {
  /// As f32 has it.
  exact,
  /// Each number as the sum of two of bfloat16, of whose four products the largest three are summed: close to
  /// f32 (a relative error of about 4e-6). Where the processor has AMX-BF16 and the system permits its use;
  /// elsewhere that is no faster than f32, and exact.
  high,
  /// Each number rounded to bfloat16, which has 8 bits, before it is multiplied; products are summed in f32
  /// (a relative error of about 2e-3). Where the processor has AMX-BF16 or AVX512-BF16, the latter up to
  /// twice as fast as f32; elsewhere exact.
  medium
};

/// That of the calling thread: exact, unless a MatmulPrecisionScope lives on it.
MatmulPrecision matmul_precision();

/// Sets the precision of the calling thread's products while it lives: of matmul, linear, einsum and what is
/// made of them, of recurrent layers, and of the gradients of all these that are computed meanwhile. Products
/// too small to be worth rounding, convolutions, attention, compact weights and decompositions stay exact.
/// Scopes nest. As exact, any precision gives the same bits for any number of threads; subnormal numbers
/// count as 0, and those above 3.39e38 as infinite, in products that are not exact. AMX sums in another order
/// than AVX512-BF16, so the last bits of such products differ from one kind of processor to another.
///
///   MatmulPrecisionScope precision(MatmulPrecision::medium);
///   Tape tape;
///   optimizer.step(model, tape.backward(loss(model, batch)));
///
/// The idea of one switch for all products is PyTorch's set_float32_matmul_precision; that of `high` is
/// Henry, Tang and Heinecke's, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
/// Computations" (2019).
class MatmulPrecisionScope {
 public:
  explicit MatmulPrecisionScope(MatmulPrecision precision);
  ~MatmulPrecisionScope();
  MatmulPrecisionScope(const MatmulPrecisionScope&) = delete;
  MatmulPrecisionScope& operator=(const MatmulPrecisionScope&) = delete;

 private:
  MatmulPrecision before_;
};

}  // namespace gradus
