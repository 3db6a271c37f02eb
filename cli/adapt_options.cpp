#include "cli/adapt_options.hpp"

#include <fmt/ranges.h>

#include "cli/progress.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/ngram/ngram.hpp"

namespace gradus::cli {

void AdaptFlags::add_to(CLI::App* command) {
  command
      ->add_option(
          "--cache", cache,
          "Mix in the words of the text so far, by their number, with this weight (a unigram cache); 0: not")
      ->check(share_below_one());
  command
      ->add_option("--neural-cache", neural_cache,
                   "Mix in what followed where a network's features were alike, with this weight (Grave et "
                   "al. 2017); 0: "
                   "not")
      ->check(share_below_one());
  theta_given =
      command->add_option("--theta", theta, "Of --neural-cache: how sharply it prefers what is alike")
          ->check(zero_or_more());
  length_given = command->add_option("--cache-length", length, "Tokens that a cache remembers")
                     ->check(CLI::Range(1, 1 << 24));
  command
      ->add_option("--counts", counts,
                   "Count n-grams of the text so far, of up to so many tokens, and back off from them to the "
                   "model; 0: not")
      ->check(CLI::Range(0, 8));
  strength_given = command
                       ->add_option("--strength", strength,
                                    "Of --counts: how much is left to the model; large values trust it more")
                       ->check(CLI::Range(1e-6, 1e9));
  command
      ->add_option("--dynamic", dynamic,
                   "Let a network go on learning from what it has read, at this rate (dynamic evaluation, "
                   "Krause et al. "
                   "2018); 0: not")
      ->check(zero_or_more());
  decay_given =
      command
          ->add_option("--decay", decay,
                       "Of --dynamic: the share of the way back to the trained weights that each update goes")
          ->check(CLI::Range(0.0, 1.0));
  steps_given = command->add_option("--dynamic-steps", steps, "Of --dynamic: tokens between two updates")
                    ->check(CLI::Range(1, 100'000));
  gradients_given = command->add_option("--gradients-of", gradients_of,
                                        "Of --dynamic: divide gradients by the root of their mean squares "
                                        "over this text, the one it was trained on");
  command->add_option(
      "--tune", tune,
      "Choose these numbers by a text of its own, beginning with those that are given; its first 20,000 "
      "tokens are read many times");
}

void AdaptFlags::check() const {
  const auto needs = [](const CLI::Option* option, bool has, const char* whose) {
    if (given(option) && !has) misuse("{} is of {}", option->get_name(), whose);
  };
  needs(theta_given, neural_cache > 0, "--neural-cache");
  needs(length_given, neural_cache > 0 || cache > 0, "--cache and --neural-cache");
  needs(strength_given, counts > 0, "--counts");
  for (const CLI::Option* const option : {decay_given, steps_given, gradients_given})
    needs(option, dynamic > 0, "--dynamic");
  if (!tune.empty() && !any())
    misuse("--tune chooses the numbers of --cache, --neural-cache, --counts and --dynamic");
  if (dynamic > 0 && neural_cache > 0)
    misuse("--dynamic changes the features that --neural-cache compares; give one of them");
}

models::AdaptOptions AdaptFlags::options(const models::TrainedModel& trained, bool skip_marks) const {
  models::AdaptOptions out;
  const bool of_networks = dynamic > 0 || neural_cache > 0;
  if (of_networks && models::find_network_kind(trained.kind) == nullptr) {
    fail<DataError>(
        "{} is of networks, and the model is of the kind {}; --cache and --counts are of any model",
        dynamic > 0 ? "--dynamic" : "--neural-cache", trained.kind);
  }
  if (dynamic > 0 && trained.document_end >= 0)
    fail<DataError>(
        "--dynamic: the model reads documents apart, and what it would learn goes from one to the next");
  if (cache > 0) out.cache = {.weight = cache, .length = length};
  if (neural_cache > 0) out.neural_cache = {.weight = neural_cache, .theta = theta, .window = length};
  if (counts > 0) out.counts = {.order = counts, .strength = strength};
  if (dynamic > 0) out.dynamic = {.lr = dynamic, .decay = decay, .steps = steps};
  if (!gradients_of.empty()) {
    Progress progress("gradients");
    out.mean_squares = models::training_mean_squares(
        trained.model, read_tokens(gradients_of, trained.vocabulary, skip_marks));
  }
  if (tune.empty()) return out;
  constexpr std::size_t most = 20'000;
  std::vector<std::int32_t> tokens = read_tokens(tune, trained.vocabulary, skip_marks);
  tokens.resize(std::min(tokens.size(), most));
  Progress progress("tuning");
  return models::tuned(trained.model, out, tokens, 2, [&](int tried, double loss) {
    progress.update(tried, 0, fmt::format("{} tried, perplexity {:.2f} at best", tried, std::exp(loss)));
  });
}

std::string adaptation_text(const models::AdaptOptions& o) {
  std::vector<std::string> parts;
  if (o.dynamic) {
    parts.push_back(fmt::format("dynamic evaluation (rate {:.4g}, decay {:.4g}, every {} tokens{})",
                                o.dynamic->lr, o.dynamic->decay, o.dynamic->steps,
                                o.mean_squares.tensors.empty() ? "" : ", by mean squares"));
  }
  if (o.neural_cache) {
    parts.push_back(fmt::format("a neural cache (weight {:.4g}, theta {:.4g}, the last {} tokens)",
                                o.neural_cache->weight, o.neural_cache->theta, o.neural_cache->window));
  }
  if (o.counts)
    parts.push_back(
        fmt::format("counts of up to {} tokens (strength {:.4g})", o.counts->order, o.counts->strength));
  if (o.cache)
    parts.push_back(
        fmt::format("a cache (weight {:.4g}, the last {} tokens)", o.cache->weight, o.cache->length));
  return fmt::format("{}", fmt::join(parts, ", "));
}

nlohmann::json adaptation_json(const models::AdaptOptions& o) {
  nlohmann::json out = nlohmann::json::object();
  if (o.dynamic) {
    out["dynamic"] = {{"lr", o.dynamic->lr},
                      {"decay", o.dynamic->decay},
                      {"steps", o.dynamic->steps},
                      {"mean_squares", !o.mean_squares.tensors.empty()}};
  }
  if (o.neural_cache) {
    out["neural_cache"] = {{"weight", o.neural_cache->weight},
                           {"theta", o.neural_cache->theta},
                           {"length", o.neural_cache->window}};
  }
  if (o.counts) out["counts"] = {{"order", o.counts->order}, {"strength", o.counts->strength}};
  if (o.cache) out["cache"] = {{"weight", o.cache->weight}, {"length", o.cache->length}};
  return out;
}

}  // namespace gradus::cli
