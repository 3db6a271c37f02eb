#pragma once

#include <atomic>

#include "tensor/kernels/table.hpp"

namespace gradus::kernels {

namespace detail {
/// Null until the first use.
extern std::atomic<const KernelSet*> kernels_in_use;
const KernelSet& select_widest();
}  // namespace detail

/// The kernels of the instruction set in use.
template <class T>
const Table<T>& table_of() {
  const KernelSet* set = detail::kernels_in_use.load(std::memory_order_relaxed);
  if (set == nullptr) set = &detail::select_widest();
  if constexpr (sizeof(T) == 4) {
    return *set->f32;
  } else {
    return *set->f64;
  }
}

}  // namespace gradus::kernels
