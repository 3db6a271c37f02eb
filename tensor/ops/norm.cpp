#include "tensor/ops/norm.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::detail {

namespace {

using kernels::Moments;

/// Calls f(first, count) for each run of elements in memory that a set is made of.
template <class F>
void for_runs(const NormLengths& l, std::int64_t set, F f) {
  if (l.over != NormOver::channels) return f(set * l.set_size(), l.set_size());
  for (std::int64_t entry = 0; entry < l.batch; ++entry) f((entry * l.channels + set) * l.inner, l.inner);
}

/// The set that a channel of a batch entry belongs to.
std::int64_t set_of(const NormLengths& l, std::int64_t entry, std::int64_t channel) {
  if (l.over == NormOver::channels) return channel;
  return entry * l.groups + channel / (l.channels / l.groups);
}

template <class T>
const T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

template <class T>
void normalize_rows(const NormLengths& l, const NormStatistics& s, const T* x, const Tensor& weight,
                    const Tensor& bias, T* y) {
  const auto& kernel = kernels::selected<T>();
  const T *mean = s.mean.data<T>(), *inverse = s.inverse.data<T>();
  const T *w = data_or_null<T>(weight), *b = data_or_null<T>(bias);
  storage::PoolVector<T> ones;  // a bias alone is rare
  if (w == nullptr && b != nullptr) {
    ones.assign(static_cast<std::size_t>(l.channels), T{1});
    w = ones.data();
  }
  parallel::for_each(l.batch, 2 * l.channels, [&](std::int64_t row) {
    const std::int64_t at = row * l.channels;
    if (w == nullptr) {
      kernel.normalize(x + at, l.channels, mean[row], inverse[row], T{0}, y + at);
    } else {
      kernel.normalize_weighted(x + at, l.channels, mean[row], inverse[row], w, b, y + at);
    }
  });
}

template <class T>
void normalize_channels(const NormLengths& l, const NormStatistics& s, const T* x, const Tensor& weight,
                        const Tensor& bias, T* y) {
  const auto& kernel = kernels::selected<T>();
  const T *mean = s.mean.data<T>(), *inverse = s.inverse.data<T>();
  const T *w = data_or_null<T>(weight), *b = data_or_null<T>(bias);
  parallel::for_each(l.batch * l.channels, 2 * l.inner + 8, [&](std::int64_t run) {
    const std::int64_t channel = run % l.channels, set = set_of(l, run / l.channels, channel);
    const T scale = w == nullptr ? inverse[set] : inverse[set] * w[channel];
    kernel.normalize(x + run * l.inner, l.inner, mean[set], scale, b == nullptr ? T{0} : b[channel],
                     y + run * l.inner);
  });
}

/// What a row's, a group's or a channel's gradient is made of: dx = a h + b (x - mean) + c, where h is g
/// times the weight, and the moments are those of h.
struct Combination {
  double a, b, c;

  Combination(const NormLengths& l, const Moments& of_h, double inverse) {
    const auto n = static_cast<double>(l.set_size());
    a = inverse;
    b = c = 0;
    if (l.fixed) return;
    b = -inverse * inverse * inverse * of_h.product / n;
    c = l.centred ? -inverse * of_h.sum / n : 0;
  }
};

/// Rows are cut in parts, whose gradients of the weight are then summed in order. That depends on the lengths
/// alone, so the bits do not depend on the number of threads.
std::int64_t parts_of(const NormLengths& l) {
  const std::int64_t worth_it = l.batch * l.channels / parallel::grain;
  return std::clamp<std::int64_t>(worth_it, 1,
                                  std::min<std::int64_t>(32, std::max<std::int64_t>(l.batch, 1)));
}

template <class T>
void gradients_of_rows(const NormLengths& l, const NormStatistics& s, const T* g, const T* x, const T* weight,
                       NormGradients& out) {
  const auto& kernel = kernels::selected<T>();
  const T *mean = s.mean.data<T>(), *inverse = s.inverse.data<T>();
  const std::int64_t parts = parts_of(l), cols = l.channels;
  Tensor sums = zeros({parts, 2, cols}, out.x.dtype());
  T *const all = sums.mutable_data<T>(), *const dx = out.x.mutable_data<T>();
  parallel::for_chunks(parts, [&](std::int64_t part) {
    T* const dw = all + part * 2 * cols;
    for (std::int64_t row = l.batch * part / parts; row < l.batch * (part + 1) / parts; ++row) {
      const T *up = g + row * cols, *v = x + row * cols;
      const Moments of_h = kernel.gradient_moments(up, v, cols, mean[row], weight);
      const Combination by(l, of_h, static_cast<double>(inverse[row]));
      kernel.combine(up, v, cols, mean[row], weight, static_cast<T>(by.a), static_cast<T>(by.b),
                     static_cast<T>(by.c), dx + row * cols);
      kernel.add_weight_gradients(up, v, cols, mean[row], inverse[row], dw, dw + cols);
    }
  });
  T *const dw = out.weight.mutable_data<T>(), *const db = out.bias.mutable_data<T>();
  for (std::int64_t i = 0; i < cols; ++i) {
    double of_weight = 0, of_bias = 0;
    for (std::int64_t part = 0; part < parts; ++part) {
      of_weight += static_cast<double>(all[part * 2 * cols + i]);
      of_bias += static_cast<double>(all[(part * 2 + 1) * cols + i]);
    }
    dw[i] = static_cast<T>(of_weight);
    db[i] = static_cast<T>(of_bias);
  }
}

template <class T>
void gradients_of_channels(const NormLengths& l, const NormStatistics& s, const T* g, const T* x,
                           const T* weight, NormGradients& out) {
  const auto& kernel = kernels::selected<T>();
  const T *mean = s.mean.data<T>(), *inverse = s.inverse.data<T>();
  const std::int64_t runs = l.batch * l.channels;
  const auto weight_of = [&](std::int64_t channel) {
    return weight == nullptr ? 1.0 : static_cast<double>(weight[channel]);
  };
  storage::PoolVector<Moments> of_run(static_cast<std::size_t>(runs));  // of g
  parallel::for_each(runs, 2 * l.inner + 8, [&](std::int64_t run) {
    const std::int64_t set = set_of(l, run / l.channels, run % l.channels);
    of_run[static_cast<std::size_t>(run)] =
        kernel.gradient_moments(g + run * l.inner, x + run * l.inner, l.inner, mean[set], nullptr);
  });
  storage::PoolVector<Moments> of_set(static_cast<std::size_t>(l.sets()));  // of g weight
  storage::PoolVector<Moments> of_channel(static_cast<std::size_t>(l.channels));
  for (std::int64_t run = 0; run < runs; ++run) {
    const std::int64_t channel = run % l.channels, set = set_of(l, run / l.channels, channel);
    const auto& [sum, product] = of_run[static_cast<std::size_t>(run)];
    const double w = weight_of(channel);
    of_set[static_cast<std::size_t>(set)] += {w * sum, w * product};
    of_channel[static_cast<std::size_t>(channel)] += {sum, product * static_cast<double>(inverse[set])};
  }
  T *const dw = out.weight.mutable_data<T>(), *const db = out.bias.mutable_data<T>();
  for (std::int64_t channel = 0; channel < l.channels; ++channel) {
    dw[channel] = static_cast<T>(of_channel[static_cast<std::size_t>(channel)].product);
    db[channel] = static_cast<T>(of_channel[static_cast<std::size_t>(channel)].sum);
  }
  T* const dx = out.x.mutable_data<T>();
  parallel::for_each(runs, 2 * l.inner + 8, [&](std::int64_t run) {
    const std::int64_t channel = run % l.channels, set = set_of(l, run / l.channels, channel);
    const Combination by(l, of_set[static_cast<std::size_t>(set)], static_cast<double>(inverse[set]));
    kernel.combine(g + run * l.inner, x + run * l.inner, l.inner, mean[set], nullptr,
                   static_cast<T>(by.a * weight_of(channel)), static_cast<T>(by.b), static_cast<T>(by.c),
                   dx + run * l.inner);
  });
}

}  // namespace

