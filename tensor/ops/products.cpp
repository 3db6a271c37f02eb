// Products along axes, running ones and their derivatives. What is multiplied on the way may overflow or
// vanish where the result does not (1e200 1e200 1e-200 1e-200), so it is all done in numbers with wider
// exponents.

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>

#include "tensor/axes.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/ops/creation.hpp"
#include "tensor/ops/cumulative.hpp"
#include "tensor/ops/movement.hpp"
#include "tensor/ops/reduction.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/scaled.hpp"

namespace gradus {

namespace {

// How many columns are processed together; how many elements of a run one thread multiplies; and how many of
// them in double, if they are not too large or too small together.
constexpr std::int64_t tile = 64, block = 4096, chunk = 512;
// Within 2^-safe and 2^safe a product of doubles is far from the ends of their range.
constexpr double safe = 900;

std::size_t u(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Calls f(i, i % lanes) for each column. With a known number of them the compiler uses vector instructions.
constexpr int lanes = 8;
template <class F>
[[gnu::always_inline]] inline void for_columns(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) f(i + lane, lane);
  }
  for (; i < n; ++i) f(i, 0);
}

template <class T>
Scaled product_of(const T* x, std::int64_t n) {
  Scaled total;
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const std::int64_t count = std::min(chunk, n - begin);
    if (count >= 8 && kernels::sum_exponents(x + begin, count) < safe) {
      total = total * kernels::total_product(x + begin, count);
    } else {
      for (std::int64_t i = 0; i < count; ++i) total = total * static_cast<double>(x[begin + i]);
    }
  }
  return total;
}

template <class T>
void multiply_run(const T* x, std::int64_t n, T* y) {
  if (n <= block) {
    *y = static_cast<T>(product_of(x, n).value());
    return;
  }
  const std::int64_t blocks = (n + block - 1) / block;
  storage::PoolVector<Scaled> parts(static_cast<std::size_t>(blocks));
  parallel::for_each(blocks, block, [&](std::int64_t i) {
    parts[static_cast<std::size_t>(i)] = product_of(x + i * block, std::min(block, n - i * block));
  });
  Scaled total;
  for (const Scaled& part : parts) total = total * part;
  *y = static_cast<T>(total.value());
}

/// Whether all are from 1 / far to far, or, where allowed, 0. NaN counts as such a number: it stays NaN.
bool all_near_one(const double* x, std::int64_t n, double far, bool or_zero) {
  std::array<double, lanes> least, most;
  least.fill(1);
  most.fill(1);
  for_columns(n, [&](std::int64_t i, int lane) {
    const double size = std::abs(x[i]), seen = or_zero && size == 0 ? 1 : size;
    least[u(lane)] = seen < least[u(lane)] ? seen : least[u(lane)];
    most[u(lane)] = seen > most[u(lane)] ? seen : most[u(lane)];
  });
  return std::ranges::min(least) * far >= 1 && std::ranges::max(most) <= far;
}

/// The running products of up to `tile` columns, in double until one of them may come near the ends of its
/// range.
class Columns {
 public:
  explicit Columns(std::int64_t cols) : cols_(cols) { products_.fill(1); }

  template <class T>
  void multiply(const T* row) {
    const double exponents = kernels::sum_exponents(row, cols_);
    if (spent_ + exponents >= safe) gather();
    if (exponents >= safe) {
      for (std::int64_t c = 0; c < cols_; ++c) scales_[u(c)] = scales_[u(c)] * static_cast<double>(row[c]);
      scaled_ = true;
      return;
    }
    spent_ += exponents;
    for_columns(cols_, [&](std::int64_t c, int) { products_[u(c)] *= static_cast<double>(row[c]); });
  }
  template <class T>
  void write(T* to) const {
    if (!scaled_) {
      for_columns(cols_, [&](std::int64_t c, int) { to[c] = static_cast<T>(products_[u(c)]); });
    } else {
      for (std::int64_t c = 0; c < cols_; ++c)
        to[c] = static_cast<T>((scales_[u(c)] * products_[u(c)]).value());
    }
  }

 private:
  void gather() {
    if (all_near_one(products_.data(), cols_, std::exp2(safe / 3), false)) {
      spent_ = safe / 3;
      return;
    }
    for (std::int64_t c = 0; c < cols_; ++c) {
      scales_[u(c)] = scales_[u(c)] * products_[u(c)];
      products_[u(c)] = 1;
    }
    scaled_ = true;
    spent_ = 0;
  }

