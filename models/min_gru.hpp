#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "models/networks.hpp"
#include "nn/min_rnn.hpp"
#include "nn/norm.hpp"

namespace gradus::models {

/// One block of a MinGruNetwork: x + minGRU(norm(x)), and to that its MLP of the norm of it.
struct MinGruBlock {
  nn::RmsNorm norm_1;
  nn::MinGru mix;
  nn::RmsNorm norm_2;
  nn::Linear up, down;  // (inner, width), (width, inner)
  double dropout;

  MinGruBlock(Rng& rng, const NetworkOptions& options);
  /// x: (time, batch, width), h: (1, batch, width), to the same of both. Where `begins`, (time, batch, 1), is
  /// given and not 0, h begins anew.
  std::pair<Variable, Variable> operator()(const Variable& x, const Variable& h, Rng* rng,
                                           const Tensor& begins = {}) const;

  static void members(auto& self, auto&& visit) {
    visit("norm_1", self.norm_1);
    visit("mix", self.mix);
    visit("norm_2", self.norm_2);
    visit("up", self.up);
    visit("down", self.down);
  }
};

/// A language model of minGRUs (Feng et al. 2024): embeddings, `layers` blocks with residuals, a last
/// normalisation and a softmax. Gates that see the input alone need more than one layer to depend on the
/// past. `width` is that of the embeddings too; `inner` is by default twice the width; the embeddings are the
/// output layer where `tied`.
struct MinGruNetwork : TwoPartNetwork<MinGruNetwork> {
  using State = nn::HiddenState;  // h: (layers, batch, width)
  NetworkOptions options;
  nn::Embedding embed;  // (vocab, width)
  std::vector<MinGruBlock> blocks;
  nn::RmsNorm norm;
  nn::Linear head;  // (vocab, width); where tied, the bias alone

  /// Throws ArgumentError for a vocabulary below 2 or other sizes below 1.
  MinGruNetwork(Rng& rng, const NetworkOptions& chosen);
  /// A lower bound of the number of parameters, for a file's options to be judged by.
  static double fewest_parameters(const NetworkOptions& options);
  State start(std::int64_t batch) const;
  /// (time, batch, width)
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;
  Variable logits(const Variable& features, Rng* rng = nullptr) const;
  /// The mean cross entropy of targets y, (time, batch), without logits of all of them at once.
  std::pair<Variable, State> loss(const Indices& x, const Indices& y, const State& state,
                                  Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("blocks", self.blocks);
    visit("norm", self.norm);
    visit("head", self.head);
  }

 private:
  std::pair<Variable, State> run(const Indices& x, const State& state, Rng* rng, const Tensor& begins) const;
  Variable output() const { return options.is_tied(true) ? Variable(embed.weight) : head.effective_weight(); }
};

}  // namespace gradus::models