NormStatistics norm_statistics(const NormLengths& l, const Tensor& x) {
  const std::int64_t sets = l.sets();
  NormStatistics out{.mean = zeros({sets}, x.dtype()),
                     .variance = Tensor::uninitialized({sets}, x.dtype()),
                     .inverse = Tensor::uninitialized({sets}, x.dtype())};
  std::atomic<bool> in_range = true;
  const auto compute = [&]<class T>(T* mean, const T* from) {
    const auto& kernel = kernels::selected<T>();
    T *const variance = out.variance.mutable_data<T>(), *const inverse = out.inverse.mutable_data<T>();
    const auto n = static_cast<double>(l.set_size());
    parallel::for_each(sets, 2 * l.set_size(), [&](std::int64_t set) {
      double middle = 0;
      if (l.centred) {
        // Taken from one of them, so that what they have in common costs no digits.
        const T first = from[l.over == NormOver::channels ? set * l.inner : set * l.set_size()];
        for_runs(l, set, [&](std::int64_t at, std::int64_t count) {
          middle += kernel.shifted_sum(from + at, count, first);
        });
        middle = static_cast<double>(first) + middle / n;
      }
      mean[set] = static_cast<T>(middle);
      Moments around;
      for_runs(l, set, [&](std::int64_t at, std::int64_t count) {
        around += kernel.moments(from + at, count, mean[set]);
      });
      // What the rounding of the mean adds to the squares.
      const double off = l.centred ? around.sum / n : 0;
      const double spread = std::max(around.product / n - off * off, 0.0);  // or NaN
      variance[set] = static_cast<T>(spread);
      inverse[set] = static_cast<T>(1 / std::sqrt(spread + l.eps));
      if (!(spread + l.eps > 1e-20 && spread + l.eps < 1e20)) in_range.store(false);
    });
  };
  visit_elements(compute, out.mean, x);
  out.in_range = in_range.load();
  return out;
}

Tensor normalized(const NormLengths& l, const NormStatistics& statistics, const Tensor& x,
                  const Tensor& weight, const Tensor& bias) {
  Tensor out = Tensor::uninitialized_like(x);
  const auto compute = [&]<class T>(T* y, const T* from) {
    if (l.over == NormOver::rows) {
      normalize_rows(l, statistics, from, weight, bias, y);
    } else {
      normalize_channels(l, statistics, from, weight, bias, y);
    }
  };
  visit_elements(compute, out, x);
  return out;
}

NormGradients norm_gradients(const NormLengths& l, const NormStatistics& statistics, const Tensor& g,
                             const Tensor& x, const Tensor& weight) {
  NormGradients out{.x = Tensor::uninitialized_like(x),
                    .weight = Tensor::uninitialized({l.channels}, x.dtype()),
                    .bias = Tensor::uninitialized({l.channels}, x.dtype())};
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* w = data_or_null<T>(weight);
    if (l.over == NormOver::rows) {
      gradients_of_rows(l, statistics, g.data<T>(), x.data<T>(), w, out);
    } else {
      gradients_of_channels(l, statistics, g.data<T>(), x.data<T>(), w, out);
    }
  });
  return out;
}

}  // namespace gradus::detail
