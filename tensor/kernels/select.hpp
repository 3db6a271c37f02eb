#pragma once

#include "tensor/kernels/table.hpp"

namespace gradus::kernels {

/// The kernels in use.
const InstructionSet& selected();
template <class T>
const Table<T>& table_of() {
  if constexpr (sizeof(T) == 4) {
    return *selected().f32;
  } else {
    return *selected().f64;
  }
}

}  // namespace gradus::kernels
