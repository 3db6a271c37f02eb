#include "autograd/ops/movement.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/positions.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// What Python's range over slice(begin, end, step).indices(length) gives; nothing where a Slice of ours
/// should throw: a bound past the ends, or begin behind end.
std::optional<std::vector<std::int64_t>> python_slice(const Slice& s, std::int64_t length) {
  const bool forward = s.step > 0;
  for (const auto& bound : {s.begin, s.end}) {
    if (bound && (*bound < -length || *bound > (forward ? length : length - 1))) return std::nullopt;
  }
  const auto wrap = [&](std::int64_t i) { return i < 0 ? i + length : i; };
  const std::int64_t begin = s.begin ? wrap(*s.begin) : forward ? 0 : length - 1;
  const std::int64_t end = s.end ? wrap(*s.end) : forward ? length : -1;
  if (forward ? begin > end : begin < end) return std::nullopt;
  std::vector<std::int64_t> out;
  for (std::int64_t i = begin; forward ? i < end : i > end; i += s.step) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE("permute puts every element where it belongs, in any order of axes and with tiles cut short",
          "[movement]") {
  for (const Dtype dtype : both) {
    for (const Shape& shape : {Shape{3, 17, 2, 20}, Shape{1, 16, 5, 1}, Shape{2, 0, 3, 4}}) {
      const Tensor x = counting(shape, dtype);
      std::array<int, 4> axes{0, 1, 2, 3};
      do {
        Shape wanted = shape;
        for (int i = 0; i < 4; ++i) wanted = wanted.with(i, shape[axes[u(i)]]);
        const Tensor naive = tabulate(wanted, dtype, [&](const Position& p) {
          Position from(4);
          for (std::size_t i = 0; i < 4; ++i) from[u(axes[i])] = p[i];
          return at(x, from);
        });
        CHECK(identical(permute(x, axes), naive));
      } while (std::next_permutation(axes.begin(), axes.end()));
    }
  }
  CHECK(identical(permute(Tensor::scalar(3), std::span<const int>()), Tensor::scalar(3)));
  const Tensor x = counting({2, 3});
  CHECK(permute(x, {0, 1}).data<float>() == x.data<float>());
  CHECK_THROWS_WITH(permute(x, {0, -2}), Contains("permute") && Contains("twice"));
  CHECK_THROWS_WITH(permute(x, {0}), Contains("permute") && Contains("(2, 3)"));
  CHECK_THROWS_AS(permute(x, {0, 2}), ShapeError);
}

TEST_CASE("moves of large tensors are the same for any number of threads", "[movement]") {
  const Tensor x = counting({301, 7, 203}), y = counting({1 << 18});
  const auto all = [&] {
    return std::vector<Tensor>{transpose(x, 0, 2),
                               transpose(x),
                               flip(x, {0, 2}),
                               roll(x, 5, 1),
                               slice(x, 2, {.step = -3}),
                               concat({x, x}, 1),
                               repeat(x, {1, 2, 1}),
                               diagonal(x, {.axis1 = 0, .axis2 = 2}),
                               flip(y, {0})};
  };
  const int before = threads();
  set_threads(1);
  const std::vector<Tensor> one = all();
  set_threads(4);
  const std::vector<Tensor> four = all();
  set_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(identical(one[i], four[i]));
  // Every element: long rows go in pieces, large matrices in tiles, and none may be lost where they meet.
  bool right = true;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const std::int64_t a = i / (7 * 301), b = i / 301 % 7, c = i % 301;
    right = right && one[0].at(i) == static_cast<double>((c * 7 + b) * 203 + a);
  }
  CHECK(right);
  const Tensor repeated = broadcast_to(y, {2, 1 << 18}), strided = slice(y, 0, {.begin = 1, .step = 3});
  for (std::int64_t i = 0; i < y.size(); ++i) {
    right = right && one.back().at(i) == y.at(y.size() - 1 - i) && repeated.at(y.size() + i) == y.at(i);
  }
  CHECK(right);
  for (std::int64_t i = 0; i < strided.size(); ++i) right = right && strided.at(i) == y.at(1 + 3 * i);
  CHECK(right);
  Tensor sum = y;
  add_to_slice(sum, strided, std::array{Slice{.begin = 1, .step = 3}});
  for (std::int64_t i = 0; i < y.size(); ++i) right = right && sum.at(i) == y.at(i) * (i % 3 == 1 ? 2 : 1);
  CHECK(right);
}

