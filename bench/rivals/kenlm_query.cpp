// The speed of queries of a KenLM model, token by token. Usage: bench_rival_kenlm probing|trie|quantised
// MODEL TEXT, where MODEL is a file made by build_binary. Answers `tokens SECONDS` with tokens per second,
// and `perplexity` with the perplexity.

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/timing.hpp"
#include "lm/model.hh"

namespace {

template <class Model>
std::vector<std::vector<lm::WordIndex>> read_lines(const Model& model, const char* file) {
  std::ifstream in(file);
  std::vector<std::vector<lm::WordIndex>> lines;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    auto& ids = lines.emplace_back();
    for (std::string word; words >> word;) ids.push_back(model.GetVocabulary().Index(word));
    ids.push_back(model.GetVocabulary().EndSentence());
  }
  return lines;
}

template <class Model>
void serve(const char* model_file, const char* text_file) {
  const Model model(model_file);
  const auto lines = read_lines(model, text_file);
  double tokens = 0, log10 = 0;
  for (const auto& line : lines) tokens += static_cast<double>(line.size());
  const auto score = [&] {
    log10 = 0;
    for (const auto& line : lines) {
      lm::ngram::State state = model.BeginSentenceState(), next;
      for (const lm::WordIndex word : line) {
        log10 += static_cast<double>(model.FullScore(state, word, next).prob);
        std::swap(state, next);
      }
    }
  };
  std::puts("ready 1");
  std::fflush(stdout);
  std::string asked;
  double seconds = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream(line) >> asked >> seconds;
    if (asked == "perplexity") {
      score();
      std::printf("%.4f\n", std::pow(10, -log10 / tokens));
    } else {
      std::printf("%.0f\n", tokens / bench::median_seconds(score, seconds));
    }
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_rival_kenlm probing|trie|quantised MODEL TEXT\n");
    return 2;
  }
  const std::string kind = argv[1];
  try {
    if (kind == "probing") serve<lm::ngram::ProbingModel>(argv[2], argv[3]);
    if (kind == "trie") serve<lm::ngram::TrieModel>(argv[2], argv[3]);
    if (kind == "quantised") serve<lm::ngram::QuantTrieModel>(argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
