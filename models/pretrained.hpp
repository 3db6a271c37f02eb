#pragma once

#include <filesystem>

#include "models/transformers.hpp"
#include "nn/weights.hpp"

/// Transformers in the files of Hugging Face: a folder with `config.json` and `model.safetensors`, in
/// several parts too (`model.safetensors.index.json`).
namespace gradus::models {

/// What a folder's `config.json` says: the network's kind ("gpt" for "gpt2", "llama" for "llama") and its
/// sizes. Throws DataError, naming the file and the key, for other kinds of models, for options that change
/// what a model computes and are not supported here (such as rope_scaling, or activations of another kind),
/// and for keys that are missing or of another type.
struct PretrainedConfig {
  std::string kind;
  NetworkOptions options;
};
PretrainedConfig read_config(const std::filesystem::path& folder);

/// The network of such a folder with its weights. Throws as read_config, and DataError that lists the names
/// that are missing, unexpected or of another shape.
GptNetwork load_gpt(const std::filesystem::path& folder);
LlamaNetwork load_llama(const std::filesystem::path& folder);

/// Writes a folder that these, and Hugging Face's library, read. Throws DataError naming what cannot be
/// written.
void save_pretrained(const std::filesystem::path& folder, const GptNetwork& network,
                     const SaveOptions& options = {});
void save_pretrained(const std::filesystem::path& folder, const LlamaNetwork& network,
                     const SaveOptions& options = {});

}  // namespace gradus::models
