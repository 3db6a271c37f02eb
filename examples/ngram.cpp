// n-gram models from C++: building one from a text file, asking it, keeping it, and combining it with a
// network.

#include <gradus.hpp>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

using namespace gradus;
using namespace gradus::models;

namespace {

NgramModel build(const std::filesystem::path& text, const std::filesystem::path& file) {
  ngram::TextSource source(text);  // a file, a folder or "-", plain, gzip or zstd
  NgramWriter writer;
  ngram::estimate(source, {.order = 3}, {.memory = 64 << 20}, writer);
  NgramModel model = writer.model();
  save_ngram(file, model, source.vocabulary(), {.layout = NgramLayout::compact, .quantize = 8});
  return model;
}

double sentence_log_prob(const NgramModel& model, const Vocabulary& words, std::string_view sentence) {
  NgramModel::State state = model.start();
  double total = 0;
  for (const std::int32_t word : encode(words, sentence)) total += model.score(state, word).log_prob;
  return total;  // in nats, the sentence's end included
}

std::string likeliest_after(const NgramModel& model, const Vocabulary& words, std::string_view word) {
  const NgramModel::State state = model.advance(model.start(), words.id(word));
  return words.symbol(model.top_k(state, 1).front().token);
}

LinearInterpolation combine(const NgramModel& counts, const LstmModel& network,
                            std::span<const std::int32_t> held_out) {
  const ModelSet both({ErasedModel(counts), ErasedModel(network)});
  const EmFit fit = fit_weights(both.score(held_out));
  return {both, fit.weights};
}

}  // namespace

int main() {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("gradus_ngram_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string text = synthetic_corpus(1, 20'000).text;
  write_file(folder / "train.txt", text);

  const NgramModel exact = build(folder / "train.txt", folder / "model.ngram");
  const TrainedModel loaded = load_model(folder / "model.ngram");
  const NgramModel& model = loaded.model.get<NgramModel>();
  const Vocabulary& words = loaded.vocabulary;
  NgramWriter writer;
  prune(exact, 1e-6, writer);
  std::printf("%s after 'the'; log p %.2f; %lld bytes of %lld\n",
              likeliest_after(model, words, "the").c_str(),
              sentence_log_prob(model, words, "the king has a crown ."),
              static_cast<long long>(model.bytes()), static_cast<long long>(exact.bytes()));

  const std::vector<std::int32_t> tokens = encode(words, text);
  const std::span<const std::int32_t> all(tokens);
  Rng rng(1);
  LstmNetwork network(rng, {.vocab = words.size(), .embedding = 32, .width = 32});
  train(network, all.first(15'000), {.batch = 8, .steps = 20, .epochs = 5, .lr = 8e-3});
  const auto held_out = all.subspan(15'000, 2'000), test = all.subspan(17'000);
  const NgramModel counts(all.first(15'000), static_cast<std::int32_t>(words.size()),
                          {.order = 3, .sentence_end = words.line_end()});
  const LstmModel lstm{std::move(network)};
  const LinearInterpolation mixed = combine(counts, lstm, held_out);
  const double together = evaluate(mixed, test, 1).perplexity(),
               alone = evaluate(counts, test, 1).perplexity();
  std::printf("perplexity %.2f together, %.2f of the n-gram model alone\n", together, alone);
  std::filesystem::remove_all(folder);
  return together < alone && model.bytes() < exact.bytes() ? 0 : 1;
}
