#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/weights.hpp"
#include "tensor/indices.hpp"

/// BERT (Devlin et al. 2019, arXiv 1810.04805): an encoder that sees both sides of a token, trained to say
/// what stood where tokens were masked. It reads ids (batch, time), and its parts have the names of Hugging
/// Face's files.
namespace gradus::models {

/// Sizes and rates, by default those of BERT-base.
struct BertOptions {
  std::int64_t vocab = 30'522;
  std::int64_t width = 768;
  int layers = 12;
  std::int64_t heads = 12;
  std::int64_t inner = 3072;
  std::int64_t context = 512;  // the most tokens of a text, of which each place has a vector
  std::int64_t segments = 2;
  double dropout = 0.1;            // of embeddings and of what each part of a layer adds
  double attention_dropout = 0.1;  // of the weights of attention
  double eps = 1e-12;              // of the normalisations
  double deviation = 0.02;         // of all initial matrices
  bool pooler = true;              // whether it has `pooled`,
  bool predictions = true;         // `logits` and `loss`,
  bool next_sentence = false;      // and `next_sentence`, which needs the pooler
};

/// Self-attention and a feed-forward part, each with a residual that is then normalised.
struct BertLayer {
  nn::Linear query, key, value, attention_output;  // (width, width)
  nn::LayerNorm attention_norm;
  nn::Linear intermediate, output;  // (inner, width), (width, inner)
  nn::LayerNorm output_norm;
  std::int64_t heads;
  double dropout, attention_dropout;

  BertLayer(Rng& rng, const BertOptions& options);
  /// (batch, time, width) to the same; keys past a text's length are not seen.
  Variable operator()(const Variable& x, const Indices& lengths, Rng* rng) const;

  static void members(auto& self, auto&& visit) {
    visit("attention.self.query", self.query);
    visit("attention.self.key", self.key);
    visit("attention.self.value", self.value);
    visit("attention.output.dense", self.attention_output);
    visit("attention.output.LayerNorm", self.attention_norm);
    visit("intermediate.dense", self.intermediate);
    visit("output.dense", self.output);
    visit("output.LayerNorm", self.output_norm);
  }
};

/// What goes before the masked tokens' softmax, whose matrix is that of the embeddings.
struct BertPredictions {
  nn::Linear transform;  // (width, width)
  nn::LayerNorm transform_norm;
  Parameter bias;  // (vocab)

  BertPredictions(Rng& rng, const BertOptions& options);

  static void members(auto& self, auto&& visit) {
    visit("transform.dense", self.transform);
    visit("transform.LayerNorm", self.transform_norm);
    visit("bias", self.bias);
  }
};

/// What a text is beside its ids.
struct BertText {
  Indices segments = {};  // (batch, time), each below `segments`; without them 0
  Indices lengths = {};   // (batch): how many tokens each text has; without them all
};

struct MaskedTokens;

struct BertNetwork {
  BertOptions options;
  nn::Embedding word_embeddings, position_embeddings, token_type_embeddings;
  nn::LayerNorm embeddings_norm;
  std::vector<BertLayer> layers;
  std::optional<nn::Linear> pooler;
  std::optional<BertPredictions> predictions;
  std::optional<nn::Linear> seq_relationship;  // (2, width)

  /// Throws ArgumentError for sizes below 1, a vocabulary below 2, heads that do not divide the width, rates
  /// outside of [0, 1), and next_sentence without a pooler.
  BertNetwork(Rng& rng, const BertOptions& chosen);
  /// A lower bound of the number of parameters, for a file's options to be judged by.
  static double fewest_parameters(const BertOptions& options);

  /// The last layer's vectors of ids (batch, time): (batch, time, width). A generator turns dropout on.
  /// Throws ShapeError for more tokens than the context, and for ids, segments or lengths out of range.
  Variable operator()(const Indices& ids, const BertText& text = {}, Rng* rng = nullptr) const;

  // Of those vectors; each throws ArgumentError where the network has not what it needs.

  /// The logits of the token at each place: (..., width) to (..., vocab).
  Variable logits(const Variable& h) const;
  /// tanh of a linear map of each text's first vector: (batch, width), for whole texts.
  Variable pooled(const Variable& h) const;
  /// The logits of the second segment following on the first, and not: (batch, 2).
  Variable next_sentence(const Variable& h) const;

  /// The mean cross entropy of the tokens that were chosen, of which alone logits are computed.
  Variable loss(const MaskedTokens& masked, const BertText& text = {}, Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) {
    visit("bert.embeddings.word_embeddings", self.word_embeddings);
    visit("bert.embeddings.position_embeddings", self.position_embeddings);
    visit("bert.embeddings.token_type_embeddings", self.token_type_embeddings);
    visit("bert.embeddings.LayerNorm", self.embeddings_norm);
    visit("bert.encoder.layer", self.layers);
    visit("bert.pooler.dense", self.pooler);
    visit("cls.predictions", self.predictions);
    visit("cls.seq_relationship", self.seq_relationship);
  }
};

struct MaskingOptions {
  /// The probability of a token to be chosen.
  double rate = 0.15;
  /// Of those chosen: the share that becomes the mask, and that becomes any token; the rest stay.
  double masked = 0.8, random = 0.1;
  /// Tokens that are never chosen, as those that begin and end texts.
  std::vector<std::int32_t> special = {};
  /// How many tokens each text has: (batch). What stands behind is not chosen.
  Indices lengths = {};
};

/// Texts some tokens of which are to be told.
struct MaskedTokens {
  Indices ids;      // (batch, time), with the masks
  Indices places;   // (chosen): where those stand in ids, read as one row
  Indices targets;  // (chosen): what stood there
};

/// Chooses tokens of ids (batch, time), and masks them (section 3.1). At least one is chosen of those that
/// can be. Throws ArgumentError for shares that are none, and for a mask or a vocabulary that does not fit,
/// and ShapeError where there is nothing to choose.
MaskedTokens mask_tokens(const Indices& ids, std::int32_t mask, std::int64_t vocab, Rng& rng,
                         const MaskingOptions& options = {});

/// The network of a folder with Hugging Face's `config.json` and `model.safetensors`, of BertModel,
/// BertForMaskedLM or BertForPreTraining: it has those parts that are in the file. Throws DataError as
/// load_gpt (pretrained.hpp).
BertNetwork load_bert(const std::filesystem::path& folder);
/// Writes a folder that this, and Hugging Face's library, reads.
void save_pretrained(const std::filesystem::path& folder, const BertNetwork& network,
                     const SaveOptions& options = {});

}  // namespace gradus::models