  std::int64_t cols_;
  double spent_ = 0;  // a bound of the products' exponents
  bool scaled_ = false;
  std::array<double, tile> products_;
  std::array<Scaled, tile> scales_;
};

/// Calls body(offset, columns) for each row of up to `tile` columns along the runs, and at_end(offset,
/// columns) for the result's.
template <class Body, class AtEnd>
void walk_products(const Runs& r, const Body& body, const AtEnd& at_end) {
  parallel::for_tiles(r.outer, r.inner, tile, r.length,
                      [&](std::int64_t o, std::int64_t column, std::int64_t cols) {
                        const std::int64_t first = o * r.length * r.inner + column;
                        Columns columns(cols);
                        for (std::int64_t l = 0; l < r.length; ++l) body(first + l * r.inner, columns);
                        at_end(o * r.inner + column, columns);
                      });
}

/// The reduced axes as one, if those that are longer than 1 are neighbours.
std::optional<Runs> as_one_axis(const Shape& shape, const AxisSet& axes) {
  Runs r;
  bool inside = false, behind = false;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 1) continue;
    if (axes.contains(i) && behind) return {};
    inside = axes.contains(i);
    if (r.length > 1) behind |= !inside;
    (inside ? r.length : behind ? r.inner : r.outer) *= shape[i];
  }
  return r;
}
Tensor with_axes_last(const Tensor& x, const AxisSet& axes) {
  std::array<int, Shape::max_rank> order{};
  std::size_t placed = 0;
  for (const bool last : {false, true}) {
    for (int i = 0; i < x.rank(); ++i) {
      if (axes.contains(i) == last) order[placed++] = i;
    }
  }
  return permute(x, std::span<const int>(order).first(placed));
}

/// x with the axis of the runs last, (outer, inner, length), and back.
Tensor with_run_last(const Tensor& x, const Runs& r) {
  if (r.inner == 1) return x.reshape({r.outer, 1, r.length});
  return transpose(x.reshape({r.outer, r.length, r.inner}), 1, 2);
}
Tensor with_run_back(const Tensor& x, const Runs& r, const Shape& shape) {
  return (r.inner == 1 ? x : transpose(x, 1, 2)).reshape(shape);
}

/// The product of the numbers so far and its derivatives along k directions, one for each set of them (a bit
/// a direction), as a walk along an axis adds factors.
class Derivatives {
 public:
  Derivatives(std::size_t directions, double product)
      : count_(directions), states_(std::size_t{1} << directions, Scaled{0}) {
    states_[0] = Scaled{product};
  }
  std::size_t sets() const { return states_.size(); }
  /// Of all directions but those of a set.
  const Scaled& without(std::size_t set) const { return states_[sets() - 1 - set]; }
  const Scaled& operator[](std::size_t set) const { return states_[set]; }

  /// Another factor, and the directions' entries beside it: entry(m).
  template <class Entry>
  void multiply(double factor, const Entry& entry) {
    for (std::size_t set = sets(); set-- > 0;) {  // what a set is made of comes behind it
      Scaled next = states_[set] * factor;
      for (std::size_t m = 0; m < count_; ++m) {
        if ((set >> m & 1U) != 0) next = next + states_[set & ~(std::size_t{1} << m)] * entry(m);
      }
      states_[set] = next;
    }
  }
  void add(double term) { states_[0] = states_[0] + Scaled{term}; }

 private:
  std::size_t count_;
  storage::PoolVector<Scaled> states_;
};

void check_alike(const char* op, const Tensor& x, const Tensor& other) {
  if (!x.same_shape(other))
    fail<ShapeError>("{}: factors of shape {} beside {}; they must be equal", op, x.shape(), other.shape());
  if (x.dtype() != other.dtype())
    fail<DtypeError>("{}: factors of {} beside {}; convert one with to()", op, name_of(x.dtype()),
                     name_of(other.dtype()));
}