TEST_CASE("slices are Python's, but for bounds past the ends and begin behind end, which throw",
          "[movement]") {
  for (std::int64_t length = 0; length <= 4; ++length) {
    const Tensor vector = counting({length}), matrix = counting({2, length, 3}, Dtype::f64);
    std::vector<std::optional<std::int64_t>> bounds{std::nullopt};
    for (std::int64_t b = -6; b <= 6; ++b) bounds.emplace_back(b);
    for (const auto& begin : bounds) {
      for (const auto& end : bounds) {
        for (const std::int64_t step : {-3, -2, -1, 1, 2, 3, 7}) {
          const Slice s{begin, end, step};
          const auto picked = python_slice(s, length);
          if (!picked) {
            CHECK_THROWS_AS(slice(vector, 0, s), ShapeError);
            continue;
          }
          const auto count = static_cast<std::int64_t>(picked->size());
          CHECK(identical(slice(vector, 0, s), tabulate({count}, Dtype::f32, [&](const Position& p) {
                            return static_cast<double>((*picked)[u(p[0])]);
                          })));
          CHECK(identical(slice(matrix, -2, s), tabulate({2, count, 3}, Dtype::f64, [&](const Position& p) {
                            return at(matrix, {p[0], (*picked)[u(p[1])], p[2]});
                          })));
        }
      }
    }
  }
  const Tensor x = counting({4, 5, 3});
  const Tensor three = slice(x, {{.begin = 1}, {.begin = -1, .end = 0, .step = -2}, {.step = -1}});
  CHECK(identical(three, tabulate({3, 2, 3}, Dtype::f32, [&](const Position& p) {
                    return at(x, {p[0] + 1, 4 - 2 * p[1], 2 - p[2]});
                  })));
  CHECK(identical(slice(x, std::span<const Slice>()), x));
  CHECK_THROWS_WITH(slice(x, 1, {.begin = 6}),
                    Contains("begin 6") && Contains("-5..5") && Contains("(4, 5, 3)"));
  CHECK_THROWS_WITH(slice(x, 1, {.step = 0}), Contains("step of 0"));
  CHECK_THROWS_AS(slice(x, {{}, {}, {}, {}}), ShapeError);
  CHECK_THROWS_AS(slice(Tensor::scalar(1), 0, 0, 0), ShapeError);
}

TEST_CASE("what lies in one piece shares storage", "[movement]") {
  const Tensor x = counting({1, 6, 4});
  const float* const data = x.data<float>();
  CHECK(slice(x, 1, 2, 4).data<float>() == data + 8);
  CHECK(slice(x, {{}, {.begin = -1}, {.begin = 1, .end = 3}}).data<float>() == data + 21);
  CHECK(select(x, 1, -2).data<float>() == data + 16);
  CHECK(flatten(x).data<float>() == data);
  CHECK(squeeze(x, 0).data<float>() == data);
  CHECK(unsqueeze(x, 3).data<float>() == data);
  CHECK(reshape(x, {3, -1}).data<float>() == data);
  CHECK(transpose(x, 0, 1).data<float>() == data);  // an axis of length 1
  CHECK(split(x[0], {1, 5})[1].data<float>() == data + 4);
  // A change of the slice leaves the whole as it was.
  Tensor part = slice(x, 1, 2, 4);
  part.mutable_data<float>()[0] = -1;
  CHECK(x.at(8) == 8);
}

