#include "tensor/matmul_precision.hpp"

namespace gradus {

namespace {
constinit thread_local MatmulPrecision of_thread = MatmulPrecision::exact;
}  // namespace

MatmulPrecision matmul_precision() {
  return of_thread;
}

MatmulPrecisionScope::MatmulPrecisionScope(MatmulPrecision precision) : before_(of_thread) {
  of_thread = precision;
}
MatmulPrecisionScope::~MatmulPrecisionScope() {
  of_thread = before_;
}

}  // namespace gradus
