#include "tensor/kernels/recurrent.hpp"

#include <tuple>

#include "tensor/kernels/select.hpp"

namespace gradus::kernels {

template <class T>
void lstm_forward(const Part& part, T* gates, const T* c_before, T* c, T* tanh_c, T* h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin;
    table_of<T>().lstm_forward(gates + 4 * r * part.width + part.begin, c_before + at, c + at, tanh_c + at,
                               h + at, part.width, part.end - part.begin);
  }
}
template <class T>
void lstm_backward(const Part& part, const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc,
                   T* d_gates) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = 4 * r * part.width + part.begin;
    table_of<T>().lstm_backward(gates + gates_at, c_before + at, tanh_c + at, dh + at, dc + at,
                                d_gates + gates_at, part.width, part.end - part.begin);
  }
}

template <class T>
void gru_forward(const Part& part, T* gates, T* from_h, const T* h_before, T* h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = 3 * r * part.width + part.begin;
    table_of<T>().gru_forward(gates + gates_at, from_h + gates_at, h_before + at, h + at, part.width,
                              part.end - part.begin);
  }
}
template <class T>
void gru_backward(const Part& part, const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates,
                  T* d_from_h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = 3 * r * part.width + part.begin;
    table_of<T>().gru_backward(gates + gates_at, from_h + gates_at, h_before + at, dh + at,
                               d_gates + gates_at, d_from_h + gates_at, part.width, part.end - part.begin);
  }
}
template <class T>
void rnn_forward(const Part& part, Unary f, T* h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    T* const at = h + r * part.width + part.begin;
    table_of<T>().unary(f, at, at, part.end - part.begin);
  }
}
template <class T>
void rnn_backward(const Part& part, Unary f, const T* h, const T* dh, T* d_pre) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin;
    table_of<T>().rnn_backward(f, h + at, dh + at, d_pre + at, part.end - part.begin);
  }
}

template <class T>
struct InstantiateRecurrent {
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&lstm_forward<T>, &lstm_backward<T>, &gru_forward<T>, &gru_backward<T>, &rnn_forward<T>,
                 &rnn_backward<T>);
};
template struct InstantiateRecurrent<float>;
template struct InstantiateRecurrent<double>;

}  // namespace gradus::kernels
