#include "autograd/transforms.hpp"

#include <algorithm>
#include <optional>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "autograd/tape_storage.hpp"

namespace gradus {

namespace detail {

namespace {

void check_same(const char* verb, const char* what, const Variable& given, const Variable& like,
                const char* of) {
  if (!given.value().defined()) fail<ArgumentError>("{}: {} is undefined", verb, what);
  if (given.shape() != like.shape()) {
    fail<ShapeError>("{}: {} of shape {} for {} of shape {}; they must be equal", verb, what, given.shape(),
                     of, like.shape());
  }
  if (given.dtype() != like.dtype()) {
    fail<DtypeError>("{}: {} of {} for {} of {}; convert it with to()", verb, what, name_of(given.dtype()),
                     of, name_of(like.dtype()));
  }
}

Variable zeros_of(const Variable& x) {
  return Variable(zeros_like(x.value()));
}
/// (count, x's size): in row i, 1 at element first + i, else 0.
Variable units(const Variable& like, std::int64_t first, std::int64_t count) {
  Tensor out = zeros({count, like.size()}, like.dtype());
  visit_dtype(out.dtype(), [&](auto tag) {
    auto* const at = out.mutable_data<decltype(tag)>();
    for (std::int64_t i = 0; i < count; ++i) at[i * like.size() + first + i] = 1;
  });
  return Variable(std::move(out));
}
Shape joined(const Shape& a, const Shape& b) {
  Shape out = a;
  for (int i = 0; i < b.rank(); ++i) out = out.inserted(out.rank(), b[i]);
  return out;
}

/// One call of f, recorded: on the active tape, or else on a tape of its own.
class Call {
 public:
  Call(const LentFunction& f, Arguments xs, const char* verb, Where where)
      : op_(verb, where), xs_(xs.begin(), xs.end()) {
    if (active_head == nullptr) own_.emplace();
    TapeStorage& tape = *active_tape();
    if (own_) tape.others = Others::constants;
    begin_ = static_cast<std::uint32_t>(tape.nodes.size());
    const std::uint32_t serial = tape.serial;
    if (f.captures()) {
      for (const Variable& x : xs) nodes_.push_back(captured(tape, x));
      y_ = f({});
    } else {
      Variables fresh;
      for (const Variable& x : xs) fresh.push_back(enter(tape, x));
      for (const Variable& x : fresh) nodes_.push_back(x.place().index());
      y_ = f(fresh);
    }
    if (active_tape() != &tape || tape.serial != serial) {
      fail<TapeError>(
          "{}: f consumed the tape that it was recorded on, or made a tape or pause that still lives; it may "
          "use tapes of its own that end with it",
          verb);
    }
    if (!y_.value().defined()) fail<ArgumentError>("{}: f returned an undefined Variable", verb);
    y_node_ = resolve(tape, y_, op_);
  }

  const Variable& y() const { return y_; }
  const Variables& xs() const { return xs_; }
  const Op& op() const { return op_; }
  /// Whether results are to be recorded: they are read by a tape outside of the call.
  bool is_recorded() const { return !own_.has_value(); }

  void check_scalar() const {
    if (y_.size() == 1) return;
    fail<ShapeError>("{}: f(x) has shape {}; take the sum or mean to get one number, or use jacobian",
                     op_.name, y_.shape());
  }
  /// The seed's product with the jacobian, an undefined Variable where y does not depend on an argument.
  Variables vjp(const Variable& seed, bool record, bool consume = false) {
    return swept({y_node_, seed}, options(begin_, record, consume));
  }
  // Of many seeds at once. In these a batch is a matrix, with a row for the elements of each: there are
  // shapes without an axis to spare, whose batches are of one, which is swept as one by itself.

