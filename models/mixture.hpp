#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "models/checkpoint.hpp"
#include "models/erased_model.hpp"
#include "text/vocabulary.hpp"

/// Mixtures of trained models as models, kept in one file.
namespace gradus::models {

/// Models over the words that any of them lists.
struct UnitedModels {
  Vocabulary vocabulary;
  std::vector<ErasedModel> models;
  std::vector<std::int64_t> unlisted;  // of each model: words that others list and it does not
  bool same_ids = true;                // whether every word had the same id in all of them before
};
/// Brings models to one vocabulary: their own where it is the same, else that of all together (WidenedModel);
/// `names` are for errors. Throws DataError for models of different units, for different subwords, and for
/// n-gram models that give scores and no probabilities.
UnitedModels united(std::vector<TrainedModel> models, std::span<const std::string> names);

struct MixtureOptions {
  /// Of the models, and of the cache, the last.
  std::vector<double> weights;
  /// A product of powers in place of a sum (LogLinearInterpolation).
  bool log_linear = false;
  /// The length of a unigram cache that is one more model (CacheModel); 0: none.
  std::int64_t cache = 0;
};

/// The mixture of models: a LinearInterpolation or a LogLinearInterpolation. Throws as `united` and these do.
TrainedModel mixture(std::vector<TrainedModel> models, std::span<const std::string> names,
                     const MixtureOptions& options);

/// Writes a mixture of the models in files, which load_model reads as any model: their bytes, whatever they
/// are, behind a header with the weights and, of each, its size and a checksum. Whole or not at all. Throws
/// DataError naming the file that cannot be read or written.
void save_mixture(const std::filesystem::path& file, std::span<const std::string> models,
                  const MixtureOptions& options);

/// Whether the first bytes are those of such a file.
bool is_mixture(std::string_view first_bytes);
/// The model of a file's bytes, which errors call `name`; `depth`: in how many other mixtures it is. Throws
/// DataError naming the part for one that is damaged, and for more than 16 within one another.
TrainedModel parse_mixture(std::string_view bytes, const std::string& name, int depth = 0);

}  // namespace gradus::models