TEST_CASE("reshape, flatten, squeeze and unsqueeze change the shape alone", "[movement]") {
  const Tensor x = counting({2, 1, 3, 1});
  CHECK(reshape(x, {-1}).shape() == Shape{6});
  CHECK(flatten(x).shape() == Shape{6});
  CHECK(flatten(x, 1, -2).shape() == Shape{2, 3, 1});
  CHECK(flatten(x, -1).shape() == Shape{2, 1, 3, 1});
  CHECK(flatten(Tensor::scalar(2)).shape() == Shape{1});
  CHECK(flatten(zeros({2, 0, 3}), 0, 1).shape() == Shape{0, 3});
  CHECK(squeeze(x).shape() == Shape{2, 3});
  CHECK(squeeze(x, -1).shape() == Shape{2, 1, 3});
  CHECK(unsqueeze(x, 0).shape() == Shape{1, 2, 1, 3, 1});
  CHECK(unsqueeze(x, -1).shape() == Shape{2, 1, 3, 1, 1});
  CHECK(unsqueeze(Tensor::scalar(2), -1).shape() == Shape{1});
  CHECK_THROWS_WITH(squeeze(x, 0), Contains("squeeze") && Contains("2 entries"));
  CHECK_THROWS_AS(unsqueeze(x, 5), ShapeError);
  CHECK_THROWS_AS(unsqueeze(x, -6), ShapeError);
  CHECK_THROWS_WITH(flatten(x, 2, 1), Contains("flatten"));
  CHECK_THROWS_AS(reshape(x, {4, -1}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {7}), ShapeError);
}

TEST_CASE("flip and roll move entries along their axes", "[movement]") {
  for (const Dtype dtype : both) {
    const Tensor x = counting({3, 4, 5}, dtype);
    CHECK(identical(flip(x, {0, -1}), tabulate({3, 4, 5}, dtype, [&](const Position& p) {
                      return at(x, {2 - p[0], p[1], 4 - p[2]});
                    })));
    for (const std::int64_t shift : {-9, -4, -1, 0, 1, 3, 4, 6, 400}) {
      for (const int axis : {-3, 1, 2}) {
        const int a = x.shape().normalize_axis(axis);
        CHECK(identical(roll(x, shift, axis), tabulate({3, 4, 5}, dtype, [&](Position p) {
                          const std::int64_t n = x.dim(a);
                          p[u(a)] = (((p[u(a)] - shift) % n) + n) % n;
                          return at(x, p);
                        })));
      }
    }
  }
  CHECK(roll(zeros({2, 0}), 3, 1).size() == 0);
  CHECK(flip(zeros({2, 0}), {1}).size() == 0);
  CHECK_THROWS_WITH(flip(zeros({2, 3}), {1, -1}), Contains("flip") && Contains("twice"));
  CHECK_THROWS_AS(roll(Tensor::scalar(1), 1, 0), ShapeError);
}

