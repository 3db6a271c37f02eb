// A small BERT (Devlin et al. 2019) that learns from sentences with masked words, and then fills in blanks.
// The sentences come from the synthetic corpus, whose grammar has much that only both sides of a word can
// tell.

#include <gradus.hpp>

#include <algorithm>
#include <cstdio>
#include <sstream>

using namespace gradus;

constexpr std::int64_t longest = 24;  // words of a sentence

/// Words as ids. Before the vocabulary's come the ids of padding, of the mask and of the first place.
struct Sentences {
  static constexpr std::int32_t padding = 0, mask = 1, first = 2, special = 3;
  Vocabulary words;
  std::vector<std::vector<std::int32_t>> all;

  explicit Sentences(const std::string& text) : words(Vocabulary::build(Unit::word, text)) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::int32_t> ids = encoded(line);
      if (std::ssize(ids) <= longest) all.push_back(std::move(ids));
    }
  }
  std::int64_t size() const { return words.size() + special; }
  std::vector<std::int32_t> encoded(const std::string& line) const {
    std::vector<std::int32_t> out{first};
    std::istringstream parts(line);
    for (std::string word; parts >> word;) out.push_back(word == "___" ? mask : words.id(word) + special);
    return out;
  }
};

struct Padded {
  Indices ids;  // (batch, time), padded
  Indices lengths;
};

Padded padded(const std::vector<std::vector<std::int32_t>>& sentences) {
  std::size_t time = 0;
  for (const auto& sentence : sentences) time = std::max(time, sentence.size());
  std::vector<std::int32_t> ids, lengths;
  for (const auto& sentence : sentences) {
    lengths.push_back(static_cast<std::int32_t>(sentence.size()));
    ids.insert(ids.end(), sentence.begin(), sentence.end());
    ids.resize(lengths.size() * time, Sentences::padding);
  }
  return {Indices(ids, {std::ssize(sentences), static_cast<std::int64_t>(time)}), Indices(lengths)};
}

/// The likeliest word at the first mask of a sentence.
std::string filled(const models::BertNetwork& model, const Sentences& sentences, const std::string& line) {
  const std::vector<std::int32_t> ids = sentences.encoded(line);
  const auto at = std::ranges::find(ids, Sentences::mask) - ids.begin();
  const Variable h = model(padded({ids}).ids);  // (1, time, width)
  const Indices best = argmax(model.logits(slice(h, 1, at, at + 1)).value(), -1);
  return best.data()[0] < Sentences::special ? "?"
                                             : sentences.words.symbol(best.data()[0] - Sentences::special);
}

int main() {
  const Sentences sentences(synthetic_corpus(1, 200'000).text);
  const std::size_t training = sentences.all.size() * 9 / 10;
  Rng rng(1);
  models::BertNetwork model(rng, {.vocab = sentences.size(),
                                  .width = 64,
                                  .layers = 2,
                                  .heads = 4,
                                  .inner = 128,
                                  .context = longest,
                                  .segments = 1,
                                  .dropout = 0,
                                  .attention_dropout = 0,
                                  .deviation = 0.1});
  optim::AdamW optimizer({.weight_decay = 0.01});
  constexpr std::int64_t steps = 1000;
  const optim::CosineSchedule schedule{.lr = 2e-3, .steps = steps, .warmup = 40};
  for (std::int64_t step = 0; step < steps; ++step) {
    std::vector<std::vector<std::int32_t>> drawn;
    for (int i = 0; i < 32; ++i) drawn.push_back(sentences.all[rng.below(training)]);
    const auto [ids, lengths] = padded(drawn);
    const models::MaskedTokens masked = models::mask_tokens(
        ids, Sentences::mask, sentences.size(), rng, {.special = {Sentences::first}, .lengths = lengths});
    Tape tape;
    const Variable loss = model.loss(masked, {.lengths = lengths}, &rng);
    optimizer.set_lr(schedule(step));
    optimizer.step(model, tape.backward(loss), {.clip_norm = 1});
    if ((step + 1) % 200 == 0) std::printf("step %d: loss %.3f\n", static_cast<int>(step + 1), loss.item());
  }
  // One word of each of the sentences that were held out.
  int right = 0, count = 0;
  for (std::size_t i = training; i < sentences.all.size() && count < 300; ++i) {
    std::string line;
    const auto& ids = sentences.all[i];
    const std::size_t blank = 1 + rng.below(ids.size() - 1);
    for (std::size_t at = 1; at < ids.size(); ++at)
      line += (at == blank ? "___" : sentences.words.symbol(ids[at] - Sentences::special)) + " ";
    const std::string word = sentences.words.symbol(ids[blank] - Sentences::special),
                      guess = filled(model, sentences, line);
    if (count < 5) std::printf("%s: %s, and it was %s\n", line.c_str(), guess.c_str(), word.c_str());
    right += guess == word;
    ++count;
  }
  std::printf("%d of %d words right\n", right, count);
  return right > 0.3 * count ? 0 : 1;
}