/// Calls run(row, entry) for each row along the axis on elements of x's type; entry(m, i) is an element of
/// the m-th direction.
template <class Run>
Tensor along_rows(const char* op, const Tensor& x, std::span<const Tensor> directions, int axis,
                  const Run& run) {
  const Runs r = runs_along(op, x.shape(), axis);
  for (const Tensor& direction : directions) check_alike(op, x, direction);
  if (x.size() == 0) return x;
  storage::PoolVector<Tensor> rows;
  for (const Tensor& direction : directions) rows.push_back(with_run_last(direction, r));
  Tensor out = Tensor::uninitialized({r.outer, r.inner, r.length}, x.dtype());
  const auto each = [&]<class T>(T* to, const T* factors) {
    const std::int64_t cost = r.length * 8 << directions.size();
    parallel::for_each(r.outer * r.inner, cost, [&](std::int64_t row) {
      const std::int64_t first = row * r.length;
      run(row, r.length, to + first, factors + first, [&rows, first](std::size_t m, std::int64_t i) {
        return static_cast<double>(rows[m].data<T>()[first + i]);
      });
    });
  };
  visit_elements(each, out, with_run_last(x, r));
  return with_run_back(out, r, x.shape());
}

// Bounds of products and of sums behind them within which neither leaves double's range in the next step.
constexpr double near_product = 0x1p250, near_sum = 0x1p400;

/// The gradient below of one run.
template <class T>
bool run_in_double(const T* g, const T* x, std::int64_t n, T* to, double* before) {
  double product = 1, behind = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    before[i] = product;
    product *= static_cast<double>(x[i]);
    const double size = std::abs(product);
    if (size > near_product || size * near_product < 1) return false;
  }
  for (std::int64_t i = n; i-- > 0;) {
    behind += static_cast<double>(g[i]);
    to[i] = static_cast<T>(before[i] * behind);
    const double size = std::abs(behind);
    if (size > near_sum || (size * near_sum < 1 && size != 0)) return false;
    behind *= static_cast<double>(x[i]);
  }
  return true;
}

/// dx[i] = (the product of all before i) * s[i], where s[i] = g[i] + x[i+1] s[i+1], in double; false where
/// that may leave its range, so where the products do not stay near 1.
bool gradient_in_double(const Runs& r, const Tensor& g, const Tensor& x, Tensor& out) {
  std::atomic<bool> fits = true;
  const auto run = [&]<class T>(T* to, const T* gradients, const T* factors) {
    if (r.inner == 1) {
      const std::int64_t n = r.length;
      return parallel::for_range(r.outer, n * 4, [&](std::int64_t begin, std::int64_t end) {
        storage::PoolVector<double> before(u(n));
        for (std::int64_t o = begin; o < end && fits.load(std::memory_order_relaxed); ++o) {
          if (!run_in_double(gradients + o * n, factors + o * n, n, to + o * n, before.data())) fits = false;
        }
      });
    }
    parallel::for_tiles(r.outer, r.inner, tile, r.length * 4,
                        [&](std::int64_t o, std::int64_t column, std::int64_t cols) {
                          if (!fits.load(std::memory_order_relaxed)) return;
                          const std::int64_t first = o * r.length * r.inner + column;
                          storage::PoolVector<double> before(static_cast<std::size_t>(r.length * cols));
                          std::array<double, tile> product, behind;
                          product.fill(1);
                          behind.fill(0);
                          bool near = true;
                          for (std::int64_t l = 0; l < r.length && near; ++l) {
                            const T* const row = factors + first + l * r.inner;
                            std::copy_n(product.data(), cols, before.data() + l * cols);
                            for (std::int64_t c = 0; c < cols; ++c)
                              product[u(c)] *= static_cast<double>(row[c]);
                            near = all_near_one(product.data(), cols, near_product, false);
                          }
                          for (std::int64_t l = r.length; l-- > 0 && near;) {
                            const std::int64_t at = first + l * r.inner;
                            for (std::int64_t c = 0; c < cols; ++c) {
                              behind[u(c)] += static_cast<double>(gradients[at + c]);
                              to[at + c] = static_cast<T>(before[u(l * cols + c)] * behind[u(c)]);
                            }
                            near = all_near_one(behind.data(), cols, near_sum, true);
                            for (std::int64_t c = 0; c < cols; ++c)
                              behind[u(c)] *= static_cast<double>(factors[at + c]);
                          }
                          if (!near) fits = false;
                        });
  };
  visit_elements(run, out, g, x);
  return fits;
}

}  // namespace