TEST_CASE("parts are joined and taken apart along any axis", "[movement]") {
  for (const Dtype dtype : both) {
    const Tensor x = counting({3, 4, 5}, dtype);
    for (const int axis : {0, 1, 2, -1, -3}) {
      const std::int64_t n = x.dim(axis);
      const std::vector<Tensor> parts = split(x, {1, 0, n - 1}, axis);
      CHECK(parts[1].shape() == x.shape().with(axis, 0));
      CHECK(identical(concat(parts, axis), x));
      CHECK(identical(concat(split(x, n, axis), axis), x));
      CHECK(identical(concat(chunk(x, 2, axis), axis), x));
      std::vector<Tensor> entries;
      for (std::int64_t i = 0; i < n; ++i) entries.push_back(select(x, axis, i));
      CHECK(identical(stack(entries, axis), x));
    }
  }
  // PyTorch's chunk: pieces of ceil(7 / 3); of ceil(5 / 4), so only three.
  const auto lengths = [](const std::vector<Tensor>& parts) {
    std::vector<std::int64_t> out;
    for (const Tensor& part : parts) out.push_back(part.dim(0));
    return out;
  };
  CHECK(lengths(chunk(counting({7}), 3)) == std::vector<std::int64_t>{3, 3, 1});
  CHECK(lengths(chunk(counting({5}), 4)) == std::vector<std::int64_t>{2, 2, 1});
  CHECK(lengths(chunk(counting({2}), 5)) == std::vector<std::int64_t>{1, 1});
  CHECK(lengths(chunk(zeros({0}), 3)) == std::vector<std::int64_t>{0});
  CHECK(stack({Tensor::scalar(1), Tensor::scalar(2)}).text() == "[1, 2]");
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_WITH(concat({x, zeros({3, 3}), zeros({2, 2})}, 0), Contains("part 2") && Contains("(2, 2)"));
  CHECK_THROWS_AS(concat({x, zeros({2, 3}, Dtype::f64)}, 0), DtypeError);
  CHECK_THROWS_AS(concat({Tensor::scalar(1), Tensor::scalar(2)}, 0), ShapeError);
  CHECK_THROWS_WITH(stack({x, zeros({3, 2})}), Contains("stack") && Contains("(3, 2)"));
  CHECK_THROWS_WITH(stack(std::span<const Tensor>()), Contains("stack: no parts"));
  CHECK_THROWS_WITH(split(x, {1, 1}, 1), Contains("split") && Contains("2 in all"));
  CHECK_THROWS_AS(split(x, {4, -1}, 1), ShapeError);
  CHECK_THROWS_WITH(split(x, 2, 1), Contains("chunk"));
  CHECK_THROWS_AS(chunk(x, 0), ShapeError);
}

TEST_CASE("select drops an axis and says which entries there are", "[movement]") {
  const Tensor x = counting({3, 4, 5});
  for (const int axis : {0, 1, -1}) {
    const int a = x.shape().normalize_axis(axis);
    for (std::int64_t i = -x.dim(a); i < x.dim(a); ++i) {
      CHECK(identical(select(x, axis, i), tabulate(x.shape().erased(a), Dtype::f32, [&](Position p) {
                        p.insert(p.begin() + a, i < 0 ? i + x.dim(a) : i);
                        return at(x, p);
                      })));
    }
  }
  CHECK_THROWS_WITH(select(x, 1, 4), Contains("entry 4") && Contains("from -4 to 3"));
}

TEST_CASE("pad puts a value, a mirror image or the last entry around", "[movement]") {
  for (const Dtype dtype : both) {
    const Tensor x = counting({3, 4}, dtype);
    const auto inside = [](std::int64_t i, std::int64_t n) { return i >= 0 && i < n; };
    CHECK(identical(pad(x, {{1, 2}, {0, 3}}, {.value = -7}), tabulate({6, 7}, dtype, [&](const Position& p) {
                      return inside(p[0] - 1, 3) && inside(p[1], 4) ? at(x, {p[0] - 1, p[1]}) : -7.0;
                    })));
    const auto mirrored = [](std::int64_t i, std::int64_t n) {
      return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;
    };
    CHECK(identical(pad(x, {{2, 1}, {3, 3}}, {.mode = PadMode::reflect}),
                    tabulate({6, 10}, dtype, [&](const Position& p) {
                      return at(x, {mirrored(p[0] - 2, 3), mirrored(p[1] - 3, 4)});
                    })));
    CHECK(
        identical(pad(x, {{2, 9}, {0, 1}}, {.mode = PadMode::replicate}),
                  tabulate({14, 5}, dtype, [&](const Position& p) {
                    return at(x, {std::clamp<std::int64_t>(p[0] - 2, 0, 2), std::min<std::int64_t>(p[1], 3)});
                  })));
  }
  CHECK(pad(zeros({0}), {{1, 2}}, {.value = 4}).text() == "[4, 4, 4]");
  CHECK(std::isinf(pad(zeros({1}), {{0, 1}}, {.value = -infinity}).at(1)));
  CHECK(pad(Tensor::scalar(5), std::span<const Padding>()).item() == 5);
  CHECK_THROWS_AS(pad(zeros({3}), {{3, 0}}, {.mode = PadMode::reflect}), ShapeError);
  CHECK_THROWS_AS(pad(zeros({0}), {{0, 1}}, {.mode = PadMode::reflect}), ShapeError);
  CHECK_THROWS_AS(pad(zeros({0}), {{0, 1}}, {.mode = PadMode::replicate}), ShapeError);
  CHECK_THROWS_WITH(pad(zeros({3}), {{-1, 0}}), Contains("pad") && Contains("slice"));
  CHECK_THROWS_WITH(pad(zeros({3, 2}), {{1, 0}}), Contains("one an axis"));
}