  /// seeds: (count, y's size). Gives (count, x's size) each.
  Variables vjps(const Variable& seeds) {
    const std::int64_t count = seeds.dim(0);
    return in_rows(swept({y_node_, as_batch(seeds, y_.shape())}, batch_options(begin_, count)), count);
  }
  /// The same for the gradients given by `vjp`, of which gs may lack some.
  Variables vjps_of(const Variables& gs, Arguments seeds, std::int64_t count) {
    return in_rows(sweep_paths(*active_tape(), batch_starts(gs, seeds), nodes_, batch_options(begin_, count)),
                   count);
  }
  /// What sweeps from the gradients gs reach of one node.
  Variable reach_of(const Variables& gs, Arguments seeds, std::uint32_t node, std::int64_t count) const {
    return in_rows(
               sweep_paths(*active_tape(), batch_starts(gs, seeds), {&node, 1}, batch_options(node, count)),
               count)
        .front();
  }
  /// The same for the gradients given by `vjp`: the derivative of sum(gs * seeds).
  Variables vjp_of(const Variables& gs, Arguments seeds, bool consume = false) {
    return sweep_paths(*active_tape(), starts(gs, seeds), nodes_, options(begin_, is_recorded(), consume));
  }
  /// What a sweep from the gradients gs reaches of one node.
  Variable reach(const Variables& gs, Arguments seeds, std::uint32_t node, bool consume) const {
    return sweep_paths(*active_tape(), starts(gs, seeds), {&node, 1}, options(node, is_recorded(), consume))
        .front();
  }
  /// The product of the jacobian with the arguments' tangents, where f is made of ops that work element by
  /// element; nothing where it is not.
  std::optional<Variable> tangent(Arguments tangents) const {
    std::vector<SweepStart> starts;
    for (std::size_t i = 0; i < nodes_.size(); ++i) starts.push_back({nodes_[i], tangents[i]});
    return sweep_tangents(*active_tape(), starts, y_node_, begin_, is_recorded());
  }
  /// How many gradients are to be swept at once: as many as leave the largest one in a near cache, so that
  /// memory does not grow with their number. 1 where a tensor has no axis to spare.
  std::int64_t batch_size() {
    if (batch_size_ > 0) return batch_size_;  // what sweeps have recorded since does not count
    constexpr std::int64_t most_elements = std::int64_t{1} << 18;
    std::int64_t largest = 1;
    const auto& nodes = active_tape()->nodes;
    for (std::size_t i = begin_; i < nodes.size(); ++i) {
      const bool full = nodes[i].shape.rank() == Shape::max_rank;
      largest = full ? most_elements : std::max(largest, nodes[i].shape.size());
      if (full) break;
    }
    return batch_size_ = std::max(std::int64_t{1}, most_elements / largest);
  }
  /// A result as the caller gets it: zeros for nothing, a constant when no tape outlives the call.
  Variable returned(Variable x, const Variable& like) const {
    if (!x.value().defined()) return zeros_of(like);
    return is_recorded() ? std::move(x) : detach(x);
  }
  /// The same of the rows of many.
  Variable returned_rows(Variable x, const Variable& like, std::int64_t count) const {
    if (!x.value().defined()) return Variable(zeros({count, like.size()}, like.dtype()));
    return is_recorded() ? std::move(x) : detach(x);
  }
  Variables returned(Variables gs) const {
    for (std::size_t i = 0; i < gs.size(); ++i) gs[i] = returned(std::move(gs[i]), xs_[i]);
    return gs;
  }

 private:
  static SweepOptions options(std::uint32_t begin, bool record, bool consume) {
    return {.begin = begin, .record = record, .consume = consume};
  }
  SweepOptions batch_options(std::uint32_t begin, std::int64_t count) const {
    return {.begin = begin, .record = is_recorded(), .batch = count == 1 ? 0 : count};
  }
  static Variable as_batch(const Variable& rows, const Shape& shape) {
    const std::int64_t count = rows.dim(0);
    return reshape(rows, count == 1 ? shape : shape.inserted(0, count));
  }
  static Variables in_rows(Variables gs, std::int64_t count) {
    for (Variable& g : gs)
      if (g.value().defined()) g = reshape(g, {count, g.size() / count});
    return gs;
  }
  static std::vector<SweepStart> batch_starts(const Variables& gs, Arguments seeds) {
    Variables shaped(seeds.size());
    for (std::size_t i = 0; i < seeds.size(); ++i)
      if (seeds[i].value().defined() && gs[i].value().defined())
        shaped[i] = as_batch(seeds[i], gs[i].shape());
    return starts(gs, shaped);
  }
  Variables swept(const SweepStart& start, SweepOptions of) {
    if (y_node_ == no_node) return Variables(xs_.size());
    return sweep_paths(*active_tape(), {&start, 1}, nodes_, of);
  }
  /// x as an argument: a fresh node, so that derivatives with respect to it are partial.
  Variable enter(TapeStorage& tape, const Variable& x) const {
    if (!x.value().defined()) fail<ArgumentError>("{}: an argument is undefined", op_.name);
    if (resolve(tape, x, op_) == no_node) return push_node(tape, op_, x.value(), nullptr, 0);
    return record(op_, x.value(), wrt(x, [](const Variable& g) { return g; }));
  }
  /// The node of a Variable that f captured.
  std::uint32_t captured(TapeStorage& tape, const Variable& x) const {
    if (x.is_constant()) {
      fail<TapeError>(
          "{}: f takes no argument, so the derivative is with respect to what it captured, but this is "
          "a constant (shape {}); make it a Parameter, or an argument of f",
          op_.name, x.shape());
    }
    if (!own_) return resolve(tape, x, op_);
    for (const Captured& known : tape.captured) {
      if (known.x.place() == x.place()) return known.node;  // listed twice
    }
    const std::uint32_t node = push_node(tape, op_, x.value(), nullptr, 0).place().index();
    tape.captured.push_back({x, node});
    return node;
  }
  static std::vector<SweepStart> starts(const Variables& gs, Arguments seeds) {
    std::vector<SweepStart> out;
    for (std::size_t i = 0; i < gs.size(); ++i) {
      if (gs[i].value().defined() && !gs[i].is_constant() && seeds[i].value().defined())
        out.push_back({gs[i].place().index(), seeds[i]});
    }
    return out;
  }

