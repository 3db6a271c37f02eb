#pragma once

#include <cstdint>

#include "tensor/kernels/elementwise.hpp"

namespace gradus::kernels {

/// Some rows and columns of matrices that are `width` wide.
struct Part {
  std::int64_t rows, width, begin, end;  // all rows, the columns from begin to end
};

/// Some steps and columns of sequences whose steps are `stride` elements apart.
struct ScanBlock {
  std::int64_t steps, cols, stride;
};

/// The elementwise parts of one step of recurrent layers, on the caller's thread. T is float or double.
///
/// What a forward step keeps for the gradient is the activations, in a form of the kernels' own: one that is
/// 1 to the nearest number is kept as what it lacks to 1, so that its slope is exact.
template <class T>
struct RecurrentKernels {
  /// LSTM. gates: (rows, 4 * width), pre-activations i, f, g, o side by side (PyTorch's order), overwritten
  /// by the activations as they are kept, as is tanh_c; c_before, c, h, tanh_c: (rows, width).
  ///   c = sigmoid(f) * c_before + sigmoid(i) * tanh(g);  tanh_c = tanh(c);  h = sigmoid(o) * tanh_c
  virtual void lstm_forward(const Part& part, T* gates, const T* c_before, T* c, T* tanh_c, T* h) const = 0;
  /// Its gradient. dh, dc: (rows, width), the gradients of h and c; writes d_gates (rows, 4 * width) with
  /// respect to the pre-activations and turns dc into the gradient of c_before. d_gates may be `gates`.
  virtual void lstm_backward(const Part& part, const T* gates, const T* c_before, const T* tanh_c,
                             const T* dh, T* dc, T* d_gates) const = 0;

  /// Gated recurrent unit. gates: (rows, 3 * width), the inputs' parts of r, z, n side by side (PyTorch's
  /// order), overwritten by the activations as they are kept; from_h: the same of h_before; h_before, h:
  /// (rows, width).
  ///   r, z = sigmoid(gates + from_h);  n = tanh(gates + r * from_h);  h = (1 - z) * n + z * h_before
  virtual void gru_forward(const Part& part, T* gates, T* from_h, const T* h_before, T* h) const = 0;
  /// Its gradient: writes d_gates and d_from_h, with respect to the pre-activations, and turns dh, the
  /// gradient of h, into the part of h_before's that does not go through from_h.
  virtual void gru_backward(const Part& part, const T* gates, const T* from_h, const T* h_before, T* dh,
                            T* d_gates, T* d_from_h) const = 0;

  /// Simple recurrent layer: h = f(h) in place, f being tanh or relu, and d_pre = dh * f'(pre). All
  /// (rows, width). slopes, f'(pre), are kept of tanh alone: else null.
  virtual void rnn_forward(const Part& part, Unary f, T* h, T* slopes) const = 0;
  virtual void rnn_backward(const Part& part, Unary f, const T* h, const T* slopes, const T* dh,
                            T* d_pre) const = 0;

  /// For second derivatives, with what a forward step has kept. dot_x is the derivative of x in some
  /// direction, its tangent: these give the tangents of the state after a step (dot_gates and dot_from_h: of
  /// the pre-activations),
  virtual void lstm_tangent(const Part& part, const T* gates, const T* c_before, const T* tanh_c,
                            const T* dot_gates, const T* dot_c_before, T* dot_c, T* dot_h) const = 0;
  virtual void gru_tangent(const Part& part, const T* gates, const T* from_h, const T* h_before,
                           const T* dot_gates, const T* dot_from_h, const T* dot_h_before,
                           T* dot_h) const = 0;
  virtual void rnn_tangent(const Part& part, Unary f, const T* h, const T* slopes, const T* dot_pre,
                           T* dot_h) const = 0;
  /// and these the tangents of what the gradients above write, where dh and dc are as those got them.
  virtual void lstm_backward_tangent(const Part& part, const T* gates, const T* c_before, const T* tanh_c,
                                     const T* dot_gates, const T* dot_c_before, const T* dot_c, const T* dh,
                                     const T* dc, const T* dot_dh, T* dot_dc, T* dot_d_gates) const = 0;
  virtual void gru_backward_tangent(const Part& part, const T* gates, const T* from_h, const T* h_before,
                                    const T* dot_gates, const T* dot_from_h, const T* dot_h_before,
                                    const T* dh, T* dot_dh, T* dot_d_gates, T* dot_d_from_h) const = 0;
  virtual void rnn_backward_tangent(const Part& part, Unary f, const T* h, const T* slopes, const T* dot_h,
                                    const T* dh, const T* dot_dh, T* dot_d_pre) const = 0;

  /// The linear recurrence h[t] = a[t] * h[t-1] + b[t] over the steps of a block, h[-1] being before, (cols).
  virtual void scan_forward(const ScanBlock& block, const T* a, const T* b, const T* before, T* h) const = 0;
  /// What that makes of any h before the block: its last h is product * before + sum, (cols) each.
  virtual void scan_summary(const ScanBlock& block, const T* a, const T* b, T* product, T* sum) const = 0;
  /// Its gradient, g being that of h: with s[t] = g[t] + a[t+1] * s[t+1], d_a[t] = s[t] * h[t-1] and
  /// d_b = s. ahead, (cols), is a * s of the step after the block, and becomes that of its first step. d_a
  /// and d_b may be null.
  virtual void scan_backward(const ScanBlock& block, const T* a, const T* g, const T* h, const T* before,
                             T* ahead, T* d_a, T* d_b) const = 0;
  /// What that makes of any `ahead`: that of its first step is product * ahead + sum.
  virtual void scan_backward_summary(const ScanBlock& block, const T* a, const T* g, T* product,
                                     T* sum) const = 0;
};

/// Those of the instruction set in use.
template <class T>
const RecurrentKernels<T>& recurrent();

}  // namespace gradus::kernels
