#include "optim/lbfgs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "optim/optimizer.hpp"
#include "optim/rule.hpp"
#include "tensor/ops.hpp"

namespace gradus::optim {

namespace {

double inner(const Tensor& a, const Tensor& b) {
  return dot(a, b).item();
}
double largest(const Tensor& x) {
  return x.size() == 0 ? 0 : max(abs(x)).item();
}

/// The loss a step of this length along the direction, and its slope along it.
struct Point {
  double length, loss, slope;
  Tensor gradient;
};

/// Where the cubic through two points, with their slopes, is least between `least` and `most`; their middle
/// where the cubic has no minimum.
double cubic_minimum(const Point& a, const Point& b, double least, double most) {
  const double d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length);
  const double square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0) || std::isinf(square)) return (least + most) / 2;
  const double d2 = std::sqrt(square);
  const Point &left = a.length <= b.length ? a : b, &right = a.length <= b.length ? b : a;
  const double at = right.length - (right.length - left.length) *
                                       ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2));
  return std::min(std::max(at, least), most);
}

/// The parameters of a model in a row, and a line through them.
class Line {
 public:
  using Closure = std::function<std::pair<double, Gradients>()>;
  Line(const std::vector<Parameter*>& parameters, const Closure& evaluate)
      : parameters_(parameters), evaluate_(evaluate) {
    for (const Parameter* parameter : parameters) {
      if (parameter->dtype() != parameters.front()->dtype())
        fail<DtypeError>("Lbfgs: the parameters are of f32 and of f64; convert the model to one of them");
      origin_.push_back(parameter->value());
    }
  }
  ~Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  /// At the parameters as they are.
  Point here() {
    auto [loss, gradients] = evaluate_();
    ++evaluations_;
    return {0, loss, 0, flat(gradients)};
  }
  /// At origin + length * direction, to which the parameters are moved.
  Point at(double length, const Tensor& direction) {
    move(length, direction);
    Point out = here();
    out.length = length;
    out.slope = std::isfinite(out.loss) ? inner(out.gradient, direction) : 0;
    return out;
  }
  void move(double length, const Tensor& direction) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Tensor& from = origin_[i];
      const Tensor part = slice(direction, 0, begin, begin + from.size()).reshape(from.shape());
      parameters_[i]->mutable_value() = from + length * part;
      begin += from.size();
    }
  }
  void move_back() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i]->mutable_value() = origin_[i];
  }
  /// Lines go from here on.
  void settle() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) origin_[i] = parameters_[i]->value();
  }
  int evaluations() const { return evaluations_; }

 private:
  Tensor flat(const Gradients& gradients) const {
    std::vector<Tensor> parts;
    for (const Parameter* parameter : parameters_) {
      const Gradient* const gradient = gradients.find(parameter->place());
      parts.push_back(gradient == nullptr ? zeros({parameter->size()}, parameter->dtype())
                                          : gradient->tensor().reshape({parameter->size()}));
    }
    for (const Gradient& gradient : gradients.entries()) {
      const bool listed = std::ranges::any_of(
          parameters_, [&](const Parameter* parameter) { return parameter->place() == gradient.of; });
      if (!listed && gradient.of.tape() == Place::parameter) detail::fail_unlisted(gradient);
    }
    return parts.empty() ? Tensor::of({}) : concat(parts, 0);
  }

  const std::vector<Parameter*>& parameters_;
  const Closure& evaluate_;
  std::vector<Tensor> origin_;
  int evaluations_ = 0;
};

/// A line search for the strong Wolfe conditions: a loss that fell enough for the slope at the start, and a
/// slope that is much flatter than there.
class WolfeSearch {
 public:
  WolfeSearch(Line& line, const Tensor& direction, const Point& start, double tolerance)
      : line_(line), direction_(direction), start_(start), tolerance_(tolerance), size_(largest(direction)) {}

  Point run(double first) {
    if (!bracket(first)) zoom();
    return low();
  }

 private:
  static constexpr double enough = 1e-4, flat = 0.9;
  static constexpr int most = 25;

  bool is_too_high(const Point& p) const {
    return !(p.loss <= start_.loss + enough * p.length * start_.slope);
  }
  bool is_flat(const Point& p) const { return std::abs(p.slope) <= -flat * start_.slope; }
  /// A loss that is not a number is higher than any other.
  Point& low() { return ends_[1].loss < ends_[0].loss || std::isnan(ends_[0].loss) ? ends_[1] : ends_[0]; }
  Point& high() { return &low() == &ends_[0] ? ends_[1] : ends_[0]; }

