#include <stdexcept>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

// Gradients that are given while backward goes on.

using namespace gradus;

namespace {

struct Net {
  Rng rng{7};
  nn::Embedding embed{rng, 30, 4};
  nn::Lstm lstm{rng, 4, 4};
  nn::Linear head{rng, 4, 3}, unused{rng, 2, 2};
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("lstm", self.lstm);
    visit("head", self.head);
    visit("unused", self.unused);
  }
  Variable loss() const {
    const auto [h, next] = lstm(embed(Indices({3, 5, 3, 9}, {2, 2})), lstm.start(2));
    // The head's weight is used twice, at both ends of what is recorded.
    return sum(head(h)) + sum(head.weight * head.weight);
  }
};

}  // namespace

TEST_CASE("each gradient is given once, when it is whole, the last layers' first", "[tape][ready]") {
  const Net net;
  Tape reference;
  const Gradients wanted = reference.backward(net.loss());
  std::vector<Place> order;
  Tape tape;
  const Gradients all = tape.backward(net.loss(), {.ready = [&](Gradient& gradient) {
                                        const Gradient* const found = wanted.find(gradient.of);
                                        REQUIRE(found != nullptr);
                                        REQUIRE(gradient.is_sparse() == found->is_sparse());
                                        CHECK(identical(gradient.tensor(), found->tensor()));
                                        order.push_back(gradient.of);
                                      }});
  CHECK(order.size() == wanted.entries().size());
  CHECK(all.entries().size() == wanted.entries().size());
  const auto at = [&](const Parameter& p) { return std::ranges::find(order, p.place()) - order.begin(); };
  CHECK(at(net.head.weight) < at(net.lstm.layers.front().weight_ih));
  CHECK(at(net.lstm.layers.front().weight_ih) < at(net.embed.weight));
  CHECK(at(net.unused.weight) == std::ssize(order));
}

TEST_CASE("a gradient that is taken is not in the result, one that is changed is so there", "[tape][ready]") {
  const Net net;
  Tape tape;
  Tensor taken;
  const Gradients rest = tape.backward(net.loss(), {.ready = [&](Gradient& gradient) {
                                         if (gradient.of == net.head.weight.place())
                                           taken = std::move(gradient.dense);
                                         if (gradient.of == net.head.bias.place())
                                           gradient.dense = full({3}, 5.0);
                                       }});
  CHECK(taken.shape() == Shape{3, 4});
  CHECK_FALSE(rest.contains(net.head.weight));
  CHECK(rest[net.head.bias].at(2) == 5);
  CHECK(rest.contains(net.embed.weight));
}

TEST_CASE("what is thrown meanwhile ends the backward, and the tape is of use again", "[tape][ready]") {
  const Net net;
  Tape tape;
  CHECK_THROWS_AS(tape.backward(net.loss(), {.ready = [](Gradient&) { throw std::runtime_error("enough"); }}),
                  std::runtime_error);
  CHECK(tape.size() == 0);
  CHECK(tape.backward(net.loss()).contains(net.head.weight));
}

TEST_CASE("a loss that is a parameter itself, and a tape that is kept, give theirs too", "[tape][ready]") {
  Parameter p(Tensor::scalar(2));
  int given = 0;
  Tape tape;
  CHECK(tape.backward(p, {.ready = [&](Gradient& g) { given += g.dense.item() == 1; }})[p].item() == 1);
  const Variable loss = p * p;
  for (int i = 0; i < 2; ++i)
    tape.backward(loss, {.keep = true, .ready = [&](Gradient& g) { given += g.dense.item() == 4; }});
  CHECK(given == 3);
}
