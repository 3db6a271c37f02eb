#pragma once

#include <unistd.h>
#include <zlib.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/prune.hpp"
#include "models/ngram/store/image.hpp"
#include "models/ngram/store/writer.hpp"
#include "tests/models/ngram/ngram_models.hpp"
#include "tests/support/hostile.hpp"

// Files that look like n-gram models but are damaged, and what may come of them: an error of ours, or
// answers. For the tests and the fuzzers.

namespace gradus::test {

/// What came of reading a file.
struct Survival {
  bool opened = false;
  bool sound = false;  // verify() found nothing
};

inline void require_sound(bool right, const char* what) {
  if (!right) throw std::logic_error(what);
}

/// Makes all queries of a model in a context.
inline void ask_all(const models::NgramModel& model, const models::NgramModel::State& state, Rng& rng,
                    bool sound) {
  goes([&] {
    models::NgramModel::State next = state;
    const auto token = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(model.vocab_size())));
    const double log_prob = model.score(next, token).log_prob;
    require_sound(!sound || !std::isnan(log_prob), "a log-probability that is none");
    static_cast<void>(model.log_prob(state, token));
  });
  goes([&] {
    const Tensor all = model.log_probs(state);
    for (const float log_prob : all.values<float>())
      require_sound(!sound || !std::isnan(log_prob), "a distribution with what is no log-probability");
  });
  goes([&] {
    for (const models::Candidate& candidate : model.top_k(state, 7))
      require_sound(candidate.token >= 0 && candidate.token < model.vocab_size(), "a token out of range");
  });
  goes([&] {
    for (int i = 0; i < 3; ++i) {
      const std::int32_t token = model.sample(state, rng);
      require_sound(token >= 0 && token < model.vocab_size(), "a token out of range");
    }
  });
}

/// States after random tokens, and one that belongs to no model.
inline std::vector<models::NgramModel::State> random_states(const models::NgramModel& model, Rng& rng) {
  std::vector<models::NgramModel::State> out{model.start(), model.context({})};
  models::NgramModel::State state = model.start();
  for (int i = 0; i < 30; ++i) {
    const std::int32_t token = skewed(rng, model.vocab_size());
    if (!goes([&] { model.score(state, token); })) break;
    if (i % 8 == 7) out.push_back(state);
  }
  models::NgramModel::State foreign;
  foreign.length = static_cast<std::uint16_t>(rng.below(21));
  for (std::uint32_t& node : foreign.node)
    node = static_cast<std::uint32_t>(rng.below(std::uint64_t{1} << rng.below(33)));
  out.push_back(foreign);
  return out;
}

/// Does everything that can be done with a model. If verify() finds no fault, all of it must succeed.
inline bool use_all(const models::NgramModel& model) {
  const bool sound = goes([&] { model.verify(); });
  const models::NgramDescription about = model.description();
  const std::vector<std::int64_t> counts = model.counts();
  static_cast<void>(model.bytes());
  Rng rng(1);
  for (const models::NgramModel::State& state : random_states(model, rng)) ask_all(model, state, rng, sound);
  for (int order = 1; order <= about.order; ++order) {
    std::int64_t visited = 0;
    const bool all = goes([&] {
      model.visit_entries(order, [&](std::span<const std::int32_t>, double, double) { ++visited; });
    });
    const std::int64_t count = counts[static_cast<std::size_t>(order - 1)];
    require_sound(visited <= count && (!all || visited == count), "more n-grams than the model counts");
    require_sound(all || !sound, "n-grams that verify() does not find wrong, and visit_entries() does");
  }
  for (const models::NgramStorage storage : {models::NgramStorage{models::NgramLayout::fast, 0},
                                             models::NgramStorage{models::NgramLayout::compact, 4}}) {
    const bool written = goes([&] {
      models::NgramWriter writer(storage);
      model.write_to(writer);
      writer.model().verify();
    });
    require_sound(written || !sound, "a model that verify() finds nothing wrong with and no writer takes");
  }
  goes([&] {
    models::NgramWriter writer;
    models::prune(model, 1e-3, writer);
    writer.model().verify();
  });
  goes([&] {
    const Vocabulary vocabulary = model.vocabulary();
    models::from_arpa(models::to_arpa(model, vocabulary), "what we wrote");
  });
  return sound;
}

