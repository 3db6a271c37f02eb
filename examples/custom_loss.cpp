// A custom loss: the focal loss (Lin et al. 2017, eq. 4), which counts less what is already told apart. Here
// it finds the rare ones among many: one point in 20, a little to the right of the others.

#include <gradus.hpp>

#include <cstdio>

using namespace gradus;

// custom begins
/// The mean of (1 - p)^gamma * -log p, where p is the probability of the target. logits: (batch, classes).
Variable focal(const Variable& logits, const Indices& targets, double gamma = 2) {
  const Variable cost = cross_entropy(logits, targets, Reduction::none);  // (batch): -log p
  return mean(pow(1 - exp(-cost), gamma) * cost);
}
// custom ends

int main() {
  Rng rng(1);
  const Indices few{0, 1, 2, 2, 1, 0};
  const GradcheckResult result =
      gradcheck([&](auto in) { return focal(in[0], few); }, {rng.normal({6, 3}, 0, 2, Dtype::f64)});
  std::printf("focal loss: %lld derivatives, largest relative error %.1e %s\n",
              static_cast<long long>(result.checked), result.largest_error, result.message.c_str());

  std::vector<std::int32_t> classes;
  for (int i = 0; i < 400; ++i) classes.push_back(i % 20 == 0 ? 1 : 0);
  const Indices targets(classes);
  const Variable points(rng.normal({400, 2}, 0, 0.4) + 2 * one_hot(targets, 2));  // (points, 2)
  nn::Linear classifier(rng, 2, 2);
  optim::Adam optimizer({.lr = 0.05});
  for (int step = 0; step < 200; ++step) {
    Tape tape;
    optimizer.step(classifier, tape.backward(focal(classifier(points), targets)));
  }
  const Indices guesses = argmax(classifier(points).value(), -1);
  int found = 0, wrong = 0;
  for (std::int64_t i = 0; i < guesses.size(); ++i) {
    found += guesses.data()[i] == 1 && classes[static_cast<std::size_t>(i)] == 1;
    wrong += guesses.data()[i] == 1 && classes[static_cast<std::size_t>(i)] == 0;
  }
  std::printf("%d of 20 rare points found, %d others taken for one\n", found, wrong);
  return result.passed && found >= 18 && wrong <= 4 ? 0 : 1;
}