  const InOp op_;
  std::optional<Tape> own_;
  Variables xs_;
  std::uint32_t begin_ = 0;
  std::vector<std::uint32_t> nodes_;
  Variable y_;
  std::uint32_t y_node_ = no_node;
  std::int64_t batch_size_ = 0;  // 0: not known yet
};

void check_tangents(const Call& call, Arguments tangents, const char* what) {
  if (tangents.size() != call.xs().size()) {
    fail<ArgumentError>("{}: {} {}s for {} arguments", call.op().name, tangents.size(), what,
                        call.xs().size());
  }
  for (std::size_t i = 0; i < tangents.size(); ++i)
    check_same(call.op().name, what, tangents[i], call.xs()[i], "an argument");
}

/// A call whose vjp is recorded as a function of its seed u, in which it is linear.
class Linearized {
 public:
  explicit Linearized(Call& call) : call_(call) {
    const Variable u = push_node(*active_tape(), call.op(), zeros_like(call.y().value()), nullptr, 0);
    node_ = u.place().index();
    gs_ = call.vjp(u, true);
  }
  Variable jvp(Arguments tangents, bool consume = false) const {
    return call_.returned(call_.reach(gs_, tangents, node_, consume), call_.y());
  }
  /// Of many tangents, (count, x's size) each or undefined for zeros: (count, y's size).
  Variable jvps(Arguments tangents, std::int64_t count) const {
    return call_.returned_rows(call_.reach_of(gs_, tangents, node_, count), call_.y(), count);
  }