/// Opens bytes as an n-gram model, ARPA or binary, and uses it in every way. Any other exception than an
/// error of ours, and an endless loop, is a fault.
inline Survival survives(std::string_view bytes) {
  Survival out;
  goes([&] {
    if (models::NgramModel::is_binary(bytes)) {
      const MemoryFile file(bytes);
      const models::NgramModel model = models::NgramModel::open(file.path());
      out.opened = true;
      out.sound = use_all(model);
      return;
    }
    const models::ArpaModel read = models::from_arpa(bytes, "the hostile file");
    out.opened = true;
    out.sound = use_all(read.model);
    require_sound(out.sound, "an ARPA file whose model is not sound");
    goes([&] { models::from_arpa(models::to_arpa(read.model, read.vocabulary), "what we wrote"); });
  });
  return out;
}

using models::ngram::Header;
using models::ngram::Section;

inline std::vector<Section*> sections(Header& header) {
  std::vector<Section*> out;
  for (Section& section : header.parts) out.push_back(&section);
  for (auto& level : header.level_parts) {
    for (Section& section : level) out.push_back(&section);
  }
  return out;
}

/// Updates the file's size and all checksums, so that damage is not found by them.
inline void reseal(std::string& bytes) {
  if (bytes.size() < sizeof(Header)) return;
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto crc = [](const char* from, std::size_t size) {
    return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(from), size));
  };
  for (Section* section : sections(header)) {
    if (section->offset <= bytes.size() && section->size <= bytes.size() - section->offset)
      section->checksum = crc(bytes.data() + section->offset, section->size);
  }
  header.file_size = bytes.size();
  header.checksum = 0;
  std::memcpy(bytes.data(), &header, sizeof header);
  header.checksum = crc(bytes.data(), sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
}

/// A text to build a vocabulary from.
inline std::string words_text(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += "w" + std::to_string(i) + (i % 9 == 8 ? "\n" : " ");
  return out + "\n";
}

/// Small models to be damaged: bytes of both layouts, every fallback and several orders. With 80 `words` or
/// more, some contexts have sums of probabilities.
inline std::vector<std::string> sound_files(int words, int length) {
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, words_text(words));
  std::vector<std::string> out;
  std::uint64_t seed = 0;
  for (const int order : {1, 2, 3, 5}) {
    for (const auto& [name, storage] : all_storages()) {
      for (const models::NgramFallback fallback :
           {models::NgramFallback::shorter, models::NgramFallback::uniform, models::NgramFallback::nothing}) {
        if (fallback != models::NgramFallback::shorter && order != 3) continue;
        models::NgramDescription about{.order = order,
                                       .vocab = static_cast<std::int32_t>(vocabulary.size()),
                                       .sentence_end = vocabulary.line_end(),
                                       .fallback = fallback,
                                       .method = name};
        if (order == 2) {
          about.options = models::NgramOptions{.order = order, .sentence_end = about.sentence_end};
          about.discounts.assign(2, {{0.5, 1, 1.5}, true});
        }
        const NaiveNgrams ngrams = random_ngrams(++seed, about, length, order == 5 ? 0.2 : 0);
        const std::filesystem::path file =
            std::filesystem::temp_directory_path() / ("gradus-hostile-" + std::to_string(::getpid()));
        models::NgramWriter writer(file, vocabulary, storage);
        ngrams.write_to(writer);
        std::ifstream in(file, std::ios::binary);
        out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
        std::filesystem::remove(file);
      }
    }
  }
  return out;
}

/// ARPA text of models of several orders, as we and as other toolkits write it.
inline std::vector<std::string> sound_arpa(int words, int length) {
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, words_text(words));
  std::vector<std::string> out;
  for (const int order : {1, 2, 3, 4}) {
    const NaiveNgrams ngrams = random_ngrams(static_cast<std::uint64_t>(order),
                                             {.order = order,
                                              .vocab = static_cast<std::int32_t>(vocabulary.size()),
                                              .sentence_end = vocabulary.line_end(),
                                              .method = "random"},
                                             length);
    out.push_back(models::to_arpa(stored(ngrams, {}), vocabulary));
    out.push_back(out.back().substr(out.back().find("\\data\\")));
  }
  return out;
}

}  // namespace gradus::test