  /// Goes on until the ends hold a good length between them. True when one was found right away.
  bool bracket(double first) {
    Point before = start_, now = line_.at(first, direction_);
    // Where the loss is not a number, the step was too long for it.
    for (; !std::isfinite(now.loss) && tries_ < most; ++tries_) now = line_.at(now.length / 2, direction_);
    if (!std::isfinite(now.loss)) {
      ends_[0] = ends_[1] = start_;
      return true;
    }
    for (int i = 0; tries_ < most; ++i, ++tries_) {
      if (is_too_high(now) || (i > 1 && !(now.loss < before.loss))) return hold(before, now);
      if (is_flat(now)) {
        ends_[0] = ends_[1] = now;
        return true;
      }
      if (now.slope >= 0) return hold(before, now);
      const double next =
          cubic_minimum(before, now, now.length + 0.01 * (now.length - before.length), now.length * 10);
      before = now;
      now = line_.at(next, direction_);
    }
    return hold(start_, now);
  }
  bool hold(const Point& a, const Point& b) {
    ends_[0] = a;
    ends_[1] = b;
    return false;
  }

  /// Narrows the ends down.
  void zoom() {
    bool slow = false;
    Point* below = &low();
    for (; tries_ < most; ++tries_) {
      Point* const above = below == &ends_[0] ? &ends_[1] : &ends_[0];
      const auto [left, right] = std::minmax(ends_[0].length, ends_[1].length);
      if ((right - left) * size_ < tolerance_) return;
      double length = cubic_minimum(ends_[0], ends_[1], left, right);
      // Twice in a row close to an end: a tenth away from it.
      const double edge = 0.1 * (right - left);
      if (std::min(right - length, length - left) < edge) {
        if (slow || length >= right || length <= left) {
          length = std::abs(length - right) < std::abs(length - left) ? right - edge : left + edge;
          slow = false;
        } else {
          slow = true;
        }
      } else {
        slow = false;
      }
      const Point now = line_.at(length, direction_);
      if (is_too_high(now) || !(now.loss < below->loss)) {
        *above = now;
        below = &low();
        continue;
      }
      const bool done = is_flat(now);
      if (!done && now.slope * (above->length - below->length) >= 0) *above = *below;
      *below = now;
      if (done) return;
    }
  }

  Line& line_;
  const Tensor& direction_;
  const Point& start_;
  double tolerance_, size_;
  int tries_ = 0;
  Point ends_[2];
};

}  // namespace

Lbfgs::Lbfgs() = default;

Lbfgs::Lbfgs(const Options& o) : options_(o) {
  const Range counts{1, 1e9, "a whole number of at least 1"};
  check_options("Lbfgs", {{"lr", o.lr, keeps_from_zero},
                          {"iterations", static_cast<double>(o.iterations), counts},
                          {"evaluations", static_cast<double>(o.evaluations), counts},
                          {"gradient_tolerance", o.gradient_tolerance, not_negative},
                          {"change_tolerance", o.change_tolerance, not_negative},
                          {"history", static_cast<double>(o.history), counts}});
}

double Lbfgs::run(const std::vector<Parameter*>& parameters, const Closure& evaluate) {
  Line line(parameters, evaluate);
  Point now = line.here();
  const double before = now.loss;
  if (!std::isfinite(before) || !all_finite(now.gradient)) {
    fail<NumericError>("Lbfgs: the loss is {} at the start{}; nothing was changed", before,
                       std::isfinite(before) ? " and its gradient not finite" : "");
  }
  if (gradient_.defined() && gradient_.dtype() != now.gradient.dtype()) convert(now.gradient.dtype());
  if (gradient_.defined() && gradient_.size() != now.gradient.size()) {
    fail<ShapeError>(
        "Lbfgs: the model has {} parameters, but had {} at an earlier step; begin with a new optimizer",
        now.gradient.size(), gradient_.size());
  }
  try {
    for (int i = 1; largest(now.gradient) > options_.gradient_tolerance; ++i) {
      if (iterations_ > 0) remember(now.gradient);
      direction_ = direction(now.gradient);
      gradient_ = now.gradient;
      now.length = 0;
      now.slope = inner(now.gradient, direction_);
      length_ = options_.lr;
      if (iterations_++ == 0) length_ *= std::min(1.0, 1 / sum(abs(now.gradient)).item());
      if (now.slope > -options_.change_tolerance) break;
      const double loss = now.loss;
      Point found = WolfeSearch(line, direction_, now, options_.change_tolerance).run(length_);
      if (!std::isfinite(found.loss) || !all_finite(found.gradient)) found = now;  // there is no better one
      length_ = found.length;
      line.move(length_, direction_);
      line.settle();
      now = found;
      if (i == options_.iterations || line.evaluations() >= options_.evaluations ||
          length_ * largest(direction_) <= options_.change_tolerance ||
          std::abs(now.loss - loss) < options_.change_tolerance)
        break;
    }
  } catch (...) {
    line.move_back();
    throw;
  }
  return before;
}