 private:
  Call& call_;
  std::uint32_t node_;
  Variables gs_;
};

/// Throws unless all have one length k along the first axis and the shape of `likes` behind it; gives k.
std::int64_t batch_of(const Call& call, Arguments seeds, Arguments likes, const char* what) {
  if (seeds.size() != likes.size()) {
    fail<ArgumentError>("{}: {} {} for {} arguments", call.op().name, seeds.size(), what, likes.size());
  }
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    const Shape shape = seeds[i].shape();
    if (shape.rank() == 0 || shape.erased(0) != likes[i].shape() || shape[0] != seeds[0].dim(0)) {
      fail<ShapeError>("{}: {} of shape {} for a shape of {}; they need one axis more, the same for all",
                       call.op().name, what, shape, likes[i].shape());
    }
  }
  return seeds.empty() ? 0 : seeds[0].dim(0);
}

/// Calls part(first, count) for parts of 0..total-1 that are swept at once.
template <class Part>
void in_parts(Call& call, std::int64_t total, const Part& part) {
  const std::int64_t most = call.batch_size();
  for (std::int64_t first = 0; first < total; first += most) part(first, std::min(most, total - first));
}

/// Entries first..first+count-1 along the first axis, as rows.
Variable entries(const Variable& all, std::int64_t first, std::int64_t count) {
  return reshape(slice(all, 0, first, first + count), {count, all.size() / all.dim(0)});
}

/// Parts of rows, under this shape.
Variable joined_parts(const Variables& parts, const Shape& shape, Dtype dtype) {
  if (parts.empty()) return Variable(zeros(shape, dtype));
  return reshape(parts.size() == 1 ? parts.front() : concat(parts, 0), shape);
}

/// For each argument the products that products(first, count), (count, x's size), gives for the elements of
/// the shape `leading`, under that shape and the argument's.
template <class Products>
Variables stacked(Call& call, const Shape& leading, const Products& products) {
  std::vector<Variables> rows(call.xs().size());
  in_parts(call, leading.size(), [&](std::int64_t first, std::int64_t count) {
    Variables gs = products(first, count);
    for (std::size_t i = 0; i < gs.size(); ++i)
      rows[i].push_back(call.returned_rows(std::move(gs[i]), call.xs()[i], count));
  });
  Variables out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Variable& x = call.xs()[i];
    out.push_back(call.returned(joined_parts(rows[i], joined(leading, x.shape()), x.dtype()), x));
  }
  return out;
}

Variables jacobian_by_columns(Call& call) {
  const Linearized linear(call);
  Variables out;
  for (std::size_t i = 0; i < call.xs().size(); ++i) {
    const Variable& x = call.xs()[i];
    const Shape shape = joined(call.y().shape(), x.shape());
    Variables columns, tangents(call.xs().size());
    in_parts(call, x.size(), [&](std::int64_t first, std::int64_t count) {
      tangents[i] = units(x, first, count);
      columns.push_back(linear.jvps(tangents, count));
    });
    // (x, y) to (y, x)
    out.push_back(columns.empty() ? Variable(zeros(shape, x.dtype()))
                                  : call.returned(reshape(transpose(concat(columns, 0)), shape), x));
  }
  return out;
}

}  // namespace

std::pair<Variable, Variables> value_and_grad(LentFunction f, Arguments xs, Where where) {
  Call call(f, xs, "grad", where);
  call.check_scalar();
  const Variable one(ones_like(call.y().value()));
  Variables gs = call.returned(call.vjp(one, call.is_recorded(), !call.is_recorded()));
  return {call.returned(call.y(), call.y()), std::move(gs)};
}

std::pair<Variable, Variables> vjp(LentFunction f, Arguments xs, const Variable& seed, Where where) {
  Call call(f, xs, "vjp", where);
  check_same("vjp", "a seed", seed, call.y(), "f(x)");
  Variables gs = call.returned(call.vjp(seed, call.is_recorded(), !call.is_recorded()));
  return {call.returned(call.y(), call.y()), std::move(gs)};
}

std::pair<Variable, Variable> jvp(LentFunction f, Arguments xs, Arguments tangents, Where where) {
  Call call(f, xs, "jvp", where);
  check_tangents(call, tangents, "tangent");
  std::optional<Variable> direct = call.tangent(tangents);
  Variable product = direct ? call.returned(*std::move(direct), call.y())
                            : Linearized(call).jvp(tangents, !call.is_recorded());
  return {call.returned(call.y(), call.y()), std::move(product)};
}

Variables vjps(LentFunction f, Arguments xs, const Variable& seeds, Where where) {
  Call call(f, xs, "vjps", where);
  const std::int64_t k = batch_of(call, list_of(seeds), list_of(call.y()), "seeds");
  return stacked(call, Shape{k}, [&](std::int64_t first, std::int64_t count) {
    return call.vjps(entries(seeds, first, count));
  });
}

Variable jvps(LentFunction f, Arguments xs, Arguments tangents, Where where) {
  Call call(f, xs, "jvps", where);
  const std::int64_t k = batch_of(call, tangents, xs, "tangents");
  const Linearized linear(call);
  Variables products;
  in_parts(call, k, [&](std::int64_t first, std::int64_t count) {
    Variables some;
    for (const Variable& tangent : tangents) some.push_back(entries(tangent, first, count));
    products.push_back(linear.jvps(some, count));
  });
  const Variable& y = call.y();
  return call.returned(joined_parts(products, y.shape().inserted(0, k), y.dtype()), y);
}

Variables hvp(LentFunction f, Arguments xs, Arguments vs, Where where) {
  Call call(f, xs, "hvp", where);
  call.check_scalar();
  check_tangents(call, vs, "vector");
  const Variables gs = call.vjp(Variable(ones_like(call.y().value())), true);
  return call.returned(call.vjp_of(gs, vs, !call.is_recorded()));
}

