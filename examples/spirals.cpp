// Two spirals, told apart by a small network: a training loop with all that surrounds an optimizer. Options
// of their own for biases, a schedule, an average of the weights, and early stopping.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

struct Classifier {
  nn::Linear first, second, head;

  explicit Classifier(Rng& rng) : first(rng, 2, 32), second(rng, 32, 32), head(rng, 32, 2) {}

  Variable operator()(const Variable& x) const {  // (batch, 2) to (batch, classes)
    return head(tanh(second(tanh(first(x)))));
  }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
    visit("head", self.head);
  }
};

struct Points {
  Tensor at;        // (count, 2)
  Indices classes;  // (count)
};
Points spirals(Rng& rng, std::int64_t count) {
  std::vector<float> at;
  std::vector<std::int32_t> classes;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto arm = static_cast<std::int32_t>(i % 2);
    const double angle = 0.5 + 9 * rng.uniform(), turn = angle + arm * 3.14159265;
    for (const double side : {std::cos(turn), std::sin(turn)})
      at.push_back(static_cast<float>(angle / 10 * side + 0.02 * (rng.uniform() - 0.5)));
    classes.push_back(arm);
  }
  return {Tensor::from(at, {count, 2}), Indices(std::move(classes))};
}

int main() {
  Rng rng(1);
  const Points points = spirals(rng, 400), valid = spirals(rng, 200);
  Classifier model(rng);
  optim::AdamW optimizer({.weight_decay = 0.01});
  optimizer.for_parameters({"*bias"}, [](auto& o) { o.weight_decay = 0; });
  const optim::CosineSchedule schedule{.lr = 0.02, .steps = 600, .warmup = 20};
  optim::WeightAverage average({.decay = 0.98});
  optim::EarlyStopping stopping({.patience = 40});
  for (std::int64_t step = 0; step < 400 && !stopping.stopped(); ++step) {
    Tape tape;
    const Variable loss = cross_entropy(model(Variable(points.at)), points.classes);
    optimizer.set_lr(schedule(step));
    optimizer.step(model, tape.backward(loss), {.clip_norm = 1});
    average.update(model);
    if (step % 10 == 9) {
      average.swap(model);  // the average is what is evaluated
      stopping.report(cross_entropy(model(Variable(valid.at)), valid.classes).item());
      average.swap(model);
    }
  }
  average.swap(model);
  const Indices guesses = argmax(model(Variable(valid.at)).value(), -1);
  int right = 0;
  for (std::int64_t i = 0; i < guesses.size(); ++i) right += guesses.data()[i] == valid.classes.data()[i];
  std::printf("%d of %lld points right, best loss %.4f\n", right, static_cast<long long>(guesses.size()),
              stopping.best());
  return right >= 195 ? 0 : 1;
}
