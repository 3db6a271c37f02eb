#include "models/adapt/neural_cache.hpp"

namespace gradus::models::detail {

void check_options(const NeuralCacheOptions& o) {
  if (!(o.weight >= 0 && o.weight <= 1) || !(o.theta >= 0 && std::isfinite(o.theta)) || o.window < 1) {
    fail<ArgumentError>(
        "a neural cache of weight {}, theta {} and a window of {}: the weight is from 0 to 1, theta 0 or "
        "more, the window "
        "at least 1",
        o.weight, o.theta, o.window);
  }
}

std::vector<double> cache_probabilities(const Tensor& queries, const Tensor& keys,
                                        std::span<const std::int32_t> tokens,
                                        std::span<const std::int32_t> wanted, std::int64_t first,
                                        const NeuralCacheOptions& options) {
  const std::int64_t rows = queries.dim(0), count = keys.dim(0);
  const Tensor alike = matmul(queries, transpose(keys, 0, 1)).to(Dtype::f32);  // (rows, count)
  std::vector<double> out(static_cast<std::size_t>(rows), -1);
  parallel::for_each(rows, 16 * count, [&](std::int64_t r) {
    const std::int64_t end = first + r, begin = std::max<std::int64_t>(0, end - options.window);
    if (begin == end) return;
    const float* const row = alike.data<float>() + r * count;
    const double most = options.theta * static_cast<double>(*std::max_element(row + begin, row + end));
    double all = 0, of_wanted = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double share = std::exp(options.theta * static_cast<double>(row[i]) - most);
      all += share;
      if (tokens[static_cast<std::size_t>(i)] == wanted[static_cast<std::size_t>(r)]) of_wanted += share;
    }
    out[static_cast<std::size_t>(r)] = of_wanted / all;
  });
  return out;
}

std::vector<double> cache_distribution(const Tensor& query, const Tensor& keys,
                                       std::span<const std::int32_t> tokens, std::int64_t vocab,
                                       const NeuralCacheOptions& options) {
  const Tensor alike = matmul(keys, query.reshape({query.size(), 1})).to(Dtype::f32);  // (count, 1)
  const float* const row = alike.data<float>();
  const double most = options.theta * static_cast<double>(*std::max_element(row, row + alike.size()));
  std::vector<double> out(static_cast<std::size_t>(vocab));
  double all = 0;
  for (std::int64_t i = 0; i < alike.size(); ++i) {
    const double share = std::exp(options.theta * static_cast<double>(row[i]) - most);
    all += share;
    out[static_cast<std::size_t>(tokens[static_cast<std::size_t>(i)])] += share;
  }
  for (double& p : out) p /= all;
  return out;
}

}  // namespace gradus::models::detail
