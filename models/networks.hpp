#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "nn/adaptive_softmax.hpp"
#include "nn/embedding.hpp"
#include "nn/gru.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"
#include "tensor/indices.hpp"

/// The networks of the neural language models: plain modules from ids (time, batch) to logits
/// (time, batch, vocab), with a state that is carried from one batch to the next. `start(batch)` is the state
/// before anything was read. A generator, in training, turns dropout on.
///
/// A network is called in two parts: `features(ids, state, rng)` are what it makes of the past at each step,
/// with the state after the last, and `logits(features, rng)` what it says of the next token. A network of
/// one's own may have a plain call operator(ids, state, rng) in their place. One that is trained on contexts
/// by themselves says so: `static constexpr bool carries_state = false`.
namespace gradus::models {

/// The state of a network that sees the last few tokens only: those that stand before the next one to be
/// read.
struct Window {
  Indices tokens;  // (reach, batch)

  /// Before a text begins, `padding` stands in their place.
  static Window filled(std::int64_t reach, std::int64_t batch, std::int64_t padding);
  /// The tokens of the window and behind them x, (time, batch): (reach + time, batch), and the window after
  /// x.
  std::pair<Indices, Window> read(const Indices& x) const;
};
inline Window detach(const Window& window) {
  return window;
}

struct NetworkOptions {
  std::int64_t vocab = 0;
  std::int64_t embedding = 128;
  std::int64_t width = 256;
  int layers = 1;
  double dropout = 0;
  int order = 5;  // of networks that see the last order - 1 tokens only
  /// The token that ends a document, such as the line end, or -1: a text is then many documents, of which
  /// each is read as if it were alone, from the token before it, the end of another, on. No token sees
  /// another document, positions begin anew and a recurrent state too, in training (`loss`) as in a
  /// NeuralModel. Not of networks that see a window of tokens.
  std::int64_t document_end = -1;
  // Of transformers; inner, norm_eps and tied of minGRUs too:
  std::int64_t heads = 4;
  std::int64_t kv_heads = 0;   // of keys and values; 0: as many as heads
  std::int64_t context = 256;  // tokens that are seen at once
  std::int64_t sinks = 0;      // of a Llama that reads on past the context, first tokens that are still seen
  std::int64_t inner = 0;      // the width between the two products of a layer; 0: the usual one of the kind
  double rope_theta = 10'000;  // the base of rotary positions
  double norm_eps = 1e-5;
  /// Whether the embeddings are the output layer, which then is as wide as they are; nothing: as usual of the
  /// kind, where transformers and minGRUs have them tied, and recurrent networks not.
  std::optional<bool> tied = {};
  // Of recurrent networks, the regularisers of AWD-LSTM (Merity, Keskar and Socher 2018), in training:
  std::optional<double> input_dropout = {};   // of the embeddings; nothing: `dropout`, as of the next two
  std::optional<double> layer_dropout = {};   // between layers
  std::optional<double> output_dropout = {};  // of the last layer's h
  double word_dropout = 0;                    // of whole rows of the embeddings' table
  double weight_dropout = 0;                  // of the recurrent weights
  bool locked_dropout = false;                // one mask for all steps of a batch
  /// Of recurrent networks: the output is an adaptive softmax (nn/adaptive_softmax.hpp) with these cutoffs,
  /// for large vocabularies in the order of falling frequency, as those of words are. What `logits` gives are
  /// log-probabilities then.
  std::vector<std::int64_t> cutoffs = {};
  /// Of transformers: in training a layer keeps its input alone, and computes the rest again in backward
  /// (autograd/checkpoint.hpp), for less memory and a third more time. The bits are the same. Not in model
  /// files.
  bool checkpoint_layers = false;

  bool is_tied(bool usual) const { return tied.value_or(usual); }
};

/// What the loss of a recurrent network in training has beside the cross entropy: multiples of the mean
/// square of the last layer's h, with dropout, and of its changes from step to step, without (Merity, McCann
/// and Socher 2017).
struct ActivationPenalties {
  double size = 0, change = 0;
};

/// The call of a network in two parts: ids (time, batch) to logits (time, batch, vocab) and the next state.
template <class Network>
struct TwoPartNetwork {
  template <class State>
  std::pair<Variable, State> operator()(const Indices& x, const State& state, Rng* rng = nullptr) const {
    const auto& self = static_cast<const Network&>(*this);
    auto [features, next] = self.features(x, state, rng);
    return {self.logits(features, rng), std::move(next)};
  }
};

/// The neural probabilistic language model of Bengio et al. (2003), eq. 1: the embeddings of the last
/// order - 1 tokens, side by side, through one tanh layer to the softmax:
///   logits = b + W e + U tanh(d + H e)
/// Before the text begins, a padding token with an embedding of its own stands in their place.
struct FeedForwardNetwork : TwoPartNetwork<FeedForwardNetwork> {
  using State = Window;
  NetworkOptions options;
  nn::Embedding embed;  // (vocab + 1, embedding); the last row is the padding
  nn::Linear hidden;    // H, d
  nn::Linear direct;    // W, b
  nn::Linear head;      // U

