// Trains language models of characters on a text and prints how well each predicts its last tenth, in nats a
// character. Usage: bench_recipe [--threads N] TEXT nano|fast|baby [SECONDS [KIND...]]
//
// First a GPT by nanoGPT's recipe for a CPU (nano: 4 layers of 128 with 4 heads, contexts of 64, 12 at once,
// 2,000 updates) or with its larger network (baby: 6 layers of 384 with 6 heads, contexts of 256, dropout of
// 0.2; as many updates as take SECONDS). Then networks of other kinds, those named or four of them, each
// trained for as long, n-grams, and the mixture of the n-grams with the best network.
//
// A loss of blocks is that of nanoGPT: the text is cut into contexts, and nothing is known before each.
// Carried, a model has read the text from its beginning.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>

#include "bench/threads.hpp"
#include "models/interpolate.hpp"
#include "models/kinds.hpp"
#include "models/neural.hpp"
#include "models/ngram/ngram.hpp"
#include "models/transformers.hpp"
#include "optim/rules.hpp"
#include "text/batches.hpp"
#include "text/corpus.hpp"
#include "text/load.hpp"

using namespace gradus;

namespace {

struct Recipe {
  std::int64_t width, heads;
  int layers;
  double dropout;
  std::int64_t batch, context, updates, warmup;
  double lr;
};
const std::map<std::string, Recipe> recipes = {{"nano", {128, 4, 4, 0, 12, 64, 2000, 100, 1e-3}},
                                               {"fast", {128, 4, 4, 0, 12, 64, 2000, 100, 3e-3}},
                                               {"baby", {384, 6, 6, 0.2, 16, 256, 5000, 100, 1e-3}}};

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Texts {
  Vocabulary vocabulary;
  std::vector<std::int32_t> train, valid;
};

/// The first nine tenths to train on, as nanoGPT divides it.
Texts read(const char* file) {
  const Corpus corpus =
      make_corpus(load_text(file, {.unit = Unit::character}),
                  {.unit = Unit::character, .split = {.train = 0.9, .valid = 0}, .vocabulary = {}}, file);
  return {corpus.vocabulary, corpus.train.tokens, corpus.test.tokens};
}

/// nanoGPT's: AdamW with betas of 0.9 and 0.99, weight decay of matrices alone, the rate rising to 1e-3 and
/// falling to a tenth by half a cosine.
void update(models::GptNetwork& network, optim::AdamW& optimizer, Rng& rng, const Texts& texts,
            const Recipe& r, std::int64_t step, std::int64_t steps) {
  const auto [x, y] = random_batch(texts.train, {.batch = r.batch, .steps = r.context}, rng);
  Tape tape;
  const Variable loss = network.loss(x, y, network.start(r.batch), &rng).first;
  const optim::CosineSchedule schedule{.lr = r.lr, .steps = steps, .minimum = r.lr / 10, .warmup = r.warmup};
  optimizer.set_lr(schedule(step));
  optimizer.step(network, tape.backward(loss), {.clip_norm = 1});
}

/// The mean loss over contexts that follow one another, of which nothing is known before.
double loss_of_blocks(const models::GptNetwork& network, const std::vector<std::int32_t>& text,
                      const Recipe& r) {
  const PauseRecording pause;
  double total = 0;
  std::int64_t count = 0;
  for (std::size_t at = 0; at + 1 < text.size(); at += static_cast<std::size_t>(r.context)) {
    const std::int64_t time = std::min(r.context, std::ssize(text) - 1 - static_cast<std::int64_t>(at));
    const auto from = text.begin() + static_cast<std::ptrdiff_t>(at);
    const Indices x(std::vector<std::int32_t>(from, from + time), {time, 1});
    const Indices y(std::vector<std::int32_t>(from + 1, from + 1 + time), {time, 1});
    total += network.loss(x, y, network.start(1)).first.item() * static_cast<double>(time);
    count += time;
  }
  return total / static_cast<double>(count);
}

double mean_loss(std::span<const double> log_probs) {
  double total = 0;
  for (const double log_prob : log_probs) total -= log_prob;
  return total / static_cast<double>(log_probs.size());
}

void print(const std::string& name, double seconds, std::int64_t updates, double blocks, double carried) {
  std::printf("| %s | %.0f | %lld | ", name.c_str(), seconds, static_cast<long long>(updates));
  if (blocks > 0) std::printf("%.4f", blocks);
  std::printf(" | %.4f |\n", carried);
  std::fflush(stdout);
}

/// How many updates take so many seconds, from a few of them.
std::int64_t updates_in(double seconds, const std::function<void(std::int64_t)>& some) {
  constexpr std::int64_t tried = 8;
  some(2);  // memory is taken, and caches are filled
  const Clock clock;
  some(tried);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds / clock.seconds() * tried));
}

struct Trained {
  std::string name;
  models::ErasedModel model;
  double loss;     // carried
  double seconds;  // of training
};