TEST_CASE("repeat tiles the whole, repeat_interleave each entry", "[movement]") {
  for (const Dtype dtype : both) {
    const Tensor x = counting({2, 3}, dtype);
    CHECK(identical(repeat(x, {2, 1, 3, 2}), tabulate({2, 1, 6, 6}, dtype, [&](const Position& p) {
                      return at(x, {p[2] % 2, p[3] % 3});
                    })));
    CHECK(identical(repeat_interleave(x, 3, -1), tabulate({2, 9}, dtype, [&](const Position& p) {
                      return at(x, {p[0], p[1] / 3});
                    })));
    CHECK(identical(repeat_interleave(x, 2, 0), tabulate({4, 3}, dtype, [&](const Position& p) {
                      return at(x, {p[0] / 2, p[1]});
                    })));
  }
  CHECK(repeat(zeros({2}), {0}).shape() == Shape{0});
  CHECK(repeat(Tensor::scalar(2), {3}).text() == "[2, 2, 2]");
  CHECK(repeat(counting({2, 1, 2, 1, 2, 1, 1, 2}), {1, 2, 1, 2, 1, 1, 1, 3}).size() == 16 * 12);
  CHECK_THROWS_WITH(repeat(zeros({2, 3}), {2}), Contains("repeat") && Contains("one an axis"));
  CHECK_THROWS_AS(repeat(zeros({2}), {-1}), ShapeError);
  CHECK_THROWS_AS(repeat_interleave(zeros({2}), -1, 0), ShapeError);
}

