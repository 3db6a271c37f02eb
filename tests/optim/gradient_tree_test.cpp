#include "optim/gradient_tree.hpp"

#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using gradus::optim::GradientTree;

namespace {

/// Numbers whose sum depends on the order in which they are added.
Gradients piece(const Parameter& p, double value) {
  GradientList out;
  out.push_back({p.place(), Tensor::scalar(value), {}});
  return Gradients(std::move(out));
}

}  // namespace

TEST_CASE("pieces are added in the order of a binary tree", "[optim][pieces]") {
  const Parameter p(Tensor::scalar(0));
  const float values[] = {3, 1e8F, -1e8F, 5, 0.1F, 0.2F, 0.3F, 0.4F};
  GradientTree tree;
  for (const float value : values) tree.add(piece(p, value));
  CHECK(tree.pieces() == 8);
  const float a = (values[0] + values[1]) + (values[2] + values[3]),
              b = (values[4] + values[5]) + (values[6] + values[7]);
  CHECK(tree.take()[p].item() == static_cast<double>(a + b));
  CHECK(tree.pieces() == 0);
  float in_order = 0;
  for (const float value : values) in_order += value;
  CHECK(in_order != a + b);  // else this would show nothing
}

TEST_CASE("a last piece that comes one by one gives the same sums", "[optim][pieces]") {
  const Parameter p(Tensor::scalar(0)), q(Tensor::scalar(0)), r(Tensor::scalar(0));
  const auto both = [&](int i) {
    Gradients out = piece(p, 1.1 * i);
    out += piece(q, 0.3 * i);
    if (i == 1) out += piece(r, 5);
    return out;
  };
  for (const int count : {1, 2, 4, 8}) {
    GradientTree whole, tree;
    for (int i = 0; i < count; ++i) whole.add(both(i));
    const Gradients wanted = whole.take();
    for (int i = 0; i + 1 < count; ++i) tree.add(both(i));
    Gradients last = both(count - 1);
    Gradient of_p = *last.find(p.place());
    tree.complete(of_p);
    Gradients rest = tree.take_rest(std::move(last));
    INFO(count);
    CHECK(of_p.dense.item() == wanted[p].item());
    CHECK_FALSE(rest.contains(p));
    CHECK(rest[q].item() == wanted[q].item());
    if (count > 1) CHECK(rest[r].item() == 5);  // which the last piece has no part in
  }
}

TEST_CASE("rows and a dense gradient have one sum in either order, with the signs of its zeros",
          "[optim][pieces]") {
  const Parameter table(zeros({3, 2}));
  const auto by_rows = [&] {
    GradientList out;
    out.push_back({table.place(), {}, Rows{Indices({1}), Tensor::of({5, 6}).reshape({1, 2}), 3}});
    return Gradients(std::move(out));
  };
  const auto dense = [&] {
    GradientList out;
    out.push_back({table.place(), full({3, 2}, -0.0), {}});
    return Gradients(std::move(out));
  };
  for (const bool rows_first : {true, false}) {
    Gradients sum = rows_first ? by_rows() : dense();
    sum += rows_first ? dense() : by_rows();
    const Tensor found = sum[table];
    CHECK(identical(found, Tensor::of({-0.0, -0.0, 5, 6, -0.0, -0.0}).reshape({3, 2})));
  }
}

TEST_CASE("a number of pieces that is no power of two has no sum", "[optim][pieces]") {
  const Parameter p(Tensor::scalar(0));
  GradientTree tree;
  for (int i = 0; i < 3; ++i) tree.add(piece(p, i));
  CHECK_THROWS_WITH(tree.take(), "a sum of 3 pieces; a tree has a power of two of them");
  tree.add(piece(p, 3));
  Gradients one = piece(p, 4);
  Gradient last = one.entries().front();
  CHECK_THROWS_AS(tree.complete(last), ArgumentError);
}
