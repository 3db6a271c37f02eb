// A custom model, trained and sampled: an LSTM language model over the synthetic corpus.

#include <gradus.hpp>

#include <cmath>
#include <cstdio>

using namespace gradus;

// custom begins
struct LstmLm {
  nn::Embedding embed;
  nn::Lstm lstm;
  nn::Linear head;
  using State = nn::Lstm::State;

  LstmLm(Rng& rng, std::int64_t vocab, std::int64_t width)
      : embed(rng, vocab, width), lstm(rng, width, width), head(rng, width, vocab) {}

  std::pair<Variable, State> operator()(const Indices& x, const State& s) const {  // x: (time, batch)
    auto [h, next] = lstm(embed(x), s);                                            // h: (time, batch, width)
    return {head(h), next};
  }
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("lstm", self.lstm);
    visit("head", self.head);
  }
};
// custom ends

int main() {
  const std::string text = synthetic_corpus(1, 10'000).text;
  const Vocabulary vocab = Vocabulary::build(Unit::word, text);
  const std::vector<std::int32_t> tokens = encode(vocab, text);

  Rng rng(1);
  LstmLm model(rng, vocab.size(), 64);
  optim::Adam opt({.lr = 5e-3});
  double loss_now = 0;
  for (int epoch = 0; epoch < 3; ++epoch) {
    LstmLm::State state = model.lstm.start(20);
    for (const auto& [x, y] : batches(tokens, {.batch = 20, .steps = 35})) {
      Tape tape;
      auto [logits, next] = model(x, state);
      const Variable loss = nn::cross_entropy(logits, y);
      opt.step(model, tape.backward(loss), {.clip_norm = 0.25});
      state = detach(next);
      loss_now = loss.item();
    }
  }
  std::printf("%lld parameters, training perplexity %.1f of %lld words\n",
              static_cast<long long>(count_parameters(model)), std::exp(loss_now),
              static_cast<long long>(vocab.size()));
  return std::exp(loss_now) < 60 ? 0 : 1;
}
