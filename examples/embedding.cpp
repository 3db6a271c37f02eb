// A trained model in a program of one's own: it takes and gives text.

#include <gradus.hpp>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>

using namespace gradus;

int main() {
  const auto path = std::filesystem::temp_directory_path() / ("gradus_embedding_" + std::to_string(getpid()));
  const std::string text = synthetic_corpus(1, 20000).text;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const CorpusPart part = encode_part(vocabulary, text);
  models::save_ngram(
      path, models::NgramModel(part.tokens, static_cast<std::int32_t>(vocabulary.size()), {.order = 4}),
      vocabulary, {});

  // embedding begins
  const TextModel model = load(path);  // whatever `gradus train` wrote
  std::printf("log p = %.3f nats\n", model.log_prob("the king has a crown .\n"));
  std::printf("the king %s\n", model.generate("the king", {}).c_str());
  // embedding ends

  std::filesystem::remove(path);
  double sum = 0, next = 0;
  for (const ScoredToken& one : model.score("the king has a crown .\n")) sum += one.log_prob;
  for (const ScoredToken& one : model.next("the", model.vocabulary().size())) next += std::exp(one.log_prob);
  return std::abs(sum - model.log_prob("the king has a crown .\n")) < 1e-9 && std::abs(next - 1) < 1e-4 ? 0
                                                                                                        : 1;
}