Variables jacobian(LentFunction f, Arguments xs, JacobianOptions options, Where where) {
  Call call(f, xs, "jacobian", where);
  std::int64_t columns = 0;
  for (const Variable& x : xs) columns += x.size();
  const bool by_rows =
      options.by == JacobianBy::rows || (options.by == JacobianBy::shape && call.y().size() <= columns);
  if (!by_rows) return jacobian_by_columns(call);
  return stacked(call, call.y().shape(), [&](std::int64_t first, std::int64_t count) {
    return call.vjps(units(call.y(), first, count));
  });
}

std::vector<Variables> hessian(LentFunction f, Arguments xs, Where where) {
  Call call(f, xs, "hessian", where);
  call.check_scalar();
  const Variables gs = call.vjp(Variable(ones_like(call.y().value())), true);
  std::vector<Variables> out;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const Variable x = call.xs()[i];
    out.push_back(stacked(call, x.shape(), [&](std::int64_t first, std::int64_t count) {
      const Variable seeds = units(x, first, count);
      return call.vjps_of({gs[i]}, list_of(seeds), count);
    }));
  }
  return out;
}

}  // namespace detail

namespace {

/// f(inputs) as constants. Throws when f used a parameter or a recorded Variable that is none of its inputs:
/// no gradient would reach it, and nobody would hear of it.
Variables run_without_captures(const Op& op, const std::function<Variables(std::span<const Variable>)>& f,
                               const Variables& inputs) {
  const Tape probe(detail::active_tape()->options);
  detail::TapeStorage& tape = *detail::active_tape();
  tape.others = detail::Others::captured;
  Variables ys = f(inputs);
  for (const Variable& y : ys)
    detail::resolve(tape, y, op);  // one that was captured may be the result itself
  for (const detail::Captured& used : tape.captured) {
    const bool given =
        std::ranges::any_of(inputs, [&](const Variable& x) { return x.place() == used.x.place(); });
    if (!given) {
      fail<TapeError>(
          "{}: f uses a parameter or Variable of shape {} that is none of its arguments, so it would get no "
          "gradient; make it an argument, or detach it",
          op.name, used.x.shape());
    }
  }
  for (Variable& y : ys) y = detach(y);
  return ys;
}

}  // namespace

Variables custom_vjp(const std::function<Variables(std::span<const Variable>)>& f, CustomGradients gradient,
                     std::span<const Variable> xs, Where where) {
  const InOp op("custom_vjp", where);
  const Variables inputs(xs.begin(), xs.end());
  // The results as Variables are known only once they are recorded.
  const auto ys = std::make_shared<Variables>();
  std::vector<Tensor> values;
  *ys = recording() ? run_without_captures(op, f, inputs) : f(inputs);
  for (const Variable& y : *ys) values.push_back(y.value());
  const auto by_ops = [gradient = std::move(gradient), inputs, ys](std::span<const Variable> gs) {
    Variables out = gradient(gs, *ys, inputs);
    if (out.size() != inputs.size()) {
      fail<ArgumentError>("custom_vjp: the gradient gives {} Variables for {} inputs", out.size(),
                          inputs.size());
    }
    return out;
  };
  const auto fused = [by_ops](std::span<const Tensor> gs, std::span<const bool>, std::span<Tensor> out) {
    Variables upstream;
    for (const Tensor& g : gs) upstream.emplace_back(g);
    const Variables parts = by_ops(upstream);
    for (std::size_t i = 0; i < parts.size(); ++i) out[i] = parts[i].value();
  };
  return *ys = record(op, std::move(values), jointly(inputs, fused, by_ops));
}

Variable custom_vjp(const std::function<Variable(std::span<const Variable>)>& f, CustomGradient gradient,
                    std::span<const Variable> xs, Where where) {
  const auto of_many = [&f](std::span<const Variable> in) { return Variables{f(in)}; };
  const auto many = [gradient = std::move(gradient)](
                        std::span<const Variable> gs, std::span<const Variable> ys,
                        std::span<const Variable> in) { return gradient(gs.front(), ys.front(), in); };
  return custom_vjp(of_many, many, xs, where).front();
}

}  // namespace gradus
