#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include "models/neural.hpp"
#include "models/ngram/ngram.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

using AnyModel = std::variant<NgramModel, FeedForwardModel, RnnModel, GruModel, LstmModel>;

/// A trained model with the vocabulary of its text.
struct TrainedModel {
  Vocabulary vocabulary;
  AnyModel model;
};

/// Networks are kept in the safetensors format: 8 bytes of length, a JSON header with each tensor's dtype,
/// shape and place, then the numbers. The header's metadata holds the kind, the sizes and the vocabulary.
/// n-gram models are kept as ARPA text (Doug Paul's format, as KenLM and SRILM read it), the vocabulary's
/// unit and counts in lines before \\data\\, where readers skip what they do not know; or in a binary form,
/// which is mapped and ready at once, for this machine's byte order.

/// Writes a network whole or not at all. `kind`: "feed-forward", "rnn", "gru" or "lstm". Throws DataError
/// naming the file.
template <class Network>
void save_network(const std::filesystem::path& file, const std::string& kind, const Network& network,
                  const Vocabulary& vocabulary);
/// Writes an n-gram model that backs off as ARPA text, packed by gzip when the name ends in ".gz", whole or
/// not at all: write_arpa of ngram/arpa.hpp. Throws ArgumentError for add-k and maximum likelihood, which
/// have no backoff form; the binary files below take them.
void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary);

/// Writes any n-gram model whole or not at all as the bytes that it is read from in place, in either layout.
void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary,
                NgramStorage storage);

/// Reads any of these. Throws DataError naming the file and the place in it for what is missing, cut short or
/// contradicts itself.
TrainedModel load_model(const std::filesystem::path& file);

}  // namespace gradus::models
