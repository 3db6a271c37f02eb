#pragma once

#include <cstdint>
#include <utility>

#include "nn/embedding.hpp"
#include "nn/gru.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"
#include "tensor/indices.hpp"

/// The networks of the neural language models: plain modules from ids (time, batch) to logits
/// (time, batch, vocab), with a state that is carried from one batch to the next. `start(batch)` is the state
/// before anything was read. A generator, in training, turns dropout on.
namespace gradus::models {

struct NetworkOptions {
  std::int64_t vocab = 0;
  std::int64_t embedding = 128;
  std::int64_t width = 256;
  int layers = 1;
  double dropout = 0;
  int order = 5;  // feed-forward only: predicts from the order - 1 last tokens
};

/// The neural probabilistic language model of Bengio et al. (2003), eq. 1: the embeddings of the last
/// order - 1 tokens, side by side, through one tanh layer to the softmax:
///   logits = b + W e + U tanh(d + H e)
/// Before the text begins, a padding token with an embedding of its own stands in their place.
struct FeedForwardNetwork {
  struct State {
    Indices context;  // (order - 2, batch): the tokens before the next one to be read
  };
  NetworkOptions options;
  nn::Embedding embed;  // (vocab + 1, embedding); the last row is the padding
  nn::Linear hidden;    // H, d
  nn::Linear direct;    // W, b
  nn::Linear head;      // U

  FeedForwardNetwork(Rng& rng, const NetworkOptions& options);
  State start(std::int64_t batch) const;
  std::pair<Variable, State> operator()(const Indices& x, const State& state, Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("hidden", self.hidden);
    visit("direct", self.direct);
    visit("head", self.head);
  }
};
inline FeedForwardNetwork::State detach(const FeedForwardNetwork::State& state) {
  return state;
}

/// Embedding, recurrent layers and a softmax (Mikolov et al. 2010 for the simple RNN, Zaremba et al. 2014 for
/// the LSTM and its dropout). Layer is nn::Rnn, nn::Gru or nn::Lstm.
template <class Layer>
struct RecurrentNetwork {
  using State = typename Layer::State;
  NetworkOptions options;
  nn::Embedding embed;
  Layer recurrent;
  nn::Linear head;

  RecurrentNetwork(Rng& rng, const NetworkOptions& chosen);
  State start(std::int64_t batch) const { return recurrent.start(batch); }
  std::pair<Variable, State> operator()(const Indices& x, const State& state, Rng* rng = nullptr) const;
  /// The mean cross entropy of targets y, (time, batch), without logits of all of them at once.
  std::pair<Variable, State> loss(const Indices& x, const Indices& y, const State& state,
                                  Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("recurrent", self.recurrent);
    visit("head", self.head);
  }

 private:
  /// What the head reads: (time, batch, width).
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng) const;
};

using RnnNetwork = RecurrentNetwork<nn::Rnn>;
using GruNetwork = RecurrentNetwork<nn::Gru>;
using LstmNetwork = RecurrentNetwork<nn::Lstm>;

}  // namespace gradus::models