void Lbfgs::convert(Dtype dtype) {
  direction_ = direction_.to(dtype);
  gradient_ = gradient_.to(dtype);
  for (Pair& pair : pairs_) {
    pair.step = pair.step.to(dtype);
    pair.change = pair.change.to(dtype);
  }
}

void Lbfgs::remember(const Tensor& gradient) {
  Pair pair{length_ * direction_, gradient - gradient_, 0};
  const double product = inner(pair.step, pair.change);
  if (!(product > 1e-10)) return;  // the Hessian's estimate stays positive definite
  pair.scale = 1 / product;
  curvature_ = product / inner(pair.change, pair.change);
  if (pairs_.size() == static_cast<std::size_t>(options_.history)) pairs_.pop_front();
  pairs_.push_back(std::move(pair));
}

Tensor Lbfgs::direction(const Tensor& gradient) const {
  Tensor q = -gradient;
  std::vector<double> shares(pairs_.size());
  for (std::size_t i = pairs_.size(); i-- > 0;) {
    shares[i] = inner(pairs_[i].step, q) * pairs_[i].scale;
    q = q - shares[i] * pairs_[i].change;
  }
  q = q * curvature_;
  for (std::size_t i = 0; i < pairs_.size(); ++i)
    q = q + (shares[i] - inner(pairs_[i].change, q) * pairs_[i].scale) * pairs_[i].step;
  return q;
}

Safetensors Lbfgs::state() const {
  Safetensors out;
  if (iterations_ == 0) return out;
  std::vector<Tensor> steps, changes;
  for (const Pair& pair : pairs_) {
    steps.push_back(pair.step);
    changes.push_back(pair.change);
  }
  out.tensors = {{"direction", direction_}, {"gradient", gradient_}};
  if (!pairs_.empty()) {
    out.tensors.emplace("steps", stack(steps, 0));
    out.tensors.emplace("changes", stack(changes, 0));
  }
  out.tensors.emplace("numbers",
                      Tensor::of({static_cast<double>(iterations_), length_, curvature_}, Dtype::f64));
  return out;
}

void Lbfgs::set_state(const Safetensors& content, const std::string& name) {
  Lbfgs out(options_);
  if (content.tensors.empty()) {
    *this = std::move(out);
    return;
  }
  const auto find = [&](const char* what) -> const Tensor& {
    const auto found = content.tensors.find(what);
    if (found == content.tensors.end())
      fail<DataError>("{}: {} is missing; is it the state of another kind of optimizer?", name, what);
    return found->second;
  };
  const Tensor &direction = find("direction"), &gradient = find("gradient"), &numbers = find("numbers");
  const bool has_pairs = content.tensors.contains("steps");
  const Tensor steps = has_pairs ? find("steps") : zeros({0, direction.size()}, direction.dtype());
  const Tensor changes = has_pairs ? find("changes") : steps;
  const Shape row{direction.size()};
  if (direction.shape() != row || gradient.shape() != row || numbers.shape() != Shape{3} ||
      steps.rank() != 2 || steps.dim(1) != direction.size() || !steps.same_shape(changes) ||
      !(numbers.at(0) >= 1)) {
    fail<DataError>("{}: the tensors do not fit each other; is it the state of another kind of optimizer?",
                    name);
  }
  out.direction_ = direction;
  out.gradient_ = gradient;
  out.iterations_ = static_cast<std::int64_t>(numbers.at(0));
  out.length_ = numbers.at(1);
  out.curvature_ = numbers.at(2);
  for (std::int64_t i = 0; i < steps.dim(0); ++i)
    out.pairs_.push_back({steps[i], changes[i], 1 / inner(steps[i], changes[i])});
  *this = std::move(out);
}

}  // namespace gradus::optim
