// Transfer learning: a model of a large text goes on on a small one of another kind: with all its weights,
// with adapters of low rank (LoRA), and layer by layer; beside a model that begins anew.
// example_transfer [LARGE SMALL [WIDTH LAYERS UPDATES STEPS]]: two texts, and how long to train on each
#include <algorithm>
#include <cstdio>

#include "gradus.hpp"

using namespace gradus;
using Network = models::GptNetwork;

/// The same stories in other words: a text of another kind, where none is given.
std::string retold(std::string text) {
  for (const auto& [word, other] : {std::pair(" the ", " ye "), {" she ", " thou "}, {"ed ", "eth "}})
    for (std::size_t at = 0; (at = text.find(word, at)) != text.npos; ++at)
      text.replace(at, std::string(word).size(), other);
  return text;
}

int main(int argc, char** argv) {
  const bool given = argc > 2;
  const auto number = [&](int i, std::int64_t usual) { return argc > i ? std::stoll(argv[i]) : usual; };
  const std::int64_t width = number(3, 48), layers = number(4, 2), updates = number(5, 150),
                     steps = number(6, 40);
  const std::string large = given ? load_text(argv[1]) : synthetic_corpus(1, 20'000).text;
  const std::string small = given ? load_text(argv[2]) : retold(synthetic_corpus(2, 3'000).text);
  const Bpe bpe = Bpe::train(large, {.size = given ? 2000 : 400});
  const std::vector<std::int32_t> first = bpe.encode(large), second = bpe.encode(small);
  const auto train_part = std::span(second).first(second.size() * 9 / 10);
  const auto valid_part = std::span(second).subspan(train_part.size());
  Rng rng(1);
  const Network begin(rng, {.vocab = bpe.size(),
                            .width = width,
                            .layers = static_cast<int>(layers),
                            .heads = std::max<std::int64_t>(width / 32, 2),
                            .context = given ? 64 : 32});
  models::TrainOptions options{.batch = 16, .steps = begin.options.context, .updates = updates, .lr = 3e-3};
  options.warmup = updates / 20;
  Network trained = begin;
  models::train(trained, first, options);
  options.updates = steps;
  // Prints the perplexity of the validation part before the first step, at each quarter, and at the end.
  const auto go_on = [&](const char* name, Network network, double lr, const auto& change) {
    optim::AdamW optimizer({.lr = lr});
    double perplexity = 0;
    std::printf("%-15s", name);
    const auto look = [&](std::int64_t step) {
      change(network, optimizer, step);
      if (step % (steps / 4) != 0) return;
      const models::NeuralModel<Network> model{network};
      std::printf(" %8.2f", perplexity = models::evaluate(model, valid_part, 0).perplexity());
    };
    look(0);
    const optim::CosineSchedule schedule{.lr = lr, .steps = steps, .warmup = steps / 20};
    models::train(network, train_part, options, optimizer, schedule, [&](const auto& p) { look(p.step); });
    std::printf("\n");
    return perplexity;
  };
  const auto nothing = [](Network&, optim::AdamW&, std::int64_t) {};
  const double anew = go_on("anew", begin, 3e-3, nothing);
  const double all = go_on("all weights", trained, 4e-3, nothing);
  const auto adapters = [&](Network& network, optim::AdamW&, std::int64_t step) {
    if (step == 0) nn::add_lora(rng, network, {"*.attn.*", "*.mlp.*"}, {.rank = 8, .alpha = 16});
  };
  const double lora = go_on("LoRA", trained, 1e-2, adapters);
  go_on("LoRA, table", trained, 6e-3, [&](Network& network, optim::AdamW& optimizer, std::int64_t step) {
    adapters(network, optimizer, step);
    if (step == 0) unfreeze(network.wte);  // the table is the output layer too
  });
  optim::LayerGroups groups = optim::layer_groups(trained);       // wte, wpe, h.0, h.1, ln_f
  std::rotate(groups.begin(), groups.begin() + 1, groups.end());  // wte is the output layer too
  const auto by_layer = [&](Network& network, optim::AdamW& optimizer, std::int64_t step) {
    if (step == 0) optim::set_discriminative_rates(optimizer, groups);  // each 2.6 times slower than the next
    optim::unfreeze_last(network, groups, 1 + step * 2 * std::ssize(groups) / steps);  // all by half of them
  };
  const double gradual = go_on("layer by layer", trained, 6e-3, by_layer);
  return given || std::max({all, lora, gradual}) < anew ? 0 : 1;
}
