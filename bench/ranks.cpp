// Training steps in several processes, by MPI. Usage, under mpirun: bench_ranks [--threads N] step NAME
// SECONDS, where NAME is of sizes.py, such as medium-lstm or small-gpt, whose batch the processes share; or
// bench_ranks [--threads N] network, which measures messages. Rank 0 prints a line of JSON.

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/threads.hpp"
#include "bench/training.hpp"
#include "bench/transformer_sizes.hpp"
#include "distributed/gradient_sum.hpp"
#include "optim/owners.hpp"

using namespace gradus;
using distributed::Communicator;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

double median(std::vector<double> x) {
  std::ranges::nth_element(x, x.begin() + std::ssize(x) / 2);
  return x[x.size() / 2];
}

/// The slowest process's seconds, which all agree on.
double slowest(const Communicator& all, double own) {
  return std::ranges::max(all.gather_all(own));
}

/// Times of steps, in rounds of all ways of making one, so that what else the machine does affects them
/// alike.
std::vector<double> times(const Communicator& all, const std::vector<std::function<void()>>& ways,
                          double seconds) {
  std::vector<std::vector<double>> found(ways.size());
  for (const auto& way : ways) way();  // takes the memory that the next steps reuse
  const Clock::time_point begun = Clock::now();
  do {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      all.barrier();
      const Clock::time_point start = Clock::now();
      ways[i]();
      found[i].push_back(slowest(all, seconds_since(start)));
    }
  } while (slowest(all, seconds_since(begun)) < seconds * static_cast<double>(ways.size()));
  std::vector<double> out;
  for (const auto& one : found) out.push_back(median(one));
  return out;
}

/// A step without the others' gradients, one with a sum while backward goes on, one with it afterwards, and
/// one in which each process makes the step of its own parameters alone.
template <class Network, class Optimizer>
nlohmann::json measure(const Communicator& all, Network& network, Optimizer& optimizer, double clip,
                       const Indices& x, const Indices& y, double seconds) {
  distributed::GradientSum sum(all, network, 1.0 / all.size());
  const ParameterView view(network);
  distributed::GradientSum shared(all, view, 1.0 / all.size(), optim::owners_of(view, all.size()));
  const auto backward = [&](const BackwardOptions& options) {
    Tape tape;
    return tape.backward(network.loss(x, y, network.start(x.dim(1))).first, options);
  };
  const auto step = [&](const Gradients& gradients) {
    optimizer.step(network, gradients, {.clip_norm = clip});
  };
  const std::vector<double> found =
      times(all,
            {[&] { step(backward({})); },
             [&] { step(sum.finish(backward({.ready = [&](Gradient& g) { sum.add(g); }}))); },
             [&] { step(sum.finish(backward({}))); },
             [&] {
               const Gradients own = shared.finish(backward({.ready = [&](Gradient& g) { shared.add(g); }}));
               optimizer.step(network, own, {.clip_norm = clip, .norm = shared.norm(own)});
               shared.share(optimizer.steps_by_rows);
             }},
            seconds);
  std::int64_t bytes = 0;
  for (const Gradient& gradient : backward({}).entries()) bytes += gradient.values().size() * 4;
  return {{"alone", found[0]},      {"overlapped", found[1]}, {"after", found[2]},
          {"sharded", found[3]},    {"bytes", bytes},         {"tokens", x.size() * all.size()},
          {"processes", all.size()}};
}

nlohmann::json step(const Communicator& all, const std::string& name, double seconds) {
  Rng rng(1);
  const auto ids = [&](std::int64_t vocab, std::int64_t steps, std::int64_t batch) {
    return bench::random_ids(rng, vocab, {steps, batch / all.size()});
  };
  for (const bench::Size& s : bench::sizes) {
    if (name != std::string(s.name) + "-lstm") continue;
    models::LstmNetwork network(
        rng, {.vocab = s.vocab, .embedding = s.width, .width = s.hidden, .layers = s.layers});
    optim::Sgd optimizer({.lr = 0.1});
    return measure(all, network, optimizer, 0.25, ids(s.vocab, s.steps, s.batch),
                   ids(s.vocab, s.steps, s.batch), seconds);
  }
  for (const bench::GptSize& s : bench::gpt_sizes) {
    if (name != std::string(s.name) + "-gpt") continue;
    models::GptNetwork network(rng, s.options());
    optim::AdamW optimizer({.lr = 1e-3});
    return measure(all, network, optimizer, 1, ids(s.vocab, s.context, s.batch),
                   ids(s.vocab, s.context, s.batch), seconds);
  }
  fail<ArgumentError>("no size {}; there are medium-lstm, small-gpt and so on", name);
}

/// Seconds that all processes take to send each other messages of so many bytes, all at once.
double exchange_seconds(const Communicator& all, std::size_t bytes) {
  std::vector<std::byte> sent(bytes);
  std::vector<std::vector<std::byte>> got(static_cast<std::size_t>(all.size()),
                                          std::vector<std::byte>(bytes));
  std::vector<double> found;
  for (int i = 0; i < (bytes > 100'000 ? 30 : 300); ++i) {
    all.barrier();
    const Clock::time_point start = Clock::now();
    distributed::Transfers transfers;
    for (int r = 0; r < all.size(); ++r) {
      if (r == all.rank()) continue;
      all.receive(got[static_cast<std::size_t>(r)], r, 1, transfers);
      all.send(sent, r, 1, transfers);
    }
    all.wait(transfers);
    found.push_back(slowest(all, seconds_since(start)));
  }
  return median(found);
}

nlohmann::json network(const Communicator& all) {
  const double peers = all.size() - 1;
  const double small = exchange_seconds(all, 8), large = exchange_seconds(all, 4'000'000);
  return {
      {"processes", all.size()}, {"latency", small / peers}, {"bandwidth", 4e6 * peers / (large - small)}};
}

}  // namespace

int main(int argc, char** argv) {
  bench::take_threads(argc, argv);
  const Communicator all = Communicator::world();
  const std::vector<std::string> words(argv + 1, argv + argc);
  nlohmann::json found;
  if (words.size() == 3 && words[0] == "step") {
    found = step(all, words[1], std::stod(words[2]));
  } else if (words.size() == 1 && words[0] == "network") {
    found = network(all);
  } else {
    std::cerr << "bench_ranks: step NAME SECONDS, or network\n";
    return 2;
  }
  if (all.rank() == 0) std::cout << found.dump() << "\n";
  all.barrier();
}
