#include "tensor/kernels/optimizer.hpp"

#include <tuple>

#include "tensor/kernels/select.hpp"

namespace gradus::kernels {

template <class T>
void sgd(const SgdStep& step, T scale, const T* g, T* p, T* v, std::int64_t n) {
  table_of<T>().sgd(step, scale, g, p, v, n);
}
template <class T>
void adam(const AdamStep& step, T scale, const T* g, T* p, T* m, T* v, std::int64_t n) {
  table_of<T>().adam(step, scale, g, p, m, v, n);
}

template <class T>
struct InstantiateOptimizer {
  [[maybe_unused]] static constexpr auto all = std::tuple(&sgd<T>, &adam<T>);
};
template struct InstantiateOptimizer<float>;
template struct InstantiateOptimizer<double>;

}  // namespace gradus::kernels