TEST_CASE("diagonals and triangles at every offset and pair of axes", "[movement]") {
  for (const Dtype dtype : both) {
    const Tensor x = counting({3, 4, 20}, dtype);
    for (const auto& [a, b] : {std::pair{0, 1}, {1, 0}, {-1, 0}, {1, 2}, {2, 1}}) {
      for (int offset = -21; offset <= 21; ++offset) {
        const int i = x.shape().normalize_axis(a), j = x.shape().normalize_axis(b), other = 3 - i - j;
        const std::int64_t length = std::max<std::int64_t>(
            0, std::min(x.dim(i) + std::min(offset, 0), x.dim(j) - std::max(offset, 0)));
        const DiagonalOptions options{.offset = offset, .axis1 = a, .axis2 = b};
        const auto place = [&](const Position& p) {
          Position from(3);
          from[u(other)] = p[0];
          from[u(i)] = p[1] - std::min(offset, 0);
          from[u(j)] = p[1] + std::max(offset, 0);
          return from;
        };
        const Tensor d = diagonal(x, options);
        CHECK(identical(
            d, tabulate({x.dim(other), length}, dtype, [&](const Position& p) { return at(x, place(p)); })));
        Tensor sum = x;
        add_to_diagonal(sum, d, options);
        Tensor naive = x;
        for (std::int64_t k = 0; k < d.size(); ++k) {
          const std::int64_t to = flat_of(place(position_of(k, d.shape())), x.shape());
          visit_dtype(dtype, [&](auto tag) { naive.mutable_data<decltype(tag)>()[to] *= 2; });
        }
        CHECK(identical(sum, naive));
      }
    }
    for (int offset = -5; offset <= 5; ++offset) {
      const Tensor y = slice(x, 2, 0, 3);  // (3, 4, 3)
      const auto kept = [&](bool lower) {
        return tabulate(y.shape(), dtype, [&](const Position& p) {
          const std::int64_t right = p[2] - p[1];
          return (lower ? right <= offset : right >= offset) ? at(y, p) : 0.0;
        });
      };
      CHECK(identical(tril(y, offset), kept(true)));
      CHECK(identical(triu(y, offset), kept(false)));
    }
  }
  CHECK(diag(Tensor::of({1, 2})).text() == "[[1, 0], [0, 2]]");
  CHECK(diag(Tensor::of({1, 2}), 1).text() == "[[0, 1, 0], [0, 0, 2], [0, 0, 0]]");
  CHECK(diag(Tensor::of({1}), -1).text() == "[[0, 0], [1, 0]]");
  CHECK(diag(counting({2, 3}), 1).text() == "[1, 5]");
  CHECK(tril(full({2, 2}, infinity)).at(1) == 0);  // not inf * 0
  CHECK(tril(zeros({2, 0})).size() == 0);
  CHECK(triu(zeros({0, 3, 3})).size() == 0);
  CHECK_THROWS_WITH(tril(zeros({3})), Contains("tril"));
  CHECK_THROWS_WITH(diagonal(zeros({3})), Contains("diagonal"));
  CHECK_THROWS_WITH(diagonal(zeros({3, 3}), {.axis1 = 1}), Contains("the same"));
  CHECK_THROWS_AS(diag(zeros({2, 2, 2})), ShapeError);
}

TEST_CASE("moving changes no bit: NaN, infinities and the sign of zero stay", "[movement]") {
  for (const Dtype dtype : both) {
    const Tensor odd = Tensor::of({std::nan(""), infinity, -infinity, -0.0}, dtype);
    CHECK(identical(broadcast_to(odd, {3, 4})[2], odd));
    CHECK(std::signbit(broadcast_to(Tensor::scalar(-0.0, dtype), {2}).at(1)));
    CHECK(identical(transpose(transpose(odd.reshape({2, 2}))), odd.reshape({2, 2})));
    CHECK(identical(flip(flip(odd, {0}), {0}), odd));
    CHECK(identical(slice(pad(odd, {{1, 1}}), 0, 1, -1), odd));
    CHECK(identical(concat(split(odd, 4), 0), odd));
    CHECK(identical(repeat(odd, {2})[3].reshape({1}), slice(odd, 0, 3, 4)));
  }
}

TEST_CASE("a stack of a thousand parts is one node, and so is a concat", "[movement]") {
  Tape tape;
  std::vector<Variable> parts;
  for (int i = 0; i < 1000; ++i) parts.push_back(tape.watch(full({3}, i, Dtype::f64)));
  const std::int64_t before = tape.size();
  const Variable stacked = stack(parts, 1);
  const Variable joined = concat(parts, 0);
  CHECK(tape.size() == before + 2);
  CHECK(stacked.shape() == Shape{3, 1000});
  CHECK(joined.value().at(3 * 999) == 999);
  const Tensor weight = counting({3, 1000}, Dtype::f64);
  const Gradients grads = tape.backward(sum(stacked * Variable(weight)) + sum(joined * joined));
  for (const std::size_t i : {0u, 63u, 64u, 65u, 999u}) {
    const Tensor g = grads[parts[i]];
    for (std::int64_t k = 0; k < 3; ++k)
      CHECK(g.at(k) == at(weight, {k, static_cast<std::int64_t>(i)}) + 2.0 * double(i));
  }
}

