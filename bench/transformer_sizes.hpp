#pragma once

// The sizes of the transformers that are measured, those of sizes.py.

#include "models/transformers.hpp"

namespace bench {

struct GptSize {
  const char* name;
  std::int64_t vocab, width, heads;
  int layers;
  std::int64_t batch, context;

  gradus::models::NetworkOptions options() const {
    return {.vocab = vocab, .width = width, .layers = layers, .heads = heads, .context = context};
  }
};
inline constexpr GptSize gpt_sizes[] = {{"char", 96, 128, 4, 4, 12, 64},
                                        {"baby", 96, 384, 6, 6, 8, 256},
                                        {"small", 10'000, 256, 4, 4, 16, 128},
                                        {"gpt2", 50'257, 768, 12, 12, 4, 64}};

}  // namespace bench
