// Finding mistakes: what errors say, a tape that stops at the first NaN, parameters that training does not
// reach, and pictures of what was recorded. Prints what docs/debugging.md shows.

#include <gradus.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>

using namespace gradus;

struct Scorer {
  nn::Linear hidden, head, spare;

  explicit Scorer(Rng& rng) : hidden(rng, 3, 4), head(rng, 4, 1), spare(rng, 4, 1) {}

  Variable operator()(const Variable& x) const {
    const InModule here(*this);
    return head(tanh(hidden(x)));
  }
  static void members(auto& self, auto&& visit) {
    visit("hidden", self.hidden);
    visit("head", self.head);
    visit("spare", self.spare);
  }
};

/// What went wrong in f, which is expected to throw.
template <class F>
std::string mistake(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool says(const std::string& text, const char* part) {
  std::printf("%s\n\n", text.c_str());
  return text.find(part) != text.npos;
}

int main() {
  Rng rng(1);
  Scorer model(rng);
  bool well = true;

  const Variable wide(rng.normal({2, 5}));
  well &= says(mistake([&] { model(wide); }), "in Scorer.hidden: ");

  const Variable x(rng.normal({2, 3}));
  well &= says(mistake([&] {
                 Tape tape({.check_finite = true});
                 const Variable loss = sum(sqrt(square(model(x)) * 0));
                 tape.backward(loss);
               }),
               "the gradient of sqrt");

  {
    Tape tape;
    const Gradients grads = tape.backward(sum(square(model(x))));
    well &= warn_unreached(model, grads, std::cerr);
    for (const std::string& path : unreached(model, grads)) well &= path.find("spare.") == 0;
  }

  Tape tape;
  const Variable loss = sum(square(model(x)));
  std::cout << tape.print() << '\n' << tape.print({.depth = 0});
  std::ofstream("tape.dot") << tape.dot({.depth = 1});
  return well ? 0 : 1;
}
