#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/linear.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

struct Mlp {
  nn::Linear hidden, head;

  explicit Mlp(Rng& rng) : hidden(rng, 3, 4), head(rng, 4, 1) {}
  Variable operator()(const Variable& x) const {
    const InModule here(*this);
    return head(tanh(hidden(x)));
  }
  static void members(auto& self, auto&& visit) {
    visit("hidden", self.hidden);
    visit("head", self.head);
  }
};

Tensor number(double x) {
  return Tensor::scalar(x, Dtype::f64);
}

std::int64_t lines(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}
std::int64_t count(const std::string& text, const std::string& part) {
  std::int64_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++found;
  return found;
}

/// Has Graphviz draw it, where it is installed; the number of nodes in the drawing, -1 without.
std::int64_t drawn_nodes(const std::string& dot) {
  if (std::system("dot -V >/dev/null 2>&1") != 0) {
    WARN("Graphviz is not installed: its reading of the picture is not tested");
    return -1;
  }
  const test::Folder folder;
  const std::string in = folder.write("tape.dot", dot).string(), out = (folder.path() / "tape.svg").string();
  REQUIRE(std::system(("dot -Tsvg '" + in + "' -o '" + out + "'").c_str()) == 0);
  const std::string svg = test::read_bytes(out);
  CHECK(svg.find("</svg>") != svg.npos);
  return count(svg, "class=\"node\"");
}

}  // namespace

TEST_CASE("a printed tape says what was recorded, where and in which module", "[diagnostics]") {
  Rng rng(1);
  const Mlp model(rng);
  Tape tape;
  const int line = __LINE__ + 1;
  const Variable loss = sum(model(Variable(ones({5, 3}))));
  const std::string text = tape.print();
  INFO(text);
  const std::string here = "tape_print_test.cpp:" + std::to_string(line);
  CHECK(lines(text) == tape.size() + 1);  // 4 parameters, linear, tanh, linear, sum; the totals
  CHECK_THAT(text, Contains("#0      parameter") && Contains("(4, 3) f32"));
  CHECK_THAT(text,
             Contains("#2      linear(#0, #1)") && Contains("(5, 4) f32") && Contains("in Mlp.hidden\n"));
  CHECK_THAT(text, Contains("tanh(#2)") && Contains("in Mlp\n"));
  CHECK_THAT(text, Contains("#7      sum(#6)") && Contains("() f32 ") && Contains(" " + here + "\n"));
  CHECK_THAT(text, Contains("4 ops and 4 leaves; results of "));
  CHECK(Tape().print() == "0 ops and 0 leaves; results of 0 bytes, closures and edges of 0 bytes\n");
}

TEST_CASE("a tape is folded by module to a depth", "[diagnostics]") {
  Rng rng(1);
  const Mlp model(rng);
  Tape tape;
  const Variable loss = sum(model(Variable(ones({5, 3}))));
  const std::string one = tape.print({.depth = 1});
  INFO(one);
  CHECK_THAT(one, Contains("#0      Mlp.hidden (3 nodes)  (5, 4) f32\n") && Contains("#3      tanh(#2)") &&
                      Contains("#4      Mlp.head (3 nodes)  (5, 1) f32\n"));
  const std::string none = tape.print({.depth = 0});
  CHECK_THAT(none, Contains("#0      Mlp (7 nodes)  (5, 1) f32\n#7      sum(#6)"));
  CHECK(lines(none) == 3);
}

TEST_CASE("long tapes are drawn by what repeats, others are cut", "[diagnostics]") {
  Tape tape;
  const Variable x = tape.watch(number(1));
  Variable h = tape.watch(number(0));
  for (int t = 0; t < 100'000; ++t) h = tanh(h * x + x);
  const Variable loss = square(h);
  const std::string text = tape.print();
  INFO(text);
  CHECK(lines(text) == 2 + 3 + 1 + 1 + 1);
  CHECK_THAT(text, Contains("... these 3 lines 100000 times, to #300001\n#300002 square(#300001)"));
  Variable y = loss;
  for (int i = 0; i < 5; ++i) y = exp(y);
  CHECK_THAT(tape.print(), Contains("... this 5 times, to #300007\n"));
  const std::string cut = tape.print({.lines = 3});
  CHECK(lines(cut) == 2 + 3 + 1 + 1 + 1);
  CHECK_THAT(cut, Contains(" more\n"));

  CHECK_THAT(tape.dot({.lines = 3}), Contains("more [shape=plaintext, label=\"6 more\"];"));

  const std::string dot = tape.dot();
  INFO(dot);
  CHECK(dot.find("plaintext") == dot.npos);
  CHECK_THAT(dot, Contains("100000 times"));
  CHECK(count(dot, "[label=") == 2 + 3 + 1 + 1);
  CHECK(drawn_nodes(dot) != 0);
}

TEST_CASE("a picture of a tape has a box for each op, in frames for modules", "[diagnostics]") {
  Rng rng(1);
  const Mlp model(rng);
  Tape tape;
  const Variable loss = sum(model(Variable(ones({5, 3}))));
  const std::string dot = tape.dot();
  INFO(dot);
  CHECK(count(dot, "subgraph cluster_") == 3);
  CHECK_THAT(dot, Contains("label=\"hidden\"") && Contains("label=\"Mlp\""));
  CHECK(count(dot, " -> ") == 2 + 1 + 3 + 1);
  CHECK_THAT(dot, Contains("shape=ellipse"));
  const std::string folded = tape.dot({.depth = 1});
  CHECK(count(folded, "shape=box3d") == 2);
  CHECK(count(folded, " -> ") == 3);
  for (const auto& [text, nodes] : {std::pair(dot, 8), std::pair(folded, 4), std::pair(Tape().dot(), 0)}) {
    const std::int64_t found = drawn_nodes(text);
    if (found >= 0) CHECK(found == nodes);
  }
}
