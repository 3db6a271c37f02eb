#include "models/run/rate_search.hpp"

#include <algorithm>
#include <cmath>

#include "models/run/run.hpp"
#include "models/run/trainer.hpp"

namespace gradus::models {

void judge(RateSearch& search) {
  const std::vector<RateSearch::Point>& p = search.points;
  if (p.size() < 3)
    fail<ArgumentError>("a search for a rate with {} losses; at least 3 are needed", p.size());
  const auto lowest = std::ranges::min_element(p, {}, &RateSearch::Point::loss);
  search.lowest = lowest->rate;
  double fall = 0;
  search.steepest = search.lowest;
  // Over several updates, as neighbours differ by chance.
  const auto span = std::max<std::ptrdiff_t>(1, std::ssize(p) / 20);
  for (auto at = p.begin(); at + span <= lowest; ++at) {
    const double slope = ((at + span)->loss - at->loss) / std::log((at + span)->rate / at->rate);
    if (slope < fall) {
      fall = slope;
      search.steepest = std::sqrt(at->rate * (at + span)->rate);
    }
  }
  search.suggested = std::sqrt(search.steepest * search.lowest);
}

RateSearch find_rate(const RunConfig& config, const RateSearchOptions& options) {
  if (!(options.lowest > 0 && options.highest > options.lowest && std::isfinite(options.highest)) ||
      options.updates < 10) {
    fail<ArgumentError>("a search for a rate from {} to {} in {} updates; at least 10, and rising rates",
                        options.lowest, options.highest, options.updates);
  }
  RunConfig of_search = config;
  of_search.training.updates = options.updates;
  of_search.training.epochs = std::nullopt;
  of_search.training.average = "none";
  of_search.training.variable_steps = false;  // whose rates depend on their lengths
  of_search.schedule.name = "constant";
  const PreparedRun run = prepare_run(of_search);
  Trainer trainer(*run.network, run.text.train.tokens, {}, run.config);
  const double factor =
      std::pow(options.highest / options.lowest, 1.0 / static_cast<double>(options.updates - 1));
  trainer.set_schedule(
      [&](std::int64_t step) { return options.lowest * std::pow(factor, static_cast<double>(step)); });
  RateSearch out;
  // A mean that forgets, without its bias to the beginning (as Adam's).
  constexpr double kept = 0.9;
  double sum = 0, weight = 0, best = 0;
  while (!trainer.done()) {
    double loss = 0, rate = 0;
    try {
      const Update update = trainer.update();
      loss = update.loss;
      rate = update.lr;
    } catch (const NumericError&) {
      if (out.points.size() < 3) throw;
      break;  // what it was looking for: a rate that is too high
    }
    sum = kept * sum + (1 - kept) * loss;
    weight = kept * weight + (1 - kept);
    out.points.push_back({rate, sum / weight});
    best = out.points.size() == 1 ? sum / weight : std::min(best, sum / weight);
    if (options.progress) options.progress(trainer.step(), trainer.steps());
    if (sum / weight > 2 * best && out.points.size() > 10) break;
  }
  judge(out);
  return out;
}

}  // namespace gradus::models
