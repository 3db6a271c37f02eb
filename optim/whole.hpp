#pragma once

#include <optional>
#include <span>

#include "optim/optimizer.hpp"
#include "optim/rule.hpp"

namespace gradus::optim {

/// Adafactor (Shazeer and Stern 2018, algorithms 4 and 5, as PyTorch 2.6 has it), which keeps of the squares
/// of a matrix's gradients only the means of rows and of columns; of the last two axes of other parameters,
/// and of a vector the squares themselves. With t the parameter's step, rms(x) the root of the mean square
/// and b = t^beta2_decay:
///
///   a = max(eps2, rms(p)) min(lr, 1 / sqrt(t));   p = p - lr * weight_decay * p
///   r += b (mean over columns of g^2 - r);   c += b (mean over rows of g^2 - c);   v = r c / mean(r)
///   u = g / sqrt(v);   p = p - a u / max(1, rms(u) / clip)
///
/// No v is below eps1^2, nor the mean of r below eps1, which is the dtype's epsilon unless given.
struct AdafactorRule {
  struct Options {
    double lr = 1e-2;
    double beta2_decay = -0.8;
    std::optional<double> eps1 = {};
    double eps2 = 1e-3;
    double clip = 1;
    double weight_decay = 0;
  };
  static void check(const Options& o);
  static StateArrays state(const Options& o, const Shape& parameter);

  Options options;
  std::int64_t t;

  void update(Tensor& p, const Tensor& g, std::span<Tensor> state) const;
};
using Adafactor = Optimizer<AdafactorRule>;

/// Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"), which makes the
/// steps of matrices orthogonal:
///
///   m = momentum m + (1 - momentum) g;   d = nesterov ? momentum m + (1 - momentum) g : m
///   u = d U V^T's part: five steps of Newton and Schulz take d to about U V^T, where U S V^T = d
///   p = p - lr * weight_decay * p - lr * sqrt(max(1, rows / columns)) u
///
/// Parameters that are no matrices are changed as AdamW changes them, with the rates of `adam`; embeddings
/// and a last layer should be too: for_parameters({"embed*", "head*"}, [](auto& o) { o.orthogonal = false;
/// }).
struct MuonRule {
  struct Options {
    double lr = 1e-3;
    double momentum = 0.95;
    bool nesterov = true;
    double weight_decay = 0.1;
    int steps = 5;
    double eps = 1e-7;
    bool orthogonal = true;
    /// The rest is changed with a rate of lr * adam_rate.
    double adam_rate = 1;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double adam_eps = 1e-8;
  };
  static void check(const Options& o);
  static StateArrays state(const Options& o, const Shape& parameter);

  Options options;
  std::int64_t t;

  void update(Tensor& p, const Tensor& g, std::span<Tensor> state) const;
};
using Muon = Optimizer<MuonRule>;

namespace detail {
/// About U V^T of a matrix U S V^T, by the quintic iteration of Newton and Schulz whose coefficients bring
/// every singular value to 0.7 to 1.2 fast.
Tensor orthogonalized(const Tensor& matrix, int steps, double eps);
}  // namespace detail

}  // namespace gradus::optim
