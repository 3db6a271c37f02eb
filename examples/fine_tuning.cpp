// Fine-tuning: the body of a trained model is loaded and stays as it is, a new head learns another task. Then
// the same with adapters of low rank (LoRA), by which the body learns as well.

#include <gradus.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>

using namespace gradus;

struct Body {
  nn::Linear first, second;
  explicit Body(Rng& rng) : first(rng, 2, 32), second(rng, 32, 16) {}

  Variable operator()(const Variable& x) const { return tanh(second(tanh(first(x)))); }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }
};

struct Classifier {
  Body body;
  nn::Linear head;

  Classifier(Rng& rng, std::int64_t classes) : body(rng), head(rng, 16, classes) {}
  Variable operator()(const Variable& x) const { return head(body(x)); }  // (batch, 2) to (batch, classes)
  static void members(auto& self, auto&& visit) {
    visit("body", self.body);
    visit("head", self.head);
  }
};

Indices classes_of(const Tensor& points, auto&& rule) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < points.dim(0); ++i)
    out.push_back(rule(points.at(2 * i), points.at(2 * i + 1)));
  return Indices(std::move(out));
}
double share_right(const Classifier& model, const Tensor& points, const Indices& classes) {
  const Indices guesses = argmax(model(Variable(points)).value(), -1);
  int right = 0;
  for (std::int64_t i = 0; i < guesses.size(); ++i) right += guesses.data()[i] == classes.data()[i];
  return right / static_cast<double>(guesses.size());
}

int main() {
  Rng rng(1);
  const Tensor points = rng.uniform({400, 2}, -1, 1);
  const Indices rings = classes_of(
      points, [](double x, double y) { return std::min(3, static_cast<int>(4 * (x * x + y * y))); });
  const Indices inside = classes_of(points, [](double x, double y) { return x * x + y * y < 0.6 ? 1 : 0; });
  const auto file =
      std::filesystem::temp_directory_path() / ("gradus_fine_tuning_" + std::to_string(getpid()));
  Classifier trained(rng, 4);
  optim::Adam first({.lr = 0.02});
  for (int step = 0; step < 150; ++step) {
    Tape tape;
    first.step(trained, tape.backward(cross_entropy(trained(Variable(points)), rings)));
  }
  nn::save_weights(file, trained);

  // fine-tuning begins
  Classifier model(rng, 2);  // the head has another shape, so only the body is loaded
  const nn::LoadReport report = nn::load_weights(file, model, {.strict = false});
  std::printf("%s\n", report.text().c_str());
  const Tensor before = model.body.first.weight.value();
  optim::Adam optimizer({.lr = 0.05});
  for (int step = 0; step < 200; ++step) {
    Tape tape;
    const Variable features(model.body(Variable(points)).value());  // a constant: the body stays as it is
    optimizer.step(model.head, tape.backward(cross_entropy(model.head(features), inside)));
  }
  // fine-tuning ends
  const bool frozen = identical(model.body.first.weight.value(), before);
  const double right = share_right(model, points, inside);
  std::printf("%.2f right, the body %s\n", right, frozen ? "as it was" : "changed");

  // adapters begin
  Classifier adapted = trained;
  adapted.head = nn::Linear(rng, 16, 2);                // a new head
  nn::add_lora(rng, adapted.body, {"*"}, {.rank = 4});  // all else of the body is frozen
  optim::Adam both({.lr = 0.02});
  for (int step = 0; step < 300; ++step) {
    Tape tape;
    both.step(adapted, tape.backward(cross_entropy(adapted(Variable(points)), inside)));
  }
  nn::save_lora(file, adapted.body);  // the adapters alone
  nn::merge_lora(adapted.body);       // an ordinary model, as fast as before
  // adapters end
  Classifier read = trained;
  read.head = adapted.head;
  nn::load_lora(file, read.body);
  std::filesystem::remove(file);
  const double with_adapters = share_right(adapted, points, inside);
  std::printf("%.2f right with adapters, %.2f of them loaded\n", with_adapters,
              share_right(read, points, inside));
  return right > 0.9 && frozen && report.loaded.size() == 4 && report.misshapen.size() == 2 &&
                 with_adapters > 0.95 && share_right(read, points, inside) > 0.95
             ? 0
             : 1;
}