  /// Throws ArgumentError for a vocabulary or an order below 2, or other sizes below 1.
  FeedForwardNetwork(Rng& rng, const NetworkOptions& chosen);
  /// A lower bound of the number of parameters, for a file's options to be judged by.
  static double fewest_parameters(const NetworkOptions& options);
  State start(std::int64_t batch) const { return Window::filled(options.order - 2, batch, options.vocab); }
  /// The embeddings e: (time, batch, (order - 1) * embedding).
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;
  Variable logits(const Variable& features, Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("hidden", self.hidden);
    visit("direct", self.direct);
    visit("head", self.head);
  }
};

/// The log-bilinear model of Mnih and Hinton (2007). The vectors of the last order - 1 tokens, each through a
/// matrix of its position, add up to a prediction of the next token's vector; a token's logit is its own
/// vector's product with it:
///   r^ = b_r + sum_i C_i r(w_i),   logit(w) = r^ . r(w) + b_w
/// `width` is that of the vectors. Before the text begins, a padding token with a vector of its own stands in
/// their place.
struct LogBilinearNetwork : TwoPartNetwork<LogBilinearNetwork> {
  using State = Window;
  NetworkOptions options;
  nn::Embedding embed;  // r: (vocab + 1, width); the last row is the padding
  nn::Linear predict;   // all C_i side by side, b_r
  Parameter bias;       // b_w: (vocab)

  /// Throws ArgumentError for a vocabulary or an order below 2, or a width below 1.
  LogBilinearNetwork(Rng& rng, const NetworkOptions& chosen);
  static double fewest_parameters(const NetworkOptions& options);
  State start(std::int64_t batch) const { return Window::filled(options.order - 2, batch, options.vocab); }
  /// The predicted vectors r^: (time, batch, width).
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;
  Variable logits(const Variable& features, Rng* rng = nullptr) const;

  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("predict", self.predict);
    visit("bias", self.bias);
  }
};

/// Embedding, recurrent layers and a softmax (Mikolov et al. 2010 for the simple RNN, Zaremba et al. 2014 for
/// the LSTM and its dropout). Layer is nn::Rnn, nn::Gru or nn::Lstm.
template <class Layer>
struct RecurrentNetwork : TwoPartNetwork<RecurrentNetwork<Layer>> {
  using State = typename Layer::State;
  NetworkOptions options;
  nn::Embedding embed;
  Layer recurrent;
  nn::Linear head;                              // where tied, the bias alone; nothing with cutoffs
  std::optional<nn::AdaptiveSoftmax> adaptive;  // with cutoffs

  /// Throws ArgumentError for a vocabulary below 2 or other sizes below 1, for tied embeddings that are not
  /// as wide as the layers, and for those with cutoffs.
  RecurrentNetwork(Rng& rng, const NetworkOptions& chosen);
  /// A lower bound of the number of parameters: that of a layer of a single gate.
  static double fewest_parameters(const NetworkOptions& options);
  State start(std::int64_t batch) const { return recurrent.start(batch); }
  /// The last layer's hidden state: (time, batch, width), without dropout of it, which `logits` does.
  std::pair<Variable, State> features(const Indices& x, const State& state, Rng* rng = nullptr) const;
  Variable logits(const Variable& features, Rng* rng = nullptr) const;
  /// The mean cross entropy of targets y, (time, batch), without logits of all of them at once.
  std::pair<Variable, State> loss(const Indices& x, const Indices& y, const State& state,
                                  Rng* rng = nullptr) const;
  struct PenalizedLoss {
    Variable mean;     // the mean cross entropy
    Variable penalty;  // what is added to it in training; undefined where that is nothing
    State next;
  };
  /// The same with penalties of the activations.
  PenalizedLoss penalized_loss(const Indices& x, const Indices& y, const State& state, Rng* rng,
                               const ActivationPenalties& penalties) const;

  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("recurrent", self.recurrent);
    visit("head", self.head);
    visit("adaptive", self.adaptive);
  }

 private:
  std::pair<Variable, State> run(const Indices& x, const State& state, Rng* rng,
                                 const Indices& lengths) const;
  std::pair<Variable, State> separate_documents(const Indices& x, const State& state, Rng* rng) const;
  Variable dropped(const Variable& x, const std::optional<double>& rate, Rng* rng) const;
  Variable output() const {
    return options.is_tied(false) ? Variable(embed.weight) : head.effective_weight();
  }
};

using RnnNetwork = RecurrentNetwork<nn::Rnn>;
using GruNetwork = RecurrentNetwork<nn::Gru>;
using LstmNetwork = RecurrentNetwork<nn::Lstm>;

}  // namespace gradus::models