/// For as long as that takes, or with `seconds` of 0 for the recipe's updates.
Trained train_gpt(const Texts& texts, const std::string& name, const Recipe& r, double seconds) {
  const models::NetworkOptions options{.vocab = texts.vocabulary.size(),
                                       .width = r.width,
                                       .layers = r.layers,
                                       .dropout = r.dropout,
                                       .heads = r.heads,
                                       .context = r.context};
  const auto run = [&](std::int64_t count, std::int64_t steps) {
    Rng rng(1337);
    models::GptNetwork network(rng, options);
    optim::AdamW optimizer({.lr = r.lr, .beta2 = 0.99, .weight_decay = 0.1});
    optimizer.for_parameters({"*.bias", "ln_*", "*.ln_*"}, [](auto& o) { o.weight_decay = 0; });
    for (std::int64_t i = 0; i < count; ++i) update(network, optimizer, rng, texts, r, i, steps);
    return network;
  };
  const std::int64_t updates =
      seconds > 0 ? updates_in(seconds, [&](std::int64_t count) { run(count, r.updates); }) : r.updates;
  const Clock clock;
  const models::GptNetwork network = run(updates, updates);
  const double took = clock.seconds();
  const double blocks = loss_of_blocks(network, texts.valid, r);
  const models::NeuralModel<models::GptNetwork> model{network};
  const double carried = mean_loss(models::score(model, texts.valid));
  print("gpt (" + name + ")", took, updates, blocks, carried);
  return {"gpt (" + name + ")", models::ErasedModel(model), carried, took};
}

/// A network of a kind as `gradus train` makes it for characters.
Trained train_kind(const Texts& texts, const models::NetworkKind& kind, double seconds) {
  const models::NetworkDefaults& d = kind.characters;
  const models::NetworkOptions options{.vocab = texts.vocabulary.size(),
                                       .embedding = d.embedding,
                                       .width = d.width,
                                       .layers = d.layers,
                                       .dropout = d.dropout,
                                       .heads = d.heads,
                                       .context = d.context};
  const auto run = [&](std::int64_t count) {
    Rng rng(1);
    auto network = kind.make(rng, options);
    network->train(texts.train, {.batch = 32, .steps = 64, .updates = count, .lr = d.lr});
    return network;
  };
  const std::int64_t updates = updates_in(seconds, run);
  const Clock clock;
  const auto network = run(updates);
  const double took = clock.seconds();
  const models::ErasedModel model = network->model();
  const double carried = mean_loss(models::score(model, texts.valid));
  print(std::string(kind.name), took, updates, 0, carried);
  return {std::string(kind.name), model, carried, took};
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  std::vector<std::string> kinds(argv + std::min(argc, 4), argv + argc);
  const auto known = [](const std::string& kind) { return models::find_network_kind(kind) != nullptr; };
  if (argc < 3 || !recipes.contains(argv[2]) || !std::ranges::all_of(kinds, known)) {
    std::fputs("usage: bench_recipe [--threads N] TEXT nano|fast|baby [SECONDS [KIND...]]\n", stderr);
    return 2;
  }
  if (kinds.empty()) kinds = {"llama", "lstm", "min-gru", "gru"};
  Texts texts = read(argv[1]);
  std::printf("| model | s of training | updates | loss of blocks | carried |\n|---|---:|---:|---:|---:|\n");
  std::vector<Trained> trained{
      train_gpt(texts, argv[2], recipes.at(argv[2]), argc > 3 ? std::atof(argv[3]) : 0)};
  const double seconds = trained.front().seconds;
  if (argv[2] == std::string("nano")) trained.push_back(train_gpt(texts, "fast", recipes.at("fast"), 0));
  for (const std::string& name : kinds)
    trained.push_back(train_kind(texts, *models::find_network_kind(name), seconds));

  const Clock clock;
  const models::NgramModel ngrams(texts.train, static_cast<std::int32_t>(texts.vocabulary.size()),
                                  {.order = 7});
  const double took = clock.seconds();
  const models::ErasedModel counts(ngrams);
  print("7-gram, Kneser-Ney", took, 0, 0, mean_loss(models::score(counts, texts.valid)));
  const auto best = std::min_element(trained.begin(), trained.end(),
                                     [](const Trained& a, const Trained& b) { return a.loss < b.loss; });
  // The weights are fitted to the first half of the last tenth and measured on the second, and the other way
  // round, so that no text is measured by what was fitted to it.
  const models::ModelSet both({counts, best->model});
  const auto log_probs = both.score(texts.valid);
  const std::size_t half = log_probs.front().size() / 2;
  double total = 0;
  for (const bool second : {false, true}) {
    std::vector<std::vector<double>> fitted, measured;
    for (const auto& one : log_probs) {
      const auto middle = one.begin() + static_cast<std::ptrdiff_t>(half);
      fitted.emplace_back(second ? middle : one.begin(), second ? one.end() : middle);
      measured.emplace_back(second ? one.begin() : middle, second ? middle : one.end());
    }
    const auto mixed = models::mix_log_probs(measured, models::fit_weights(fitted).weights);
    total += mean_loss(mixed) * static_cast<double>(mixed.size());
  }
  print("7-gram with " + best->name, 0, 0, 0, total / static_cast<double>(log_probs.front().size()));
}