Tensor prod(const Tensor& x, const Axes& axes, Keepdims keepdims) {
  const Shape shape = x.shape();
  const AxisSet reduced = axes.of("prod", shape);
  const Shape result = reduced.result(shape, keepdims);
  if (x.size() == 0) return ones(result, x.dtype());
  const std::optional<Runs> neighbours = as_one_axis(shape, reduced);
  const Runs r = neighbours ? *neighbours : Runs{result.size(), reduced.count(shape), 1};
  Tensor out = Tensor::uninitialized(result, x.dtype());
  const auto run = [&]<class T>(T* to, const T* from) {
    if (r.inner == 1) {
      parallel::for_each(r.outer, r.length,
                         [&](std::int64_t o) { multiply_run(from + o * r.length, r.length, to + o); });
      return;
    }
    walk_products(
        r, [=](std::int64_t at, Columns& columns) { columns.multiply(from + at); },
        [=](std::int64_t at, const Columns& columns) { columns.write(to + at); });
  };
  visit_elements(run, out, neighbours ? x : with_axes_last(x, reduced));
  return out;
}

Tensor cumprod(const Tensor& x, int axis) {
  const Runs r = runs_along("cumprod", x.shape(), axis);
  Tensor out = Tensor::uninitialized_like(x);
  if (x.size() == 0) return out;
  const auto run = [&]<class T>(T* to, const T* from) {
    if (r.inner == 1) {
      parallel::for_each(r.outer, r.length, [&](std::int64_t o) {
        Scaled product;
        for (std::int64_t i = o * r.length; i < (o + 1) * r.length; ++i) {
          product = product * static_cast<double>(from[i]);
          to[i] = static_cast<T>(product.value());
        }
      });
      return;
    }
    const auto nothing = [](std::int64_t, const Columns&) {};
    walk_products(
        r,
        [=](std::int64_t at, Columns& columns) {
          columns.multiply(from + at);
          columns.write(to + at);
        },
        nothing);
  };
  visit_elements(run, out, x);
  return out;
}

Tensor cumprod_derivative(const Tensor& x, List<Tensor> directions, int axis) {
  const std::size_t k = directions.size();
  return along_rows("cumprod_derivative", x, directions, axis,
                    [k]<class T>(std::int64_t, std::int64_t n, T* to, const T* factors, const auto& entry) {
                      Derivatives so_far(k, 1);
                      for (std::int64_t i = 0; i < n; ++i) {
                        so_far.multiply(static_cast<double>(factors[i]),
                                        [&](std::size_t m) { return entry(m, i); });
                        to[i] = static_cast<T>(so_far.without(0).value());
                      }
                    });
}

Tensor cumprod_gradient(const Tensor& g, const Tensor& x, List<Tensor> directions, int axis) {
  const std::size_t k = directions.size();
  check_alike("cumprod_gradient", x, g);
  const Runs runs = runs_along("cumprod_gradient", x.shape(), axis);
  if (x.size() == 0) return x;
  if (k == 0) {
    Tensor out = Tensor::uninitialized_like(x);
    if (gradient_in_double(runs, g, x, out)) return out;
  }
  const Tensor gs = with_run_last(g, runs);
  // dx[i] is a sum over sets of directions: those of the set among the factors before i, the others behind.
  return along_rows(
      "cumprod_gradient", x, directions, axis,
      [&]<class T>(std::int64_t row, std::int64_t n, T* to, const T* factors, const auto& entry) {
        const T* const gradients = gs.data<T>() + row * n;
        Derivatives before(k, 1), behind(k, 0);
        const std::size_t sets = before.sets();
        storage::PoolVector<Scaled> kept(static_cast<std::size_t>(n) * sets);
        for (std::int64_t i = 0; i < n; ++i) {
          for (std::size_t set = 0; set < sets; ++set)
            kept[static_cast<std::size_t>(i) * sets + set] = before[set];
          before.multiply(static_cast<double>(factors[i]), [&](std::size_t m) { return entry(m, i); });
        }
        for (std::int64_t i = n; i-- > 0;) {
          behind.add(static_cast<double>(gradients[i]));
          Scaled total{0};
          for (std::size_t set = 0; set < sets; ++set)
            total = total + kept[static_cast<std::size_t>(i) * sets + set] * behind.without(set);
          to[i] = static_cast<T>(total.value());
          behind.multiply(static_cast<double>(factors[i]), [&](std::size_t m) { return entry(m, i); });
        }
      });
}

}  // namespace gradus
