// An encoder and a decoder (Vaswani et al. 2017) that learn to write dates in one form: "March 3rd, 1994",
// "3 Mar 94" or "03/03/1994" (the day first) become "1994-03-03", letter by letter. The best of several ways
// to write on is kept by a beam.

#include <gradus.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

using namespace gradus;

const std::string letters =
    "_<>0123456789-/,. abcdefghijklmnopqrstuvwxyz";  // _: nothing, < and >: begin and end
constexpr std::int64_t written = 11;                 // letters of "1994-03-03>"
const std::vector<std::string> months{"january", "february", "march",     "april",   "may",      "june",
                                      "july",    "august",   "september", "october", "november", "december"};

struct Pair {
  std::string given, iso;
};

Pair draw(Rng& rng) {
  const auto below = [&](int n) { return static_cast<int>(rng.below(static_cast<std::uint64_t>(n))); };
  const int year = 1950 + below(100), month = below(12), day = 1 + below(28);
  const std::string name = months[static_cast<std::size_t>(month)];
  const std::string end = day == 1 || day == 21   ? "st"
                          : day == 2 || day == 22 ? "nd"
                          : day == 3 || day == 23 ? "rd"
                                                  : "th";
  const std::string forms[] = {fmt::format("{}{}, {}", name, fmt::format(" {}", day), year),
                               fmt::format("{}{} of {} {}", day, end, name, year),
                               fmt::format("{} {}. {}", day, name.substr(0, 3), year),
                               fmt::format("{:02}/{:02}/{}", day, month + 1, year),
                               fmt::format("{}-{}-{}", day, month + 1, year)};
  return {forms[below(5)], fmt::format("{}-{:02}-{:02}", year, month + 1, day)};
}

/// Texts as ids, (batch, time), and how long each is.
std::pair<Indices, Indices> encoded(const std::vector<std::string>& texts) {
  std::size_t time = 0;
  for (const std::string& text : texts) time = std::max(time, text.size());
  std::vector<std::int32_t> ids(texts.size() * time, 0), lengths;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    lengths.push_back(static_cast<std::int32_t>(texts[i].size()));
    for (std::size_t t = 0; t < texts[i].size(); ++t)
      ids[i * time + t] = static_cast<std::int32_t>(letters.find(texts[i][t]));
  }
  const std::int64_t batch = std::ssize(texts);
  return {Indices(ids, {batch, static_cast<std::int64_t>(time)}), Indices(lengths)};
}

struct Translator {
  static constexpr std::int64_t width = 48;
  nn::Embedding embed;
  nn::Transformer transformer;
  nn::TiedLinear head;

  explicit Translator(Rng& rng)
      : embed(rng, std::ssize(letters), width, {.deviation = 1 / std::sqrt(48.0)}),
        transformer(rng, width, 4, 2, 2, {.inner = 96, .dropout = 0, .norm_first = true}),
        head(rng, embed) {}

  /// (batch, time), to vectors with their positions, from `first` on, (batch, time, width).
  Variable placed(const Indices& ids, std::int64_t first = 0) const {
    const Tensor positions = sinusoidal_positions(first + ids.dim(1), width).rows(first, first + ids.dim(1));
    return embed(ids) * std::sqrt(static_cast<double>(width)) + positions;
  }
  /// The logits of what comes after each letter of the target, (batch, time, letters).
  Variable operator()(const Indices& source, const Indices& lengths, const Indices& target) const {
    return head(transformer(placed(source), placed(target), {.source = lengths}), embed);
  }
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("transformer", self.transformer);
    visit("head", self.head);
  }
};

/// The likeliest text for a source, among those that `beams` at a time lead to. Each letter is read once: the
/// decoder's state keeps what it made of those before it.
std::string translated(const Translator& model, const std::string& source, std::size_t beams) {
  struct Beam {
    std::string text;
    double log_prob;
    nn::TransformerDecoderState state;  // before the last letter
  };
  const auto [ids, lengths] = encoded({source});
  const nn::TransformerDecoder& decoder = model.transformer.decoder;
  const Variable memory = model.transformer.encoder(model.placed(ids), {.lengths = lengths});
  std::vector<Beam> kept{{"<", 0, decoder.start(memory)}};
  for (std::int64_t step = 0; step < written; ++step) {
    std::vector<Beam> longer;
    for (const Beam& beam : kept) {
      const std::string last(1, beam.text.back());
      const auto [h, state] = decoder.step(model.placed(encoded({last}).first, step), beam.state);
      const Tensor log_probs = log_softmax(model.head(h, model.embed).value());
      for (std::int64_t next = 0; next < log_probs.size(); ++next)
        longer.push_back(
            {beam.text + letters[static_cast<std::size_t>(next)], beam.log_prob + log_probs.at(next), state});
    }
    std::ranges::sort(longer, std::ranges::greater(), &Beam::log_prob);
    longer.resize(std::min(beams, longer.size()));
    kept = std::move(longer);
  }
  return kept.front().text.substr(1);
}

int main() {
  Rng rng(1);
  Translator model(rng);
  optim::Adam optimizer({.beta2 = 0.98});
  constexpr std::int64_t steps = 500;
  const optim::CosineSchedule schedule{.lr = 3e-3, .steps = steps, .warmup = 40};
  for (std::int64_t step = 0; step < steps; ++step) {
    std::vector<std::string> given, before, after;
    for (int i = 0; i < 32; ++i) {
      const auto [source, iso] = draw(rng);
      given.push_back(source);
      before.push_back("<" + iso);
      after.push_back(iso + ">");
    }
    const auto [source, lengths] = encoded(given);
    Tape tape;
    const Variable loss = cross_entropy(model(source, lengths, encoded(before).first), encoded(after).first);
    optimizer.set_lr(schedule(step));
    optimizer.step(model, tape.backward(loss), {.clip_norm = 1});
    if ((step + 1) % 100 == 0) std::printf("step %d: loss %.4f\n", static_cast<int>(step + 1), loss.item());
  }
  int right = 0;
  for (int i = 0; i < 100; ++i) {
    const auto [source, iso] = draw(rng);
    const std::string found = translated(model, source, 2);
    right += found == iso + ">";
    if (i < 5) std::printf("%-24s %s\n", source.c_str(), found.c_str());
  }
  std::printf("%d of 100 new dates right\n", right);
  return right >= 90 ? 0 : 1;
}
