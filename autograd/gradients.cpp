#include "autograd/gradients.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/ops.hpp"

namespace gradus {

namespace {

Rows joined(const Rows& a, const Rows& b) {
  std::vector<std::int32_t> ids(a.ids.values().begin(), a.ids.values().end());
  ids.insert(ids.end(), b.ids.values().begin(), b.ids.values().end());
  const std::vector<Tensor> parts{a.values, b.values};
  return Rows{Indices(std::move(ids)), concat(parts, 0), a.height}.merged();
}

void add(Gradient& sum, const Gradient& more) {
  if (sum.is_sparse() && more.is_sparse()) {
    sum.rows = joined(sum.rows, more.rows);
    return;
  }
  if (sum.is_sparse()) {  // onto what is dense, whose zeros keep their signs
    const Rows rows = std::move(sum.rows);
    sum = {sum.of, more.dense, {}, sum.used_by, sum.used_at};
    scatter_add_rows(sum.dense, rows.ids, rows.values);
  } else if (more.is_sparse()) {
    scatter_add_rows(sum.dense, more.rows.ids, more.rows.values);
  } else {
    add_to(sum.dense, more.dense);
  }
}

}  // namespace

Gradients::Gradients(GradientList entries) : entries_(std::move(entries)) {
  std::ranges::sort(entries_, {}, &Gradient::of);
}

const Gradient* Gradients::find(Place place) const {
  const auto found = std::ranges::lower_bound(entries_, place, {}, &Gradient::of);
  return found != entries_.end() && found->of == place ? &*found : nullptr;
}

Tensor Gradients::operator[](const Variable& x) const {
  const Gradient* found = find(x.place());
  if (found == nullptr) {
    if (x.is_constant() && x.place() != Place()) {
      fail<TapeError>("no gradient for a parameter of shape {}: it is frozen; unfreeze() it before the ops",
                      x.shape());
    }
    fail<TapeError>(
        "no gradient for a variable of shape {}: the loss does not depend on it, or it is a copy of the "
        "parameter that it depends on (a copy is a parameter of its own), or a result on the way, while only "
        "parameters and what Tape::watch was given have gradients",
        x.value().defined() ? x.shape().text() : "undefined");
  }
  return found->tensor();
}

Gradients& Gradients::operator+=(const Gradients& more) {
  for (const Gradient& entry : more.entries_) {
    const auto at = std::ranges::lower_bound(entries_, entry.of, {}, &Gradient::of);
    if (at != entries_.end() && at->of == entry.of) {
      add(*at, entry);
    } else {
      entries_.insert(at, entry);
    }
  }
  return *this;
}

Gradients& Gradients::operator*=(double factor) {
  for (Gradient& entry : entries_) {
    Tensor& values = entry.values();
    values = std::move(values) * factor;
  }
  return *this;
}

Gradient sum_of(Gradient a, const Gradient& b) {
  add(a, b);
  return a;
}

double norm(const Gradients& gradients) {
  return norm_by([&](FunctionRef<double(const Gradient&)> f) {
    NumberList out;
    out.reserve(gradients.entries().size());
    for (const Gradient& entry : gradients.entries()) out.push_back(f(entry));
    return out;
  });
}

double norm_by(FunctionRef<NumberList(FunctionRef<double(const Gradient&)>)> of_each) {
  const auto sum = [](const NumberList& parts) {
    double out = 0;
    for (const double part : parts) out += part;
    return out;
  };
  const double squares = sum(of_each([](const Gradient& entry) { return sum_squares(entry.values()); }));
  if (squares >= std::numeric_limits<double>::min() / std::numeric_limits<double>::epsilon() &&
      std::isfinite(squares))
    return std::sqrt(squares);
  // The squares of f64 may overflow or vanish where their root does not.
  double largest = 0;
  for (const double part : of_each([](const Gradient& entry) {
         return entry.values().size() > 0 ? max(abs(entry.values())).item() : 0.0;
       }))
    largest = std::max(largest, part);
  if (!(largest > 0) || !std::isfinite(largest)) return std::sqrt(squares);
  const double scale = std::ldexp(1.0, std::ilogb(largest));
  return std::sqrt(sum(of_each(
             [&](const Gradient& entry) { return sum_squares(entry.values().to(Dtype::f64) / scale); }))) *
         scale;
}

}  // namespace gradus