TEST_CASE("errors of moves on Variables name the op and the user's line", "[movement]") {
  const Variable x(zeros({2, 3}));
  const auto here = [](int line) { return "movement_test.cpp:" + std::to_string(line); };
  CHECK_THROWS_WITH(slice(x, 1, 0, 4), Contains(here(__LINE__)) && Contains("slice"));
  CHECK_THROWS_WITH(slice(x, {{}, {.begin = 9}}), Contains(here(__LINE__)) && Contains("begin 9"));
  CHECK_THROWS_WITH(reshape(x, {4, -1}), Contains(here(__LINE__)) && Contains("reshape"));
  CHECK_THROWS_WITH(permute(x, {0, 0}), Contains(here(__LINE__)) && Contains("permute"));
  CHECK_THROWS_WITH(concat({x, Variable(zeros({2}))}, 0), Contains(here(__LINE__)) && Contains("concat"));
  CHECK_THROWS_WITH(stack({x, Variable(zeros({2}))}), Contains(here(__LINE__)) && Contains("stack"));
  CHECK_THROWS_WITH(split(x, {1, 1}, 1), Contains(here(__LINE__)) && Contains("split"));
  CHECK_THROWS_WITH(pad(x, {{1, 1}}), Contains(here(__LINE__)) && Contains("pad"));
  CHECK_THROWS_WITH(pad(x, {{2, 0}, {0, 0}}, {.mode = PadMode::reflect}), Contains(here(__LINE__)));
  CHECK_THROWS_WITH(repeat(x, {1}), Contains(here(__LINE__)) && Contains("repeat"));
  CHECK_THROWS_WITH(diagonal(x, {.axis1 = 5}), Contains(here(__LINE__)));
  CHECK_THROWS_WITH(select(x, 1, 3), Contains(here(__LINE__)) && Contains("entry 3"));
  CHECK_THROWS_WITH(squeeze(x, 0), Contains(here(__LINE__)) && Contains("squeeze"));
  CHECK_THROWS_WITH(unsqueeze(x, 4), Contains(here(__LINE__)));
  CHECK_THROWS_WITH(place_slice(x, {2, 3}, 1, 1), Contains(here(__LINE__)) && Contains("(2, 3)"));
  // A parameter stays one in a list of Variables.
  Parameter p(ones({2}));
  Tape tape;
  CHECK(tape.backward(sum(concat({p, p}, 0)))[p].text() == "[2, 2]");
}

TEST_CASE("eye, arange and linspace make the numbers they say", "[movement]") {
  CHECK(eye(2).text() == "[[1, 0], [0, 1]]");
  CHECK(eye(2, 3, Dtype::f64).text() == "[[1, 0, 0], [0, 1, 0]]");
  CHECK(eye(3, 1, Dtype::f32).text() == "[[1], [0], [0]]");
  CHECK(eye(0).shape() == Shape{0, 0});
  CHECK_THROWS_AS(eye(-1), ShapeError);
  CHECK(arange(0, 5, 2).text() == "[0, 2, 4]");
  CHECK(arange(1, 0, -0.25).text() == "[1, 0.75, 0.5, 0.25]");
  CHECK(arange(2, 2).size() == 0);
  CHECK(arange(3, 2).size() == 0);
  CHECK(arange(0, -1e300).size() == 0);
  CHECK(arange(0, 1, 0.1, Dtype::f64).at(7) == 7 * 0.1);
  CHECK_THROWS_AS(arange(0, 1, 0), ArgumentError);
  CHECK_THROWS_AS(arange(0, infinity), ArgumentError);
  CHECK_THROWS_AS(arange(0, 1, 1e-12), ArgumentError);
  CHECK(linspace(0, 1, 5).text() == "[0, 0.25, 0.5, 0.75, 1]");
  CHECK(linspace(2, -2, 3, Dtype::f64).text() == "[2, 0, -2]");
  CHECK(linspace(3, 9, 1).text() == "[3]");
  CHECK(linspace(3, 9, 0).size() == 0);
  CHECK(linspace(0.1, 0.7, 100, Dtype::f64).at(99) == 0.7);
  CHECK_THROWS_AS(linspace(0, 1, -1), ArgumentError);
}
