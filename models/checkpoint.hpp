#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "models/erased_model.hpp"
#include "models/kinds.hpp"
#include "models/neural.hpp"
#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/ngram.hpp"
#include "nn/weights.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// A trained model with the vocabulary of its text.
struct TrainedModel {
  Vocabulary vocabulary;
  ErasedModel model;               // an NgramModel, or a NeuralModel of one of the networks of kinds.hpp
  std::string kind;                // "ngram", "mixture", or the name of the network's kind
  bool arpa = false;               // whether the file is ARPA text
  std::int64_t document_end = -1;  // the token behind each of which reading begins anew; -1: none
};

/// Networks are kept in the safetensors format: 8 bytes of length, a JSON header with each tensor's dtype,
/// shape and place, then the numbers. The header's metadata holds the kind, the sizes and the vocabulary.
/// n-gram models are kept as ARPA text (Doug Paul's format, as KenLM and SRILM read it), the vocabulary's
/// unit and counts in lines before \\data\\, which other readers skip; or in a binary form in this machine's
/// byte order, which is mapped into memory and ready at once.

/// Writes a network of one of the kinds, whole or not at all; the file "-" is the standard output, here and
/// below. Throws DataError naming the file.
void save_network(const std::filesystem::path& file, const ErasedNetwork& network,
                  const Vocabulary& vocabulary);
void save_network(const std::filesystem::path& file, const NetworkKind& kind, const NetworkOptions& options,
                  Safetensors weights, const Vocabulary& vocabulary);
/// The same of a network by its type, such as LstmNetwork. Throws ArgumentError for one that is not listed.
template <class Network>
void save_network(const std::filesystem::path& file, const Network& network, const Vocabulary& vocabulary) {
  save_network(file, network_kind_of(typeid(Network)), network.options, nn::weights(network), vocabulary);
}
/// Writes an n-gram model that backs off as ARPA text, compressed by gzip when the name ends in ".gz", whole
/// or not at all: write_arpa of ngram/arpa.hpp. Throws ArgumentError for add-k and maximum likelihood, which
/// have no backoff form; the binary files below take them.
void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary);

/// Writes any n-gram model in the binary form, in either layout, whole or not at all.
void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary,
                NgramStorage storage);

/// A network that goes on to be trained, with the vocabulary of its text.
struct LoadedNetwork {
  Vocabulary vocabulary;
  std::unique_ptr<ErasedNetwork> network;
};
/// Reads a network from a file that save_network wrote, from the folder of a run (models/run/folder.hpp) or
/// from a folder of Hugging Face's files. Throws DataError as load_model does, and for an n-gram model.
LoadedNetwork load_network(const std::filesystem::path& file);

/// Reads any of these, or a mixture of them (models/mixture.hpp), once, from a file, a pipe or "-", the
/// standard input; `options` are those of ARPA files. Of the folder of a run (models/run/folder.hpp), its
/// best model; of another folder, the GPT-2 or Llama that Hugging Face's files in it hold (pretrained.hpp),
/// and their tokenizer; it may have fewer tokens than the model. Throws DataError naming the file, and the
/// place in it, when something is missing, cut short or inconsistent.
TrainedModel load_model(const std::filesystem::path& file, const ArpaOptions& options = {});
/// The same of a file's bytes, which errors call `name`.
TrainedModel parse_model(std::string_view bytes, const std::string& name, const ArpaOptions& options = {});

}  // namespace gradus::models
